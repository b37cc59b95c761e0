"""Uploads in parts: the verbs, and how a stream becomes one."""

from __future__ import annotations

from base64 import b64encode
from contextlib import aclosing
from dataclasses import replace
from hashlib import md5
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from coatcheck._core.names import check_key, check_prefix
from coatcheck._core.writes import (
    DEFAULT_SWEEP_AGE,
    Part,
    Receipt,
    Swept,
    Upload,
    Write,
    check_part_order,
)
from coatcheck.abc import NO_INFO
from coatcheck.errors import IntegrityError, InvalidInput, ObjectNotFound
from coatcheck.payloads._body import open_source
from coatcheck.payloads._integrity import feed

from ._conditions import ConditionalBucket, condition_of
from ._metadata import etag_of, put_parameters, quoted
from ._pages import listed, listed_if_there
from ._requests import LIMITS, receipt_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
    from datetime import timedelta

    from coatcheck.abc import Body, ObjectInfo, PutInfo, WriteMode


class MultipartBucket(ConditionalBucket):
    """What a bucket does with uploads."""

    def filled(self, info: PutInfo) -> PutInfo:
        """Return metadata with creation time and write id."""
        return info.with_valid(
            created=info.created or self.s3.now(),
            write_id=info.write_id or uuid4().hex,
        )

    def encryption(self) -> dict[str, str]:
        """Return the parameters of server-side encryption."""
        sse = self.s3.config.sse
        if sse is None:
            return {}
        algorithm, _, key_id = sse.partition(":kms:")
        if not key_id:
            return {"ServerSideEncryption": sse}
        return {"ServerSideEncryption": f"{algorithm}:kms", "SSEKMSKeyId": key_id}

    async def initiate(
        self, key: str, *, info: PutInfo = NO_INFO, mode: WriteMode = Write.OVERWRITE
    ) -> Upload:
        check_key(key)
        await self.check_conditions(mode)
        info = self.filled(info)
        response = await self.request(
            "create_multipart_upload",
            "begin an upload to",
            key,
            writes=True,
            Key=key,
            **put_parameters(info),
            **self.encryption(),
        )
        return Upload(
            key=key,
            upload_id=response["UploadId"],
            started=self.s3.now(),
            mode=mode,
            write_id=info.write_id,
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
        if not 1 <= number <= LIMITS.max_parts:
            raise InvalidInput(
                f"part numbers are 1 to {LIMITS.max_parts}, not {number}"
            )
        if not 0 <= size <= (LIMITS.max_part or size):
            raise InvalidInput(f"a part has 0 to {LIMITS.max_part} bytes, not {size}")
        async with open_source(body, size) as source:
            whole = b"".join([chunk async for chunk in source])
        running = md5(usedforsecurity=False)
        await feed(running, whole)
        if content_md5 is not None and content_md5 != running.digest():
            raise IntegrityError(
                f"part {number} of {upload.key!a} has another MD5 than declared"
            )
        return await self.send_part(upload, number, whole, running.digest())

    async def send_part(
        self, upload: Upload, number: int, whole: bytes, digest: bytes
    ) -> Part:
        """Send a part that is in memory, with its MD5."""
        response = await self.request(
            "upload_part",
            "write a part of",
            upload.key,
            writes=True,
            Key=upload.key,
            **upload_parameters(upload),
            PartNumber=number,
            Body=whole,
            ContentMD5=base64_of(digest),
        )
        return Part(number=number, etag=etag_of(response), size=len(whole))

    async def list_parts(self, upload: Upload) -> AsyncGenerator[Part]:
        pages = listed(
            self,
            "list_parts",
            "list the parts of",
            upload.key,
            {"NextPartNumberMarker": "PartNumberMarker"},
            Key=upload.key,
            **upload_parameters(upload),
        )
        async with aclosing(pages):
            async for page in pages:
                for each in page.get("Parts", []):
                    yield Part(
                        number=each["PartNumber"],
                        etag=etag_of(each),
                        size=each["Size"],
                        modified=each.get("LastModified"),
                    )

    async def complete(self, upload: Upload, parts: Sequence[Part]) -> Receipt:
        check_part_order(parts)
        is_ours = _maker_of(upload, parts)

        async def send() -> Receipt:
            try:
                response = await self.request(
                    "complete_multipart_upload",
                    "complete",
                    upload.key,
                    writes=True,
                    Key=upload.key,
                    **upload_parameters(upload),
                    **condition_of(upload.mode),
                    MultipartUpload={
                        "Parts": [
                            {"PartNumber": part.number, "ETag": quoted(part.etag)}
                            for part in parts
                        ]
                    },
                )
            except ObjectNotFound:
                # The upload is gone; its object may stand by an earlier completion.
                standing = await self.standing(upload.key)
                if standing is None or not is_ours(standing):
                    raise
                return receipt_of(standing)
            return Receipt(
                etag=etag_of(response),
                size=sum(part.size for part in parts),
                write_id=upload.write_id or "",
                version=response.get("VersionId"),
                created=upload.mode is Write.CREATE,
            )

        receipt = await self.settled(upload.key, is_ours, upload.mode, send)
        return replace(receipt, size=sum(part.size for part in parts))

    async def abort(self, upload: Upload) -> None:
        if not upload.upload_id:
            return
        try:
            await self.request(
                "abort_multipart_upload",
                "abort",
                upload.key,
                writes=True,
                Key=upload.key,
                **upload_parameters(upload),
            )
        except ObjectNotFound:
            return

    def list_uploads(
        self, prefix: str = "", *, older_than: timedelta | None = None
    ) -> AsyncIterator[Upload]:
        check_prefix(prefix)
        return self._list_uploads(prefix, older_than)

    async def _list_uploads(
        self, prefix: str, older_than: timedelta | None
    ) -> AsyncGenerator[Upload]:
        latest = None if older_than is None else self.s3.now() - older_than
        pages = listed_if_there(
            self,
            "list_multipart_uploads",
            "list uploads to",
            prefix,
            {"NextKeyMarker": "KeyMarker", "NextUploadIdMarker": "UploadIdMarker"},
            Prefix=prefix,
        )
        async with aclosing(pages):
            async for page in pages:
                for each in page.get("Uploads", []):
                    if latest is None or each["Initiated"] <= latest:
                        yield Upload(
                            key=each["Key"],
                            upload_id=each["UploadId"],
                            started=each["Initiated"],
                        )

    async def sweep(self, *, older_than: timedelta = DEFAULT_SWEEP_AGE) -> Swept:
        swept = 0
        async for upload in self._list_uploads("", older_than):
            await self.abort(upload)
            swept += 1
        return Swept(uploads=swept)


def upload_parameters(upload: Upload) -> dict[str, Any]:
    """Return the parameter that names an upload.

    Raises:
        ObjectNotFound: No upload has such an id.
    """
    if not upload.upload_id:
        raise ObjectNotFound(f"no upload without an id to {upload.key!a}")
    return {"UploadId": upload.upload_id}


def base64_of(digest: bytes) -> str:
    """Return a digest as headers carry it."""
    return b64encode(digest).decode()


def _maker_of(upload: Upload, parts: Sequence[Part]) -> Callable[[ObjectInfo], bool]:
    """Return what tells whether an object was made by completing an upload.

    Who has an upload from a listing does not know its write id; the ETag, which is
    made of those of the parts, then tells at least that the content is the same.
    """
    if upload.write_id is not None:
        return lambda standing: standing.write_id == upload.write_id
    joined = md5(usedforsecurity=False)
    for part in parts:
        joined.update(bytes.fromhex(part.etag))
    etag = f"{joined.hexdigest()}-{len(parts)}"
    return lambda standing: standing.etag == etag
