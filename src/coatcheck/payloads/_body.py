"""Anything that can be stored, as one stream of chunks."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Final

from anyio import to_thread

from coatcheck.errors import IntegrityError, InvalidInput

from ._threads import in_thread, to_its_end

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from coatcheck.abc import Body

CHUNK: Final = 512 * 1024
"""Bytes of one read from a file or a store."""


class Source:
    """A body opened for one pass.

    Iterating gives the bytes and raises IntegrityError when their number is not the
    declared one.
    """

    __slots__ = ("_chunks", "_received", "size")

    def __init__(self, chunks: AsyncIterator[bytes], size: int | None) -> None:
        self._chunks = chunks
        self._received = 0
        self.size = size

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await anext(self._chunks)
        except StopAsyncIteration:
            if self.size is not None and self._received < self.size:
                raise IntegrityError(
                    f"the body ended after {self._received} of {self.size}"
                    " bytes declared"
                ) from None
            raise
        if not isinstance(chunk, bytes | bytearray | memoryview):
            raise InvalidInput(f"a body yields bytes, not {type(chunk).__name__}")
        chunk = bytes(chunk)
        self._received += len(chunk)
        if self.size is not None and self._received > self.size:
            raise IntegrityError(
                f"the body is longer than the {self.size} bytes declared"
            )
        return chunk

    async def aclose(self) -> None:
        """Close a generator that was not read to its end."""
        close = getattr(self._chunks, "aclose", None)
        if close is not None:
            await close()


def whole_bytes(body: Body, size: int | None = None) -> bytes | None:
    """Return a body that is in memory already as bytes of our own, else None.

    Raises:
        IntegrityError: It has another length than `size`.
    """
    if not isinstance(body, bytes):
        if not isinstance(body, bytearray | memoryview):
            return None
        body = bytes(body)
    if size is not None and len(body) != size:
        raise IntegrityError(f"the body has {len(body)} bytes, {size} were declared")
    return body


@asynccontextmanager
async def open_source(body: Body, size: int | None = None) -> AsyncGenerator[Source]:
    """Open a body for one pass; what is opened here is closed here.

    So is an async generator, which can serve one pass only.

    Args:
        body: The body.
        size: The declared length in bytes, None when unknown.

    Raises:
        InvalidInput: It is nothing that can be read, or no regular file.
    """
    chunks: AsyncIterator[bytes]
    whole = whole_bytes(body, size)
    if whole is not None:
        size = len(whole)
        chunks = OneChunk(whole)
    elif isinstance(body, os.PathLike):
        async with _opened_path(body) as (descriptor, length):
            size = length if size is None else size
            read = _file_reader(lambda count: os.read(descriptor, count))
            async with aclosing(Source(read, size)) as source:
                yield source
        return
    elif callable(getattr(body, "read", None)):
        chunks = _readable(body)
    elif isinstance(body, AsyncIterable):
        chunks = aiter(body)
    else:
        raise InvalidInput(
            "a body is bytes, a path, a file or an async iterable of bytes,"
            f" not {type(body).__name__}"
        )
    async with aclosing(Source(chunks, size)) as source:
        yield source


async def size_of(body: Body) -> int | None:
    """Return how many bytes of a body are to come, None when only reading it tells."""
    if isinstance(body, bytes | bytearray | memoryview):
        return memoryview(body).nbytes
    if isinstance(body, os.PathLike):
        async with _opened_path(body) as (_, length):
            return length
    if isinstance(body, io.IOBase):
        return await in_thread(lambda: _left_in(body))
    return None


def _left_in(file: io.IOBase) -> int | None:
    if not file.seekable():
        return None
    here = file.tell()
    end = file.seek(0, os.SEEK_END)
    file.seek(here)
    return max(end - here, 0)


class OneChunk:
    """The chunks of what is in memory already: one, or none when it is empty."""

    __slots__ = ("_body",)

    def __init__(self, body: bytes) -> None:
        self._body = body

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if not self._body:
            raise StopAsyncIteration
        body, self._body = self._body, b""
        return body


@asynccontextmanager
async def _opened_path(path: os.PathLike[str]) -> AsyncGenerator[tuple[int, int]]:
    descriptor = await in_thread(lambda: _open_regular(path), discard=os.close)
    try:
        yield descriptor, os.fstat(descriptor).st_size
    finally:
        await to_its_end(lambda: os.close(descriptor))


def _open_regular(path: os.PathLike[str]) -> int:
    shown = ascii(os.fspath(path))
    try:
        # O_NONBLOCK: a FIFO without a writer must not hang the thread.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise InvalidInput(f"cannot read {shown}: {error.strerror}") from error
    except ValueError as error:
        raise InvalidInput(f"cannot read {shown}: {error}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise InvalidInput(f"cannot read {shown}: not a regular file")
    return descriptor


async def _file_reader(read: Callable[[int], bytes]) -> AsyncIterator[bytes]:
    while chunk := await in_thread(lambda: read(CHUNK)):
        yield chunk


async def _readable(file: Any) -> AsyncGenerator[bytes]:
    """Read sync files in a thread and async ones where they are.

    Which of the two it is shows only in what the first `read` returns.
    """
    # In a tuple, because what the thread returns must not look like a coroutine.
    first = (await to_thread.run_sync(lambda: (file.read(0),)))[0]
    if isawaitable(first):
        await first
        while chunk := await file.read(CHUNK):
            yield chunk
    else:
        while chunk := await to_thread.run_sync(file.read, CHUNK):
            yield chunk
