"""A bucket that is the part of another behind a prefix."""

from __future__ import annotations

from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from coatcheck._core.names import MAX_KEY_BYTES, check_key, check_prefix, shown
from coatcheck._core.writes import Write
from coatcheck.abc import NO_INFO
from coatcheck.errors import InvalidName

from ._forwarding import ForwardingBucket, ForwardingReader

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
    from collections.abc import Sequence
    from contextlib import AbstractAsyncContextManager
    from datetime import timedelta

    from coatcheck.abc import (
        Body,
        Bucket,
        ByteRange,
        Limits,
        ObjectEntry,
        ObjectInfo,
        Page,
        Part,
        PutInfo,
        Reader,
        Receipt,
        SignedRequest,
        SignGet,
        SignPut,
        Upload,
        WriteMode,
    )
    from coatcheck.errors import CoatcheckError

_Named = TypeVar("_Named", bound="ObjectEntry | Upload")


def scoped(bucket: Bucket, prefix: str) -> Bucket:
    """Return the part of a bucket whose keys begin with a prefix.

    Keys go in and come out without it, and nothing outside is reachable or visible
    through it; errors name the whole key. Only `sweep` has the inner bucket's
    reach: it removes litter, never objects.

    Args:
        bucket: The bucket.
        prefix: Text like a canonical key that ends with a slash; `""` is the bucket
            itself.

    Raises:
        InvalidName: The prefix is no such text, or leaves no room for keys.
    """
    if prefix == "":
        return bucket
    check_prefix(prefix)
    if not prefix.endswith("/"):
        raise InvalidName(f"prefix {shown(prefix)} does not end with '/'")
    check_key(prefix[:-1], what="prefix")
    if isinstance(bucket, ScopedBucket):
        bucket, prefix = bucket.inner, bucket.inner_key(prefix)
    if len(prefix.encode()) >= min(bucket.limits.max_key, MAX_KEY_BYTES):
        raise InvalidName(f"prefix {shown(prefix)} leaves no room for keys")
    return ScopedBucket(bucket, prefix)


class ScopedBucket(ForwardingBucket):
    """The keys of a bucket behind a prefix; see `scoped`."""

    __slots__ = ("_prefix",)

    def __init__(self, inner: Bucket, prefix: str) -> None:
        super().__init__(inner)
        self._prefix = prefix

    def inner_key(self, key: str) -> str:
        return self._prefix + key

    @property
    def limits(self) -> Limits:
        limits = self._inner.limits
        return replace(limits, max_key=limits.max_key - len(self._prefix.encode()))

    async def put(
        self,
        key: str,
        body: Body,
        *,
        info: PutInfo = NO_INFO,
        mode: WriteMode = Write.OVERWRITE,
        size: int | None = None,
    ) -> Receipt:
        check_key(key)
        return await super().put(
            self.inner_key(key), body, info=info, mode=mode, size=size
        )

    def get(
        self,
        key: str,
        *,
        byte_range: ByteRange | None = None,
        if_match: str | None = None,
        if_none_match: str | None = None,
    ) -> AbstractAsyncContextManager[Reader]:
        return self._read(
            super().get(
                self.inner_key(key),
                byte_range=byte_range,
                if_match=if_match,
                if_none_match=if_none_match,
            )
        )

    @asynccontextmanager
    async def _read(
        self, context: AbstractAsyncContextManager[Reader]
    ) -> AsyncGenerator[Reader]:
        async with context as reader:
            yield _ScopedReader(reader, self._outer(reader.info))

    async def head(self, key: str) -> ObjectInfo:
        return self._outer(await super().head(self.inner_key(key)))

    async def delete(self, key: str, *, if_match: str | None = None) -> None:
        await super().delete(self.inner_key(key), if_match=if_match)

    def scan(
        self,
        prefix: str = "",
        *,
        start_after: str | None = None,
        delimiter: str | None = None,
    ) -> AsyncIterator[Page]:
        check_prefix(prefix)
        if start_after is not None:
            start_after = self.inner_key(start_after)
        return self._pages(
            super().scan(
                self.inner_key(prefix), start_after=start_after, delimiter=delimiter
            )
        )

    async def _pages(self, pages: AsyncIterator[Page]) -> AsyncGenerator[Page]:
        skipped = len(self._prefix)
        async with _closing(pages):
            async for page in pages:
                yield Page(
                    entries=tuple(self._outer(entry) for entry in page.entries),
                    prefixes=tuple(common[skipped:] for common in page.prefixes),
                )

    async def delete_many(
        self, keys: Iterable[str]
    ) -> Mapping[str, CoatcheckError | None]:
        results = await super().delete_many([self.inner_key(key) for key in keys])
        skipped = len(self._prefix)
        return {key[skipped:]: result for key, result in results.items()}

    async def update_info(self, key: str, info: PutInfo, *, if_match: str) -> Receipt:
        return await super().update_info(self.inner_key(key), info, if_match=if_match)

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
        check_key(key)
        return await super().copy_from(
            source,
            source_key,
            self.inner_key(key),
            info=info,
            mode=mode,
            if_match=if_match,
        )

    async def sign(
        self, what: SignGet | SignPut, key: str, *, expires_in: timedelta
    ) -> SignedRequest:
        return await super().sign(what, self.inner_key(key), expires_in=expires_in)

    async def initiate(
        self, key: str, *, info: PutInfo = NO_INFO, mode: WriteMode = Write.OVERWRITE
    ) -> Upload:
        check_key(key)
        upload = await super().initiate(self.inner_key(key), info=info, mode=mode)
        return self._outer(upload)

    async def put_part(
        self,
        upload: Upload,
        number: int,
        body: Body,
        *,
        size: int,
        content_md5: bytes | None = None,
    ) -> Part:
        return await super().put_part(
            self._inner_upload(upload),
            number,
            body,
            size=size,
            content_md5=content_md5,
        )

    def list_parts(self, upload: Upload) -> AsyncIterator[Part]:
        return super().list_parts(self._inner_upload(upload))

    async def complete(self, upload: Upload, parts: Sequence[Part]) -> Receipt:
        return await super().complete(self._inner_upload(upload), parts)

    async def abort(self, upload: Upload) -> None:
        await super().abort(self._inner_upload(upload))

    def list_uploads(
        self, prefix: str = "", *, older_than: timedelta | None = None
    ) -> AsyncIterator[Upload]:
        check_prefix(prefix)
        return self._listed(
            super().list_uploads(self.inner_key(prefix), older_than=older_than)
        )

    async def _listed(self, uploads: AsyncIterator[Upload]) -> AsyncGenerator[Upload]:
        async with _closing(uploads):
            async for upload in uploads:
                yield self._outer(upload)

    def _inner_upload(self, upload: Upload) -> Upload:
        return replace(upload, key=self.inner_key(upload.key))

    def _outer(self, named: _Named) -> _Named:
        return replace(named, key=named.key[len(self._prefix) :])


class _ScopedReader(ForwardingReader):
    """A reader whose info has the key without the prefix."""

    __slots__ = ("_outer_info",)

    def __init__(self, inner: Reader, info: ObjectInfo) -> None:
        super().__init__(inner)
        self._outer_info = info

    @property
    def info(self) -> ObjectInfo:
        return self._outer_info
