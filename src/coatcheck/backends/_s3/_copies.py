"""Copies inside the store, and changes of metadata, which are copies onto oneself."""

from __future__ import annotations

from abc import ABC
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from coatcheck._core.names import check_key
from coatcheck._core.writes import Part, Receipt, Write
from coatcheck.abc import innermost
from coatcheck.errors import PreconditionFailed, UnsupportedOperation
from coatcheck.payloads._parallel import in_parallel

from ._metadata import etag_of, kept_by_update, put_parameters, quoted
from ._multipart import upload_parameters
from ._requests import LIMITS, MIB
from ._shield import to_completion
from ._streams import StreamingBucket

if TYPE_CHECKING:
    from coatcheck.abc import Bucket, ObjectInfo, PutInfo, Upload, WriteMode

_COPY_PART: Final = 512 * MIB
_AT_ONCE: Final = 4


class CopyingBucket(StreamingBucket, ABC):
    """A bucket that lets the store copy."""

    async def update_info(self, key: str, info: PutInfo, *, if_match: str) -> Receipt:
        self.s3.check_open()
        standing = await self.look_at(key)
        self._check_etag(standing, if_match)
        info = self.filled(kept_by_update(standing, info))
        return await self._copy_at_once(self, standing, key, info)

    def can_copy_from(self, source: Bucket) -> bool:
        inner, _ = innermost(source, "")
        return isinstance(inner, CopyingBucket) and inner.s3 is self.s3

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
        self.s3.check_open()
        inner, inner_key = innermost(source, source_key)
        if not isinstance(inner, CopyingBucket) or inner.s3 is not self.s3:
            raise UnsupportedOperation(
                f"bucket {self._name!a} copies only from buckets of its own backend",
                bucket=self._name,
                backend="s3",
            )
        await self.ensure_bucket()
        standing = await inner.look_at(inner_key)
        if if_match is not None:
            inner._check_etag(standing, if_match)  # noqa: SLF001  # of this class
        if info is None:
            info = replace(standing.put_info(), created=None)
        info = self.filled(replace(info, sha256=standing.sha256))
        # S3 takes a condition on a copy's target, but not every store holds to it;
        # completing an upload under a condition is held to by all of them.
        if mode is Write.OVERWRITE and standing.size <= (LIMITS.max_copy or 0):
            return await self._copy_at_once(inner, standing, key, info)
        if not standing.size:
            return await self.put_whole(key, b"", info, mode)
        return await self._copy_in_parts(inner, standing, key, info, mode)

    def _check_etag(self, standing: ObjectInfo, if_match: str) -> None:
        if standing.etag != if_match:
            raise PreconditionFailed(
                f"object {standing.key!a} in bucket {self._name!a} has ETag"
                f" {standing.etag}, not {if_match!a}",
                bucket=self._name,
                key=standing.key,
                backend="s3",
            )

    async def _copy_at_once(
        self, source: CopyingBucket, standing: ObjectInfo, key: str, info: PutInfo
    ) -> Receipt:
        parameters: dict[str, Any] = {
            **put_parameters(info),
            **self.encryption(),
            "CopySource": {"Bucket": source.name, "Key": standing.key},
            "CopySourceIfMatch": quoted(standing.etag),
            "MetadataDirective": "REPLACE",
            **self.source_owner(),
        }
        if "Tagging" in parameters:
            parameters["TaggingDirective"] = "REPLACE"

        async def send() -> Receipt:
            response = await self.request(
                "copy_object", "copy to", key, writes=True, Key=key, **parameters
            )
            return Receipt(
                etag=etag_of(response.get("CopyObjectResult", {})),
                size=standing.size,
                write_id=info.write_id or "",
                sha256=info.sha256,
                version=response.get("VersionId"),
            )

        def is_ours(found: ObjectInfo) -> bool:
            return found.write_id == info.write_id

        return await self.settled(key, is_ours, Write.OVERWRITE, send)

    async def _copy_in_parts(
        self,
        source: CopyingBucket,
        standing: ObjectInfo,
        key: str,
        info: PutInfo,
        mode: WriteMode,
    ) -> Receipt:
        upload = await to_completion(
            self.initiate(key, info=info, mode=mode), undo=self._abort_quietly
        )

        async def copy(item: tuple[int, int]) -> Part:
            number, start = item
            return await self._copy_part(source, standing, upload, number, start)

        try:
            starts = enumerate(range(0, standing.size, _COPY_PART), 1)
            parts = await in_parallel(starts, copy, at_once=_AT_ONCE)
            receipt = await self.complete(upload, parts)
        except BaseException:
            await to_completion(self._abort_quietly(upload))
            raise
        return replace(receipt, sha256=info.sha256)

    async def _copy_part(
        self,
        source: CopyingBucket,
        standing: ObjectInfo,
        upload: Upload,
        number: int,
        start: int,
    ) -> Part:
        stop = min(start + _COPY_PART, standing.size)
        response = await self.request(
            "upload_part_copy",
            "copy a part to",
            upload.key,
            writes=True,
            Key=upload.key,
            **upload_parameters(upload),
            PartNumber=number,
            CopySource={"Bucket": source.name, "Key": standing.key},
            CopySourceIfMatch=quoted(standing.etag),
            CopySourceRange=f"bytes={start}-{stop - 1}",
            **self.source_owner(),
        )
        etag = etag_of(response.get("CopyPartResult", {}))
        return Part(number=number, etag=etag, size=stop - start)
