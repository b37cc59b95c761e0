"""What reading an object gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from coatcheck._core.ranges import ByteOffset, ByteRange, ByteSpan, ByteSuffix
from coatcheck.errors import Closed, InvalidRange

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Self

    from ._metadata import Metadata


class Payload:
    """The bytes of one object, read once from front to back.

    Args:
        chunks: The bytes.
    """

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._left = b""
        self._ended = False

    def end(self) -> None:
        """Give nothing any more: what it reads from is about to be closed."""
        self._ended = True

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """Return the next chunk, of any size.

        Raises:
            IntegrityError: The stored bytes are not what was stored.
            BackendError: The storage failed on the way.
            Closed: The context of the read was left.
        """
        if self._ended:
            raise Closed("the read has ended; read within 'async with'")
        chunk, self._left = self._left, b""
        while not chunk:
            chunk = await anext(self._chunks)
        return chunk

    async def read(self, size: int = -1) -> bytes:
        """Read up to `size` bytes, all that is left when it is negative.

        Returns:
            Exactly `size` bytes, fewer at the end, `b""` after it.

        Raises:
            IntegrityError: The stored bytes are not what was stored.
            BackendError: The storage failed on the way.
            Closed: The context of the read was left.
        """
        pieces: list[bytes] = []
        wanted = size
        while wanted:
            chunk = await anext(self, b"")
            if not chunk:
                break
            if 0 < wanted < len(chunk):
                chunk, self._left = chunk[:wanted], chunk[wanted:]
            pieces.append(chunk)
            wanted -= len(chunk) if wanted > 0 else 0
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


class GetResponse(NamedTuple):
    """An object that is being read."""

    metadata: Metadata
    """What is known of it."""
    payload: Payload
    """Its bytes."""


class Span:
    """The part of chunks that a range names, whatever comes before and after.

    Args:
        chunks: All of the bytes.
        byte_range: The part; a suffix needs `total`.
        total: How many bytes there are, when it is known.
    """

    def __init__(
        self,
        chunks: AsyncIterator[bytes],
        byte_range: ByteRange,
        total: int | None = None,
    ) -> None:
        self._chunks = chunks
        self._range = byte_range
        self._skip, self._most = _offsets(byte_range, total)
        self._held = b""

    async def begin(self) -> None:
        """Pass over what comes before.

        Raises:
            InvalidRange: No byte lies in the range.
        """
        while not self._held:
            chunk = await anext(self._chunks, None)
            if chunk is None:
                raise InvalidRange(f"{self._range} lies outside the payload")
            self._held = chunk[self._skip :]
            self._skip -= min(self._skip, len(chunk))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._most == 0:
            raise StopAsyncIteration
        chunk, self._held = self._held or await anext(self._chunks), b""
        if self._most is not None:
            chunk = chunk[: self._most]
            self._most -= len(chunk)
        return chunk


def _offsets(byte_range: ByteRange, total: int | None) -> tuple[int, int | None]:
    """Return how many bytes come before a range, and how many it has."""
    match byte_range:
        case ByteSpan(start, stop):
            return start, stop - start
        case ByteOffset(start):
            return start, None
        case ByteSuffix(length):
            return max((total or 0) - length, 0), None
