"""Deadlines, a limit on concurrency, and events, around any bucket."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import TYPE_CHECKING

from coatcheck._core.writes import DEFAULT_SWEEP_AGE, Write
from coatcheck.abc import NO_INFO, at_once, in_one_step

from ._bounds import BoundedBucket, Bounds
from ._one_step import BoundedOneStep
from ._reading import ForwardingRead, ForwardingReader

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterator,
        Iterable,
        Mapping,
        Sequence,
    )
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime
    from types import TracebackType

    from coatcheck.abc import (
        AtOnce,
        BatchOutcome,
        BatchStep,
        Body,
        Bucket,
        ByteRange,
        Extension,
        ObjectInfo,
        OneStep,
        Page,
        Part,
        PutInfo,
        Reader,
        Receipt,
        SignedRequest,
        SignGet,
        SignPut,
        Swept,
        Upload,
        WriteMode,
    )
    from coatcheck.errors import CoatcheckError


class Guard(Bounds):
    """The bounds that all buckets of one backend share; see `Bounds`."""

    def around(self, bucket: Bucket) -> GuardedBucket:
        """Return the bucket within these bounds."""
        return GuardedBucket(bucket, self)


def within_slot(bucket: Bucket) -> Bucket:
    """Return a bucket for calls that run while their caller holds a slot already.

    They keep their deadlines, but wait for no second slot: if every slot were held
    by a caller that waits for another, none would ever go on.
    """
    if not isinstance(bucket, GuardedBucket):
        return bucket
    bounds = bucket.bounds
    return GuardedBucket(
        bucket.inner,
        Bounds(
            total_timeout=timedelta(seconds=bounds.seconds),
            concurrency=sys.maxsize,
            observer=bounds.observer,
        ),
    )


class GuardedBucket(BoundedBucket):
    """Every call within the guard's bounds."""

    @property
    def at_once(self) -> AtOnce | None:
        """What never waits needs no bounds; only an observer wants to know of it."""
        return at_once(self._inner) if self.bounds.observer is None else None

    @property
    def in_one_step(self) -> OneStep | None:
        """See `coatcheck.abc.OneStep`."""
        inner = in_one_step(self._inner)
        return None if inner is None else BoundedOneStep(inner, self)

    async def put(
        self,
        key: str,
        body: Body,
        *,
        info: PutInfo = NO_INFO,
        mode: WriteMode = Write.OVERWRITE,
        size: int | None = None,
    ) -> Receipt:
        return await self.with_body(
            "put",
            key,
            body,
            size,
            lambda given, known: self._inner.put(
                key, given, info=info, mode=mode, size=known
            ),
        )

    def get(
        self,
        key: str,
        *,
        byte_range: ByteRange | None = None,
        if_match: str | None = None,
        if_none_match: str | None = None,
    ) -> AbstractAsyncContextManager[Reader]:
        read = self._inner.get(
            key,
            byte_range=byte_range,
            if_match=if_match,
            if_none_match=if_none_match,
        )
        return _GuardedRead(self, key, read)

    async def head(self, key: str) -> ObjectInfo:
        return await self.bounded("head", key, lambda: self._inner.head(key))

    async def delete(self, key: str, *, if_match: str | None = None) -> None:
        await self.bounded(
            "delete", key, lambda: self._inner.delete(key, if_match=if_match)
        )

    def scan(
        self,
        prefix: str = "",
        *,
        start_after: str | None = None,
        delimiter: str | None = None,
    ) -> AsyncGenerator[Page]:
        pages = self._inner.scan(prefix, start_after=start_after, delimiter=delimiter)
        return self.each("scan", prefix, pages)

    async def delete_many(
        self, keys: Iterable[str]
    ) -> Mapping[str, CoatcheckError | None]:
        return await self.bounded(
            "delete_many", "", lambda: self._inner.delete_many(keys)
        )

    async def update_info(self, key: str, info: PutInfo, *, if_match: str) -> Receipt:
        return await self.bounded(
            "update_info",
            key,
            lambda: self._inner.update_info(key, info, if_match=if_match),
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
        return await self.bounded(
            "copy_from",
            key,
            lambda: self._inner.copy_from(
                source, source_key, key, info=info, mode=mode, if_match=if_match
            ),
        )

    async def sign(
        self, what: SignGet | SignPut, key: str, *, expires_in: timedelta
    ) -> SignedRequest:
        return await self.bounded(
            "sign", key, lambda: self._inner.sign(what, key, expires_in=expires_in)
        )

    async def initiate(
        self, key: str, *, info: PutInfo = NO_INFO, mode: WriteMode = Write.OVERWRITE
    ) -> Upload:
        return await self.bounded(
            "initiate", key, lambda: self._inner.initiate(key, info=info, mode=mode)
        )

    async def put_part(
        self,
        upload: Upload,
        number: int,
        body: Body,
        *,
        size: int,
        content_md5: bytes | None = None,
    ) -> Part:
        return await self.with_body(
            "put_part",
            upload.key,
            body,
            size,
            lambda given, _: self._inner.put_part(
                upload, number, given, size=size, content_md5=content_md5
            ),
        )

    def list_parts(self, upload: Upload) -> AsyncIterator[Part]:
        return self.each("list_parts", upload.key, self._inner.list_parts(upload))

    async def complete(self, upload: Upload, parts: Sequence[Part]) -> Receipt:
        return await self.bounded(
            "complete", upload.key, lambda: self._inner.complete(upload, parts)
        )

    async def abort(self, upload: Upload) -> None:
        await self.bounded("abort", upload.key, lambda: self._inner.abort(upload))

    def list_uploads(
        self, prefix: str = "", *, older_than: timedelta | None = None
    ) -> AsyncIterator[Upload]:
        uploads = self._inner.list_uploads(prefix, older_than=older_than)
        return self.each("list_uploads", prefix, uploads)

    async def put_resumable(
        self, key: str, body: Body, *, info: PutInfo = NO_INFO, size: int
    ) -> Receipt:
        return await self.with_body(
            "put_resumable",
            key,
            body,
            size,
            lambda given, _: self._inner.put_resumable(
                key, given, info=info, size=size
            ),
        )

    async def batch(self, steps: Sequence[BatchStep]) -> list[BatchOutcome]:
        return await self.bounded("batch", "", lambda: self._inner.batch(steps))

    async def sweep(self, *, older_than: timedelta = DEFAULT_SWEEP_AGE) -> Swept:
        return await self.bounded(
            "sweep", "", lambda: self._inner.sweep(older_than=older_than)
        )

    async def extend_expiry(self, key: str, extension: Extension) -> datetime:
        return await self.bounded(
            "extend_expiry", key, lambda: self._inner.extend_expiry(key, extension)
        )

    async def renew(self, info: ObjectInfo) -> None:
        await self.bounded("renew", info.key, lambda: self._inner.renew(info))


class _GuardedRead(ForwardingRead):
    """A read that holds a slot and whose every step has a deadline."""

    def __init__(
        self,
        bucket: GuardedBucket,
        key: str,
        read: AbstractAsyncContextManager[Reader],
    ) -> None:
        super().__init__(read)
        self._bucket = bucket
        self._key = key

    async def __aenter__(self) -> Reader:
        reader = await self._bucket.enter_read(self._key, self._read)
        return _GuardedReader(reader, self._bucket, self._key)

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        try:
            return await super().__aexit__(exc_type, exc, traceback)
        finally:
            self._bucket.leave_read()


class _GuardedReader(ForwardingReader):
    def __init__(self, reader: Reader, bucket: GuardedBucket, key: str) -> None:
        super().__init__(reader)
        self._bucket = bucket
        self._key = key

    async def __anext__(self) -> bytes:
        return await self._bucket.within_deadline("get", self._key, super().__anext__)

    async def read(self, size: int = -1) -> bytes:
        # By chunks, so that the deadline is one of idleness and not of size.
        return await self._bucket.within_deadline(
            "get", self._key, lambda: super(_GuardedReader, self).read(size)
        )
