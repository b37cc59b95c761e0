"""Uploads in parts to a service."""

from __future__ import annotations

import base64
import json
from contextlib import aclosing
from dataclasses import replace
from hashlib import md5
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from coatcheck._core.expiry import parse_time
from coatcheck._core.names import shown
from coatcheck._core.writes import Part, Upload, Write, check_part_order
from coatcheck.abc import NO_INFO
from coatcheck.errors import (
    BackendError,
    CoatcheckError,
    IntegrityError,
    InvalidInput,
    ObjectNotFound,
    Outcome,
    UnsupportedOperation,
)
from coatcheck.payloads._body import open_source, whole_bytes
from coatcheck.payloads._integrity import feed

from ._failures import BACKEND
from ._metadata import document_of, receipt_of, sent_headers
from ._streams import Outflow
from ._writes import ServiceWrites

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
    from datetime import timedelta

    from coatcheck._core.digests import Hasher
    from coatcheck._core.scopes import Location
    from coatcheck.abc import Body, PutInfo, Receipt, WriteMode
    from coatcheck.payloads._body import Source

    from ._messages import Request

_UPLOADS: Final = "objects:multipart"
_PARTS: Final = "objects:multipart:parts"
_COMPLETION: Final = "objects:multipart:complete"
_MAX_PARTS: Final = 10_000
_GONE: Final = frozenset({"NoSuchUpload", "NotFound"})
_WRONG: Final = frozenset(
    {"InvalidPart", "InvalidPartOrder", "EntityTooSmall", "EntityTooLarge"}
)


