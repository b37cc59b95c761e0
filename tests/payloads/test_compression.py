"""One zstd frame with a checksum, bounded on the way back."""

from __future__ import annotations

import struct
import sys
import tracemalloc

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from coatcheck.errors import IntegrityError, PayloadError
from coatcheck.payloads._compression import compress, decompress

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

untimed = settings(deadline=None)

KIB = 1024
MIB = 1024 * KIB
BODY = b"the quick brown fox, the lazy dog, and 17 others; " * 20 + bytes(range(256))
FRAME = compress(BODY)
MAGIC = b"\x28\xb5\x2f\xfd"
_P = zstd.CompressionParameter


def streamed(total, **options):
    """A frame of zeros, made without knowing its size beforehand."""
    settings_ = {_P[name]: value for name, value in options.items()}
    compressor = zstd.ZstdCompressor(options={_P.checksum_flag: 1, **settings_})
    zeros = bytes(MIB)
    pieces = [compressor.compress(zeros) for _ in range(total // MIB)]
    return b"".join([*pieces, compressor.flush()])


@untimed
@given(st.binary(max_size=5000))
@example(b"")
@example(bytes(3 * MIB))
def test_bodies_come_back(body):
    """What is compressed comes back, within a limit of exactly its size."""
    frame = compress(body)
    assert decompress(frame, max_bytes=len(body)) == body
    assert decompress(frame, max_bytes=64 * MIB) == body


@untimed
@given(st.binary(min_size=1, max_size=5000), st.data())
def test_the_limit_is_kept_to_the_byte(body, data):
    """One byte more than the limit is refused, and the limit is named."""
    limit = data.draw(st.integers(0, len(body) - 1))
    with pytest.raises(PayloadError, match=f"more than {limit} bytes"):
        decompress(compress(body), max_bytes=limit)


def test_a_frame_has_checksum_and_size():
    """What is written is one standard frame with a checksum and its content's size."""
    assert FRAME.startswith(MAGIC)
    assert FRAME[4] & 0x04
    assert zstd.get_frame_info(FRAME).decompressed_size == len(BODY)
    assert zstd.decompress(FRAME) == BODY
    assert len(FRAME) < len(BODY)


@pytest.mark.parametrize("place", range(len(FRAME)))
def test_a_damaged_byte_never_changes_the_body(place):
    """A flipped byte anywhere is found, or it changes nothing that is decoded."""
    for change in (0x01, 0x10, 0x80, 0xFF):
        damaged = bytearray(FRAME)
        damaged[place] ^= change
        try:
            body = decompress(bytes(damaged), max_bytes=MIB)
        except (IntegrityError, PayloadError):
            continue
        assert body == BODY  # the header has unused bits, and so has a bit stream


@pytest.mark.parametrize("place", range(-4, 0))
@pytest.mark.parametrize("change", [1 << bit for bit in range(8)])
def test_a_damaged_checksum_is_found(place, change):
    """Every bit of the checksum counts."""
    damaged = bytearray(FRAME)
    damaged[place] ^= change
    with pytest.raises(IntegrityError):
        decompress(bytes(damaged), max_bytes=MIB)


@pytest.mark.parametrize("length", range(len(FRAME)))
def test_a_truncated_frame_is_refused(length):
    """No beginning of a frame is a frame."""
    with pytest.raises(IntegrityError):
        decompress(FRAME[:length], max_bytes=MIB)


@pytest.mark.parametrize(
    "tail",
    [b"\x00", b"\n", MAGIC, FRAME, compress(b""), b"\x50\x2a\x4d\x18" + bytes(4)],
    ids=["zero", "newline", "magic", "second frame", "empty frame", "skippable frame"],
)
def test_nothing_may_follow_the_frame(tail):
    """Appended bytes and second frames are refused, even those zstd would skip."""
    with pytest.raises(IntegrityError, match="something follows"):
        decompress(FRAME + tail, max_bytes=MIB)


@pytest.mark.parametrize("length", [0, 1, 100, 200_000, 2**31])
def test_a_skippable_frame_is_no_payload(length):
    """A frame that decoders skip holds nothing and hides nothing."""
    skippable = b"\x50\x2a\x4d\x18" + struct.pack("<I", length) + bytes(100)
    with pytest.raises(IntegrityError, match="no zstd frame"):
        decompress(skippable + FRAME, max_bytes=MIB)


@pytest.mark.parametrize("body", [b"", b"x", BODY])
def test_a_frame_without_a_checksum_is_refused(body):
    """A frame that cannot prove its content is not taken."""
    bare = zstd.compress(body, options={_P.checksum_flag: 0})
    with pytest.raises(IntegrityError, match="with a checksum"):
        decompress(bare, max_bytes=MIB)


@pytest.mark.parametrize(
    "other", [b"", b"\xc0", b"PK\x03\x04", b"\x1f\x8b\x08\x00", bytes(100), MAGIC, BODY]
)
def test_other_bytes_are_refused(other):
    """What is no zstd frame is refused as such."""
    with pytest.raises(IntegrityError, match="no zstd frame"):
        decompress(other, max_bytes=MIB)


@untimed
@given(st.binary(max_size=200))
def test_random_bytes_behind_a_header_are_refused(tail):
    """Whatever follows the magic, it is refused or its checksum holds."""
    stored = MAGIC + b"\x04" + tail
    try:
        body = decompress(stored, max_bytes=MIB)
    except (IntegrityError, PayloadError):
        return
    assert zstd.decompress(stored) == body


def test_a_bomb_is_stopped_at_the_limit():
    """Some kilobytes that would become 256 MiB take little more than the limit."""
    bomb = streamed(256 * MIB)
    assert len(bomb) < 32 * KIB
    tracemalloc.start()
    try:
        with pytest.raises(PayloadError, match=f"more than {MIB} bytes"):
            decompress(bomb, max_bytes=MIB)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * MIB


def _claiming(size, *, single_segment):
    """A frame of one raw byte whose header claims `size`."""
    header = bytes([0xC4 | (0x20 if single_segment else 0)])
    window = b"" if single_segment else b"\x58"
    return (
        MAGIC + header + window + struct.pack("<Q", size) + b"\x09\x00\x00x" + bytes(4)
    )


@pytest.mark.parametrize("single_segment", [True, False])
@pytest.mark.parametrize("size", [2**40, 2**63, 2**64 - 3])
def test_a_header_that_claims_a_terabyte_costs_nothing(size, single_segment):
    """A claimed size allocates nothing, and a false one is found."""
    tracemalloc.start()
    try:
        with pytest.raises(IntegrityError):
            decompress(_claiming(size, single_segment=single_segment), max_bytes=MIB)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * MIB


def test_a_header_that_claims_too_little_is_found():
    """Content beyond the size that the header claims is damage."""
    frame = bytearray(compress(bytes(300)))
    assert frame[4] >> 6 == 1  # a size of two bytes, from 256
    frame[5:7] = struct.pack("<H", 0)
    with pytest.raises(IntegrityError):
        decompress(bytes(frame), max_bytes=MIB)


@pytest.mark.parametrize("window_log", [24, 27])
def test_a_window_beyond_8_mib_is_refused(window_log):
    """A frame that would make its reader hold more than 8 MiB is refused."""
    frame = streamed(32 * MIB, window_log=window_log)
    assert zstd.decompress(frame) == bytes(32 * MIB)
    with pytest.raises(IntegrityError):
        decompress(frame, max_bytes=64 * MIB)


def test_a_window_of_8_mib_is_read():
    """The largest window that is allowed is read."""
    frame = streamed(16 * MIB, window_log=23)
    assert decompress(frame, max_bytes=16 * MIB) == bytes(16 * MIB)


def test_our_own_frames_of_any_size_are_read():
    """A large body is written with a window that is read again."""
    body = bytes(20 * MIB) + BODY
    assert decompress(compress(body), max_bytes=len(body)) == body
