"""Creating and reading in memory without being awaited."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coatcheck._core.names import check_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from coatcheck.abc import AtOnce, Backend, PutInfo

    from ._contents import Record
    from ._store import MemoryStore


class MemoryAtOnce:
    """The plain cases of one bucket.

    Args:
        name: The bucket's name.
        backend: The backend that opened it.
        store: The objects.
        check_open: Raises Closed when the backend is not open here.
    """

    __slots__ = ("_backend", "_check_open", "_name", "_store")

    def __init__(
        self,
        name: str,
        *,
        backend: Backend,
        store: MemoryStore,
        check_open: Callable[[], None],
    ) -> None:
        self._name = name
        self._backend = backend
        self._store = store
        self._check_open = check_open

    def create(self, key: str, body: bytes, *, info: PutInfo) -> Record | None:
        check_key(key)
        self._check_open()
        if info.sha256 is None and not info.pinned:
            return None
        return self._store.create(self._name, key, body, info, now=self._backend.now())

    def read(self, key: str) -> Record | None:
        self._check_open()
        return self._store.look(self._name, key)


if TYPE_CHECKING:
    _conforms: type[AtOnce] = MemoryAtOnce
