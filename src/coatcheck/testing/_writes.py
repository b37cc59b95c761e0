"""Writing: bodies of every kind, keys, metadata, modes, failures."""

from __future__ import annotations

import hashlib
import io
import pickle
from datetime import timedelta
from typing import TYPE_CHECKING, cast

import anyio
import anyio.lowlevel
import pytest

from coatcheck._core.expiry import TimeToIdle
from coatcheck.abc import Capability, PutInfo, Update, Write
from coatcheck.errors import (
    AlreadyExists,
    CoatcheckError,
    IntegrityError,
    InvalidInput,
    InvalidName,
    ObjectNotFound,
    PreconditionFailed,
)

from ._bodies import LARGE, pattern, stream
from ._stage import Contract, Stage, scenario

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from coatcheck.abc import Body

BAD_KEYS = (
    *("", ".", "..", "/a", "a/", "a//b", "a/../b", "a/.", "a\0b", "a\nb", "\x7f"),
    *("e\u0301", "\ud800", "a\u2028b", "x" * 1025, "\u00e9" * 513),
)
GOOD_KEYS = (
    *("a", "A", "a/b", "a.b", "a b", " a", "a ", "%", "%41", "+", "~", "*", "a:b"),
    *("?", "#", "\\", "con", "CON.txt", "-rf", ".hidden", "a.", "..a", "...", "@x"),
    *("\u00e9", "\U0001f600", "\u00df", "\u0130", "x" * 255, "y" * 256, "z" * 1024),
    *("d/" * 100 + "e", "a/b/c", "a+", "a+/b", "index.lock", "$HOME", "'", '"'),
)


