"""A bucket of the memory backend."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from coatcheck._core.names import check_key, check_prefix
from coatcheck._core.writes import Write
from coatcheck.abc import NO_INFO, Capability, innermost
from coatcheck.errors import InvalidInput, UnsupportedOperation

from ._at_once import MemoryAtOnce
from ._multipart import MultipartBucket
from ._reads import MemoryRead

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
    from contextlib import AbstractAsyncContextManager

    from coatcheck.abc import (
        Body,
        Bucket,
        ByteRange,
        ObjectInfo,
        Page,
        PutInfo,
        Reader,
        Receipt,
        WriteMode,
    )
    from coatcheck.errors import CoatcheckError

CAPABILITIES: Final = frozenset(Capability) - {
    Capability.SIGN,
    Capability.EXPIRES,
    Capability.RESUME,
    Capability.BATCH,
}


class MemoryBucket(MultipartBucket):
    """Objects of one name in a store."""

    @property
    def capabilities(self) -> frozenset[Capability]:
        return CAPABILITIES

    @property
    def at_once(self) -> MemoryAtOnce:
        """See `coatcheck.abc.AtOnce`."""
        return MemoryAtOnce(self._name, store=self.store, clock=self._clock)

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
        await self._turn()
        hashed = info.sha256 is None and not info.pinned
        running = hashlib.sha256() if hashed else None
        whole = await self._received(
            body,
            size,
            running,
            lambda length: self.store.check_room(self._name, key, length),
        )
        sha256 = info.sha256 if running is None else running.hexdigest()
        return self.store.publish(
            self._name,
            key,
            whole,
            info,
            mode,
            sha256=sha256,
            now=self._clock(),
        )

    def get(
        self,
        key: str,
        *,
        byte_range: ByteRange | None = None,
        if_match: str | None = None,
        if_none_match: str | None = None,
    ) -> AbstractAsyncContextManager[Reader]:
        return MemoryRead(
            self.store,
            self._turn,
            self._name,
            key,
            byte_range=byte_range,
            if_match=if_match,
            if_none_match=if_none_match,
        )

    async def head(self, key: str) -> ObjectInfo:
        await self._turn()
        return self.store.find(self._name, key).described()

    async def delete(self, key: str, *, if_match: str | None = None) -> None:
        await self._turn()
        self.store.remove(self._name, key, if_match)

    async def delete_many(
        self, keys: Iterable[str]
    ) -> Mapping[str, CoatcheckError | None]:
        results: dict[str, CoatcheckError | None] = {}
        for key in keys:
            await self.delete(key)
            results[key] = None
        return results

    async def update_info(self, key: str, info: PutInfo, *, if_match: str) -> Receipt:
        await self._turn()
        return self.store.update(self._name, key, info, if_match, now=self._clock())

    def can_copy_from(self, source: Bucket) -> bool:
        inner, _ = innermost(source, "")
        return isinstance(inner, MemoryBucket) and inner.store is self.store

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
        await self._turn()
        inner, inner_key = innermost(source, source_key)
        if not isinstance(inner, MemoryBucket) or inner.store is not self.store:
            raise UnsupportedOperation(
                f"bucket {self._name!a} copies only from its own memory store",
                bucket=self._name,
                backend="mem",
            )
        inner._check_open()  # noqa: SLF001  # another instance of this class
        return self.store.copy(
            (inner.name, inner_key),
            (self._name, key),
            info,
            mode,
            if_match,
            now=self._clock(),
        )

    def scan(
        self,
        prefix: str = "",
        *,
        start_after: str | None = None,
        delimiter: str | None = None,
    ) -> AsyncIterator[Page]:
        check_prefix(prefix)
        if delimiter not in (None, "/"):
            raise InvalidInput(f"the delimiter is '/', not {delimiter!a}")
        return self._pages(prefix, start_after, folded=delimiter == "/")

    async def _pages(
        self, prefix: str, start_after: str | None, *, folded: bool
    ) -> AsyncGenerator[Page]:
        await self._turn()
        for page in self.store.pages(
            self._name, prefix, start_after=start_after, folded=folded
        ):
            yield page
            await self._turn()


if TYPE_CHECKING:
    from coatcheck.abc import CanCopy, CanMultipart, CanScan, CanSweep, CanUpdate

    _bucket: type[Bucket] = MemoryBucket
    _scan: type[CanScan] = MemoryBucket
    _update: type[CanUpdate] = MemoryBucket
    _copy: type[CanCopy] = MemoryBucket
    _multipart: type[CanMultipart] = MemoryBucket
    _sweep: type[CanSweep] = MemoryBucket
