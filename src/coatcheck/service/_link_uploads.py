"""Uploads by links: one object, once, no larger than allowed."""

from __future__ import annotations

from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from anyio import fail_after, move_on_after
from fastapi import Response
from starlette.requests import ClientDisconnect

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


class Incoming:
    """The body that a client sends with a request.

    Args:
        request: The request.
        seconds: How long the client may take for each chunk.
    """

    def __init__(self, request: Request, seconds: float) -> None:
        self._request = request
        self._seconds = seconds
        self._begun = self._ended = self._stalled = False

    async def chunks(self, max_size: int | None) -> AsyncGenerator[bytes]:
        """Yield the chunks while they keep coming and are not too many.

        Raises:
            RefusedError: They are too many bytes, or do not go on.
            ClientDisconnect: The client went away before the end.
        """
        received = 0
        while not self._ended:
            try:
                with fail_after(self._seconds):
                    chunk = await self._next()
            except TimeoutError:
                self._stalled = True
                raise RefusedError(STALLED) from None
            received += len(chunk)
            if max_size is not None and received > max_size:
                raise RefusedError(TOO_LARGE)
            yield chunk

    async def drained(self) -> bool:
        """Take what is still being sent, as far as it is little and comes soon.

        The client could not read the answer otherwise: a connection that is closed
        over unread bytes is reset. One that waits to be asked for its body is not.

        Returns:
            Whether the connection can be used again: that was all, or it carries
            other requests too.
        """
        waits = not self._begun and "expect" in self._request.headers
        left = 0 if waits or self._stalled else _MOST_DRAINED
        with move_on_after(_DRAINING), suppress(ClientDisconnect):
            while left > 0 and not self._ended:
                left -= len(await self._next())
        return self._ended or not self._request.scope["http_version"].startswith("1")

    async def _next(self) -> bytes:
        self._begun = True
        message = await self._request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        self._ended = not message.get("more_body", False)
        chunk: bytes = message.get("body", b"")
        return chunk


async def upload(
    request: Request, incoming: Incoming, bucket: Bucket, grant: LinkGrant
) -> Response:
    """Store the body of a request under a link's key, where nothing stands yet.

    Args:
        request: The request.
        incoming: Its body.
        bucket: Where it goes.
        grant: What the link allows.

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
    receipt = await bucket.put(
        grant.key,
        incoming.chunks(grant.max_size),
        info=info,
        mode=Write.CREATE,
        size=size,
    )
    headers = {**SAFE, "etag": quoted(receipt.etag), "cache-control": "no-store"}
    return Response(status_code=HTTPStatus.CREATED, headers=headers)


async def _refuse_standing(bucket: Bucket, key: str) -> None:
    """Refuse at once what CREATE would refuse after the whole body."""
    try:
        await bucket.head(key)
    except ObjectNotFound:
        return
    raise RefusedError(USED)