class WritesContract(Contract):
    """What a backend promises to those who write."""

    @scenario()
    async def test_bodies_of_every_kind(self, it: Stage) -> None:
        """Bytes, buffers, paths, files and iterables are all stored alike."""
        body = pattern(LARGE)
        path = anyio.Path(it.subject.folder, "body.dat")
        await path.write_bytes(body)
        digest = hashlib.sha256(body).hexdigest()
        async with await anyio.open_file(path, "rb") as file:
            bodies: list[Body] = [
                *(body, bytearray(body), memoryview(body)),
                *(path, file, io.BytesIO(body)),
                *(stream(body, 70_000), stream(body, LARGE)),
            ]
            for number, given in enumerate(bodies):
                receipt = await it.bucket.put(f"k{number}", given)
                assert (receipt.size, receipt.sha256) == (LARGE, digest)
                assert await it.read(f"k{number}") == body
        await path.unlink()

    @scenario()
    async def test_the_callers_buffers_are_not_kept(self, it: Stage) -> None:
        """Changing a buffer, chunk or mapping afterwards changes nothing stored."""
        buffer, chunk, custom = bytearray(b"before"), bytearray(b"before"), {"a": "b"}

        async def chunks() -> AsyncGenerator[bytes]:
            yield cast("bytes", chunk)

        await it.bucket.put("buffer", buffer, info=PutInfo(custom=custom))
        await it.bucket.put("view", memoryview(buffer))
        await it.bucket.put("chunk", chunks())
        buffer[:] = chunk[:] = b"after!"
        custom["a"] = "c"
        for key in ("buffer", "view", "chunk"):
            assert await it.read(key) == b"before"
        assert (await it.bucket.head("buffer")).custom == {"a": "b"}

    @scenario()
    async def test_keys_stay_apart(self, it: Stage) -> None:
        """Every canonical key is stored under itself, beside all the others."""
        keys = [key for key in GOOD_KEYS if it.subject.storable(key)]
        for key in keys:
            await it.bucket.put(key, key.encode())
        for key in keys:
            assert await it.read(key) == key.encode()
            assert (await it.bucket.head(key)).key == key
        for key in keys[::2]:
            await it.bucket.delete(key)
        for number, key in enumerate(keys):
            if number % 2:
                assert await it.read(key) == key.encode()
            else:
                with pytest.raises(ObjectNotFound):
                    await it.bucket.head(key)

    @scenario()
    async def test_bad_keys_are_refused(self, it: Stage) -> None:
        """What is no canonical key is refused before anything is written."""
        for key in BAD_KEYS:
            with pytest.raises(InvalidName) as refusal:
                await it.bucket.put(key, b"x")
            assert len(str(refusal.value)) < 500
        await it.expect_empty()

    @scenario()
    async def test_metadata_comes_back(self, it: Stage) -> None:
        """All that was said of an object is told by head and get."""
        idle = TimeToIdle(timedelta(days=2))
        info = PutInfo(
            content_type='text/plain; charset="utf-8"',
            encoding="zstd",
            expiry=idle,
            deadline=it.clock() + idle.duration,
            origin="203.0.113.42",
            filename="r\u00e9sum\u00e9 \u2013 50%\r\n.txt",
            codec="raw",
            cache_control="private, max-age=60",
            content_disposition='attachment; filename="x"',
            storage_class="STANDARD",
            custom={"a": "A", "b-c.d": " padded ", "unicode": "\U0001f600\n%41"},
            created=it.clock() - timedelta(days=1),
            write_id="my-write",
        )
        receipt = await it.bucket.put("k", b"body", info=info)
        assert receipt.write_id == "my-write"
        async with it.bucket.get("k") as reader:
            told = reader.info
        assert told == await it.bucket.head("k")
        for name in ("content_type", "encoding", "expiry", "deadline", "origin"):
            assert getattr(told, name) == getattr(info, name), name
        for name in ("filename", "codec", "cache_control", "content_disposition"):
            assert getattr(told, name) == getattr(info, name), name
        for name in ("custom", "created", "write_id"):
            assert getattr(told, name) == getattr(info, name), name
        # Stores do not tell the class that they take anyway.
        assert told.storage_class in ("STANDARD", None)
        assert (told.key, told.size, told.etag) == ("k", 4, receipt.etag)

    @scenario()
    async def test_empty_metadata_comes_back(self, it: Stage) -> None:
        """A value may be empty, and is another thing than none."""
        await it.bucket.put("k", b"", info=PutInfo(custom={"a": ""}, filename=""))
        info = await it.bucket.head("k")
        assert (dict(info.custom), info.filename) == ({"a": ""}, "")

    @scenario()
    async def test_a_plain_object_has_a_plain_info(self, it: Stage) -> None:
        """What was not said is not invented; times are those of the clock, in UTC."""
        receipt = await it.bucket.put("k", b"body")
        info = await it.bucket.head("k")
        assert info.created == info.modified == it.backend.now()
        assert info.created.utcoffset() == timedelta(0)
        assert info.sha256 == receipt.sha256 == hashlib.sha256(b"body").hexdigest()
        assert info.write_id == receipt.write_id
        assert (info.expiry, info.deadline, info.origin) == (None, None, None)
        assert dict(info.custom) == {}

    @scenario()
    async def test_wrong_lengths_are_refused(self, it: Stage) -> None:
        """A body of another length than declared is refused, and nothing stored."""
        for size in (3, 5):
            for body in (b"four", stream(b"four", 1), io.BytesIO(b"four")):
                with pytest.raises(IntegrityError):
                    await it.bucket.put("k", body, size=size)
        assert (await it.bucket.put("k", stream(b"four", 1), size=4)).size == 4
        await it.bucket.delete("k")
        await it.expect_empty()

    @scenario()
    async def test_a_failing_source_leaves_what_was(self, it: Stage) -> None:
        """When the body fails half-way its error is raised and the old object stays."""

        async def failing() -> AsyncGenerator[bytes]:
            yield pattern(LARGE)
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await it.bucket.put("k", failing())
        await it.expect_empty()
        await it.bucket.put("k", b"old")
        with pytest.raises(ZeroDivisionError):
            await it.bucket.put("k", failing())
        assert await it.read("k") == b"old"
        for body in (5, "text", None, [b"list"]):
            with pytest.raises(InvalidInput):
                await it.bucket.put("k", cast("Body", body))
        assert await it.read("k") == b"old"

    @scenario()
    async def test_cancelled_writes_leave_what_was(self, it: Stage) -> None:
        """A write that is cancelled half-way is as if it never was."""
        await it.bucket.put("k", b"old")

        async def endless() -> AsyncGenerator[bytes]:
            while True:
                yield pattern(70_000)
                await anyio.sleep(0.001)

        for key in ("k", "other"):
            with anyio.move_on_after(0.02):
                await it.bucket.put(key, endless())
        assert await it.read("k") == b"old"
        with pytest.raises(ObjectNotFound):
            await it.bucket.head("other")

    @scenario(Capability.CREATE)
    async def test_create_needs_a_free_key(self, it: Stage) -> None:
        """CREATE writes once; whoever comes later is told, until it is deleted."""
        first = await it.bucket.put("k", b"1", mode=Write.CREATE)
        assert first.created
        for body in (b"2", stream(b"22", 1)):
            with pytest.raises(AlreadyExists):
                await it.bucket.put("k", body, mode=Write.CREATE)
        assert await it.read("k") == b"1"
        await it.bucket.delete("k")
        await it.bucket.put("k", b"3", mode=Write.CREATE)
        assert await it.read("k") == b"3"

    @scenario(Capability.CREATE)
    async def test_one_creator_wins(self, it: Stage) -> None:
        """Of many that create one key at once exactly one succeeds."""
        won: list[bytes] = []

        async def create(key: str, body: bytes) -> None:
            try:
                await it.bucket.put(key, body, mode=Write.CREATE)
            except AlreadyExists:
                return
            won.append(body)

        for round_number in range(5):
            won.clear()
            async with anyio.create_task_group() as tasks:
                for number in range(12):
                    body = pattern(1000 + number)
                    tasks.start_soon(create, f"k{round_number}", body)
            assert won == [await it.read(f"k{round_number}")]

    @scenario(Capability.REPLACE_IF)
    async def test_update_needs_the_etag_that_stands(self, it: Stage) -> None:
        """Update replaces what it names, and nothing else."""
        with pytest.raises(PreconditionFailed):
            await it.bucket.put("k", b"0", mode=Update("none"))
        first = await it.bucket.put("k", b"1")
        second = await it.bucket.put("k", b"2", mode=Update(first.etag))
        assert not second.created
        for body in (b"3", stream(b"33", 1)):
            with pytest.raises(PreconditionFailed):
                await it.bucket.put("k", body, mode=Update(first.etag))
        assert await it.read("k") == b"2"

    @scenario(Capability.REPLACE_IF)
    async def test_counting_by_update_loses_nothing(self, it: Stage) -> None:
        """Compare-and-set from many tasks counts every one."""
        await it.bucket.put("k", b"0")

        async def add() -> None:
            while True:
                async with it.bucket.get("k") as reader:
                    count, etag = int(await reader.read()), reader.info.etag
                await anyio.lowlevel.checkpoint()
                try:
                    await it.bucket.put("k", b"%d" % (count + 1), mode=Update(etag))
                except PreconditionFailed:
                    continue
                return

        async with anyio.create_task_group() as tasks:
            for _ in range(12):
                tasks.start_soon(add)
        assert await it.read("k") == b"12"

    @scenario(Capability.CREATE, Capability.REPLACE_IF)
    async def test_a_repeated_write_recognises_itself(self, it: Stage) -> None:
        """A conditional write whose answer was lost succeeds again by its write id."""
        info = PutInfo(write_id="mine")
        first = await it.bucket.put("k", b"1", info=info, mode=Write.CREATE)
        again = await it.bucket.put("k", b"1", info=info, mode=Write.CREATE)
        assert (again.etag, again.write_id) == (first.etag, "mine")
        other = PutInfo(write_id="mine-too")
        mode = Update(first.etag)
        second = await it.bucket.put("k", b"2", info=other, mode=mode)
        again = await it.bucket.put("k", b"2", info=other, mode=mode)
        assert again.etag == second.etag
        with pytest.raises((AlreadyExists, PreconditionFailed)):
            await it.bucket.put("k", b"2", info=info, mode=mode)

    @scenario(Capability.DELETE_IF)
    async def test_conditional_deletes(self, it: Stage) -> None:
        """A delete may name the ETag that it means; what is gone is success."""
        etag = (await it.bucket.put("k", b"x")).etag
        with pytest.raises(PreconditionFailed):
            await it.bucket.delete("k", if_match="other")
        assert await it.read("k") == b"x"
        await it.bucket.delete("k", if_match=etag)
        await it.bucket.delete("k", if_match=etag)
        with pytest.raises(ObjectNotFound):
            await it.bucket.head("k")

    @scenario()
    async def test_errors_say_what_and_where(self, it: Stage) -> None:
        """An error names its object, and survives pickling."""
        with pytest.raises(CoatcheckError) as caught:
            await it.bucket.head("some/key")
        error = pickle.loads(pickle.dumps(caught.value))  # noqa: S301  # our own
        assert "some/key" in str(error)
        assert (type(error), error.kind) == (type(caught.value), caught.value.kind)
