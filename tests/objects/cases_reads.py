"""What sessions promise to those who read: payloads, compression, ranges."""

from __future__ import annotations

import os
import sys

import anyio
import pytest
from tests.objects.stage import MIB, case, pattern, stream

from coatcheck.errors import (
    BackendUnavailable,
    Closed,
    IntegrityError,
    InvalidRange,
    ObjectNotFound,
    PayloadError,
)
from coatcheck.objects import ByteOffset, ByteSpan, ByteSuffix, Usecase

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PNG = b"\x89PNG\r\n\x1a\n"
RANGES = (
    (ByteSpan(0, 1), slice(0, 1)),
    (ByteSpan(10, 1000), slice(10, 1000)),
    (ByteSpan(99_000, 999_999), slice(99_000, None)),
    (ByteOffset(0), slice(0, None)),
    (ByteOffset(99_999), slice(99_999, None)),
    (ByteSuffix(1), slice(-1, None)),
    (ByteSuffix(5000), slice(-5000, None)),
    (ByteSuffix(10**9), slice(0, None)),
)


class ReadsCases:
    """Getting objects."""

    @case
    async def test_payloads_are_read_in_pieces(self, it):
        """`read(n)` gives exactly n bytes until the end, and nothing after it."""
        body = pattern(1_500_000)
        for session in (it.session, it.plain()):
            key = await session.put(body)
            async with session.get(key) as result:
                pieces = []
                while piece := await result.payload.read(99_999):
                    pieces.append(piece)
                assert {len(piece) for piece in pieces[:-1]} == {99_999}
                assert b"".join(pieces) == body
                assert await result.payload.read(5) == b""
                assert await result.payload.read() == b""

    @case
    async def test_payloads_are_iterated(self, it):
        """Iterating gives all chunks, none of them empty, also after a `read`."""
        body = pattern(1_500_000)
        for session in (it.session, it.plain()):
            key = await session.put(body)
            async with session.get(key) as result:
                begun = await result.payload.read(10)
                chunks = [chunk async for chunk in result.payload]
            assert all(chunks)
            assert begun + b"".join(chunks) == body

    @case
    async def test_reading_nothing(self, it):
        """`read(0)` takes nothing away."""
        key = await it.session.put(b"abc")
        async with it.session.get(key) as result:
            assert await result.payload.read(0) == b""
            assert await result.payload.read() == b"abc"

    @case
    async def test_reads_may_be_left_early(self, it):
        """Contexts that are left unread, half read or by an exception free all."""
        key = await it.session.put(os.urandom(2 * MIB))

        async def fail_while_reading():
            async with it.session.get(key) as result:
                await result.payload.read(1)
                raise ZeroDivisionError

        for _ in range(70):
            async with it.session.get(key):
                pass
        for _ in range(5):
            with pytest.raises(ZeroDivisionError):
                await fail_while_reading()
        assert len(await it.session.get_bytes(key)) == 2 * MIB

    @case
    async def test_a_read_ends_with_its_context(self, it):
        """What was kept of a read gives nothing any more."""
        for session in (it.session, it.plain()):
            key = await session.put(os.urandom(2 * MIB))
            async with session.get(key) as result:
                await result.payload.read(1)
            with pytest.raises(Closed):
                await result.payload.read()
            with pytest.raises(Closed):
                await anext(result.payload)

    @case
    async def test_what_is_absent(self, it):
        """Getting, looking at and ranging over nothing is one error."""
        for call in (
            lambda: it.session.get_bytes("absent"),
            lambda: it.session.get_bytes("absent", byte_range=ByteSpan(0, 1)),
            lambda: it.session.get_bytes("absent", byte_range=ByteSuffix(1)),
            lambda: it.session.head("absent"),
        ):
            with pytest.raises(ObjectNotFound):
                await call()
        assert await it.session.exists("absent") is False

    @case
    async def test_existing(self, it):
        """What was put exists, until it is deleted."""
        key = await it.session.put(b"x")
        assert await it.session.exists(key) is True
        await it.session.delete(key)
        assert await it.session.exists(key) is False

    @case
    async def test_a_limit_of_bytes(self, it):
        """`get_bytes` gives as much as it may, and refuses more."""
        for session in (it.session, it.plain()):
            key = await session.put(b"0" * 1000)
            assert len(await session.get_bytes(key, max_bytes=1000)) == 1000
            with pytest.raises(PayloadError, match=r"999 bytes.*get\(\)"):
                await session.get_bytes(key, max_bytes=999)

    @case
    async def test_metadata_comes_with_the_payload(self, it):
        """`get` and `head` tell the same, but for the compression that was undone."""
        key = await it.session.put(b"x" * 1000, content_type="text/plain", origin="o")
        looked = await it.session.head(key)
        async with it.session.get(key) as result:
            assert result.metadata == looked.decoded()
        assert (looked.compression, result.metadata.compression) == ("zstd", None)
        assert looked.time_created == it.now
        assert looked.time_expires is None

    @case
    async def test_sizes_are_of_what_is_stored(self, it):
        """The size is that of the stored bytes."""
        body = b"0" * 100_000
        key = await it.session.put(body)
        assert (await it.session.head(key)).size < 1000
        key = await it.session.put(body, compression="none")
        assert (await it.session.head(key)).size == 100_000

    @case
    async def test_readers_beside_each_other(self, it):
        """Several readers of one object each get all of it."""
        body = os.urandom(MIB)
        key = await it.session.put(body)
        got = []

        async def read():
            got.append(await it.session.get_bytes(key))

        async with anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(read)
        assert got == [body] * 8

    @case
    async def test_a_read_is_of_one_generation(self, it):
        """What is replaced or deleted under a reader is read whole, or is an error."""
        session = it.plain()
        for replacing in (True, False):
            key = await session.put(b"o" * (2 * MIB), "key")
            async with session.get(key) as result:
                begun = await result.payload.read(10)
                if replacing:
                    await session.put(b"n" * (2 * MIB), "key")
                else:
                    await session.delete("key")
                try:
                    whole = begun + await result.payload.read()
                except (IntegrityError, ObjectNotFound, BackendUnavailable):
                    continue
            assert whole == b"o" * (2 * MIB)

    @case
    async def test_readers_beside_a_writer(self, it):
        """Who reads while others write sees whole bodies with their own metadata."""

        async def put(number):
            body = bytes([65 + number]) * (1000 * (number + 1))
            await it.session.put(body, "key", metadata={"n": str(number)})

        async def write():
            for number in range(12):
                await put(number)

        async def read():
            for _ in range(12):
                async with it.session.get("key") as result:
                    body = await result.payload.read()
                number = int(result.metadata.custom["n"])
                assert body == bytes([65 + number]) * (1000 * (number + 1))

        await put(0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(write)
            for _ in range(3):
                tasks.start_soon(read)


class CompressionCases:
    """Compressing and decompressing."""

    @case
    async def test_bodies_are_compressed_by_default(self, it):
        """What is stored is small, and what is read is what was put."""
        body = b"the same again; " * 50_000
        for contents in (body, it.path(body), stream(body, 50_000)):
            key = await it.session.put(contents)
            metadata = await it.session.head(key)
            assert metadata.compression == "zstd"
            assert metadata.size < len(body) / 50
            assert await it.session.get_bytes(key) == body

    @case
    async def test_compression_can_be_switched_off(self, it):
        """By the call under either name, and by the usecase."""
        body = b"0" * 10_000
        for session, options in (
            (it.session, {"compression": "none"}),
            (it.session, {"compress": "none"}),
            (it.plain(), {}),
        ):
            key = await session.put(body, **options)
            metadata = await session.head(key)
            assert (metadata.compression, metadata.size) == (None, 10_000)
            assert await session.get_bytes(key) == body

    @case
    async def test_compression_can_be_switched_on(self, it):
        """A call compresses where its usecase does not."""
        key = await it.plain().put(b"0" * 10_000, compression="zstd")
        metadata = await it.plain().head(key)
        assert metadata.compression == "zstd"
        assert metadata.size < 1000

    @case
    async def test_precompressed_bodies_are_stored_as_they_are(self, it):
        """Frames of others' making are recorded, and decoded on the way back."""
        frames = zstd.compress(b"first ", level=19) + zstd.compress(b"second")
        for contents in (frames, stream(frames, 7)):
            key = await it.session.put(contents, precompressed="zstd")
            metadata = await it.session.head(key)
            assert (metadata.compression, metadata.size) == ("zstd", len(frames))
            assert await it.session.get_bytes(key) == b"first second"

    @case
    async def test_what_was_no_zstd_is_an_integrity_error(self, it):
        """Bytes that only claim to be compressed are not handed out."""
        whole = zstd.compress(os.urandom(1000))
        for stored in (b"plain text", whole[:-1], whole + b"rest", b"\x28\xb5\x2f\xfd"):
            key = await it.session.put(stored, precompressed="zstd")
            with pytest.raises(IntegrityError):
                await it.session.get_bytes(key)
            async with it.session.get(key, decompress=False) as result:
                assert await result.payload.read() == stored

    @case
    async def test_dense_types_are_left_alone(self, it):
        """What a content type says is dense is not compressed."""
        for content_type in (
            "image/jpeg",
            "video/mp4",
            "application/zip",
            "font/woff2",
        ):
            key = await it.session.put(b"0" * 1000, content_type=content_type)
            metadata = await it.session.head(key)
            assert (metadata.compression, metadata.size) == (None, 1000)
        for content_type in ("text/html", "image/svg+xml", "application/json", None):
            key = await it.session.put(b"0" * 1000, content_type=content_type)
            assert (await it.session.head(key)).compression == "zstd"

    @case
    async def test_dense_bytes_are_left_alone(self, it):
        """What the first bytes say is dense is not compressed, however it comes."""
        body = PNG + b"0" * 1000
        for contents in (body, it.path(body), stream(body)):
            key = await it.session.put(contents)
            assert (await it.session.head(key)).compression is None
            assert await it.session.get_bytes(key) == body

    @case
    async def test_dense_bodies_are_compressed_when_asked(self, it):
        """A call that says zstd means it."""
        body = PNG + b"0" * 1000
        key = await it.session.put(body, compression="zstd", content_type="image/png")
        assert (await it.session.head(key)).compression == "zstd"
        assert await it.session.get_bytes(key) == body

    @case
    async def test_stored_bytes_can_be_had(self, it):
        """Encodings that are accepted pass as they are, and the metadata says so."""
        key = await it.session.put(b"hello " * 100)
        for options in (
            {"accept_encoding": ["gzip", "zstd"]},
            {"accept_encoding": ["*"]},
            {"decompress": False},
        ):
            async with it.session.get(key, **options) as result:
                assert result.metadata.compression == "zstd"
                stored = await result.payload.read()
            assert zstd.decompress(stored) == b"hello " * 100
        async with it.session.get(key, accept_encoding=["gzip"]) as result:
            assert result.metadata.compression is None
            assert await result.payload.read() == b"hello " * 100

    @case
    async def test_what_expands_comes_in_small_pieces(self, it):
        """A small object of many zeros is read in bounded pieces."""
        frame = zstd.compress(bytes(64 * MIB))
        key = await it.session.put(frame, precompressed="zstd")
        total = 0
        async with it.session.get(key) as result:
            async for chunk in result.payload:
                assert len(chunk) <= MIB
                total += len(chunk)
        assert total == 64 * MIB
        with pytest.raises(PayloadError):
            await it.session.get_bytes(key, max_bytes=1000)


class RangesCases:
    """Ranges of payloads."""

    @case
    async def test_ranges_of_plain_objects(self, it):
        """A range gives its bytes, cut at the end of the object."""
        body = pattern(100_000)
        key = await it.plain().put(body)
        for asked, expected in RANGES:
            assert await it.plain().get_bytes(key, byte_range=asked) == body[expected]

    @case
    async def test_ranges_of_compressed_objects(self, it):
        """A range is of the payload, and not of the bytes that are stored."""
        body = pattern(100_000)
        for contents in (body, stream(body, 30_000)):
            key = await it.session.put(contents)
            for asked, expected in RANGES:
                got = await it.session.get_bytes(key, byte_range=asked)
                assert got == body[expected], asked

    @case
    async def test_ranges_beyond_what_is_stored(self, it):
        """A payload is longer than what is stored of it; a range may lie there."""
        body = b"0" * 500_000 + b"the end"
        key = await it.session.put(body)
        assert (await it.session.head(key)).size < 1000
        got = await it.session.get_bytes(key, byte_range=ByteSpan(499_999, 500_003))
        assert got == b"0the"

    @case
    async def test_ranges_outside(self, it):
        """A range without a byte of the payload is an error, on entering."""
        for session in (it.session, it.plain()):
            empty = await session.put(b"")
            key = await session.put(b"0" * 1000)
            for where, asked in (
                (key, ByteOffset(1000)),
                (key, ByteSpan(1000, 2000)),
                (empty, ByteOffset(0)),
                (empty, ByteSuffix(1)),
            ):
                with pytest.raises(InvalidRange):
                    await session.get_bytes(where, byte_range=asked)

    @case
    async def test_ranges_of_stored_bytes(self, it):
        """Where an encoding is accepted, offsets are those of the stored bytes."""
        body = pattern(50_000)
        key = await it.session.put(body)
        async with it.session.get(key, decompress=False) as result:
            stored = await result.payload.read()
        async with it.session.get(
            key, accept_encoding=["zstd"], byte_range=ByteSpan(10, 20)
        ) as result:
            assert result.metadata.compression == "zstd"
            assert await result.payload.read() == stored[10:20]

    @case
    async def test_ranges_of_several_frames(self, it):
        """A range may lie across frames, or in one of the last."""
        frames = b"".join(zstd.compress(bytes([65 + n]) * 1000) for n in range(5))
        usecase = Usecase("frames")
        session = it.client.session(usecase)
        key = await session.put(frames, precompressed="zstd")
        for asked, expected in (
            (ByteSpan(999, 1001), b"AB"),
            (ByteSuffix(1001), b"D" + b"E" * 1000),
            (ByteOffset(4999), b"E"),
        ):
            assert await session.get_bytes(key, byte_range=asked) == expected

    @case
    async def test_ranges_tell_of_the_whole_object(self, it):
        """The metadata beside a range is that of the object."""
        for session in (it.session, it.plain()):
            key = await session.put(b"0" * 1000, metadata={"a": "b"})
            looked = await session.head(key)
            async with session.get(key, byte_range=ByteSpan(0, 10)) as result:
                assert result.metadata == looked.decoded()
                assert await result.payload.read() == b"0" * 10
