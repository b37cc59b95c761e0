"""Uploads in parts, on objectstore's multipart routes."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from binascii import Error as NotBase64
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import anyio

from coatcheck._core.expiry import format_time
from coatcheck._core.permissions import Permission
from coatcheck._core.writes import Part
from coatcheck.errors import (
    CoatcheckError,
    IntegrityError,
    InvalidInput,
    NotFound,
    ObjectNotFound,
)
from coatcheck.payloads._parallel import beside

from ._answers import problem_of
from ._documents import Completion, read_completion
from ._exchange import JSON
from ._reads import send_piece
from ._refusals import Refusal
from ._uploads import multipart, parts_of, told_of, upload_of

if TYPE_CHECKING:
    from coatcheck.abc import Upload

    from ._calls import Call
    from ._seals import Seal

_PURPOSE: Final = "multipart"
_NUMBER: Final = re.compile(r"[0-9]{1,9}")
_MD5_SIZE: Final = 16
_PAGE: Final = 1000
_BREATH: Final = 1.0


async def initiate(call: Call) -> None:
    """Begin an upload; its metadata and deadline are those of this moment."""
    if not call.target.key:
        call.target = call.target.named(str(uuid4()))
    info = call.new_info()
    call.allow(Permission.OBJECT_WRITE)
    await call.body(most=None).nothing()
    async with call.slot():
        upload = await multipart(call).initiate(call.stored_key, info=info)
    document = {
        "key": call.target.key,
        "upload_id": _seal(call).closed(told_of(upload)),
    }
    await call.exchange.answer_json(200, document)


async def put_part(call: Call) -> None:
    """Store one part."""
    upload = _upload(call)
    number = _number(call, "part_number")
    if not number:
        raise Refusal(400, "client error: part_number is 1 or more")
    digest = _md5(call.exchange.header("content-md5"))
    call.allow(Permission.OBJECT_WRITE)
    body = call.body(most=call.most_bytes())
    if body.declared is None:
        raise Refusal(400, "client error: a part needs a content-length")
    whole = await body.at_hand()
    async with call.slot():
        try:
            part = await multipart(call).put_part(
                upload,
                number,
                body if whole is None else whole,
                size=body.declared,
                content_md5=digest,
            )
        except IntegrityError as error:
            raise Refusal(400, f"client error: {error.message}") from error
        except ObjectNotFound:
            raise _gone() from None
    await call.exchange.answer_json(200, {"etag": part.etag})


async def list_parts(call: Call) -> None:
    """Tell which parts there are."""
    upload = _upload(call)
    most = _number(call, "max_parts", _PAGE)
    after = _number(call, "part_number_marker", 0)
    call.allow(Permission.OBJECT_WRITE)
    async with call.slot():
        try:
            parts = await parts_of(call, upload)
        except ObjectNotFound:
            raise _gone() from None
    following = [part for part in parts if part.number > after]
    page = following[: max(1, min(most, _PAGE))]
    document: dict[str, object] = {
        "parts": [
            {
                "part_number": part.number,
                "etag": part.etag,
                "last_modified": format_time(part.modified or upload.started),
                "size": part.size,
            }
            for part in page
        ],
        "is_truncated": len(page) < len(following),
    }
    if document["is_truncated"]:
        document["next_part_number_marker"] = page[-1].number
    await call.exchange.answer_json(200, document)


async def abort(call: Call) -> None:
    """Drop an upload; an absent one is success."""
    upload = _upload(call)
    call.allow(Permission.OBJECT_WRITE)
    async with call.slot():
        await multipart(call).abort(upload)
    await call.exchange.answer(204, ())


async def complete(call: Call) -> None:
    """Join the parts, and keep the connection alive while it takes.

    The answer is begun before the outcome is known: its status is 200 whatever
    happens, and the outcome is the document at its end.
    """
    upload = _upload(call)
    completion = await read_completion(call)
    call.allow(Permission.OBJECT_WRITE)
    async with call.slot():
        await call.exchange.start(200, [JSON])
        document = await beside(
            lambda: _breathe(call), lambda: _completed(call, upload, completion)
        )
    body = json.dumps(document, separators=(",", ":")).encode()
    await send_piece(call, body, more=False)


async def _breathe(call: Call) -> None:
    """Send a space now and then, which JSON has no objection to."""
    while True:
        await anyio.sleep(_BREATH)
        await send_piece(call, b" ", more=True)


async def _completed(
    call: Call, upload: Upload, completion: Completion
) -> dict[str, object]:
    try:
        parts = await _chosen(call, upload, completion)
        await multipart(call).complete(upload, parts)
    except Refusal as refusal:
        return _error("EntityTooLarge", refusal.detail)
    except NotFound:
        return _error("NoSuchUpload", _gone().detail)
    except InvalidInput as error:
        return _error("InvalidPart", error.message)
    except CoatcheckError as error:
        return _error("InternalError", problem_of(error).detail)
    return {"key": call.target.key}


def _error(code: str, message: str) -> dict[str, object]:
    return {"error": {"code": code, "message": message}}


async def _chosen(call: Call, upload: Upload, completion: Completion) -> list[Part]:
    """Return the parts that are named, with the sizes that the storage knows."""
    try:
        sizes = {part.number: part.size for part in await parts_of(call, upload)}
    except ObjectNotFound:
        # It may have been completed already, which completing again tells.
        sizes = {}
    parts = [
        Part(
            number=named.part_number,
            etag=named.etag.strip('"'),
            size=sizes.get(named.part_number, 0),
        )
        for named in completion.parts
    ]
    most = call.most_bytes()
    if most is not None and sum(part.size for part in parts) > most:
        raise Refusal(413, f"client error: the object is longer than {most} bytes")
    return parts


def _upload(call: Call) -> Upload:
    text = call.exchange.query.get("upload_id")
    told = _seal(call).opened(text) if text else None
    if told is None:
        raise Refusal(400, "client error: upload_id is missing or none of this service")
    if told["key"] != call.stored_key:
        raise _gone()
    return upload_of(told)


def _seal(call: Call) -> Seal:
    return call.service.seal(_PURPOSE)


def _gone() -> Refusal:
    return Refusal(404, "client error: there is no such upload; it may have ended")


def _number(call: Call, name: str, default: int | None = None) -> int:
    text = call.exchange.query.get(name)
    if text is None and default is not None:
        return default
    if text is None or _NUMBER.fullmatch(text) is None:
        raise Refusal(400, f"client error: {name} is no number")
    return int(text)


def _md5(text: str | None) -> bytes | None:
    if text is None:
        return None
    try:
        digest = b64decode(text, validate=True)
    except NotBase64:
        digest = b""
    if len(digest) != _MD5_SIZE:
        raise Refusal(400, "client error: content-md5 is not the base64 of an MD5")
    return digest
