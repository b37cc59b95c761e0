"""A bucket of the filesystem backend."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from coatcheck._core.names import check_key, check_prefix
from coatcheck._core.writes import DEFAULT_SWEEP_AGE, Update, Write
from coatcheck.abc import NO_INFO, Capability, innermost
from coatcheck.errors import (
    CoatcheckError,
    InvalidInput,
    PreconditionFailed,
    UnsupportedOperation,
)
from coatcheck.payloads._body import open_source, whole_bytes

from ._draft import Draft
from ._errors import storage_errors
from ._multipart import MultipartBucket
from ._objects import completed
from ._one_step import FilesInOneStep
from ._outcomes import deleted, touched, written
from ._reads import FileRead
from ._record import to_micros, touched_at
from ._scan import BucketScan
from ._sweep import sweep_bucket

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
    from contextlib import AbstractAsyncContextManager
    from datetime import timedelta

    from coatcheck.abc import (
        Body,
        Bucket,
        ByteRange,
        ObjectInfo,
        Page,
        PutInfo,
        Reader,
        Receipt,
        Swept,
        WriteMode,
    )

    from ._lookup import Found

CAPABILITIES: Final = frozenset(Capability) - {
    Capability.SIGN,
    Capability.EXPIRES,
    Capability.RESUME,
    Capability.BATCH,
    Capability.IMMEDIATE,
}
_COPY_STEP: Final = 64 * 1024 * 1024
_DELETE_STEP: Final = 32


class FilesystemBucket(MultipartBucket):
    """Objects as files below one folder."""

    @property
    def capabilities(self) -> frozenset[Capability]:
        return CAPABILITIES

    @property
    def in_one_step(self) -> FilesInOneStep:
        """See `coatcheck.abc.OneStep`."""
        return FilesInOneStep(self)

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
        self._check_open()
        whole = whole_bytes(body, size)
        if whole is None:
            return await self._put_stream(key, body, info, mode, size)
        info, micros = completed(info, self.disk)

        def put_whole() -> Receipt:
            filled = info
            if info.sha256 is None and not info.pinned:
                filled = replace(info, sha256=sha256(whole).hexdigest())
            draft = Draft(self.disk, self._name)
            try:
                return self.files.publish(draft, key, filled, mode, micros, rest=whole)
            finally:
                draft.close()

        return await self._publish(key, put_whole, shows=written(info.write_id))

    async def _put_stream(
        self, key: str, body: Body, info: PutInfo, mode: WriteMode, size: int | None
    ) -> Receipt:
        running = None if info.sha256 or info.pinned else sha256()
        async with open_source(body, size) as source, self._draft(key) as draft:
            async for chunk in source:

                def append(chunk: bytes = chunk) -> None:
                    if running is not None:
                        running.update(chunk)
                    draft.write(chunk)

                await self.write_in_thread("write", key, append)
            if running is not None:
                info = replace(info, sha256=running.hexdigest())
            return await self._publish_draft(draft, key, info, mode)

    async def _publish_draft(
        self, draft: Draft, key: str, info: PutInfo, mode: WriteMode
    ) -> Receipt:
        info, micros = completed(info, self.disk)
        return await self._publish(
            key,
            lambda: self.files.publish(draft, key, info, mode, micros),
            shows=written(info.write_id),
        )

    def get(
        self,
        key: str,
        *,
        byte_range: ByteRange | None = None,
        if_match: str | None = None,
        if_none_match: str | None = None,
    ) -> AbstractAsyncContextManager[Reader]:
        self._check_open()
        return FileRead(
            self.files,
            self._readers,
            key,
            byte_range=byte_range,
            if_match=if_match,
            if_none_match=if_none_match,
        )

    async def head(self, key: str) -> ObjectInfo:
        def look() -> ObjectInfo:
            with self.files.found(key) as found:
                return found.info

        return await self.read_in_thread("look at", key, look)

    async def delete(self, key: str, *, if_match: str | None = None) -> None:
        await self._publish(
            key,
            lambda: self.files.remove(key, if_match),
            shows=deleted,
            doing="delete",
        )

    async def delete_many(
        self, keys: Iterable[str]
    ) -> Mapping[str, CoatcheckError | None]:
        wanted = list(keys)
        results: dict[str, CoatcheckError | None] = {}
        for start in range(0, len(wanted), _DELETE_STEP):
            step = wanted[start : start + _DELETE_STEP]

            def remove(step: list[str] = step) -> dict[str, CoatcheckError | None]:
                return self._remove_all(step)

            results |= await self.write_in_thread("delete", step[0], remove)
        return results

    def _remove_all(self, keys: list[str]) -> dict[str, CoatcheckError | None]:
        results: dict[str, CoatcheckError | None] = {}
        for key in keys:
            results[key] = None
            try:
                with storage_errors("delete", self._name, key):
                    self.files.remove(key, None)
            except CoatcheckError as error:
                results[key] = error
        return results

    async def update_info(self, key: str, info: PutInfo, *, if_match: str) -> Receipt:
        async with self._found("update", key, if_match) as found:
            standing = found.info
            info = replace(
                info,
                created=info.created or standing.created,
                sha256=info.sha256 or standing.sha256,
            )
            micros = touched_at(info, self.disk.now())
            if _only_touches(standing, info, micros):
                return await self._publish(
                    key,
                    lambda: self.files.touch(key, if_match, micros),
                    shows=touched(standing, micros),
                    doing="touch",
                )
            return await self._rewrite(found, key, info, Update(if_match))

    def can_copy_from(self, source: Bucket) -> bool:
        inner, _ = innermost(source, "")
        return isinstance(inner, FilesystemBucket) and inner.disk is self.disk

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
        inner, inner_key = innermost(source, source_key)
        if not isinstance(inner, FilesystemBucket) or inner.disk is not self.disk:
            raise UnsupportedOperation(
                f"bucket {self._name!a} copies only from its own root folder"
            )
        async with inner._found("copy", inner_key, if_match) as found:  # noqa: SLF001
            copied = found.info.put_info()
            copied = replace(copied if info is None else info, sha256=copied.sha256)
            if info is None:
                copied = replace(copied, created=None)
            return await self._rewrite(found, key, copied, mode)

    async def _rewrite(
        self, found: Found, key: str, info: PutInfo, mode: WriteMode
    ) -> Receipt:
        """Publish a copy of an open object with other metadata."""
        size = found.info.size
        async with self._draft(key) as draft:
            for offset in range(0, size, _COPY_STEP):
                count = min(_COPY_STEP, size - offset)

                def copy(offset: int = offset, count: int = count) -> None:
                    draft.copy(found.descriptor, offset, count)

                await self.write_in_thread("copy", key, copy)
            return await self._publish_draft(draft, key, info, mode)

    @asynccontextmanager
    async def _found(
        self, doing: str, key: str, if_match: str | None
    ) -> AsyncGenerator[Found]:
        def close(found: Found) -> None:
            self.disk.calls.close(found.descriptor)

        found = await self.write_in_thread(
            doing, key, lambda: self.files.find(key), discard=close
        )
        try:
            if if_match is not None and found.info.etag != if_match:
                raise PreconditionFailed(
                    f"object {key!a} has ETag {found.info.etag}, not {if_match!a}",
                    bucket=self._name,
                    key=key,
                    backend="file",
                )
            yield found
        finally:
            await self._writers.run_last(lambda: close(found))

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
        self._check_open()
        return self._pages(
            BucketScan(
                self.files, prefix, start_after=start_after, folded=delimiter == "/"
            ),
            prefix,
        )

    async def _pages(self, scan: BucketScan, prefix: str) -> AsyncGenerator[Page]:
        try:
            while (
                page := await self.read_in_thread("list", prefix, scan.next_page)
            ) is not None:
                yield page
        finally:
            await self._readers.run_last(scan.close)

    async def sweep(self, *, older_than: timedelta = DEFAULT_SWEEP_AGE) -> Swept:
        before = to_micros(self.disk.now() - older_than)
        return await self.write_in_thread(
            "sweep", "", lambda: sweep_bucket(self.files, self.uploads, before)
        )


def _only_touches(standing: ObjectInfo, info: PutInfo, micros: int) -> bool:
    """Tell whether new metadata moves the deadline and changes nothing else."""
    if info.expiry is None or info.expiry != standing.expiry:
        return False
    if info.write_id is not None:
        return False
    moved = replace(info, deadline=standing.deadline, pinned=False, md5=None)
    return moved == standing.put_info() and micros != to_micros(standing.modified)


if TYPE_CHECKING:
    from coatcheck.abc import CanCopy, CanMultipart, CanScan, CanSweep, CanUpdate

    _bucket: type[Bucket] = FilesystemBucket
    _scan: type[CanScan] = FilesystemBucket
    _update: type[CanUpdate] = FilesystemBucket
    _copy: type[CanCopy] = FilesystemBucket
    _multipart: type[CanMultipart] = FilesystemBucket
    _sweep: type[CanSweep] = FilesystemBucket
