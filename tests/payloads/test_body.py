"""Anything that can be stored is one stream of bytes, and is closed again."""

from __future__ import annotations

import io
import os
import threading
from pathlib import Path

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coatcheck.errors import IntegrityError, InvalidInput
from coatcheck.payloads._body import CHUNK, open_source, size_of, whole_bytes

untimed = settings(deadline=None)


async def read(body, size=None):
    async with open_source(body, size) as source:
        return [chunk async for chunk in source]


class Chunks:
    """An async generator that tells whether it was closed."""

    def __init__(self, *chunks):
        self.chunks = chunks
        self.closed = False

    async def __call__(self):
        try:
            for chunk in self.chunks:
                yield chunk
        finally:
            self.closed = True


class Feed:
    """An async iterable with nothing to close."""

    def __init__(self, *chunks):
        self._chunks = list(chunks)

    def __aiter__(self):
        return self

    async def __anext__(self):
        if not self._chunks:
            raise StopAsyncIteration
        return self._chunks.pop(0)


class AsyncFile:
    """An async file over bytes."""

    def __init__(self, body):
        self._file = io.BytesIO(body)

    async def read(self, size=-1):
        return self._file.read(size)


def open_descriptors():
    return len(os.listdir("/dev/fd"))


MAKERS = {
    "bytes": bytes,
    "bytearray": bytearray,
    "memoryview": memoryview,
    "file": io.BytesIO,
    "async file": AsyncFile,
    "generator": lambda body: Chunks(body[:3], b"", body[3:])(),
    "iterator": lambda body: Feed(body[:1], body[1:]),
    "iterator of bytearrays": lambda body: Feed(bytearray(body)),
}


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("size", [0, 1, 7, CHUNK, 2 * CHUNK + 1])
@pytest.mark.parametrize("declared", [True, False])
async def test_every_body_gives_its_bytes(kind, size, declared):
    """Bytes, buffers, files and iterators give the same bytes, as bytes."""
    body = bytes(index % 251 for index in range(size))
    chunks = await read(MAKERS[kind](body), size if declared else None)
    assert b"".join(chunks) == body
    assert {type(chunk) for chunk in chunks} <= {bytes}


@pytest.mark.asyncio
@pytest.mark.parametrize("size", [0, 7, 2 * CHUNK + 1])
async def test_a_path_gives_its_bytes_and_its_size(tmp_path, size):
    """A path is opened, measured, read and closed."""
    path = tmp_path / "body"
    path.write_bytes(b"x" * size)
    before = open_descriptors()
    async with open_source(path) as source:
        assert source.size == size
        assert b"".join([chunk async for chunk in source]) == b"x" * size
    assert open_descriptors() == before


@pytest.mark.asyncio
async def test_a_path_that_is_left_early_is_closed(tmp_path):
    """No descriptor stays open when the reader stops midway."""
    path = tmp_path / "body"
    path.write_bytes(bytes(3 * CHUNK))
    before = open_descriptors()
    async with open_source(path) as source:
        assert len(await anext(source)) == CHUNK
        assert open_descriptors() == before + 1
    assert open_descriptors() == before


@pytest.mark.asyncio
async def test_the_size_is_known_when_it_can_be():
    """A body in memory has its length, a stream the declared one or none."""
    async with open_source(b"seven..") as source:
        assert source.size == 7
    async with open_source(Feed(b"a"), 1) as source:
        assert source.size == 1
    async with open_source(Feed(b"a")) as source:
        assert source.size is None


@pytest.mark.asyncio
@pytest.mark.parametrize("wrap", [bytearray, lambda raw: memoryview(bytearray(raw))])
async def test_buffers_of_the_caller_are_copied(wrap):
    """Changing a buffer after the body was opened changes no byte of it."""
    buffer = wrap(b"before")
    async with open_source(buffer) as source:
        buffer[:] = b"after!"
        assert [chunk async for chunk in source] == [b"before"]
    assert whole_bytes(buffer) == b"after!"


@pytest.mark.asyncio
async def test_a_chunk_may_be_reused_by_its_producer():
    """A producer that fills one buffer again and again loses nothing."""
    buffer = bytearray(1)

    async def produce():
        for letter in b"abc":
            buffer[0] = letter
            yield buffer

    assert await read(produce()) == [b"a", b"b", b"c"]


def test_only_what_is_in_memory_is_whole():
    """Bytes are given back themselves, buffers copied, and streams are not read."""
    body = b"body"
    assert whole_bytes(body) is body
    assert whole_bytes(bytearray(body)) == body
    assert whole_bytes(io.BytesIO(body)) is None
    assert whole_bytes(Feed(body)) is None
    assert whole_bytes(memoryview(b"a.b.")[::2]) == b"ab"


@pytest.mark.parametrize("size", [0, 3, 5])
def test_a_whole_body_has_its_declared_size(size):
    """A body in memory of another length than declared is refused at once."""
    with pytest.raises(IntegrityError, match=f"has 4 bytes, {size} were declared"):
        whole_bytes(b"body", size)


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("declared", [0, 3, 5, 10**12])
async def test_a_body_of_another_size_is_refused(tmp_path, kind, declared):
    """Too short and too long bodies end in IntegrityError, not in a short object."""
    with pytest.raises(IntegrityError, match=str(declared)):
        await read(MAKERS[kind](b"body"), declared)
    (tmp_path / "body").write_bytes(b"body")
    with pytest.raises(IntegrityError, match=str(declared)):
        await read(tmp_path / "body", declared)


