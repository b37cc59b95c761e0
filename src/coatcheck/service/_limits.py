"""How much is admitted: requests and bytes a second, and requests at once."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import asynccontextmanager
from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING, Final

import anyio

from ._refusals import busy

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Hashable

    from ._config import RateLimits, RateRule, ServiceConfig
    from ._targets import Target

_KEPT: Final = 10_000
_SECOND: Final = timedelta(seconds=1)


class Bucket:
    """A bucket of tokens that fills at a rate, up to what it can hold.

    It may owe tokens: what costs more than is there is admitted as long as anything
    is, and nobody after it until the debt is paid.

    Args:
        rate: Tokens a second.
        capacity: The most tokens.
        clock: Tells seconds.
    """

    __slots__ = ("_capacity", "_clock", "_held", "_rate", "_seen")

    def __init__(
        self, rate: float, capacity: float, clock: Callable[[], float] = monotonic
    ) -> None:
        self._rate = rate
        self._capacity = max(capacity, 1.0)
        self._held = self._capacity
        self._clock = clock
        self._seen = clock()

    def wait(self, tokens: float = 1.0) -> float:
        """Return how many seconds it takes until there are so many tokens."""
        now = self._clock()
        filled = self._held + (now - self._seen) * self._rate
        self._held, self._seen = min(self._capacity, filled), now
        return max(0.0, (tokens - self._held) / self._rate)

    def take(self, tokens: float = 1.0) -> None:
        """Take tokens, also such that are not there yet."""
        self._held -= tokens


class Rates:
    """Limits on requests and bytes; all of those that concern a request must admit it.

    Args:
        limits: The limits.
        clock: Tells seconds.
    """

    def __init__(
        self, limits: RateLimits, clock: Callable[[], float] = monotonic
    ) -> None:
        self._limits = limits
        self._clock = clock
        self._buckets: OrderedDict[Hashable, Bucket] = OrderedDict()
        self._bytes: Bucket | None = None
        if limits.bytes_per_second is not None:
            rate = limits.bytes_per_second
            # A second's worth may be owed before anybody is turned away.
            self._bytes = Bucket(rate, rate, clock)

    def admit(self, target: Target) -> None:
        """Count a request.

        Raises:
            Refusal: It is over one of the limits; none has counted it.
        """
        if self._bytes is not None:
            wait = self._bytes.wait()
            if wait > 0:
                raise busy(429, "rate limited: too many bytes", timedelta(seconds=wait))
        buckets = self._concerned(target)
        wait = max((bucket.wait() for bucket in buckets), default=0.0)
        if wait > 0:
            raise busy(429, "rate limited: too many requests", timedelta(seconds=wait))
        for bucket in buckets:
            bucket.take()

    def count_bytes(self, size: int) -> None:
        """Count bytes that came or went."""
        if self._bytes is not None:
            self._bytes.wait()
            self._bytes.take(size)

    def _concerned(self, target: Target) -> list[Bucket]:
        limits = self._limits
        found: list[Bucket] = []
        if limits.per_second is not None:
            found.append(self._bucket("all", limits.per_second, limits.burst))
            for share, name in (
                (limits.usecase_share, target.usecase),
                (limits.scope_share, (target.usecase, target.scope)),
            ):
                if share is not None:
                    rate, burst = limits.per_second * share, limits.burst * share
                    found.append(self._bucket((name,), rate, burst))
        for number, rule in enumerate(limits.rules):
            if _meets(rule, target):
                found.append(self._bucket(number, rule.per_second, rule.burst))
        return found

    def _bucket(self, name: Hashable, rate: float, burst: float) -> Bucket:
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._buckets[name] = Bucket(rate, rate + burst, self._clock)
            if len(self._buckets) > _KEPT:
                # Who was not seen for longest has had the most time to fill up.
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(name)
        return bucket


def _meets(rule: RateRule, target: Target) -> bool:
    if rule.usecase not in (None, target.usecase):
        return False
    scopes = dict(target.scope.pairs)
    return all(scopes.get(name) == value for name, value in rule.scopes.items())


class Slots:
    """Requests that use the storage at once.

    Args:
        config: How many, and how many may wait for how long.
    """

    def __init__(self, config: ServiceConfig) -> None:
        self._free = config.concurrency
        self._bulk_free = max(1, int(config.concurrency * config.bulk_share))
        self._queue = config.concurrency_queue
        self._patience = config.concurrency_wait.total_seconds()
        self._waiting: OrderedDict[anyio.Event, None] = OrderedDict()

    @asynccontextmanager
    async def one(self, *, bulk: bool = False) -> AsyncGenerator[None]:
        """Hold a slot.

        Args:
            bulk: The request is one of a batch, which may take a part of them only.

        Raises:
            Refusal: None is free, and none became free in time.
        """
        if bulk:
            if not self._bulk_free:
                raise _full()
            self._bulk_free -= 1
        try:
            await self._take()
            try:
                yield
            finally:
                self._give_back()
        finally:
            self._bulk_free += bulk

    async def _take(self) -> None:
        if self._free:
            self._free -= 1
            return
        if len(self._waiting) >= self._queue:
            raise _full()
        turn = anyio.Event()
        self._waiting[turn] = None
        try:
            with anyio.move_on_after(self._patience):
                await turn.wait()
                return
        except BaseException:
            self._leave(turn)
            raise
        if not turn.is_set():
            self._leave(turn)
            raise _full()

    def _leave(self, turn: anyio.Event) -> None:
        if turn.is_set():
            self._give_back()
        else:
            del self._waiting[turn]

    def _give_back(self) -> None:
        if self._waiting:
            turn, _ = self._waiting.popitem(last=False)
            turn.set()
        else:
            self._free += 1


def _full() -> Exception:
    return busy(429, "busy: as many requests as may use the storage at once", _SECOND)
