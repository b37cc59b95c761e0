"""Objects as answers to links: their headers, and bodies that flow."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace
from email.utils import format_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from anyio import fail_after
from fastapi.responses import Response, StreamingResponse
from starlette.requests import ClientDisconnect

from coatcheck._core.headers import attachment, encode_metadata
from coatcheck._core.objects import NOTHING
from coatcheck.errors import (
    CoatcheckError,
    InvalidRange,
    PreconditionFailed,
)

from ._link_refusals import SAFE, out_of_range, refusal_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from fastapi import Request
    from starlette.types import Message, Receive, Scope, Send

    from coatcheck._core.signing import LinkGrant
    from coatcheck.abc import Bucket, ByteRange, ObjectInfo, Reader

DEFAULT_TYPE: Final = "application/octet-stream"


def headers_of(info: ObjectInfo, grant: LinkGrant) -> dict[str, str]:
    """Return the headers that tell about an object, its length excepted.

    Who put it there and the user's own metadata are nobody's business who has a link.
    """
    headers = {
        **encode_metadata(replace(info.put_info(), origin=None, custom=NOTHING)),
        **SAFE,
        # Asked for again each time, so that no cache serves what is over.
        "cache-control": "private, no-cache",
        "accept-ranges": "bytes",
        "etag": quoted(info.etag),
        "last-modified": format_datetime(info.modified, usegmt=True),
        "content-type": grant.content_type or info.content_type or DEFAULT_TYPE,
        "content-disposition": grant.content_disposition or attachment(info.filename),
    }
    if info.encoding is not None:
        headers["content-encoding"] = info.encoding
    return headers


def quoted(etag: str) -> str:
    """Return an ETag as headers have it."""
    return etag if etag.startswith('"') else f'"{etag}"'


class ObjectAnswer(Response):
    """An object, or a range of it, that flows from its bucket to the client.

    It is open while this is being sent and no longer. A client that goes away or
    does not go on is left, and nothing stays open for it.

    Args:
        bucket: Where the object is.
        grant: What the link allows.
        request: What was asked.
        byte_range: What of the object was asked for; None is all.
        seconds: How long a client may take for each chunk.
    """

    def __init__(
        self,
        bucket: Bucket,
        grant: LinkGrant,
        request: Request,
        *,
        byte_range: ByteRange | None,
        seconds: float,
    ) -> None:
        super().__init__()
        self._bucket = bucket
        self._grant = grant
        self._asked = request.headers
        self._byte_range = byte_range
        self._seconds = seconds
        self._begun = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it; what fails before the first byte becomes a status."""

        async def sending(message: Message) -> None:
            self._begun = True
            with fail_after(self._seconds):
                await send(message)

        try:
            answer = await self._sent(scope, receive, sending)
        except CoatcheckError as error:
            if self._begun:
                # The body ends short of its length, which tells the client.
                raise
            answer = refusal_of(error).answer()
        except (ClientDisconnect, TimeoutError):
            return
        if answer is not None:
            await answer(scope, receive, send)

    async def _sent(
        self, scope: Scope, receive: Receive, send: Send
    ) -> Response | None:
        """Send the object; return what is to be answered instead."""
        try:
            async with self._read(self._byte_range) as reader:
                return await self._flow(reader, scope, receive, send)
        except InvalidRange:
            info = await self._bucket.head(self._grant.key)
            return out_of_range(info.size).answer()
        except PreconditionFailed:
            # It is no longer what the client has the beginning of.
            self._byte_range = None
            async with self._read(None) as reader:
                return await self._flow(reader, scope, receive, send)

    def _read(
        self, byte_range: ByteRange | None
    ) -> AbstractAsyncContextManager[Reader]:
        condition = self._asked.get("if-range")
        if byte_range is None or condition is None:
            return self._bucket.get(self._grant.key, byte_range=byte_range)
        etag = condition.strip().removeprefix('"').removesuffix('"')
        return self._bucket.get(self._grant.key, byte_range=byte_range, if_match=etag)

    async def _flow(
        self, reader: Reader, scope: Scope, receive: Receive, send: Send
    ) -> Response | None:
        headers = headers_of(reader.info, self._grant)
        if _is_known(self._asked.get("if-none-match"), headers["etag"]):
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        span, status = reader.range, HTTPStatus.OK
        headers["content-length"] = str(len(span))
        if self._byte_range is not None:
            status = HTTPStatus.PARTIAL_CONTENT
            bounds = f"{span.start}-{span.stop - 1}"
            headers["content-range"] = f"bytes {bounds}/{reader.info.size}"
        chunks = aiter(reader)
        # Small objects are verified by now, and refused with a status.
        first = await anext(chunks, b"")
        async with aclosing(_joined(first, chunks)) as body:
            await StreamingResponse(body, status, headers)(scope, receive, send)
        return None


async def _joined(first: bytes, rest: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk


def _is_known(header: str | None, etag: str) -> bool:
    """Tell whether an If-None-Match names the ETag."""
    if header is None:
        return False
    named = {each.strip().removeprefix("W/") for each in header.split(",")}
    return etag in named or header.strip() == "*"
