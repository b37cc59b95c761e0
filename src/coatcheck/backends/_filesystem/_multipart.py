"""The multipart verbs of a filesystem bucket."""

from __future__ import annotations

import logging
from hashlib import md5
from typing import TYPE_CHECKING, Any

from coatcheck._core.names import check_key, check_prefix
from coatcheck._core.writes import Write, check_part_order
from coatcheck.abc import NO_INFO
from coatcheck.errors import (
    CoatcheckError,
    IntegrityError,
    InvalidInput,
    ObjectNotFound,
)
from coatcheck.payloads._body import open_source

from ._objects import receipt_of
from ._outcomes import written
from ._record import to_micros, touched_at
from ._threaded import ThreadedBucket
from ._uploads import MAX_PARTS, Uploads

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence
    from datetime import timedelta

    from coatcheck.abc import Body, Part, PutInfo, Receipt, Upload, WriteMode

    from ._draft import Draft


_log = logging.getLogger("coatcheck.filesystem")


class MultipartBucket(ThreadedBucket):
    """What a bucket does with uploads."""

    def __init__(self, name: str, **shared: Any) -> None:
        super().__init__(name, **shared)
        self.uploads = Uploads(self.files)

    async def initiate(
        self, key: str, *, info: PutInfo = NO_INFO, mode: WriteMode = Write.OVERWRITE
    ) -> Upload:
        check_key(key)
        return await self.write_in_thread(
            "begin an upload to",
            key,
            lambda: self.uploads.begin(key, info, mode),
            discard=lambda upload: self.uploads.remove(upload.upload_id),
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
        if not 1 <= number <= MAX_PARTS:
            raise InvalidInput(f"part numbers are 1 to {MAX_PARTS}, not {number}")
        if size < 0:
            raise InvalidInput(f"a part's size is not negative: {size}")
        await self.read_in_thread(
            "find the upload to", upload.key, lambda: self._plan(upload)
        )
        running = md5(usedforsecurity=False)
        async with open_source(body, size) as source, self._draft(upload.key) as draft:
            async for chunk in source:

                def append(chunk: bytes = chunk) -> None:
                    running.update(chunk)
                    draft.write(chunk)

                await self.write_in_thread("write a part of", upload.key, append)
            digest = running.digest()
            if content_md5 is not None and content_md5 != digest:
                raise IntegrityError(
                    f"part {number} of {upload.key!a} has another MD5 than declared"
                )
            return await self.write_in_thread(
                "write a part of",
                upload.key,
                lambda: self.uploads.add(draft, upload, number, digest),
            )

    def _plan(self, upload: Upload) -> tuple[PutInfo, WriteMode]:
        return self.uploads.plan(upload)

    async def list_parts(self, upload: Upload) -> AsyncGenerator[Part]:
        for part in await self.read_in_thread(
            "list the parts of", upload.key, lambda: self.uploads.parts(upload)
        ):
            yield part

    async def complete(self, upload: Upload, parts: Sequence[Part]) -> Receipt:
        check_part_order(parts)
        key = upload.key
        try:
            info, mode = await self.read_in_thread(
                "complete", key, lambda: self._plan(upload)
            )
            receipt = await self._join(upload, parts, info, mode)
        except (ObjectNotFound, InvalidInput):
            repeated = await self.read_in_thread(
                "complete", key, lambda: self._completed_earlier(upload)
            )
            if repeated is None:
                raise
            return repeated
        try:
            await self.abort(upload)
        except CoatcheckError as error:
            # The object stands; what is left of the upload is a sweep's.
            _log.warning("parts of a completed upload stay: %s", error)
        return receipt

    async def _join(
        self, upload: Upload, parts: Sequence[Part], info: PutInfo, mode: WriteMode
    ) -> Receipt:
        key = upload.key
        async with self._draft(key) as draft:
            for part in parts:

                def append(part: Part = part) -> None:
                    self.uploads.append(draft, upload, part)

                await self.write_in_thread("complete", key, append)
            return await self._publish_upload(draft, upload, info, mode)

    async def _publish_upload(
        self, draft: Draft, upload: Upload, info: PutInfo, mode: WriteMode
    ) -> Receipt:
        micros = touched_at(info, self.disk.now())
        return await self._publish(
            upload.key,
            lambda: self.files.publish(draft, upload.key, info, mode, micros),
            shows=written(upload.upload_id),
        )

    def _completed_earlier(self, upload: Upload) -> Receipt | None:
        try:
            with self.files.found(upload.key) as found:
                made = found.info.write_id == upload.upload_id
                return receipt_of(found.info) if made else None
        except ObjectNotFound:
            return None

    async def abort(self, upload: Upload) -> None:
        await self.write_in_thread(
            "abort", upload.key, lambda: self.uploads.drop(upload)
        )

    def list_uploads(
        self, prefix: str = "", *, older_than: timedelta | None = None
    ) -> AsyncIterator[Upload]:
        check_prefix(prefix)
        return self._list_uploads(prefix, older_than)

    async def _list_uploads(
        self, prefix: str, older_than: timedelta | None
    ) -> AsyncGenerator[Upload]:
        latest = None if older_than is None else self.disk.now() - older_than
        for upload in await self.read_in_thread(
            "list uploads to", prefix, lambda: self.uploads.all(prefix)
        ):
            if latest is None or to_micros(upload.started) <= to_micros(latest):
                yield upload
