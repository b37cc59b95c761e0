"""What wrappers add to objects that are created and read at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coatcheck._core.expiry import is_as_read
from coatcheck._core.names import MAX_KEY_BYTES

if TYPE_CHECKING:
    from coatcheck.abc import AtOnce, Held, PutInfo


class ScopedAtOnce:
    """Puts a prefix before every key.

    Args:
        inner: What is wrapped.
        prefix: The prefix.
    """

    __slots__ = ("_inner", "_prefix", "now")

    def __init__(self, inner: AtOnce, prefix: str) -> None:
        self._inner = inner
        self._prefix = prefix
        self.now = inner.now

    def create(self, key: str, body: bytes, *, info: PutInfo) -> Held | None:
        key = self._prefix + key
        # With the prefix it may be too long.
        if len(key.encode()) > MAX_KEY_BYTES:
            return None
        return self._inner.create(key, body, info=info)

    def read(self, key: str) -> Held | None:
        return self._inner.read(self._prefix + key)


class ExpiringAtOnce:
    """Leaves to the bucket what is over, and reads that count.

    Args:
        inner: What is wrapped; its bucket has GENERATION.
    """

    __slots__ = ("_read", "create", "now")

    def __init__(self, inner: AtOnce) -> None:
        self._read = inner.read
        self.now = inner.now
        # Where nothing is there is nothing expired.
        self.create = inner.create

    def read(self, key: str) -> Held | None:
        held = self._read(key)
        if held is None or held.info.deadline is None:
            return held
        info = held.info
        return held if is_as_read(info.expiry, info.deadline, self.now()) else None


if TYPE_CHECKING:
    _scoped: type[AtOnce] = ScopedAtOnce
    _expiring: type[AtOnce] = ExpiringAtOnce
