"""The memory backend: a view of a store, with a clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coatcheck._core.names import check_namespace
from coatcheck.abc import AsyncResource
from coatcheck.wrappers import scoped

from ._bucket import MemoryBucket
from ._store import DEFAULT_MAX_BYTES, MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from coatcheck.abc import Backend, Bucket


class MemoryBackend(AsyncResource):
    """Objects in this process's memory.

    Args:
        store: Where they are, to share it; None is a new store, which lives as long
            as this backend.
        max_bytes: The bound of a new store, in bytes of bodies; None is no bound.
        clock: Tells the time that deadlines go by, and that objects and uploads are
            marked with; None is the store's own.
    """

    scheme = "mem"

    def __init__(
        self,
        store: MemoryStore | None = None,
        *,
        max_bytes: int | None = DEFAULT_MAX_BYTES,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        self._store = MemoryStore(max_bytes=max_bytes) if store is None else store
        self._clock = self._store.clock if clock is None else clock

    def bucket(self, name: str, prefix: str = "") -> Bucket:
        check_namespace(name)
        bucket = MemoryBucket(
            name,
            backend=self,
            store=self._store,
            clock=self._clock,
            check_open=self._check_open,
        )
        return scoped(bucket, prefix)

    def now(self) -> datetime:
        return self._clock()

    async def check(self) -> None:
        self._check_open()

    async def _open(self) -> None:
        """Open at once: there is nothing to acquire."""

    async def _close(self) -> None:
        """Close at once: the store may be shared."""


if TYPE_CHECKING:
    _conforms: type[Backend] = MemoryBackend