@pytest.mark.asyncio
@pytest.mark.parametrize("end", [b"more", b""])
async def test_a_file_that_changes_meanwhile_is_refused(tmp_path, end):
    """A file that grows or shrinks while it is read is not stored as if whole."""
    path = tmp_path / "body"
    path.write_bytes(bytes(CHUNK + 10))
    async with open_source(path) as source:
        await anext(source)
        with path.open("r+b") as file:
            file.truncate(CHUNK)
            file.seek(CHUNK)
            file.write(end * 10)
        with pytest.raises(IntegrityError):
            _ = [chunk async for chunk in source]


@pytest.mark.asyncio
async def test_an_endless_body_stops_at_its_declared_size():
    """A stream longer than declared is not read to its end, and is closed."""
    chunks = Chunks(*[b"xxxx"] * 1000)
    with pytest.raises(IntegrityError, match="longer than the 10 bytes declared"):
        await read(chunks(), 10)
    assert chunks.closed


@pytest.mark.asyncio
async def test_a_generator_is_closed_on_early_exit():
    """A generator that was not read to its end is closed with the context."""
    chunks = Chunks(b"a", b"b")
    async with open_source(chunks()) as source:
        assert await anext(source) == b"a"
        assert not chunks.closed
    assert chunks.closed


@pytest.mark.asyncio
async def test_a_file_is_read_in_a_thread():
    """Sync reads block a thread and not the loop."""
    threads = set()

    class File(io.BytesIO):
        def read(self, size=-1):
            threads.add(threading.get_ident())
            return super().read(size)

    assert await read(File(b"body")) == [b"body"]
    assert threading.get_ident() not in threads


@pytest.mark.asyncio
async def test_files_of_the_caller_are_left_open(tmp_path):
    """Files of the caller, anyio's too, are read and left open."""
    path = tmp_path / "body"
    path.write_bytes(b"body")
    async with await anyio.open_file(path, "rb") as file:
        assert await read(file) == [b"body"]
        assert not file.closed
    plain = io.BytesIO(b"body")
    assert await read(plain) == [b"body"]
    assert not plain.closed


@pytest.mark.asyncio
@pytest.mark.parametrize("chunk", ["text", 7, None, [b"a"]])
@pytest.mark.parametrize("first", [(), (b"a",)])
async def test_a_chunk_is_bytes(chunk, first):
    """A stream of something else is refused by type, and closed."""
    chunks = Chunks(*first, chunk)
    with pytest.raises(InvalidInput, match=f"bytes, not {type(chunk).__name__}"):
        await read(chunks())
    assert chunks.closed
    with pytest.raises(InvalidInput, match="bytes, not str"):
        await read(io.StringIO("text"))


@pytest.mark.asyncio
@pytest.mark.parametrize("body", ["text", 7, None, [b"a"], {}, iter([b"a"]), object()])
async def test_what_cannot_be_read_is_refused(body):
    """Text, numbers and sync iterables are no bodies; the refusal names the type."""
    with pytest.raises(InvalidInput, match=f"not {type(body).__name__}"):
        await read(body)


@pytest.mark.asyncio
async def test_what_is_no_regular_file_is_refused(tmp_path):
    """Missing files, folders and FIFOs are refused, without waiting for a writer."""
    os.mkfifo(tmp_path / "fifo")
    before = open_descriptors()
    for path in (tmp_path / "missing", tmp_path, tmp_path / "fifo", Path("/dev/zero")):
        with pytest.raises(InvalidInput, match="cannot read"):
            await read(path)
    assert open_descriptors() == before


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["a\x00b", "a\ud800b"], ids=ascii)
async def test_a_path_that_no_system_takes_is_refused(tmp_path, name):
    """A path with NUL or a lone surrogate is refused like a missing one."""
    with pytest.raises(InvalidInput):
        await read(tmp_path / name)


@pytest.mark.asyncio
@untimed
@given(st.lists(st.binary(max_size=5), max_size=6), st.integers(0, 30))
async def test_a_declared_size_is_exact(chunks, declared):
    """A stream passes exactly when its chunks add up to the declared size."""
    if sum(map(len, chunks)) == declared:
        assert await read(Feed(*chunks), declared) == chunks
        return
    with pytest.raises(IntegrityError):
        await read(Feed(*chunks), declared)


@pytest.mark.asyncio
async def test_what_is_to_come_can_be_known_before(tmp_path):
    """Bytes, paths and files that can seek tell how much is left, and stay there."""
    path = tmp_path / "body"
    path.write_bytes(b"0123456789")
    assert await size_of(b"123") == 3
    assert await size_of(bytearray(4)) == 4
    assert await size_of(memoryview(bytes(16)).cast("I")) == 16
    assert await size_of(path) == 10
    with path.open("rb") as file:
        file.seek(4)
        assert await size_of(file) == 6
        assert file.tell() == 4
        file.seek(20)
        assert await size_of(file) == 0
    assert await size_of(Feed(b"x")) is None
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, "rb") as pipe:
        os.close(write_end)
        assert await size_of(pipe) is None
