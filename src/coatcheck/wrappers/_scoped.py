"""A bucket that is the part of another behind a prefix."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from coatcheck._core.names import check_key
from coatcheck._core.writes import Write
from coatcheck.abc import NO_INFO, at_once, in_one_step
from coatcheck.errors import InvalidName

from ._at_once import ScopedAtOnce
from ._forwarding import ForwardingBucket, closed_after
from ._one_step import ScopedOneStep
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
    from datetime import datetime, timedelta

    from coatcheck.abc import (
        AtOnce,
        BatchOutcome,
        BatchStep,
        Body,
        Bucket,
        ByteRange,
        Extension,
        Limits,
        ObjectEntry,
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
        Upload,
        WriteMode,
    )
    from coatcheck.errors import CoatcheckError

    EntryT = TypeVar("EntryT", bound=ObjectEntry)


def scoped(bucket: Bucket, prefix: str) -> Bucket:
    """Return the part of a bucket whose keys begin with a prefix.

    Nothing outside the prefix can be reached or seen through it; only `sweep`
    cleans the whole bucket, since litter has no key.

    Args:
        bucket: The bucket.
        prefix: Text that ends in a slash and begins keys; `""` is the whole bucket.

    Raises:
        InvalidName: The prefix does not end in a slash, begins no canonical key, or
            leaves no room for one.
    """
    if not prefix:
        return bucket
    if not prefix.endswith("/"):
        raise InvalidName(f"prefix {ascii(prefix)[:80]} does not end in a slash")
    check_key(prefix[:-1], what="prefix")
    if isinstance(bucket, ScopedBucket):
        prefix = bucket.prefix + prefix
        bucket = bucket.inner
    if len(prefix.encode()) >= bucket.limits.max_key:
        raise InvalidName(
            f"prefix {ascii(prefix)[:80]} leaves no room for keys, which have at most"
            f" {bucket.limits.max_key} bytes with it"
        )
    return ScopedBucket(bucket, prefix)


class ScopedBucket(ForwardingBucket):
    """Puts the prefix before every key, and takes it off what comes back."""

    def __init__(self, inner: Bucket, prefix: str) -> None:
        super().__init__(inner)
        self.prefix = prefix

    def inner_key(self, key: str) -> str:
        return self.prefix + key

    @property
    def at_once(self) -> AtOnce | None:
        """See `coatcheck.abc.AtOnce`."""
        inner = at_once(self._inner)
        return None if inner is None else ScopedAtOnce(inner, self.prefix)

    @property
    def in_one_step(self) -> OneStep | None:
        """See `coatcheck.abc.OneStep`."""
        inner = in_one_step(self._inner)
        return None if inner is None else ScopedOneStep(inner, self.prefix)

    @property
    def limits(self) -> Limits:
        limits = self._inner.limits
        return replace(limits, max_key=limits.max_key - len(self.prefix.encode()))

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
            self.prefix + key, body, info=info, mode=mode, size=size
        )

    def get(
        self,
        key: str,
        *,
        byte_range: ByteRange | None = None,
        if_match: str | None = None,
        if_none_match: str | None = None,
    ) -> AbstractAsyncContextManager[Reader]:
        return _ScopedRead(
            super().get(
                self.prefix + key,
                byte_range=byte_range,
                if_match=if_match,
                if_none_match=if_none_match,
            ),
            self.prefix,
        )

    async def head(self, key: str) -> ObjectInfo:
        return _behind(self.prefix, await super().head(self.prefix + key))

    async def delete(self, key: str, *, if_match: str | None = None) -> None:
        await super().delete(self.prefix + key, if_match=if_match)

    async def scan(
        self,
        prefix: str = "",
        *,
        start_after: str | None = None,
        delimiter: str | None = None,
    ) -> AsyncGenerator[Page]:
        pages = self._inner.scan(
            self.prefix + prefix,
            start_after=None if start_after is None else self.prefix + start_after,
            delimiter=delimiter,
        )
        async with closed_after(pages):
            async for page in pages:
                yield replace(
                    page,
                    entries=tuple(
                        _behind(self.prefix, entry) for entry in page.entries
                    ),
                    prefixes=tuple(
                        common.removeprefix(self.prefix) for common in page.prefixes
                    ),
                )

    async def delete_many(
        self, keys: Iterable[str]
    ) -> Mapping[str, CoatcheckError | None]:
        results = await super().delete_many([self.prefix + key for key in keys])
        return {key.removeprefix(self.prefix): error for key, error in results.items()}

    async def update_info(self, key: str, info: PutInfo, *, if_match: str) -> Receipt:
        return await super().update_info(self.prefix + key, info, if_match=if_match)

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
            self.prefix + key,
            info=info,
            mode=mode,
            if_match=if_match,
        )

    async def sign(
        self, what: SignGet | SignPut, key: str, *, expires_in: timedelta
    ) -> SignedRequest:
        return await super().sign(what, self.prefix + key, expires_in=expires_in)

    async def initiate(
        self, key: str, *, info: PutInfo = NO_INFO, mode: WriteMode = Write.OVERWRITE
    ) -> Upload:
        check_key(key)
        upload = await super().initiate(self.prefix + key, info=info, mode=mode)
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
            self._within(upload), number, body, size=size, content_md5=content_md5
        )

    def list_parts(self, upload: Upload) -> AsyncIterator[Part]:
        return super().list_parts(self._within(upload))

    async def complete(self, upload: Upload, parts: Sequence[Part]) -> Receipt:
        return await super().complete(self._within(upload), parts)

    async def abort(self, upload: Upload) -> None:
        await super().abort(self._within(upload))

    async def put_resumable(
        self, key: str, body: Body, *, info: PutInfo = NO_INFO, size: int
    ) -> Receipt:
        check_key(key)
        return await super().put_resumable(
            self.prefix + key, body, info=info, size=size
        )

    async def batch(self, steps: Sequence[BatchStep]) -> list[BatchOutcome]:
        inner = [replace(step, key=self.prefix + step.key) for step in steps]
        return [
            each
            if each.info is None
            else replace(each, info=_behind(self.prefix, each.info))
            for each in await super().batch(inner)
        ]

    async def extend_expiry(self, key: str, extension: Extension) -> datetime:
        return await super().extend_expiry(self.prefix + key, extension)

    async def renew(self, info: ObjectInfo) -> None:
        await super().renew(replace(info, key=self.prefix + info.key))

    async def list_uploads(
        self, prefix: str = "", *, older_than: timedelta | None = None
    ) -> AsyncGenerator[Upload]:
        uploads = self._inner.list_uploads(self.prefix + prefix, older_than=older_than)
        async with closed_after(uploads):
            async for upload in uploads:
                yield self._outer(upload)

    def _within(self, upload: Upload) -> Upload:
        return replace(upload, key=self.prefix + upload.key)

    def _outer(self, upload: Upload) -> Upload:
        return replace(upload, key=upload.key.removeprefix(self.prefix))


def _behind(prefix: str, entry: EntryT) -> EntryT:
    return replace(entry, key=entry.key.removeprefix(prefix))


class _ScopedRead(ForwardingRead):
    """A read whose reader shows the key without the prefix."""

    def __init__(self, read: AbstractAsyncContextManager[Reader], prefix: str) -> None:
        super().__init__(read)
        self._prefix = prefix

    async def __aenter__(self) -> Reader:
        return _ScopedReader(await super().__aenter__(), self._prefix)


class _ScopedReader(ForwardingReader):
    def __init__(self, reader: Reader, prefix: str) -> None:
        super().__init__(reader)
        self._info = _behind(prefix, reader.info)

    @property
    def info(self) -> ObjectInfo:
        return self._info
