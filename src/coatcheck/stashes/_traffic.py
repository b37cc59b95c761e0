"""What one Coatcheck reads and writes: done once where calls are equal, and kept.

Equal creates at one time make one write, and equal retrieves one read (`_flights`).
What was read may be served again from memory (`_cache`), if the configuration gives
it any. Stashes in memory and inline ones take no part: nothing there is waited for.
"""

from __future__ import annotations

from itertools import count
from time import monotonic
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import anyio
from anyio.lowlevel import checkpoint

from coatcheck._core.address import LINK
from coatcheck._core.expiry import satisfies
from coatcheck.abc import Event
from coatcheck.errors import Outcome, Timeout
from coatcheck.wrappers import emit

from ._budget import LEAST_BUDGET, Budget
from ._cache import Claimed, StashCache, is_current
from ._flights import Flights
from ._pins import VerifiedBody, pins_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from coatcheck._core.address import Address
    from coatcheck._core.expiry import Expiry
    from coatcheck._core.objects import ObjectInfo, PutInfo
    from coatcheck.abc import Bucket, Observer
    from coatcheck.config import Config, Place
    from coatcheck.wrappers import ExpiringBucket

    from ._flights import Spot
    from ._pins import Pins

_T = TypeVar("_T")
_TURN: Final = 64


class Kept(NamedTuple):
    """What became of a write."""

    digest: str
    """The digest in the stash's address."""
    info: PutInfo | ObjectInfo
    """What stands, as this write said it or as the store tells it."""
    created: datetime | None
    """When what stands was written, in UTC."""


