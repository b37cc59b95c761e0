"""A bucket that fails when a test wants it to."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import anyio

from coatcheck._core.writes import DEFAULT_SWEEP_AGE, Write
from coatcheck.abc import NO_INFO, Capability
from coatcheck.wrappers import ForwardingBucket, ForwardingRead, closed_after

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        Awaitable,
        Callable,
        Iterable,
        Mapping,
        Sequence,
    )
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime, timedelta

    from coatcheck.abc import (
        Body,
        Bucket,
        ByteRange,
        Extension,
        ObjectInfo,
        Page,
        Part,
        PutInfo,
        Reader,
        Receipt,
        Swept,
        Upload,
        WriteMode,
    )
    from coatcheck.errors import CoatcheckError

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """What shall go wrong with one call."""

    error: Exception | None = None
    """Raised; None lets the call go on."""
    applied: bool = False
    """Raise after the call was made: its answer is lost."""
    delay: float = 0
    """Seconds to wait first."""


class FaultyBucket(ForwardingBucket):
    """A bucket whose calls fail, or take long, as they were told to.

    Args:
        inner: The bucket that is wrapped.
        immediate: False hides IMMEDIATE, so that guards treat the bucket as one
            whose calls wait.
    """

    def __init__(self, inner: Bucket, *, immediate: bool = True) -> None:
        super().__init__(inner)
        self._immediate = immediate
        self._faults: dict[str, deque[Fault]] = {}
        self.calls: Counter[str] = Counter()
        """How often each verb was called."""

    def fail_next(self, verb: str, *faults: Fault) -> None:
        """Let the next calls of a verb meet these faults, one each."""
        self._faults.setdefault(verb, deque()).extend(faults)

    @property
    def capabilities(self) -> frozenset[Capability]:
        if self._immediate:
            return super().capabilities
        return super().capabilities - {Capability.IMMEDIATE}

    async def _met(self, verb: str, call: Callable[[], Awaitable[_T]]) -> _T:
        self.calls[verb] += 1
        waiting = self._faults.get(verb)
        fault = waiting.popleft() if waiting else Fault()
        if fault.delay:
            await anyio.sleep(fault.delay)
        if fault.error is not None and not fault.applied:
            raise fault.error
        result = await call()
        if fault.error is not None:
            raise fault.error
        return result

    async def put(
        self,
        key: str,
        body: Body,
        *,
        info: PutInfo = NO_INFO,
        mode: WriteMode = Write.OVERWRITE,
        size: int | None = None,
    ) -> Receipt:
        inner = super().put
        return await self._met(
            "put", lambda: inner(key, body, info=info, mode=mode, size=size)
        )

    def get(
        self,
        key: str,
        *,
        byte_range: ByteRange | None = None,
        if_match: str | None = None,
        if_none_match: str | None = None,
    ) -> AbstractAsyncContextManager[Reader]:
        read = super().get(
            key, byte_range=byte_range, if_match=if_match, if_none_match=if_none_match
        )
        return _FaultyRead(read, self)

    async def head(self, key: str) -> ObjectInfo:
        inner = super().head
        return await self._met("head", lambda: inner(key))

    async def delete(self, key: str, *, if_match: str | None = None) -> None:
        inner = super().delete
        await self._met("delete", lambda: inner(key, if_match=if_match))

    async def scan(
        self,
        prefix: str = "",
        *,
        start_after: str | None = None,
        delimiter: str | None = None,
    ) -> AsyncGenerator[Page]:
        pages = super().scan(prefix, start_after=start_after, delimiter=delimiter)
        async with closed_after(pages):
            while page := await self._met("scan", lambda: anext(pages, None)):
                yield page

    async def delete_many(
        self, keys: Iterable[str]
    ) -> Mapping[str, CoatcheckError | None]:
        inner = super().delete_many
        return await self._met("delete_many", lambda: inner(keys))

    async def update_info(self, key: str, info: PutInfo, *, if_match: str) -> Receipt:
        inner = super().update_info
        return await self._met(
            "update_info", lambda: inner(key, info, if_match=if_match)
        )

    async def copy_from(
        self,
        source: Bucket,
        source_key: str,
        key: str,
        *,
        info: PutInfo | None = None,
        mode: WriteMode = Write.OVERWRITE,
        if_match: str | None = None,
    ) -> Receipt:
        inner = super().copy_from
        return await self._met(
            "copy_from",
            lambda: inner(
                source, source_key, key, info=info, mode=mode, if_match=if_match
            ),
        )

    async def initiate(
        self, key: str, *, info: PutInfo = NO_INFO, mode: WriteMode = Write.OVERWRITE
    ) -> Upload:
        inner = super().initiate
        return await self._met("initiate", lambda: inner(key, info=info, mode=mode))

    async def put_part(
        self,
        upload: Upload,
        number: int,
        body: Body,
        *,
        size: int,
        content_md5: bytes | None = None,
    ) -> Part:
        inner = super().put_part
        return await self._met(
            "put_part",
            lambda: inner(upload, number, body, size=size, content_md5=content_md5),
        )

    async def complete(self, upload: Upload, parts: Sequence[Part]) -> Receipt:
        inner = super().complete
        return await self._met("complete", lambda: inner(upload, parts))

    async def abort(self, upload: Upload) -> None:
        inner = super().abort
        await self._met("abort", lambda: inner(upload))

    async def sweep(self, *, older_than: timedelta = DEFAULT_SWEEP_AGE) -> Swept:
        inner = super().sweep
        return await self._met("sweep", lambda: inner(older_than=older_than))

    async def put_resumable(
        self, key: str, body: Body, *, info: PutInfo = NO_INFO, size: int
    ) -> Receipt:
        inner = super().put_resumable
        return await self._met(
            "put_resumable", lambda: inner(key, body, info=info, size=size)
        )

    async def extend_expiry(self, key: str, extension: Extension) -> datetime:
        inner = super().extend_expiry
        return await self._met("extend_expiry", lambda: inner(key, extension))

    async def entered(self, read: AbstractAsyncContextManager[Reader]) -> Reader:
        """Enter a read, unless it shall fail."""
        return await self._met("get", read.__aenter__)


class _FaultyRead(ForwardingRead):
    def __init__(
        self, read: AbstractAsyncContextManager[Reader], bucket: FaultyBucket
    ) -> None:
        super().__init__(read)
        self._bucket = bucket

    async def __aenter__(self) -> Reader:
        return await self._bucket.entered(self._read)
