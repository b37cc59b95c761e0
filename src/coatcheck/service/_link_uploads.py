"""Uploads by links: one object, once, no larger than allowed."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from anyio import fail_after, move_on_after
from fastapi import Response

from coatcheck._core.objects import PutInfo
from coatcheck._core.writes import Write
from coatcheck.errors import ObjectNotFound

from ._link_answers import quoted
from ._link_refusals import SAFE, STALLED, TOO_LARGE, USED, WRONG_TYPE, RefusedError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from fastapi import Request

    from coatcheck._core.signing import LinkGrant
    from coatcheck.abc import Bucket

_MOST_DRAINED: Final = 1024 * 1024
_DRAINING: Final = 2.0


async def upload(
    request: Request, bucket: Bucket, grant: LinkGrant, *, seconds: float
) -> Response:
    """Store the body of a request under a link's key, where nothing stands yet.

    Args:
        request: The request.
        bucket: Where it goes.
        grant: What the link allows.
        seconds: How long the client may take for each chunk.

    Raises:
        RefusedError: It is not what the link allows.
        ClientDisconnect: The client went away; nothing was stored.
        CoatcheckError: The storage failed.
    """
    given = request.headers.get("content-type")
    if grant.content_type not in (None, given):
        raise RefusedError(WRONG_TYPE)
    length = request.headers.get("content-length")
    size = None if length is None else int(length)
    if size is not None and grant.max_size is not None and size > grant.max_size:
        raise RefusedError(TOO_LARGE)
    info = PutInfo(content_type=given, encoding=request.headers.get("content-encoding"))
    await _refuse_standing(bucket, grant.key)
    body = _received(request, grant.max_size, seconds)
    receipt = await bucket.put(grant.key, body, info=info, mode=Write.CREATE, size=size)
    headers = {**SAFE, "etag": quoted(receipt.etag), "cache-control": "no-store"}
    return Response(status_code=HTTPStatus.CREATED, headers=headers)


async def _refuse_standing(bucket: Bucket, key: str) -> None:
    """Refuse at once what CREATE would refuse after the whole body."""
    try:
        await bucket.head(key)
    except ObjectNotFound:
        return
    raise RefusedError(USED)


async def _received(
    request: Request, max_size: int | None, seconds: float
) -> AsyncGenerator[bytes]:
    """Yield the body's chunks while they keep coming and are not too many."""
    received = 0
    chunks = request.stream()
    try:
        while True:
            with fail_after(seconds):
                chunk = await anext(chunks, None)
            if chunk is None:
                return
            received += len(chunk)
            if max_size is not None and received > max_size:
                raise RefusedError(TOO_LARGE)
            yield chunk
    except TimeoutError:
        raise RefusedError(STALLED) from None


async def drain(request: Request) -> None:
    """Take what a client is still sending, as far as it is little and comes soon.

    It could not read the answer otherwise: a connection that is closed over unread
    bytes is reset.
    """
    if "expect" in request.headers:
        return
    left = _MOST_DRAINED
    with move_on_after(_DRAINING):
        while left > 0:
            message = await request.receive()
            left -= len(message.get("body", b""))
            if not message.get("more_body", False):
                return
