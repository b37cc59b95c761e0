"""Uploading one object in parts of one's own making."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypeAlias
from uuid import uuid4

from coatcheck._core.objects import NOTHING
from coatcheck.abc import Capability, Part, PutInfo, Upload, require
from coatcheck.errors import InvalidInput
from coatcheck.payloads._body import size_of

from ._encoding import encoding_of
from ._metadata import OCTETS
from ._usecase import NONE, ZSTD, Default
from ._writing import SessionWriting

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    from coatcheck._core.expiry import Expiry
    from coatcheck.abc import Body, CanMultipart

    from ._telemetry import Operation
    from ._usecase import Compression

_NEVER: Final = datetime.min.replace(tzinfo=UTC)
_MD5_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class CompletePart:
    """A part that was stored, as completing takes it."""

    part_number: int
    """From 1; parts are joined in the order of their numbers."""
    etag: str
    """Tells this content of the part from another."""
    size: int = 0
    """Bytes, when they are known."""


@dataclass(frozen=True, slots=True)
class PartInfo:
    """A part that the storage holds."""

    part_number: int
    """From 1; parts are joined in the order of their numbers."""
    etag: str
    """Tells this content of the part from another."""
    last_modified: datetime | None
    """When it was stored, in UTC."""
    size: int
    """Bytes."""


AnyPart: TypeAlias = CompletePart | PartInfo


class MultipartUpload:
    """An upload in progress; keep `key` and `upload_id` to go on in another process.

    Parts may be sent in any order and at the same time.

    Args:
        session: The session that the object will be in.
        key: The object's key.
        upload_id: Names the upload.
    """

    def __init__(self, session: SessionMultipart, key: str, upload_id: str) -> None:
        self._session = session
        self._upload = Upload(
            key=session._stored(key),  # noqa: SLF001  # they are one whole
            upload_id=upload_id,
            started=_NEVER,
        )
        self._key = key

    @property
    def key(self) -> str:
        """The key of the object to come."""
        return self._key

    @property
    def upload_id(self) -> str:
        """Names the upload."""
        return self._upload.upload_id

    async def put_part(
        self,
        contents: Body,
        *,
        part_number: int,
        content_length: int | None = None,
        content_md5: bytes | None = None,
    ) -> CompletePart:
        """Store one part, in place of one that has the number.

        Args:
            contents: The bytes, as they shall be stored.
            part_number: From 1.
            content_length: How many bytes there are; None where the contents tell.
            content_md5: The 16 bytes of their MD5, which the storage then checks.

        Raises:
            InvalidInput: The number, length or MD5 is none, or the length is missing.
            IntegrityError: The contents have another length or MD5 than declared.
            ObjectNotFound: There is no such upload (any more).
            CoatcheckError: As `Session.put`.
        """
        if content_md5 is not None and len(content_md5) != _MD5_BYTES:
            raise InvalidInput("content_md5 is the 16 bytes of an MD5")
        size = await size_of(contents) if content_length is None else content_length
        if size is None:
            raise InvalidInput("give the content_length of contents that flow")
        told = self._session.telling("put_part", self, part_number=part_number)
        with told as operation:
            part = await self._session.multipart.put_part(
                self._upload, part_number, contents, size=size, content_md5=content_md5
            )
            operation.size(size)
        return CompletePart(part.number, part.etag, part.size)

    async def list_parts(self) -> list[PartInfo]:
        """Return the parts that the storage holds, by number.

        Raises:
            ObjectNotFound: There is no such upload (any more).
            CoatcheckError: As `Session.put`.
        """
        with self._session.telling("list_parts", self, metered=False):
            parts = self._session.multipart.list_parts(self._upload)
            return [
                PartInfo(part.number, part.etag, part.modified, part.size)
                async for part in parts
            ]

    async def complete(self, parts: Sequence[AnyPart]) -> str:
        """Join the parts into the object, atomically.

        Repeatable when an answer was lost, as long as the object stands.

        Args:
            parts: All of them, in any order.

        Returns:
            The key.

        Raises:
            InvalidInput: No parts, one that is missing, or one with another ETag.
            ObjectNotFound: There is no such upload (any more).
            CoatcheckError: As `Session.put`.
        """
        chosen = [
            Part(number=part.part_number, etag=part.etag, size=part.size)
            for part in sorted(parts, key=lambda part: part.part_number)
        ]
        with self._session.telling("complete", self, part_count=len(chosen)):
            await self._session.multipart.complete(self._upload, chosen)
        return self._key

    async def abort(self) -> None:
        """Drop the upload and its parts; an absent one is success."""
        with self._session.telling("abort", self, metered=False):
            await self._session.multipart.abort(self._upload)


class SessionMultipart(SessionWriting):
    """The verbs that begin and find uploads."""

    async def initiate_multipart_upload(
        self,
        *,
        key: str | None = None,
        compression: Compression | None = None,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        expiration_policy: Expiry | Default | None = Default.USECASE,
        origin: str | None = None,
        filename: str | None = None,
    ) -> MultipartUpload:
        """Begin an upload in parts; nothing is visible before it is completed.

        The time of creation, and with it the expiry, counts from now.

        Args:
            key: As in `put`.
            compression: `zstd` when the parts you send are, each of them one or more
                whole frames; they are stored as they are, whatever the usecase says.
            content_type: As in `put`.
            metadata: As in `put`.
            expiration_policy: As in `put`.
            origin: As in `put`.
            filename: As in `put`.

        Raises:
            UnsupportedOperation: The storage takes no parts.
            CoatcheckError: As `put`.
        """
        precompressed = ZSTD if compression == ZSTD else None
        encoding = encoding_of(
            compress=None,
            compression=None if precompressed else compression,
            precompressed=precompressed,
            default=NONE,
        )
        key = key or str(uuid4())
        info = self._info(
            PutInfo(
                content_type=OCTETS if content_type is None else content_type,
                encoding=encoding.recorded,
                origin=origin or None,
                filename=filename,
                custom=metadata or NOTHING,
            ),
            expiration_policy,
        )
        stored, multipart = self._stored(key), self.multipart
        with self._told("multipart.initiate", key=key):
            upload = await multipart.initiate(stored, info=info)
        return MultipartUpload(self, key, upload.upload_id)

    def resume_multipart_upload(self, key: str, upload_id: str) -> MultipartUpload:
        """Return an upload that was begun before, without asking the storage.

        Args:
            key: Its key.
            upload_id: Its name.

        Raises:
            InvalidName: The key is not canonical.
        """
        return MultipartUpload(self, key, upload_id)

    @property
    def multipart(self) -> CanMultipart:
        """The bucket, typed by what uploads need of it."""
        return require(self._bucket, Capability.MULTIPART)

    def telling(
        self,
        step: str,
        upload: MultipartUpload,
        *,
        metered: bool = True,
        **attributes: object,
    ) -> AbstractContextManager[Operation]:
        """Tell of a step of an upload."""
        return self._told(
            f"multipart.{step}",
            metered=metered,
            key=upload.key,
            upload_id=upload.upload_id,
            **attributes,
        )
