"""Stashes that were read and verified before, kept in memory within bounds."""

from __future__ import annotations

from collections import OrderedDict
from time import monotonic
from typing import TYPE_CHECKING, Final, NamedTuple

from coatcheck._core.expiry import is_as_read
from coatcheck._core.objects import PutInfo

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from coatcheck._core.objects import ObjectInfo

    from ._flights import Spot
    from ._pins import Pins

LARGEST_SHARE: Final = 8
"""A body larger than the cache's bytes divided by this is not kept."""
OVERHEAD: Final = 1024
"""Bytes that an entry takes at most beside its body and its texts."""


class Claimed(NamedTuple):
    """A body that was read and held against its address."""

    body: bytes
    """The encoded payload."""
    info: PutInfo | ObjectInfo
    """What stashes tell of it, as it was when the read began."""
    asked: datetime
    """When the read began, by the clock of deadlines."""
    ticks: float
    """The same by a clock that is never set back."""


class _Entry(NamedTuple):
    pins: Pins
    claimed: Claimed
    weight: int


class StashCache:
    """The stashes read last, by where they are.

    An entry is served only while a read would give the same: before its deadline,
    while no renewal of its TimeToIdle is due, and to addresses that pin what it was
    held against. Otherwise the store is asked, which alone knows what others did.

    Args:
        max_bytes: The most bytes of all entries, overhead included.
        ttl: How long after its read began an entry is served, by the clock of
            deadlines as well as by one that is never set back.
    """

    def __init__(self, max_bytes: int, ttl: timedelta) -> None:
        self._max_bytes = max_bytes
        self._ttl = ttl
        self._seconds = ttl.total_seconds()
        self._entries: OrderedDict[Spot, _Entry] = OrderedDict()
        self._used = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def used(self) -> int:
        """Bytes of all entries, overhead included."""
        return self._used

    def find(self, spot: Spot, pins: Pins, now: datetime) -> Claimed | None:
        """Return what a read would give now, None when the store must be asked."""
        entry = self._entries.get(spot)
        if entry is None:
            return None
        claimed = entry.claimed
        if self._is_stale(claimed, now):
            self.forget(spot)
            return None
        if entry.pins != pins or not is_current(claimed.info, now):
            return None
        self._entries.move_to_end(spot)
        return claimed

    def keep(self, spot: Spot, pins: Pins, claimed: Claimed, now: datetime) -> None:
        """Keep what was read, if it fits and would be served."""
        self.forget(spot)
        weight = _weight(spot, claimed)
        if weight * LARGEST_SHARE > self._max_bytes:
            return
        if self._is_stale(claimed, now) or not is_current(claimed.info, now):
            return
        while self._used + weight > self._max_bytes:
            self._drop(next(iter(self._entries)))
        kept = claimed._replace(info=_trimmed(claimed.info))
        self._entries[spot] = _Entry(pins, kept, weight)
        self._used += weight

    def forget(self, spot: Spot) -> None:
        """Drop what is kept of a spot."""
        if spot in self._entries:
            self._drop(spot)

    def forget_all(self, under: Spot) -> None:
        """Drop what is kept of all keys that begin as this one does."""
        for spot in list(self._entries):
            if spot[:2] == under[:2] and spot[2].startswith(under[2]):
                self._drop(spot)

    def clear(self) -> None:
        """Drop everything."""
        self._entries.clear()
        self._used = 0

    def _drop(self, spot: Spot) -> None:
        self._used -= self._entries.pop(spot).weight

    def _is_stale(self, claimed: Claimed, now: datetime) -> bool:
        # By two clocks: one that is set back must not stretch the time.
        return (
            now - claimed.asked >= self._ttl
            or monotonic() - claimed.ticks >= self._seconds
        )


def is_current(info: PutInfo | ObjectInfo, now: datetime) -> bool:
    """Tell whether a read at `now` would neither refuse an object nor renew it."""
    return is_as_read(info.expiry, info.deadline, now)


def _trimmed(info: PutInfo | ObjectInfo) -> PutInfo:
    """Return what stashes tell, without the rest, which may be long."""
    return PutInfo(
        content_type=info.content_type,
        expiry=info.expiry,
        deadline=info.deadline,
        created=info.created,
    )


def _weight(spot: Spot, claimed: Claimed) -> int:
    """Return the bytes of an entry; a character may take four."""
    texts = sum(map(len, spot)) + len(claimed.info.content_type or "")
    return len(claimed.body) + 4 * texts + OVERHEAD
