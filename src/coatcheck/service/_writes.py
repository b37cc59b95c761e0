"""PUT, POST, DELETE and PATCH of objects."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from coatcheck._core.permissions import Permission
from coatcheck._core.writes import Write
from coatcheck.abc import Capability
from coatcheck.errors import ObjectNotFound

from ._conditions import delete_condition, write_mode
from ._documents import read_extension
from ._metadata import receipt_headers
from ._refusals import Refusal
from ._resumable import append, cancel, create, is_creation

if TYPE_CHECKING:
    from coatcheck.abc import WriteMode

    from ._calls import Call


async def post_object(call: Call) -> None:
    """Store a body under a new key, or begin to."""
    if "session" in call.exchange.query:
        raise Refusal(400, "client error: a session goes on under its key")
    if is_creation(call):
        await create(call)
        return
    call.target = call.target.named(str(uuid4()))
    mode = write_mode(call.exchange)
    if mode is Write.OVERWRITE and Capability.CREATE in call.bucket.capabilities:
        # Nothing can stand there, which spares some storages a look.
        mode = Write.CREATE
    await _store(call, 201, mode)


async def put_object(call: Call) -> None:
    """Store a body under a key, begin to, or go on."""
    if "session" in call.exchange.query:
        await append(call)
    elif is_creation(call):
        await create(call)
    else:
        await _store(call, 200, write_mode(call.exchange))


async def _store(call: Call, status: int, mode: WriteMode) -> None:
    info = call.new_info()
    call.allow(Permission.OBJECT_WRITE)
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
    document = {"key": call.target.key}
    await call.exchange.answer_json(status, document, receipt_headers(receipt))


async def delete_object(call: Call) -> None:
    """Delete an object, or drop an upload session; an absent one is success."""
    if "session" in call.exchange.query:
        await cancel(call)
        return
    etag = delete_condition(call.exchange)
    if "upload_type" in call.exchange.query:
        raise Refusal(400, "client error: upload_type says nothing for DELETE")
    call.allow(Permission.OBJECT_DELETE)
    async with call.slot():
        await call.bucket.delete(call.stored_key, if_match=etag)
    await call.exchange.answer(204, ())


async def patch_object(call: Call) -> None:
    """Move the deadline of an object to a later time."""
    extension = await read_extension(call)
    call.allow(Permission.OBJECT_WRITE)
    async with call.slot():
        try:
            await call.bucket.extend_expiry(call.stored_key, extension)
        except ObjectNotFound:
            raise Refusal(404, "") from None
    await call.exchange.answer(204, ())
