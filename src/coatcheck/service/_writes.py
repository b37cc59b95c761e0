"""PUT, POST, DELETE and PATCH of objects."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from coatcheck._core.headers import SHA256, WRITE_ID
from coatcheck.errors import ObjectNotFound

from ._conditions import delete_condition, write_mode
from ._config import Permission
from ._documents import read_extension
from ._metadata import SIZE, quoted
from ._refusals import Refusal

if TYPE_CHECKING:
    from coatcheck.abc import Receipt

    from ._calls import Call

CREATED = "x-cc-created"
"""Tells of a write that its key was free before, as far as the storage knows."""


async def post_object(call: Call) -> None:
    """Store a body under a new key."""
    call.target = call.target.named(str(uuid4()))
    await _store(call, 201)


async def put_object(call: Call) -> None:
    """Store a body under a key."""
    await _store(call, 200)


async def _store(call: Call, status: int) -> None:
    info = call.new_info()
    mode = write_mode(call.exchange)
    call.allow(Permission.WRITE)
    body = call.body(most=call.most_bytes())
    body.hold_against(info.sha256)
    whole = await body.at_hand()
    async with call.slot():
        receipt = await call.bucket.put(
            call.stored_key,
            body if whole is None else whole,
            info=info,
            mode=mode,
            size=body.declared,
        )
    await answer_receipt(call, status, receipt)


async def answer_receipt(call: Call, status: int, receipt: Receipt) -> None:
    """Answer a write that succeeded."""
    document = {"key": call.target.key}
    await call.exchange.answer_json(status, document, receipt_headers(receipt))


def receipt_headers(receipt: Receipt) -> dict[str, str]:
    """Return what a write tells beyond its key."""
    headers = {"etag": quoted(receipt.etag), SIZE: str(receipt.size)}
    if receipt.write_id:
        headers[WRITE_ID] = receipt.write_id
    if receipt.sha256 is not None:
        headers[SHA256] = receipt.sha256
    if receipt.created:
        headers[CREATED] = "true"
    return headers


async def delete_object(call: Call) -> None:
    """Delete an object; an absent one is success."""
    etag = delete_condition(call.exchange)
    if "upload_type" in call.exchange.query:
        raise Refusal(400, "client error: upload_type says nothing for DELETE")
    call.allow(Permission.DELETE)
    async with call.slot():
        await call.bucket.delete(call.stored_key, if_match=etag)
    await call.exchange.answer(204, ())


async def patch_object(call: Call) -> None:
    """Move the deadline of an object to a later time."""
    extension = await read_extension(call)
    call.allow(Permission.WRITE)
    async with call.slot():
        try:
            await call.bucket.extend(call.stored_key, extension)
        except ObjectNotFound:
            raise Refusal(404, "") from None
    await call.exchange.answer(204, ())
