"""Reading one generation of an object's file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coatcheck._core.ranges import ByteRange, resolve_range
from coatcheck.errors import Closed, IntegrityError, PreconditionFailed
from coatcheck.payloads._body import CHUNK, OneChunk
from coatcheck.payloads._integrity import VerifiedReader

from ._errors import storage_errors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import TracebackType
    from typing import Self

    from coatcheck.abc import Reader

    from ._lookup import Found, ObjectLookup
    from ._pool import BatchPool


class FileRead:
    """The context manager that `get` returns.

    The open file pins its inode, so what is read is one generation, whatever is
    written or deleted meanwhile.
    """

    __slots__ = (
        "_byte_range",
        "_files",
        "_found",
        "_if_match",
        "_if_none_match",
        "_key",
        "_pool",
    )

    def __init__(
        self,
        files: ObjectLookup,
        pool: BatchPool,
        key: str,
        *,
        byte_range: ByteRange | None,
        if_match: str | None,
        if_none_match: str | None,
    ) -> None:
        self._files = files
        self._pool = pool
        self._key = key
        self._byte_range = byte_range
        self._if_match = if_match
        self._if_none_match = if_none_match
        self._found: Found | None = None

    async def __aenter__(self) -> Reader:
        if self._found is not None:
            raise Closed("a read is entered once; call get again")
        found = await self._pool.run(self._open, discard=self._close)
        self._found = found
        span = None
        try:
            self._check(found)
            if self._byte_range is not None:
                span = resolve_range(self._byte_range, found.info.size)
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        offsets = range(found.info.size) if span is None else span
        chunks: AsyncIterator[bytes]
        if found.body is not None:
            chunks = OneChunk(found.body[offsets.start : offsets.stop])
        else:
            chunks = _Chunks(self._files, self._pool, found, offsets)
        return VerifiedReader(found.info, chunks, span=span)

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        found = self._found
        if found is not None and found.body is None:
            await self._pool.run_last(lambda: self._close(found))

    def _open(self) -> Found:
        with storage_errors("read", self._files.bucket, self._key):
            found = self._files.find(self._key, with_body=True)
            if found.body is not None:
                self._files.disk.calls.close(found.descriptor)
            return found

    def _close(self, found: Found) -> None:
        if found.body is None:
            self._files.disk.calls.close(found.descriptor)

    def _check(self, found: Found) -> None:
        etag = found.info.etag
        if self._if_match is not None and self._if_match != etag:
            raise self._failed(f"has ETag {etag}, not {self._if_match!a}")
        if self._if_none_match is not None and self._if_none_match == etag:
            raise self._failed(f"still has ETag {etag}")

    def _failed(self, what: str) -> PreconditionFailed:
        return PreconditionFailed(
            f"object {self._key!a} {what}",
            bucket=self._files.bucket,
            key=self._key,
            backend="file",
        )


class _Chunks:
    """The chunks of an open file, read in the pool."""

    __slots__ = ("_files", "_found", "_left", "_pool")

    def __init__(
        self, files: ObjectLookup, pool: BatchPool, found: Found, offsets: range
    ) -> None:
        self._files = files
        self._pool = pool
        self._found = found
        self._left = offsets

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        chunk = await self._pool.run(self._read)
        self._left = self._left[len(chunk) :]
        return chunk

    def _read(self) -> bytes:
        key = self._found.info.key
        with storage_errors("read", self._files.bucket, key):
            chunk = self._files.disk.calls.read_at(
                self._found.descriptor, min(CHUNK, len(self._left)), self._left.start
            )
            if not chunk:
                raise IntegrityError(f"object {key!a} was cut while it was read")
            return chunk
