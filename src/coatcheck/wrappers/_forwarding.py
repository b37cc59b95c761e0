"""A bucket that hands every call to another; wrappers override what they change."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Protocol, cast

from coatcheck._core.writes import DEFAULT_SWEEP_AGE, Write
from coatcheck.abc import (
    NO_INFO,
    Bucket,
    CanBatch,
    CanCopy,
    CanExpire,
    CanMultipart,
    CanResume,
    CanScan,
    CanSign,
    CanSweep,
    CanUpdate,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime, timedelta

    from coatcheck.abc import (
        Backend,
        BatchOutcome,
        BatchStep,
        Body,
        ByteRange,
        Capability,
        Extension,
        Limits,
        ObjectInfo,
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


def closed_after(items: Any) -> aclosing[Any]:
    """Close what an iterator holds when the block is left, read to its end or not."""
    return aclosing(items)


class AnyBucket(
    Bucket,
    CanScan,
    CanUpdate,
    CanCopy,
    CanSign,
    CanMultipart,
    CanResume,
    CanBatch,
    CanSweep,
    CanExpire,
    Protocol,
):
    """A bucket as wrappers see it; its capabilities say what is really there."""


class ForwardingBucket:
    """Forwards everything.

    Args:
        inner: The bucket that is wrapped.
    """

    def __init__(self, inner: Bucket) -> None:
        self._inner = cast("AnyBucket", inner)

    @property
    def inner(self) -> Bucket:
        """The bucket that is wrapped; see `coatcheck.abc.innermost`."""
        return self._inner

    def inner_key(self, key: str) -> str:
        """Return a key as the wrapped bucket knows it."""
        return key

    @property
    def name(self) -> str:
        return self._inner.name

    @property
    def backend(self) -> Backend:
        return self._inner.backend

    @property
    def capabilities(self) -> frozenset[Capability]:
        return self._inner.capabilities

    @property
    def limits(self) -> Limits:
        return self._inner.limits

    async def put(
        self,
        key: str,
        body: Body,
        *,
        info: PutInfo = NO_INFO,
        mode: WriteMode = Write.OVERWRITE,
        size: int | None = None,
    ) -> Receipt:
        return await self._inner.put(key, body, info=info, mode=mode, size=size)

    def get(
        self,
        key: str,
        *,
        byte_range: ByteRange | None = None,
        if_match: str | None = None,
        if_none_match: str | None = None,
    ) -> AbstractAsyncContextManager[Reader]:
        return self._inner.get(
            key,
            byte_range=byte_range,
            if_match=if_match,
            if_none_match=if_none_match,
        )

    async def head(self, key: str) -> ObjectInfo:
        return await self._inner.head(key)

    async def delete(self, key: str, *, if_match: str | None = None) -> None:
        await self._inner.delete(key, if_match=if_match)

    def scan(
        self,
        prefix: str = "",
        *,
        start_after: str | None = None,
        delimiter: str | None = None,
    ) -> AsyncIterator[Page]:
        return self._inner.scan(prefix, start_after=start_after, delimiter=delimiter)

    async def delete_many(
        self, keys: Iterable[str]
    ) -> Mapping[str, CoatcheckError | None]:
        return await self._inner.delete_many(keys)

    async def update_info(self, key: str, info: PutInfo, *, if_match: str) -> Receipt:
        return await self._inner.update_info(key, info, if_match=if_match)

    def can_copy_from(self, source: Bucket) -> bool:
        return self._inner.can_copy_from(source)

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
        return await self._inner.copy_from(
            source, source_key, key, info=info, mode=mode, if_match=if_match
        )

    async def sign(
        self, what: SignGet | SignPut, key: str, *, expires_in: timedelta
    ) -> SignedRequest:
        return await self._inner.sign(what, key, expires_in=expires_in)

    async def initiate(
        self, key: str, *, info: PutInfo = NO_INFO, mode: WriteMode = Write.OVERWRITE
    ) -> Upload:
        return await self._inner.initiate(key, info=info, mode=mode)

    async def put_part(
        self,
        upload: Upload,
        number: int,
        body: Body,
        *,
        size: int,
        content_md5: bytes | None = None,
    ) -> Part:
        return await self._inner.put_part(
            upload, number, body, size=size, content_md5=content_md5
        )

    def list_parts(self, upload: Upload) -> AsyncIterator[Part]:
        return self._inner.list_parts(upload)

    async def complete(self, upload: Upload, parts: Sequence[Part]) -> Receipt:
        return await self._inner.complete(upload, parts)

    async def abort(self, upload: Upload) -> None:
        await self._inner.abort(upload)

    def list_uploads(
        self, prefix: str = "", *, older_than: timedelta | None = None
    ) -> AsyncIterator[Upload]:
        return self._inner.list_uploads(prefix, older_than=older_than)

    async def put_resumable(
        self, key: str, body: Body, *, info: PutInfo = NO_INFO, size: int
    ) -> Receipt:
        return await self._inner.put_resumable(key, body, info=info, size=size)

    async def batch(self, steps: Sequence[BatchStep]) -> list[BatchOutcome]:
        return await self._inner.batch(steps)

    async def sweep(self, *, older_than: timedelta = DEFAULT_SWEEP_AGE) -> Swept:
        return await self._inner.sweep(older_than=older_than)

    async def extend_expiry(self, key: str, extension: Extension) -> datetime:
        return await self._inner.extend_expiry(key, extension)

    async def renew(self, info: ObjectInfo) -> None:
        await self._inner.renew(info)


if TYPE_CHECKING:
    _conforms: type[AnyBucket] = ForwardingBucket
