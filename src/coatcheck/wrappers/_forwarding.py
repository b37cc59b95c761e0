"""A bucket around a bucket that changes nothing; wrappers override what they change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coatcheck._core.writes import DEFAULT_SWEEP_AGE, Write
from coatcheck.abc import NO_INFO, Capability, require

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager
    from datetime import timedelta
    from typing import Self

    from coatcheck.abc import (
        Backend,
        Body,
        Bucket,
        ByteRange,
        CanCopy,
        CanMultipart,
        CanScan,
        CanSign,
        CanSweep,
        CanUpdate,
        DigestAlgorithm,
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
        Verified,
        WriteMode,
    )
    from coatcheck.errors import CoatcheckError


class ForwardingBucket:
    """Passes every call on.

    A call that needs an ability which the inner bucket lacks is refused with
    UnsupportedOperation.

    Args:
        inner: The bucket around which this one is.
    """

    __slots__ = ("_inner",)

    def __init__(self, inner: Bucket) -> None:
        self._inner = inner

    @property
    def inner(self) -> Bucket:
        """The bucket around which this one is."""
        return self._inner

    def inner_key(self, key: str) -> str:
        """Return the key as the inner bucket knows it."""
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
        return self._scanner.scan(prefix, start_after=start_after, delimiter=delimiter)

    async def delete_many(
        self, keys: Iterable[str]
    ) -> Mapping[str, CoatcheckError | None]:
        return await self._scanner.delete_many(keys)

    async def update_info(self, key: str, info: PutInfo, *, if_match: str) -> Receipt:
        return await self._updater.update_info(key, info, if_match=if_match)

    def can_copy_from(self, source: Bucket) -> bool:
        return self._copier.can_copy_from(source)

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
        return await self._copier.copy_from(
            source, source_key, key, info=info, mode=mode, if_match=if_match
        )

    async def sign(
        self, what: SignGet | SignPut, key: str, *, expires_in: timedelta
    ) -> SignedRequest:
        return await self._signer.sign(what, key, expires_in=expires_in)

    async def initiate(
        self, key: str, *, info: PutInfo = NO_INFO, mode: WriteMode = Write.OVERWRITE
    ) -> Upload:
        return await self._uploader.initiate(key, info=info, mode=mode)

    async def put_part(
        self,
        upload: Upload,
        number: int,
        body: Body,
        *,
        size: int,
        content_md5: bytes | None = None,
    ) -> Part:
        return await self._uploader.put_part(
            upload, number, body, size=size, content_md5=content_md5
        )

    def list_parts(self, upload: Upload) -> AsyncIterator[Part]:
        return self._uploader.list_parts(upload)

    async def complete(self, upload: Upload, parts: Sequence[Part]) -> Receipt:
        return await self._uploader.complete(upload, parts)

    async def abort(self, upload: Upload) -> None:
        await self._uploader.abort(upload)

    def list_uploads(
        self, prefix: str = "", *, older_than: timedelta | None = None
    ) -> AsyncIterator[Upload]:
        return self._uploader.list_uploads(prefix, older_than=older_than)

    async def sweep(self, *, older_than: timedelta = DEFAULT_SWEEP_AGE) -> Swept:
        return await self._sweeper.sweep(older_than=older_than)

    @property
    def _scanner(self) -> CanScan:
        return require(self._inner, Capability.SCAN)

    @property
    def _updater(self) -> CanUpdate:
        return require(self._inner, Capability.UPDATE)

    @property
    def _copier(self) -> CanCopy:
        return require(self._inner, Capability.COPY)

    @property
    def _signer(self) -> CanSign:
        return require(self._inner, Capability.SIGN)

    @property
    def _uploader(self) -> CanMultipart:
        return require(self._inner, Capability.MULTIPART)

    @property
    def _sweeper(self) -> CanSweep:
        return require(self._inner, Capability.SWEEP)


class ForwardingReader:
    """Passes every read on.

    Args:
        inner: The reader around which this one is.
    """

    __slots__ = ("_chunks", "_inner")

    def __init__(self, inner: Reader) -> None:
        self._inner = inner
        self._chunks: AsyncIterator[bytes] | None = None

    @property
    def info(self) -> ObjectInfo:
        return self._inner.info

    @property
    def range(self) -> range:
        return self._inner.range

    @property
    def verified(self) -> Verified:
        return self._inner.verified

    def pin(
        self, algorithm: DigestAlgorithm, digest: str, *, size: int | None = None
    ) -> None:
        self._inner.pin(algorithm, digest, size=size)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._chunks is None:
            self._chunks = aiter(self._inner)
        return await anext(self._chunks)

    async def read(self, size: int = -1) -> bytes:
        return await self._inner.read(size)


if TYPE_CHECKING:
    _bucket: type[Bucket] = ForwardingBucket
    _scan: type[CanScan] = ForwardingBucket
    _update: type[CanUpdate] = ForwardingBucket
    _copy: type[CanCopy] = ForwardingBucket
    _sign: type[CanSign] = ForwardingBucket
    _multipart: type[CanMultipart] = ForwardingBucket
    _sweep: type[CanSweep] = ForwardingBucket
    _reader: type[Reader] = ForwardingReader
