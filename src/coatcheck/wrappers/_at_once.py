"""What wrappers add to objects that are created and read at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coatcheck._core.expiry import TimeToIdle, is_expired
from coatcheck._core.names import check_key

if TYPE_CHECKING:
    from coatcheck.abc import AtOnce, Backend, Held, PutInfo


class ScopedAtOnce:
    """Puts a prefix before every key.

    Args:
        inner: What is wrapped.
        prefix: The prefix.
    """

    __slots__ = ("_inner", "_prefix")

    def __init__(self, inner: AtOnce, prefix: str) -> None:
        self._inner = inner
        self._prefix = prefix

    def create(self, key: str, body: bytes, *, info: PutInfo) -> Held | None:
        check_key(key)
        return self._inner.create(self._prefix + key, body, info=info)

    def read(self, key: str) -> Held | None:
        return self._inner.read(self._prefix + key)


class ExpiringAtOnce:
    """Leaves to the bucket what is over, and reads that count.

    Args:
        inner: What is wrapped; its bucket has GENERATION.
        backend: Tells the time that deadlines go by.
    """

    __slots__ = ("_backend", "_inner")

    def __init__(self, inner: AtOnce, backend: Backend) -> None:
        self._inner = inner
        self._backend = backend

    def create(self, key: str, body: bytes, *, info: PutInfo) -> Held | None:
        return self._inner.create(key, body, info=info)

    def read(self, key: str) -> Held | None:
        held = self._inner.read(key)
        if held is None or held.expiry is None:
            return held
        if isinstance(held.expiry, TimeToIdle):
            return None
        return None if is_expired(held.deadline, self._backend.now()) else held


if TYPE_CHECKING:
    _scoped: type[AtOnce] = ScopedAtOnce
    _expiring: type[AtOnce] = ExpiringAtOnce
