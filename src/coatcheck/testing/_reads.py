"""Reading: whole objects, ranges, conditions, absence, one generation."""

from __future__ import annotations

import hashlib

import anyio
import pytest

from coatcheck.abc import (
    ByteOffset,
    ByteSpan,
    ByteSuffix,
    Capability,
    DigestAlgorithm,
    PutInfo,
    Verified,
)
from coatcheck.errors import (
    BucketNotFound,
    Closed,
    IntegrityError,
    InvalidRange,
    ObjectNotFound,
    PreconditionFailed,
)

from ._bodies import LARGE, pattern, stream
from ._stage import Contract, Stage, scenario

NOWHERE = ("absent", "absent/below", "x" * 2000, "..", "a//b", "", "a\0b", "\ud800")


class ReadsContract(Contract):
    """What a backend promises to those who read."""

    @scenario()
    async def test_what_was_put_is_read(self, it: Stage) -> None:
        """Bodies of every size come back as they were, by every way of reading."""
        for size in (0, 1, 65_536, 65_537, LARGE):
            body = pattern(size)
            await it.bucket.put("k", body)
            assert await it.read("k") == body
            async with it.bucket.get("k") as reader:
                assert reader.info.size == size
                assert reader.range == range(size)
                assert b"".join([chunk async for chunk in reader]) == body
            async with it.bucket.get("k") as reader:
                begun = await reader.read(10)
                assert begun == body[:10]
                assert begun + await reader.read() == body
                assert await reader.read() == b""

    @scenario()
    async def test_absent_is_not_found(self, it: Stage) -> None:
        """Any key that holds nothing is not found, however odd; deleting it works."""
        await it.bucket.put("a", b"x")
        for key in NOWHERE:
            with pytest.raises((ObjectNotFound, BucketNotFound)):
                await it.bucket.head(key)
            with pytest.raises((ObjectNotFound, BucketNotFound)):
                await it.read(key)
            await it.bucket.delete(key)
        assert await it.read("a") == b"x"

    @scenario()
    async def test_a_bucket_that_holds_nothing_is_empty(self, it: Stage) -> None:
        """A bucket needs no making: before its first object all is absent in it."""
        bucket = it.second_bucket()
        with pytest.raises((ObjectNotFound, BucketNotFound)):
            await bucket.head("k")
        await bucket.delete("k")
        await bucket.put("k", b"x")
        assert (await bucket.head("k")).size == 1
        with pytest.raises(ObjectNotFound):
            await it.bucket.head("k")

    @scenario()
    async def test_ranges(self, it: Stage) -> None:
        """A range gives its bytes, and says which they are and of what."""
        body = pattern(LARGE)
        await it.bucket.put("k", body)
        for asked, expected in (
            (ByteSpan(0, 1), range(1)),
            (ByteSpan(1, 3), range(1, 3)),
            (ByteSpan(LARGE - 2, LARGE + 99), range(LARGE - 2, LARGE)),
            (ByteSpan(10, LARGE - 10), range(10, LARGE - 10)),
            (ByteOffset(0), range(LARGE)),
            (ByteOffset(LARGE - 1), range(LARGE - 1, LARGE)),
            (ByteSuffix(3), range(LARGE - 3, LARGE)),
            (ByteSuffix(LARGE + 1), range(LARGE)),
        ):
            async with it.bucket.get("k", byte_range=asked) as reader:
                assert await reader.read() == body[expected.start : expected.stop]
                assert reader.range == expected
                assert reader.info.size == LARGE
                assert reader.verified is Verified.LENGTH

    @scenario()
    async def test_ranges_outside_are_refused(self, it: Stage) -> None:
        """A range without a byte of the object is an error, on entering."""
        await it.bucket.put("empty", b"")
        await it.bucket.put("k", b"0123456789")
        for key, asked in (
            ("empty", ByteOffset(0)),
            ("empty", ByteSuffix(1)),
            ("k", ByteOffset(10)),
            ("k", ByteSpan(10, 20)),
        ):
            with pytest.raises(InvalidRange):
                await it.read(key, byte_range=asked)

    @scenario()
    async def test_conditions_of_reads(self, it: Stage) -> None:
        """ETag conditions hold or fail; what is absent is absent whatever they say."""
        etag = (await it.bucket.put("k", b"x")).etag
        assert (await it.bucket.head("k")).etag == etag
        assert await it.read("k", if_match=etag) == b"x"
        assert await it.read("k", if_none_match="other") == b"x"
        with pytest.raises(PreconditionFailed):
            await it.read("k", if_match="other")
        with pytest.raises(PreconditionFailed):
            await it.read("k", if_none_match=etag)
        with pytest.raises(ObjectNotFound):
            await it.read("absent", if_match=etag)

    @scenario()
    async def test_a_read_is_of_one_generation(self, it: Stage) -> None:
        """What is replaced or deleted under a reader is read whole, or is an error."""
        old, new = b"o" * LARGE, b"n" * LARGE
        for replace in (True, False):
            await it.bucket.put("k", old)
            async with it.bucket.get("k") as reader:
                begun = await reader.read(10)
                if replace:
                    await it.bucket.put("k", new)
                else:
                    await it.bucket.delete("k")
                try:
                    whole = begun + await reader.read()
                except (IntegrityError, PreconditionFailed, ObjectNotFound):
                    continue
                assert whole == old

    @scenario()
    async def test_readers_beside_a_writer(self, it: Stage) -> None:
        """Who reads while others write sees whole bodies with their own metadata."""
        bodies = [pattern(3000 + number) for number in range(8)]

        async def write() -> None:
            for number, body in enumerate(bodies * 4):
                info = PutInfo(custom={"size": str(len(body))})
                if number % 7 == 6:
                    await it.bucket.delete("k")
                await it.bucket.put("k", body, info=info)

        async def read() -> None:
            for _ in range(40):
                try:
                    async with it.bucket.get("k") as reader:
                        body = await reader.read()
                        assert reader.info.custom == {"size": str(len(body))}
                except ObjectNotFound:
                    continue
                assert body in bodies

        await it.bucket.put("k", bodies[0], info=PutInfo(custom={"size": "3000"}))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(write)
            for _ in range(3):
                tasks.start_soon(read)

    @scenario()
    async def test_damage_is_noticed(self, it: Stage) -> None:
        """A changed, cut or longer body is an IntegrityError before its last chunk."""
        body = pattern(LARGE)
        for damaged in (
            body[:-1] + bytes([body[-1] ^ 1]),
            bytes([body[0] ^ 128]) + body[1:],
            body[:-1],
            b"",
            body + b"!",
        ):
            await it.bucket.put("k", body)
            await it.damage("k", damaged)
            seen = bytearray()

            async def read(seen: bytearray = seen) -> None:
                async with it.bucket.get("k") as reader:
                    async for chunk in reader:
                        seen += chunk

            with pytest.raises(IntegrityError):
                await read()
            assert len(seen) < len(body)

    @scenario()
    async def test_a_pinned_read_is_held_against_its_pin(self, it: Stage) -> None:
        """A digest from elsewhere counts, and not the one stored beside the bytes."""
        body = pattern(LARGE)
        await it.bucket.put("k", body, info=PutInfo(pinned=True))
        right = hashlib.md5(body, usedforsecurity=False).hexdigest()
        async with it.bucket.get("k") as reader:
            reader.pin(DigestAlgorithm.MD5, right)
            assert await reader.read() == body
            assert reader.verified is Verified.DIGEST
        async with it.bucket.get("k") as reader:
            reader.pin(DigestAlgorithm.MD5, "0" * 32)
            with pytest.raises(IntegrityError):
                await reader.read()

    @scenario()
    async def test_a_read_may_be_left_early(self, it: Stage) -> None:
        """Contexts that are left unread, half read or by an exception free all."""
        await it.bucket.put("k", stream(pattern(LARGE), 4096))

        async def fail_while_reading() -> None:
            async with it.bucket.get("k") as reader:
                await reader.read(1)
                raise ZeroDivisionError

        for _ in range(20):
            async with it.bucket.get("k"):
                pass
            with pytest.raises(ZeroDivisionError):
                await fail_while_reading()
        assert len(await it.read("k")) == LARGE

    @scenario()
    async def test_closed_is_closed(self, it: Stage) -> None:
        """After the backend closed every verb says so, and closing again works."""
        await it.bucket.put("k", b"x")
        await it.backend.aclose()
        await it.backend.aclose()
        for call in (
            lambda: it.bucket.put("k", b"y"),
            lambda: it.bucket.head("k"),
            lambda: it.read("k"),
            lambda: it.bucket.delete("k"),
            it.keys,
        ):
            if call == it.keys and Capability.SCAN not in it.bucket.capabilities:
                continue
            with pytest.raises(Closed):
                await call()

    @scenario()
    async def test_a_backend_opened_again_sees_everything(self, it: Stage) -> None:
        """What was acknowledged is there for the next backend, with its metadata."""
        await it.bucket.put("k", b"x", info=PutInfo(origin="somewhere"))
        await it.bucket.put("gone", b"x")
        await it.bucket.delete("gone")
        before = await it.bucket.head("k")
        await it.reopen()
        assert await it.bucket.head("k") == before
        with pytest.raises(ObjectNotFound):
            await it.bucket.head("gone")

    @scenario()
    async def test_it_is_ready(self, it: Stage) -> None:
        """A check passes, and leaves nothing in a bucket."""
        await it.backend.check()
        if Capability.SCAN in it.bucket.capabilities:
            assert await it.keys() == []
