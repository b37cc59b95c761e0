"""What reading an object gives."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from coatcheck._core.digests import DigestAlgorithm
    from coatcheck._core.objects import ObjectInfo


class Verified(StrEnum):
    """What a reader holds the bytes against before it releases the last of them."""

    DIGEST = "digest"
    """A digest that the reader was pinned to, from an address or a row."""
    SHA256 = "sha256"
    """The SHA-256 that stands in the object's own metadata."""
    LENGTH = "length"
    """The length alone: ranges, and objects without a known digest."""


class Reader(Protocol):
    """The bytes of one generation of one object, read once from front to back.

    A read of the whole object is verified before its last chunk is released, so a
    caller that saw the end saw the right bytes. A range is of the same generation
    as `info` and has its exact length.
    """

    @property
    def info(self) -> ObjectInfo:
        """The object, as it was when the read began."""
        ...

    @property
    def range(self) -> range:
        """The offsets that are read."""
        ...

    @property
    def verified(self) -> Verified:
        """What the bytes are held against."""
        ...

    def pin(
        self, algorithm: DigestAlgorithm, digest: str, *, size: int | None = None
    ) -> None:
        """Hold the bytes against a digest known from elsewhere.

        Only a whole read can be pinned, and only before its first byte was read.

        Args:
            algorithm: What the digest was made with.
            digest: The digest in lower-case hex.
            size: The length in bytes, when it is known too.

        Raises:
            InvalidInput: Bytes were read already, or the read is a range.
        """
        ...

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Iterate over the bytes that were not read yet, in chunks of any size.

        Raises:
            IntegrityError: The bytes are not what was stored; raised instead of
                the last chunk.
            BackendError: The storage failed on the way.
        """
        ...

    async def read(self, size: int = -1) -> bytes:
        """Read up to `size` bytes, all that is left when it is negative.

        Returns:
            Exactly `size` bytes, fewer at the end, `b""` after it.

        Raises:
            IntegrityError: The bytes are not what was stored.
            BackendError: The storage failed on the way.
        """
        ...
