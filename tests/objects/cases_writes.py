"""What sessions promise to those who write."""

from __future__ import annotations

import io
import os
from uuid import UUID

import anyio
import pytest
from tests.objects.stage import MIB, case, keys, pattern, stream

from coatcheck.errors import (
    CoatcheckError,
    InvalidInput,
    InvalidName,
    ObjectNotFound,
)
from coatcheck.objects import Put, Usecase

BAD_KEYS = (
    *("..", ".", "/a", "a/", "a//b", "a/../b", "a/./b", "a\0b", "a\nb", "\x7f"),
    *("e\u0301", "\ud800", "a\u2028b", "k" * 1025),
)
GOOD_KEYS = (
    *("a", "A", "a/b/c", "a.b", "a b", "%", "%2F", "%2e%2e", "a%20b", "+", "~", "*"),
    *("?", "#", "a?b=c", "a;b=c", "a&b", "a:b", "[x]", "{x}", "|", "^", "`", "'", '"'),
    *("\u00e9", "\U0001f600", "\u65e5\u672c", "...", "objects", "objects/objects/x"),
    *("_", "a/objects/b", "x" * 200, "looks%2520encoded"),
)


class WritesCases:
    """Putting objects."""

    @case
    async def test_bytes_come_back(self, it):
        """What was put is got."""
        key = await it.session.put(b"Hello, world!")
        async with it.session.get(key) as result:
            assert await result.payload.read() == b"Hello, world!"

    @case
    async def test_empty_bodies_come_back(self, it):
        """An object may be empty, however it came, compressed or not."""
        for make in (bytes, io.BytesIO, lambda: stream(b"")):
            for session in (it.session, it.plain()):
                key = await session.put(make())
                assert await session.get_bytes(key) == b""

    @case
    async def test_large_bodies_come_back(self, it):
        """Several megabytes come back, compressed and plain."""
        body = pattern(3 * MIB + 17)
        for session in (it.session, it.plain()):
            key = await session.put(body)
            assert await session.get_bytes(key) == body

    @case
    async def test_buffers_are_not_kept(self, it):
        """A buffer that the caller changes afterwards changes no object."""
        for session in (it.session, it.plain()):
            buffer = bytearray(b"before")
            key = await session.put(buffer)
            view = await session.put(memoryview(buffer))
            buffer[:] = b"after!"
            assert await session.get_bytes(key) == b"before"
            assert await session.get_bytes(view) == b"before"

    @case
    async def test_paths_are_read(self, it):
        """A path is opened, read and closed."""
        body = pattern(700_000)
        for session in (it.session, it.plain()):
            key = await session.put(it.path(body))
            assert await session.get_bytes(key) == body

    @case
    async def test_files_are_read_from_where_they_stand(self, it):
        """An open file is read on from its position, and stays open."""
        body = pattern(700_000)
        path = it.path(body)
        for session in (it.session, it.plain()):
            with path.open("rb") as file:
                file.seek(1000)
                key = await session.put(file)
                assert not file.closed
            assert await session.get_bytes(key) == body[1000:]

    @case
    async def test_async_files_are_read(self, it):
        """An object with an async read is a source."""
        body = pattern(600_000)
        async with await anyio.open_file(it.path(body), "rb") as file:
            key = await it.session.put(file)
        assert await it.session.get_bytes(key) == body

    @case
    async def test_streams_are_read(self, it):
        """An async iterator of unknown length is a source."""
        body = pattern(2 * MIB + 5)
        for session in (it.session, it.plain()):
            key = await session.put(stream(body, 100_000))
            assert await session.get_bytes(key) == body

    @case
    async def test_empty_chunks_are_no_end(self, it):
        """A chunk of nothing says nothing."""

        async def halting():
            for chunk in (b"", b"one", b"", b"", b"two", b""):
                yield chunk

        for session in (it.session, it.plain()):
            key = await session.put(halting())
            assert await session.get_bytes(key) == b"onetwo"

    @case
    async def test_text_is_refused(self, it):
        """Text, and what has no bytes at all, is an error that stores nothing."""
        for contents in ("text", 5, None, ["a"]):
            with pytest.raises(InvalidInput):
                await it.session.put(contents, "key")
        with pytest.raises(InvalidInput):
            await it.session.put(it.subject.folder / "missing", "key")
        assert not await it.session.exists("key")

    @case
    async def test_streams_of_text_are_refused(self, it):
        """A stream that turns out to yield text stores nothing."""

        async def mixed():
            yield b"bytes"
            yield "text"

        for session in (it.session, it.plain()):
            with pytest.raises(InvalidInput):
                await session.put(mixed(), "key")
            assert not await session.exists("key")

    @case
    async def test_a_source_that_fails_leaves_what_was_there(self, it):
        """The source's own error comes out, and the old object stands whole."""

        async def failing():
            yield b"x" * 300_000
            raise ZeroDivisionError

        for session in (it.session, it.plain()):
            await session.put(b"old", "key", metadata={"is": "old"})
            with pytest.raises(ZeroDivisionError):
                await session.put(failing(), "key")
            assert await session.get_bytes("key") == b"old"
            assert (await session.head("key")).custom == {"is": "old"}
            with pytest.raises(ZeroDivisionError):
                await session.put(failing(), "other")
            assert not await session.exists("other")

    @case
    async def test_keys_are_made(self, it):
        """Without a key, or with an empty one, each object gets a new UUID."""
        made = {
            await it.session.put(b"x"),
            await it.session.put(b"x", ""),
            await it.session.put(b"x", None),
        }
        assert len(made) == 3
        assert {UUID(key).version for key in made} == {4}

    @case
    async def test_keys_are_kept(self, it):
        """A key of one's own is the object's key."""
        assert await it.session.put(b"x", "my/own.key") == "my/own.key"
        assert await keys(it.session) == ["my/own.key"]

    @case
    async def test_odd_keys_stay_apart(self, it):
        """Whatever is in a key is in it as it stands, encoded by nobody twice."""
        good = [key for key in GOOD_KEYS if it.subject.storable(key)]
        assert len(good) > 30
        await it.session.many(Put(key.encode(), key) for key in good)
        for key in good:
            assert await it.session.get_bytes(key) == key.encode(), key
        assert sorted(await keys(it.session)) == sorted(good)
        for key in good:
            await it.session.delete(key)
        assert await keys(it.session) == []

    @case
    async def test_bad_keys_are_refused(self, it):
        """A key that some store could not hold faithfully is refused by every verb."""
        for key in BAD_KEYS:
            for call in (
                lambda key=key: it.session.put(b"x", key),
                lambda key=key: it.session.get_bytes(key),
                lambda key=key: it.session.head(key),
                lambda key=key: it.session.delete(key),
            ):
                with pytest.raises(InvalidName):
                    await call()
        assert await keys(it.session) == []

    @case
    async def test_overwriting_replaces_everything(self, it):
        """Nothing of the old object stays: no byte, no metadata, no policy."""
        await it.session.put(
            b"old" * 1000,
            "key",
            content_type="text/plain",
            metadata={"old": "1"},
            origin="here",
            filename="old.txt",
        )
        it.clock.advance(5)
        await it.session.put(b"new", "key", metadata={"new": "1"})
        assert await it.session.get_bytes("key") == b"new"
        metadata = await it.session.head("key")
        assert metadata.custom == {"new": "1"}
        assert (metadata.origin, metadata.filename) == (None, None)
        assert metadata.content_type == "application/octet-stream"
        assert metadata.time_created == it.now

    @case
    async def test_content_types(self, it):
        """A content type is kept with its parameters; the default is bytes."""
        for given, kept in (
            (None, "application/octet-stream"),
            ("text/plain; charset=utf-8", "text/plain; charset=utf-8"),
            ("application/vnd.api+json", "application/vnd.api+json"),
        ):
            key = await it.session.put(b"x", content_type=given)
            assert (await it.session.head(key)).content_type == kept

    @case
    async def test_malformed_content_types_are_refused(self, it):
        """What no header can carry is refused before anything is stored."""
        for given in (
            "text",
            "text/plain\r\nx-evil: 1",
            "text/",
            "",
            "te\u00e9t/plain",
        ):
            with pytest.raises(InvalidInput):
                await it.session.put(b"x", "key", content_type=given)
        assert not await it.session.exists("key")

    @case
    async def test_origins_and_filenames(self, it):
        """Both are kept, whatever characters they have; an empty origin is none."""
        for origin, filename in (
            ("203.0.113.42", "report.pdf"),
            ("\u00fcberall", "\u65e5\u672c\u8a9e \U0001f600.txt"),
            (" spaces ", 'quo"te\\back/slash'),
            ("line\r\nbreak", "100%.txt"),
        ):
            key = await it.session.put(b"x", origin=origin, filename=filename)
            metadata = await it.session.head(key)
            assert (metadata.origin, metadata.filename) == (origin, filename)
        key = await it.session.put(b"x", origin="")
        assert (await it.session.head(key)).origin is None

    @case
    async def test_custom_metadata(self, it):
        """Values of any text come back exactly."""
        custom = {
            "source": "upload-service",
            "unicode": "\u00e9\u00e0\U0001f600",
            "spaces": "  both ends  ",
            "percent": "100% %41",
            "lines": "a\r\nb\tc",
            "a.b_c-d": "1",
        }
        key = await it.session.put(b"x", metadata=custom)
        assert (await it.session.head(key)).custom == custom
        async with it.session.get(key) as result:
            assert result.metadata.custom == custom

    @case
    async def test_bad_metadata_is_refused(self, it):
        """Names that headers would change, and values that are no text, are refused."""
        for custom in (
            *(
                {"Upper": "1"},
                {"a b": "1"},
                {"": "1"},
                {"x" * 65: "1"},
                {"\u00e9": "1"},
            ),
            *({"a": 1}, {"a": None}, {"a": "\ud800"}, {"a:b": "1"}, {"a\r\nb": "1"}),
        ):
            with pytest.raises(InvalidInput):
                await it.session.put(b"x", "key", metadata=custom)
        assert not await it.session.exists("key")

    @case
    async def test_too_much_metadata_is_refused_or_kept(self, it):
        """Three kilobytes are refused with a reason, or come back; never cut."""
        custom = {f"name-{number}": "v" * 250 for number in range(12)}
        try:
            await it.session.put(b"x", "key", metadata=custom)
        except InvalidInput:
            assert not await it.session.exists("key")
        else:
            assert (await it.session.head("key")).custom == custom

    @case
    async def test_progress_is_told(self, it):
        """Every payload byte is told once, after it was written, compressed or not."""
        body = pattern(2 * MIB)
        for session in (it.session, it.plain()):
            for contents in (body, it.path(body), stream(body, 400_000)):
                told = []
                await session.put(contents, progress=told.append)
                assert sum(told) == len(body)
                assert all(told)

    @case
    async def test_progress_of_a_failure_is_not_told_as_done(self, it):
        """What was not written is not told."""

        async def failing():
            yield b"x" * 1000
            yield b"y" * 1000
            raise ZeroDivisionError

        told = []
        with pytest.raises(ZeroDivisionError):
            await it.session.put(failing(), progress=told.append)
        assert sum(told) <= 2000

    @case
    async def test_a_cancelled_put_leaves_what_was_there(self, it):
        """A put that is given up in the middle of its body stores nothing."""

        async def endless():
            while True:
                yield os.urandom(100_000)
                await anyio.sleep(0.01)

        await it.session.put(b"old", "key")
        for session in (it.session, it.plain()):
            with anyio.move_on_after(0.2) as scope:
                await session.put(endless(), "key")
            assert scope.cancelled_caught
        assert await it.session.get_bytes("key") == b"old"
        assert not await it.plain().exists("key")

    @case
    async def test_many_puts_at_once(self, it):
        """Tasks share a session."""
        bodies = {f"k{number:02d}": pattern(number * 1000) for number in range(24)}
        async with anyio.create_task_group() as tasks:
            for key, body in bodies.items():
                tasks.start_soon(it.session.put, body, key)
        for key, body in bodies.items():
            assert await it.session.get_bytes(key) == body
        assert await keys(it.session) == sorted(bodies)

    @case
    async def test_writers_of_one_key(self, it):
        """One of them has the last word, with all of its bytes and metadata."""

        async def put(number):
            body = f"{number};".encode() * 20_000
            await it.session.put(body, "key", metadata={"by": str(number)})

        async with anyio.create_task_group() as tasks:
            for number in range(6):
                tasks.start_soon(put, number)
        async with it.session.get("key") as result:
            body = await result.payload.read()
        assert set(body.split(b";")) == {result.metadata.custom["by"].encode(), b""}

    @case
    async def test_arguments_are_checked_before_the_source_is_read(self, it):
        """A call that contradicts itself takes nothing from its source."""
        taken = []

        async def source():
            taken.append(1)
            yield b"x"

        for options in (
            {"compress": "zstd", "compression": "zstd"},
            {"compress": "gzip"},
            {"precompressed": "gzip"},
            {"precompressed": "zstd", "compress": "none"},
            {"resumable_threshold_bytes": -1},
            {"resumable_threshold_bytes": True},
            {"expiration_policy": 5},
            {"filename": 5},
        ):
            with pytest.raises(InvalidInput):
                await it.session.put(source(), "key", **options)
        assert taken == []
        with pytest.raises(ObjectNotFound):
            await it.session.head("key")

    @case
    async def test_resumable_thresholds_change_nothing_that_is_seen(self, it):
        """Whether an upload can go on or not, the object is the same."""
        body = os.urandom(300_000)
        usecase = Usecase("always", resumable_threshold_bytes=0)
        session = it.client.session(usecase, org=1)
        for make in (
            lambda: body,
            lambda: it.path(body),
            lambda: stream(body),
            lambda: io.BytesIO(body),
        ):
            for options in ({}, {"compression": "none"}):
                key = await session.put(make(), metadata={"a": "b"}, **options)
                assert await session.get_bytes(key) == body
                assert (await session.head(key)).custom == {"a": "b"}

    @case
    async def test_errors_name_the_object(self, it):
        """What went wrong says with which object."""
        with pytest.raises(CoatcheckError) as caught:
            await it.session.get_bytes("this-one")
        assert "this-one" in str(caught.value)
        assert caught.value.key.endswith("this-one")
