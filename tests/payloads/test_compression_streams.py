"""zstd that flows: several frames, small pieces, and no rest that passes for whole."""

from __future__ import annotations

import os
import struct
import sys
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coatcheck.errors import IntegrityError
from coatcheck.payloads._compression import compress, compressed, decompressed

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

untimed = settings(deadline=None)
MIB = 1024 * 1024
SKIPPABLE = struct.pack("<II", 0x184D2A50, 5) + b"aside"


async def pieces(body, step):
    for start in range(0, len(body), step):
        yield body[start : start + step]


async def compress_in(body, step):
    return b"".join([piece async for piece in compressed(pieces(body, step))])


async def decompress_in(stored, step):
    return b"".join([piece async for piece in decompressed(pieces(stored, step))])


@pytest.mark.asyncio
@pytest.mark.parametrize("step", [1000, 65_536, 65_537, 4 * MIB])
async def test_what_flows_comes_back(step):
    """In whatever chunks it is given, the frame is one and whole, with a checksum."""
    body = os.urandom(300_000) + bytes(3 * MIB)
    frame = await compress_in(body, step)
    assert zstd.decompress(frame) == body
    assert frame[4] & 0x04
    for other in (777, 65_536, len(frame)):
        assert await decompress_in(frame, other) == body


@pytest.mark.asyncio
async def test_nothing_flows():
    """No chunks make an empty frame; no bytes hold nothing."""
    frame = await compress_in(b"", 1)
    assert zstd.decompress(frame) == b""
    assert await decompress_in(frame, 3) == b""
    assert await decompress_in(b"", 3) == b""


@pytest.mark.asyncio
@untimed
@given(
    st.lists(st.binary(max_size=300) | st.just(b"a" * 5000), min_size=1, max_size=5),
    st.integers(1, 400),
    st.booleans(),
)
async def test_frames_follow_one_another(bodies, step, aside):
    """Frames of anybody's making are read in a row, and what lies between skipped."""
    stored = b"".join(
        zstd.compress(body, level=1 + number) + (SKIPPABLE if aside else b"")
        for number, body in enumerate(bodies)
    )
    assert await decompress_in(stored, step) == b"".join(bodies)


@pytest.mark.asyncio
@untimed
@given(st.binary(min_size=1, max_size=2000), st.data())
async def test_a_cut_stream_is_seen(body, data):
    """A stream that ends inside a frame is an error, however much came out before."""
    stored = zstd.compress(b"before") + compress(body)
    cut = data.draw(st.integers(len(zstd.compress(b"before")) + 1, len(stored) - 1))
    with pytest.raises(IntegrityError):
        await decompress_in(stored[:cut], 100)


@pytest.mark.asyncio
@untimed
@given(st.binary(max_size=300), st.integers(1, 50))
async def test_noise_is_an_integrity_error_or_nothing_else(noise, step):
    """Whatever bytes come, they are frames or an IntegrityError."""
    try:
        await decompress_in(noise, step)
    except IntegrityError:
        return
    assert (
        noise == b""
        or noise[:4] == b"\x28\xb5\x2f\xfd"
        or noise[1:4] == b"\x2a\x4d\x18"
    )


@pytest.mark.asyncio
async def test_what_follows_a_frame_is_seen():
    """Something behind the last frame that is no frame is an error."""
    for rest in (b"x", b"\x00" * 10, b"PK\x03\x04"):
        with pytest.raises(IntegrityError):
            await decompress_in(zstd.compress(b"whole") + rest, 7)


@pytest.mark.asyncio
async def test_damage_is_seen():
    """A flipped bit in a frame with a checksum is an error."""
    frame = bytearray(await compress_in(os.urandom(100_000), 10_000))
    frame[50_000] ^= 1
    with pytest.raises(IntegrityError):
        await decompress_in(bytes(frame), 10_000)


@pytest.mark.asyncio
async def test_bombs_come_in_small_pieces():
    """A few kilobytes that hold 256 MiB are given one MiB at a time."""
    bomb = zstd.compress(bytes(256 * MIB))
    assert len(bomb) < 20_000
    total = 0
    async for piece in decompressed(pieces(bomb, len(bomb))):
        assert len(piece) <= MIB
        total += len(piece)
    assert total == 256 * MIB


@pytest.mark.asyncio
async def test_a_window_beyond_8_mib_is_refused():
    """A frame that would make its reader hold more than 8 MiB is refused."""
    options = {zstd.CompressionParameter.window_log: 24}
    compressor = zstd.ZstdCompressor(options=options)
    stored = compressor.compress(bytes(32 * MIB)) + compressor.flush()
    with pytest.raises(IntegrityError):
        await decompress_in(stored, len(stored))


@pytest.mark.asyncio
async def test_much_work_leaves_the_loop(monkeypatch):
    """From 64 KiB on chunks are compressed and decompressed in other threads."""
    here = threading.get_ident()
    seen = []
    real = zstd.ZstdCompressor

    class Watched:
        def __init__(self, **options):
            self._real = real(**options)

        def compress(self, chunk):
            seen.append((len(chunk), threading.get_ident() == here))
            return self._real.compress(chunk)

        def flush(self):
            return self._real.flush()

    monkeypatch.setattr(zstd, "ZstdCompressor", Watched)
    await compress_in(bytes(5 * MIB), 3 * MIB)
    await compress_in(bytes(100_000), 50_000)
    assert {on_loop for size, on_loop in seen if size > 65_536} == {False}
    assert {on_loop for size, on_loop in seen if size <= 65_536} == {True}
    assert max(size for size, _ in seen) <= MIB
