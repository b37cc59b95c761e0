"""GET and HEAD of objects."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import anyio

from coatcheck._core.permissions import Permission
from coatcheck.errors import InvalidRange, ObjectNotFound, PreconditionFailed
from coatcheck.payloads._parallel import beside

from ._conditions import wanted
from ._metadata import object_headers, quoted
from ._refusals import ClientGone, Refusal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from coatcheck.abc import Reader

    from ._calls import Call
    from ._conditions import Wanted
    from ._exchange import Headers

PIECE: Final = 256 * 1024
"""Bytes that are handed to the connection at once."""


async def get_object(call: Call) -> None:
    """Answer with an object's bytes, or a range of them."""
    what = wanted(call.exchange)
    call.allow(Permission.OBJECT_READ)
    async with call.slot():
        try:
            await _get(call, what)
        except ObjectNotFound:
            raise Refusal(404, "") from None


async def _get(call: Call, what: Wanted) -> None:
    if what.if_range is not None and what.byte_range is not None:
        try:
            return await _read(call, replace(what, if_match=what.if_range))
        except PreconditionFailed:
            what = replace(what, byte_range=None)
    try:
        return await _read(call, what)
    except PreconditionFailed:
        if what.if_none_match is None:
            raise
        return await call.exchange.answer(
            304, [(b"etag", quoted(what.if_none_match).encode())]
        )
    except InvalidRange:
        return await _answer_unsatisfiable(call)


async def _read(call: Call, what: Wanted) -> None:
    async with call.bucket.get(
        call.stored_key,
        byte_range=what.byte_range,
        if_match=what.if_match,
        if_none_match=what.if_none_match,
    ) as reader:
        length = len(reader.range)
        headers = object_headers(reader.info, length)
        status = 200
        if what.byte_range is not None:
            status = 206
            headers.append((b"content-range", _content_range(reader)))
        await send_bytes(call, reader, status, headers)


def _content_range(reader: Reader) -> bytes:
    offsets = reader.range
    return b"bytes %d-%d/%d" % (offsets.start, offsets.stop - 1, reader.info.size)


async def _answer_unsatisfiable(call: Call) -> None:
    info = await call.bucket.head(call.stored_key)
    raise Refusal(
        416,
        "client error: the range lies outside the object",
        {"content-range": f"bytes */{info.size}"},
    )


async def head_object(call: Call) -> None:
    """Answer as GET does, without the bytes; it counts as an access, too."""
    what = wanted(call.exchange)
    call.allow(Permission.OBJECT_READ)
    async with call.slot():
        try:
            info = await call.bucket.head(call.stored_key)
        except ObjectNotFound:
            raise Refusal(404, "") from None
        await call.bucket.renew(info)
    if what.if_match not in (None, info.etag):
        raise Refusal(412, "client error: the object has another etag")
    if what.if_none_match == info.etag:
        await call.exchange.answer(304, [(b"etag", quoted(info.etag).encode())])
        return
    await call.exchange.answer(200, object_headers(info, info.size))


async def send_bytes(call: Call, reader: Reader, status: int, headers: Headers) -> None:
    """Send what a reader gives, and stop when nobody takes it.

    What fails before the first bytes are there is answered as an error; later the
    answer ends short of its length, which no client takes for the whole.

    Raises:
        ClientGone: The client went away, or took nothing for too long.
    """
    chunks = aiter(reader)
    first = await anext(chunks, b"")
    length = len(reader.range)
    await call.exchange.start(status, headers)
    if len(first) == length and length <= PIECE:
        await send_piece(call, first, more=False)
        return
    await beside(
        lambda: _until_gone(call), lambda: _send_all(call, first, chunks, length)
    )


async def _until_gone(call: Call) -> None:
    """Wait until the client goes away, which no sending tells.

    Raises:
        ClientGone: It did.
    """
    while (await call.exchange.receive())["type"] != "http.disconnect":
        pass
    raise ClientGone


async def _send_all(
    call: Call, first: bytes, chunks: AsyncIterator[bytes], left: int
) -> None:
    chunk = first
    while True:
        for start in range(0, len(chunk), PIECE):
            piece = chunk[start : start + PIECE]
            left -= len(piece)
            await send_piece(call, piece, more=left > 0)
        if left <= 0:
            return
        chunk = await anext(chunks)


async def send_piece(call: Call, piece: bytes, *, more: bool) -> None:
    """Send a piece of an answer's body.

    Raises:
        ClientGone: The client takes nothing for too long.
    """
    call.count_sent(len(piece))
    with anyio.move_on_after(call.service.config.body_timeout.total_seconds()) as scope:
        await call.exchange.send(
            {"type": "http.response.body", "body": piece, "more_body": more}
        )
    if scope.cancelled_caught:
        raise ClientGone
