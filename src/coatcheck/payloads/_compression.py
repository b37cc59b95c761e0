"""zstd: one frame with a checksum, or frames that flow; bounded on the way back.

The format is RFC 8878. Decompression trusts no header: it gives what comes out in
small pieces or stops at the caller's limit, and takes a window of at most 8 MiB.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final, cast

from anyio import to_thread

from coatcheck.errors import IntegrityError, PayloadError

from ._integrity import OFF_LOOP

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_LEVEL: Final = 3
_MAX_WINDOW_LOG: Final = 23
_STEP: Final = 1024 * 1024
_CHECKSUM_FLAG: Final = 0x04
_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_OPTIONS: dict[int, int] = {
    zstd.CompressionParameter.compression_level: _LEVEL,
    zstd.CompressionParameter.checksum_flag: 1,
    zstd.CompressionParameter.content_size_flag: 1,
}
_BOUNDED: dict[int, int] = {zstd.DecompressionParameter.window_log_max: _MAX_WINDOW_LOG}


def compress(body: bytes) -> bytes:
    """Return the bytes as one zstd frame."""
    return zstd.compress(body, options=_OPTIONS)


async def compressed(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    """Yield bytes that flow as one zstd frame, which does not tell their number."""
    compressor = zstd.ZstdCompressor(options=_OPTIONS)
    async for chunk in chunks:
        # In steps, so that no call in a thread takes long.
        for start in range(0, len(chunk), _STEP):
            step = chunk[start : start + _STEP]
            if len(step) <= OFF_LOOP:
                piece = compressor.compress(step)
            else:
                piece = await to_thread.run_sync(compressor.compress, step)
            if piece:
                yield piece
    yield await to_thread.run_sync(compressor.flush)


async def decompressed(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    """Yield what zstd frames hold that flow one after another, none of them included.

    Each piece has at most 1 MiB, however much a frame says or turns out to hold.

    Raises:
        IntegrityError: They are no zstd frames, or are damaged, or the last one has
            no end.
    """
    frames = _Frames()
    async for chunk in chunks:
        frames.feed(chunk)
        # Little on the loop; when more is to come, the rest in a thread.
        piece = frames.take(OFF_LOOP) if len(chunk) <= OFF_LOOP else b""
        while piece or frames.has_more:
            if piece:
                yield piece
            piece = await to_thread.run_sync(frames.take, _STEP)
    frames.check_ended()


class _Frames:
    """zstd frames, decompressed a piece at a time."""

    def __init__(self) -> None:
        self._frame: zstd.ZstdDecompressor | None = None
        self._waiting = b""

    def feed(self, chunk: bytes) -> None:
        self._waiting += chunk

    @property
    def has_more(self) -> bool:
        """Whether something may come out without more being fed."""
        frame = self._frame
        return bool(self._waiting) or (frame is not None and not frame.needs_input)

    def take(self, most: int) -> bytes:
        """Return up to so many bytes; none says that a frame has ended or waits."""
        frame = self._frame
        if frame is None:
            if not self._waiting:
                return b""
            frame = self._frame = zstd.ZstdDecompressor(options=_BOUNDED)
        try:
            piece = frame.decompress(self._waiting, max_length=most)
        except zstd.ZstdError as error:
            raise IntegrityError("the compressed bytes are damaged") from error
        self._waiting = b""
        if frame.eof:
            self._frame, self._waiting = None, frame.unused_data
        return piece

    def check_ended(self) -> None:
        if self._frame is not None:
            raise IntegrityError("the compressed bytes end before their frame does")


def decompress(stored: bytes, *, max_bytes: int) -> bytes:
    """Return what one zstd frame holds.

    Args:
        stored: The frame.
        max_bytes: The most bytes that may come out of it.

    Raises:
        PayloadError: More would come out.
        IntegrityError: It is not exactly one whole frame with a right checksum.
    """
    if not _begins_a_frame(stored):
        raise IntegrityError("the compressed bytes are no zstd frame with a checksum")
    decompressor = zstd.ZstdDecompressor(options=_BOUNDED)
    pieces: list[bytes] = []
    left, fed = max_bytes, stored
    try:
        while not decompressor.eof:
            if decompressor.needs_input and not fed:
                raise IntegrityError("the compressed bytes end before their frame does")
            # One byte over the limit shows that there is more.
            piece = decompressor.decompress(fed, max_length=min(_STEP, left + 1))
            fed = b""
            left -= len(piece)
            if left < 0:
                raise PayloadError(
                    f"the compressed payload has more than {max_bytes} bytes"
                )
            pieces.append(piece)
    except zstd.ZstdError as error:
        raise IntegrityError("the compressed bytes are damaged") from error
    if decompressor.unused_data:
        raise IntegrityError("something follows the compressed frame")
    return b"".join(pieces)


def size_in_frame(stored: bytes, *, unknown: int) -> int:
    """Return how many bytes a frame says that it holds, `unknown` if it does not."""
    try:
        # The stubs leave out that it may be None.
        told = cast("int | None", zstd.get_frame_info(stored).decompressed_size)
    except zstd.ZstdError:
        return unknown
    return unknown if told is None else min(told, unknown)


def _begins_a_frame(stored: bytes) -> bool:
    """Tell whether a frame that has a checksum begins here."""
    if len(stored) <= len(_MAGIC) or not stored.startswith(_MAGIC):
        return False
    return bool(stored[len(_MAGIC)] & _CHECKSUM_FLAG)
