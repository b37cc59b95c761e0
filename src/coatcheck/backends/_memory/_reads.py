"""Reading one generation of an object in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coatcheck._core.names import shown
from coatcheck._core.ranges import ByteRange, resolve_range
from coatcheck.errors import Closed, PreconditionFailed
from coatcheck.payloads._body import CHUNK
from coatcheck.payloads._integrity import VerifiedReader

from ._store import check_etag

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType
    from typing import Self

    from coatcheck.abc import Reader

    from ._store import MemoryStore


class MemoryRead:
    """The context manager that `get` returns.

    It holds the record, so what is read is one generation, whatever is written or
    deleted meanwhile.
    """

    __slots__ = (
        "_bucket",
        "_byte_range",
        "_entered",
        "_if_match",
        "_if_none_match",
        "_key",
        "_store",
        "_turn",
    )

    def __init__(
        self,
        store: MemoryStore,
        turn: Callable[[], Awaitable[None]],
        bucket: str,
        key: str,
        *,
        byte_range: ByteRange | None,
        if_match: str | None,
        if_none_match: str | None,
    ) -> None:
        self._store = store
        self._turn = turn
        self._bucket = bucket
        self._key = key
        self._byte_range = byte_range
        self._if_match = if_match
        self._if_none_match = if_none_match
        self._entered = False

    async def __aenter__(self) -> Reader:
        if self._entered:
            raise Closed("a read is entered once; call get again")
        self._entered = True
        await self._turn()
        record = self._store.find(self._bucket, self._key)
        check_etag(self._bucket, self._key, record, self._if_match)
        info = record.described()
        if self._if_none_match is not None and self._if_none_match == info.etag:
            raise PreconditionFailed(
                f"object {shown(self._key)} in bucket {self._bucket!a} still has ETag"
                f" {info.etag}",
                bucket=self._bucket,
                key=self._key,
                backend="mem",
            )
        span = None
        if self._byte_range is not None:
            span = resolve_range(self._byte_range, info.size)
        offsets = range(len(record.body)) if span is None else span
        return VerifiedReader(
            info, _Chunks(record.body, offsets, self._turn), span=span
        )

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Release nothing: the reader holds all that there is."""


class _Chunks:
    """A body cut into chunks; a small one is handed out as it is."""

    __slots__ = ("_body", "_left", "_turn")

    def __init__(
        self, body: bytes, offsets: range, turn: Callable[[], Awaitable[None]]
    ) -> None:
        self._body = body
        self._left = offsets
        self._turn = turn

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        if len(self._left) > CHUNK:
            await self._turn()
        chunk, self._left = self._left[:CHUNK], self._left[CHUNK:]
        return self._body[chunk.start : chunk.stop]
