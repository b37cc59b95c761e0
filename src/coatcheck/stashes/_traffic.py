"""What one Coatcheck reads and writes: done once where calls are equal, and kept.

Equal creates at one time make one write, and equal retrieves one read (`_flights`).
What was read may be served again from memory (`_cache`), if the configuration gives
it any. Stashes in memory and inline ones take no part: nothing there is waited for.
"""

from __future__ import annotations

from itertools import count
from time import monotonic
from typing import TYPE_CHECKING, Final, TypeVar

import anyio
from anyio.lowlevel import checkpoint

from coatcheck._core.address import LINK
from coatcheck._core.expiry import satisfies
from coatcheck._core.objects import ObjectInfo, PutInfo
from coatcheck.abc import Event
from coatcheck.errors import Outcome, Timeout
from coatcheck.wrappers import emit

from ._budget import LEAST_BUDGET, Budget
from ._cache import Claimed, StashCache, is_as_read
from ._flights import Flights
from ._pins import pins_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from coatcheck._core.address import Address
    from coatcheck._core.expiry import Expiry
    from coatcheck.abc import Bucket, Observer
    from coatcheck.config import Config, Place
    from coatcheck.wrappers import ExpiringBucket

    from ._flights import Spot
    from ._pins import Pins

_T = TypeVar("_T")
_TURN: Final = 64


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
        self._puts = Flights[PutInfo | ObjectInfo]()
        self._gets = Flights[tuple[bytes, ObjectInfo]]()
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
        write: Callable[[], Awaitable[PutInfo | ObjectInfo]],
    ) -> PutInfo | ObjectInfo:
        """Write a stash, or let an equal write that is under way stand for it.

        Args:
            place: Where.
            bucket: The place's bucket.
            key: The stash's key, which names its content.
            expires: Its policy; a write of another one is not equal.
            write: Does it and returns what stands then.
        """
        spot = _spot(place, key)
        asked = None if expires is None else bucket.now()

        def suits(standing: PutInfo | ObjectInfo) -> bool:
            return asked is None or satisfies(expires, standing.deadline, asked)

        try:
            landed = await self._puts.join(
                spot, expires, lambda: self._in_turn(place.scheme, write), suits=suits
            )
        finally:
            # Its deadline may be another now.
            self._forget_reads(spot)
        if landed.joined:
            self._tell("put_coalesced", bucket, key)
        return landed.result

    async def get(
        self,
        place: Place,
        bucket: Bucket,
        address: Address,
        read: Callable[[], Awaitable[tuple[bytes, ObjectInfo]]],
    ) -> tuple[bytes, ObjectInfo]:
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
                return kept.body, kept.info
        return await self._read(spot, pins, bucket, address.key, read, self._cache)

    async def get_link(
        self,
        bucket: Bucket,
        address: Address,
        read: Callable[[], Awaitable[tuple[bytes, ObjectInfo]]],
    ) -> tuple[bytes, ObjectInfo]:
        """Read by a share link; nothing is kept of it, since it may be withdrawn."""
        spot, pins = (LINK, "", str(address.url)), pins_of(address)
        return await self._read(spot, pins, bucket, address.key, read, None)

    async def _read(
        self,
        spot: Spot,
        pins: Pins,
        bucket: Bucket,
        key: str,
        read: Callable[[], Awaitable[tuple[bytes, ObjectInfo]]],
        cache: StashCache | None,
    ) -> tuple[bytes, ObjectInfo]:
        now = bucket.backend.now
        asked, ticks = now(), monotonic()

        def suits(found: tuple[bytes, ObjectInfo]) -> bool:
            return is_as_read(found[1], now())

        def keep(found: tuple[bytes, ObjectInfo]) -> None:
            if cache is not None:
                cache.keep(spot, pins, Claimed(*found, asked, ticks), now())

        landed = await self._gets.join(
            spot, pins, lambda: self._in_turn(spot[0], read), suits=suits, keep=keep
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

    def forget(self, place: Place, key: str) -> None:
        """Count on nothing that was read or written before, for one stash."""
        spot = _spot(place, key)
        self._puts.forget(spot)
        self._forget_reads(spot)

    def forget_all(self, place: Place, prefix: str) -> None:
        """Serve nothing from memory of the stashes whose keys begin with a prefix."""
        if self._cache is not None:
            self._cache.forget_all(_spot(place, prefix))

    def clear(self) -> None:
        """Keep nothing in memory any more."""
        if self._cache is not None:
            self._cache.clear()

    def _forget_reads(self, spot: Spot) -> None:
        self._gets.forget(spot)
        if self._cache is not None:
            self._cache.forget(spot)

    def _tell(self, name: str, bucket: Bucket, key: str) -> None:
        if self._observer is None:
            return
        scheme = bucket.backend.scheme
        event = Event(name=name, backend=scheme, bucket=bucket.name, key=key)
        emit(self._observer, event)


def _spot(place: Place, key: str) -> Spot:
    """Return where a stash is, whichever namespace leads there."""
    return place.scheme, place.bucket, place.prefix + key
