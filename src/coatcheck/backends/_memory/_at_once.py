"""Creating and reading in memory without being awaited."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

from ._contents import kept_info

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from coatcheck.abc import AtOnce, PutInfo

    from ._contents import Record
    from ._store import MemoryStore


class MemoryAtOnce:
    """The plain cases of one bucket.

    Args:
        name: The bucket's name.
        store: The objects.
        clock: Tells the time that objects are marked with.
    """

    __slots__ = ("_clock", "_name", "_store")

    def __init__(
        self, name: str, *, store: MemoryStore, clock: Callable[[], datetime]
    ) -> None:
        self._name = name
        self._store = store
        self._clock = clock

    def read(self, key: str) -> Record | None:
        return self._store.look(self._name, key)

    def now(self) -> datetime:
        return self._clock()

    def create(self, key: str, body: bytes, *, info: PutInfo) -> Record | None:
        if info.sha256 is None and not info.pinned:
            return None
        if info.deadline is not None:
            info = kept_info(info)
        now = self._clock()
        if now.tzinfo is not UTC:
            now = now.astimezone(UTC)
        return self._store.create(self._name, key, body, info, now=now)


if TYPE_CHECKING:
    _conforms: Callable[..., AtOnce] = MemoryAtOnce