class MultipartBucket(ServiceWrites):
    """The multipart verbs."""

    async def initiate(
        self, key: str, *, info: PutInfo = NO_INFO, mode: WriteMode = Write.OVERWRITE
    ) -> Upload:
        self._check_open()
        if mode is not Write.OVERWRITE:
            raise UnsupportedOperation(
                "a service's uploads in parts overwrite, they take no conditions",
                backend=BACKEND,
            )
        location = self.writable(key)
        info = replace(info, write_id=info.write_id or uuid4().hex)
        request = self.request(
            "PUT",
            location,
            "upload to",
            route=_UPLOADS,
            headers=sent_headers(info),
            body=b"",
        )
        answer = await self.wire.exchange(request, HTTPStatus.OK)
        return Upload(
            key=key,
            upload_id=_text(answer.body, "upload_id"),
            started=self.now(),
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
        self._check_open()
        if not 1 <= number <= _MAX_PARTS:
            raise InvalidInput(f"part numbers are 1 to {_MAX_PARTS}, not {number}")
        if size < 0:
            raise InvalidInput(f"a part's size is not negative: {size}")
        headers = {"content-length": str(size)}
        if content_md5 is not None:
            headers["content-md5"] = base64.b64encode(content_md5).decode()
        request = self._about(
            "PUT",
            upload,
            f"part {number} of",
            route=_PARTS,
            query={"part_number": str(number)},
            headers=headers,
        )
        running = None if content_md5 is None else md5(usedforsecurity=False)
        try:
            etag = await self._put_part(request, body, size, running)
        except InvalidInput as error:
            if running is None or running.digest() == content_md5:
                raise
            raise IntegrityError(
                f"part {number} of {shown(upload.key)} has another MD5 than declared",
                key=upload.key,
                backend=BACKEND,
            ) from error
        return Part(number=number, etag=etag, size=size)

    async def _put_part(
        self, request: Request, body: Body, size: int, running: Hasher | None
    ) -> str:
        whole = whole_bytes(body, size)
        if whole is not None:
            if running is not None:
                await feed(running, whole)
            request = replace(request, body=whole)
            answer = await self.wire.exchange(request, HTTPStatus.OK)
            return _text(answer.body, "etag")
        request = replace(request, repeatable=False)
        async with (
            open_source(body, size) as source,
            aclosing(_hashed(source, running)) as chunks,
        ):
            outflow = Outflow(self.wire, request, chunks)
            answer = await self.wire.attempted(
                request, lambda: outflow.exchange(HTTPStatus.OK)
            )
        return _text(answer.body, "etag")

    async def list_parts(self, upload: Upload) -> AsyncGenerator[Part]:
        self._check_open()
        query: dict[str, str] = {}
        while True:
            request = self._about(
                "GET", upload, "parts of", route=_PARTS, query=query, writes=False
            )
            answer = await self.wire.exchange(request, HTTPStatus.OK)
            parts, following = _parts(answer.body)
            for part in parts:
                yield part
            if following is None:
                return
            query = {"part_number_marker": str(following)}

    async def complete(self, upload: Upload, parts: Sequence[Part]) -> Receipt:
        self._check_open()
        check_part_order(parts)
        named = [{"part_number": part.number, "etag": part.etag} for part in parts]
        request = self._about(
            "POST",
            upload,
            "completion of",
            route=_COMPLETION,
            headers={"content-type": "application/json"},
            body=json.dumps({"parts": named}).encode(),
        )
        location, write_id = request.location, upload.write_id or ""
        try:
            answer = await self.wire.exchange(request, HTTPStatus.OK)
            _check_completed(answer.body, upload)
        except CoatcheckError as failure:
            if failure.outcome is Outcome.UNKNOWN and write_id:
                return await self.settled(failure, location, write_id)
            raise
        return await self._completed(location, write_id, parts)

    async def _completed(
        self, location: Location, write_id: str, parts: Sequence[Part]
    ) -> Receipt:
        """Return the receipt, of which the answer itself tells nothing."""
        size = sum(part.size for part in parts)
        try:
            headers: Mapping[str, str] = (await self.look(location)).headers
        except CoatcheckError:
            # It is done; somebody may have replaced or deleted it since.
            headers = {}
        return receipt_of(headers, write_id, size=size)

    async def abort(self, upload: Upload) -> None:
        self._check_open()
        request = self._about("DELETE", upload, "abort of", route=_UPLOADS)
        try:
            await self.wire.exchange(request, HTTPStatus.NO_CONTENT)
        except ObjectNotFound:
            return

    def list_uploads(
        self, prefix: str = "", *, older_than: timedelta | None = None
    ) -> AsyncIterator[Upload]:
        """Refuse: the wire lists no uploads, the service sweeps them itself.

        Raises:
            UnsupportedOperation: Always.
        """
        del prefix, older_than
        raise UnsupportedOperation("a service lists no uploads", backend=BACKEND)

    def _about(
        self,
        method: str,
        upload: Upload,
        what: str,
        *,
        route: str,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        writes: bool = True,
    ) -> Request:
        """Return a request about an upload."""
        return self.request(
            method,
            self.writable(upload.key),
            f"{what} the upload to",
            writes=writes,
            route=route,
            query={"upload_id": upload.upload_id, **(query or {})},
            headers=headers,
            body=body,
        )


async def _hashed(source: Source, running: Hasher | None) -> AsyncGenerator[bytes]:
    async for chunk in source:
        if running is not None:
            await feed(running, chunk)
        yield chunk


def _text(body: bytes, name: str) -> str:
    """Return a text of a document."""
    found = document_of(body).get(name)
    if not isinstance(found, str) or not found:
        raise BackendError(f"the service tells no {name}", backend=BACKEND)
    return found


def _parts(body: bytes) -> tuple[list[Part], int | None]:
    """Read a page of parts, and after which part the next one begins."""
    document = document_of(body)
    try:
        parts = [
            Part(
                number=int(each["part_number"]),
                etag=str(each["etag"]),
                size=int(each["size"]),
                modified=parse_time(each["last_modified"]),
            )
            for each in document["parts"]
        ]
        if not document["is_truncated"]:
            return parts, None
        return parts, int(document["next_part_number_marker"])
    except (KeyError, TypeError, ValueError):
        raise BackendError(
            "the service answers with what is no list of parts", backend=BACKEND
        ) from None


def _check_completed(body: bytes, upload: Upload) -> None:
    """Raise what a completion's document says, whatever its status was."""
    error = document_of(body).get("error")
    if error is None:
        return
    code = str(error.get("code", "")) if isinstance(error, dict) else ""
    kind: type[CoatcheckError] = BackendError
    if code in _GONE:
        kind = ObjectNotFound
    elif code in _WRONG:
        kind = InvalidInput
    raise kind(
        f"the upload to {shown(upload.key)} was not completed: {shown(code)}",
        key=upload.key,
        backend=BACKEND,
        outcome=Outcome.UNKNOWN if kind is BackendError else None,
    )