class Traffic:
    """The creates and retrieves of one Coatcheck.

    Args:
        config: The configuration.
        observer: Told of calls that needed no request of their own, as
            `put_coalesced`, `get_coalesced` and `cache_hit`.
    """

    def __init__(self, config: Config, observer: Observer | None) -> None:
        self.budget = Budget(max(config.max_payload_bytes, LEAST_BUDGET))
        """The encoded bytes that calls for many stashes hold."""
        self.encoding = anyio.Lock(fast_acquire=True)
        """Held by the one of them that has encoded and waits for its portion."""
        self._puts = Flights[Kept]()
        self._gets = Flights[VerifiedBody]()
        self._cache: StashCache | None = None
        if config.cache_bytes:
            self._cache = StashCache(config.cache_bytes, config.cache_ttl)
        self._observer = observer
        self._hits = count(1)
        self._concurrency = config.concurrency
        self._patience = config.total_timeout.total_seconds()
        self._turns: dict[str, Budget] = {}

    async def put(
        self,
        place: Place,
        bucket: ExpiringBucket,
        key: str,
        expires: Expiry | None,
        write: Callable[[], Awaitable[Kept]],
        *,
        body: bytes | None = None,
    ) -> Kept:
        """Write a stash, or let an equal write that is under way stand for it.

        Args:
            place: Where.
            bucket: The place's bucket.
            key: The stash's key, which names its content; or its name, beside a body.
            expires: Its policy; a write of another one is not equal.
            write: Does it and returns what stands then.
            body: The content, where no digest tells it yet.
        """
        asked = None if expires is None else bucket.now()

        def suits(kept: Kept) -> bool:
            return asked is None or satisfies(expires, kept.info.deadline, asked)

        landed = await self._puts.join(
            _spot(place, key),
            (expires, body),
            lambda: self._in_turn(place.scheme, write),
            suits=suits,
        )
        if landed.joined:
            self._tell("put_coalesced", bucket, key)
        return landed.result

    async def get(
        self,
        place: Place,
        bucket: Bucket,
        address: Address,
        read: Callable[[], Awaitable[VerifiedBody]],
    ) -> VerifiedBody:
        """Read a stash, or take what an equal read brings or has brought.

        Args:
            place: Where.
            bucket: The place's bucket.
            address: The stash's address.
            read: Reads the body and holds it against the address.
        """
        spot, pins = _spot(place, address.key), pins_of(address)
        if self._cache is not None:
            kept = self._cache.find(spot, pins, bucket.backend.now())
            if kept is not None:
                if next(self._hits) % _TURN == 0:
                    # What never waits lets others have their turn.
                    await checkpoint()
                self._tell("cache_hit", bucket, address.key)
                return VerifiedBody(kept.body, kept.info, kept.info.created)
        return await self._read(spot, pins, bucket, address.key, read, self._cache)

    async def get_link(
        self,
        bucket: Bucket,
        address: Address,
        read: Callable[[], Awaitable[VerifiedBody]],
    ) -> VerifiedBody:
        """Read by a share link; nothing is kept of it, since it may be withdrawn."""
        spot, pins = (LINK, "", str(address.url)), pins_of(address)
        return await self._read(spot, pins, bucket, address.key, read, None)

    async def _read(
        self,
        spot: Spot,
        pins: Pins,
        bucket: Bucket,
        key: str,
        read: Callable[[], Awaitable[VerifiedBody]],
        cache: StashCache | None,
    ) -> VerifiedBody:
        now = bucket.backend.now

        def suits(found: VerifiedBody) -> bool:
            return is_current(found.info, now())

        landed = await self._gets.join(
            spot,
            pins,
            lambda: self._in_turn(spot[0], read),
            suits=suits,
            keep=None if cache is None else _keeping(cache, spot, pins, now),
        )
        if landed.joined:
            self._tell("get_coalesced", bucket, key)
        return landed.result

    async def _in_turn(self, scheme: str, call: Callable[[], Awaitable[_T]]) -> _T:
        """Await a call when fewer than `Config.concurrency` others run.

        The guard of the buckets sees to that too. But who waits here has not gone deep
        yet, and takes a fraction of the memory: of ten thousand creates at once most
        do nothing but wait.

        Raises:
            Timeout: Its turn did not come within `Config.total_timeout`.
        """
        turns = self._turns.get(scheme)
        if turns is None:
            turns = self._turns[scheme] = Budget(self._concurrency)
        if turns.is_free(1):
            turns.change(1)
        else:
            await self._wait(turns)
        try:
            return await call()
        finally:
            turns.change(-1)

    async def _wait(self, turns: Budget) -> None:
        with anyio.move_on_after(self._patience):
            await turns.wait_for(1)
            return
        raise Timeout(
            f"no turn came within {self._patience:g} s, since"
            f" {self._concurrency} other calls were under way all the time",
            outcome=Outcome.NOT_APPLIED,
        )

    def forget(self, place: Place, address: Address) -> None:
        """Count on nothing that was read or written before, for one stash."""
        self._puts.forget(_spot(place, address.key))
        self._puts.forget(_spot(place, address.name))
        self.forget_reads(place, address)

    def forget_all(self, place: Place, prefix: str) -> None:
        """Serve nothing from memory of the stashes whose keys begin with a prefix."""
        if self._cache is not None:
            self._cache.forget_all(_spot(place, prefix))

    def clear(self) -> None:
        """Keep nothing in memory any more."""
        if self._cache is not None:
            self._cache.clear()

    def forget_reads(self, place: Place, address: Address) -> None:
        """Count on nothing that was read before, since its deadline may have moved."""
        spot = _spot(place, address.key)
        self._gets.forget(spot)
        if self._cache is not None:
            self._cache.forget(spot)

    def _tell(self, name: str, bucket: Bucket, key: str) -> None:
        if self._observer is None:
            return
        scheme = bucket.backend.scheme
        event = Event(name=name, backend=scheme, bucket=bucket.name, key=key)
        emit(self._observer, event)


def _keeping(
    cache: StashCache, spot: Spot, pins: Pins, now: Callable[[], datetime]
) -> Callable[[VerifiedBody], None]:
    """Return what keeps the result of a read that begins now."""
    asked, ticks = now(), monotonic()

    def keep(found: VerifiedBody) -> None:
        cache.keep(spot, pins, Claimed(found.body, found.dated(), asked, ticks), now())

    return keep


def _spot(place: Place, key: str) -> Spot:
    """Return where a stash is, whichever namespace leads there."""
    return place.scheme, place.bucket, place.prefix + key
