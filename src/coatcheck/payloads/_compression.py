"""zstd, one frame with a checksum, bounded on the way back.

The format is RFC 8878. Decompression trusts no header: it stops at the caller's
limit, takes a window of at most 8 MiB, and accepts exactly one whole frame.
"""

from __future__ import annotations

import sys
from typing import Final, cast

from coatcheck.errors import IntegrityError, PayloadError

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


def compress(body: bytes) -> bytes:
    """Return the bytes as one zstd frame."""
    return zstd.compress(body, options=_OPTIONS)


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
    decompressor = zstd.ZstdDecompressor(
        options={zstd.DecompressionParameter.window_log_max: _MAX_WINDOW_LOG}
    )
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
