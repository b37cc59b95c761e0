"""Uploads that go on where a lost connection left them.

A session is a multipart upload of the storage, and its token is a sealed text that
names it: nothing of it is in this process. What is held of the body is the parts that
the storage lists, all of them as long as the session's granularity but the last. Who
lost the final answer asks again, and is told 201 by the object itself, or for a day by
a note that outlives it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from coatcheck._core.expiry import TimeToLive
from coatcheck._core.permissions import Permission
from coatcheck.abc import Part, PutInfo, Upload
from coatcheck.errors import ObjectNotFound, UnsupportedOperation
from coatcheck.wrappers import expiring_info

from ._metadata import receipt_headers
from ._refusals import Refusal
from ._storage import OWN
from ._uploads import multipart, parts_of, told_of, upload_of

if TYPE_CHECKING:
    from coatcheck.abc import Limits, Receipt

    from ._bodies import RequestBody
    from ._calls import Call

_PURPOSE: Final = "resumable"
_MIB: Final = 1024 * 1024
_PIECE: Final = 4 * _MIB
_DIGITS: Final = re.compile(r"[0-9]{1,18}")
_QUERY: Final = "*"
_NOTES: Final = f"{OWN}finished/"
_REMEMBERED: Final = TimeToLive(timedelta(days=1))


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """One upload under way."""

    upload: Upload
    """The upload in the storage."""
    total: int
    """Bytes of the whole."""
    granularity: int
    """Bytes of every part but the last."""

    def part_size(self, number: int) -> int:
        """Return how many bytes a part has."""
        return min(self.granularity, self.total - (number - 1) * self.granularity)

    @property
    def note_key(self) -> str:
        """Where it stands written that the upload ended well."""
        name = f"{self.upload.key}\n{self.upload.upload_id}".encode()
        return _NOTES + sha256(name).hexdigest()


@dataclass(frozen=True, slots=True)
class _Held:
    """What of a body the storage holds: sound parts from the first on."""

    parts: tuple[Part, ...]
    offset: int


def is_creation(call: Call) -> bool:
    """Tell whether a PUT or POST begins a session.

    Raises:
        Refusal: It asks for another kind of upload, or names a session too soon.
    """
    kind = call.exchange.query.get("upload_type")
    if kind not in (None, "resumable"):
        raise Refusal(400, "client error: upload_type may be resumable and no other")
    return kind is not None


async def create(call: Call) -> None:
    """Begin a session, whose object appears with its last byte."""
    if not call.target.key:
        call.target = call.target.named(str(uuid4()))
    total = _digits(call.exchange.header("upload-length"), "upload-length")
    info = call.new_info()
    call.allow(Permission.OBJECT_WRITE)
    await call.body(most=None).nothing()
    most = call.most_bytes()
    if most is not None and total > most:
        raise Refusal(413, f"client error: the object is longer than {most} bytes")
    granularity = _granularity(total, call.bucket.limits)
    if not total or granularity is None:
        raise Refusal(501, "client error: this is stored by a plain PUT alone")
    async with call.slot():
        upload = await multipart(call).initiate(call.stored_key, info=info)
    told = {**told_of(upload), "total": total, "unit": granularity}
    token = call.service.seal(_PURPOSE).closed(told)
    await call.exchange.answer_json(
        200,
        {"key": call.target.key, "session": token, "granularity": granularity},
    )


async def append(call: Call) -> None:
    """Take more of the body, or tell how much of it is held."""
    text = call.exchange.header("upload-offset")
    offset = None if text == _QUERY else _digits(text, "upload-offset")
    body = call.body(most=None)
    if offset is None:
        await body.nothing()
    elif body.declared is None:
        raise Refusal(400, "client error: a chunk needs a content-length")
    call.allow(Permission.OBJECT_WRITE)
    session = _session(call)
    length = body.declared or 0
    if offset is not None and offset + length > session.total:
        raise Refusal(400, "client error: the chunk goes beyond the upload-length")
    async with call.slot():
        held = await _held(call, session)
        if held is not None and offset is not None and length:
            if offset != held.offset:
                raise Refusal(
                    409,
                    f"client error: the upload stands at {held.offset}",
                    {"upload-offset": str(held.offset)},
                )
            try:
                held = await _stored(call, session, held, body)
            except ObjectNotFound:
                # Somebody else sent the same, and was faster.
                held = None
        if held is None or held.offset == session.total:
            receipt = await _published(call, session, held)
            headers = {} if receipt is None else receipt_headers(receipt)
            await call.exchange.answer_json(201, {"key": call.target.key}, headers)
            return
    await call.exchange.answer(204, [(b"upload-offset", str(held.offset).encode())])


async def cancel(call: Call) -> None:
    """Drop a session; an absent one is success."""
    call.allow(Permission.OBJECT_WRITE)
    session = _session(call)
    async with call.slot():
        await multipart(call).abort(session.upload)
    await call.exchange.answer(204, ())


async def _held(call: Call, session: Session) -> _Held | None:
    """Return what the storage holds; None when the upload is over."""
    try:
        listed = await parts_of(call, session.upload)
    except ObjectNotFound:
        return None
    sound: list[Part] = []
    for number, part in enumerate(listed, start=1):
        if part.number != number or part.size != session.part_size(number):
            break
        sound.append(part)
    return _Held(tuple(sound), sum(part.size for part in sound))


async def _stored(
    call: Call, session: Session, held: _Held, body: RequestBody
) -> _Held:
    """Store what comes as further parts; what fills none is dropped."""
    parts, offset = list(held.parts), held.offset
    gathered = bytearray()
    async for chunk in body:
        gathered += chunk
        while gathered:
            number = len(parts) + 1
            size = session.part_size(number)
            if len(gathered) < size:
                break
            piece = bytes(gathered[:size])
            del gathered[:size]
            parts.append(
                await multipart(call).put_part(session.upload, number, piece, size=size)
            )
            offset += size
    return _Held(tuple(parts), offset)


async def _published(
    call: Call, session: Session, held: _Held | None
) -> Receipt | None:
    """Let the object appear, or find that it did.

    Raises:
        Refusal: The session is over, and nothing came of it.
    """
    if held is None:
        if await _has_ended_well(call, session):
            return None
        raise Refusal(404, "client error: there is no such upload session (any more)")
    try:
        receipt = await multipart(call).complete(session.upload, held.parts)
    except ObjectNotFound:
        return await _published(call, session, None)
    await _note_end(call, session)
    return receipt


async def _has_ended_well(call: Call, session: Session) -> bool:
    upload = session.upload
    try:
        standing = await call.bucket.head(upload.key)
        if standing.write_id in (upload.write_id, upload.upload_id):
            return True
    except ObjectNotFound:
        pass
    try:
        await call.bucket.head(session.note_key)
    except ObjectNotFound:
        return False
    return True


async def _note_end(call: Call, session: Session) -> None:
    """Write down that the object appeared, for when it is replaced or deleted."""
    info = expiring_info(PutInfo(), _REMEMBERED, call.bucket.now())
    try:
        await call.bucket.put(session.note_key, b"", info=info)
    except UnsupportedOperation:
        # Nothing can expire here; the object alone tells.
        return


def _session(call: Call) -> Session:
    told = call.service.seal(_PURPOSE).opened(call.exchange.query["session"])
    if told is None or told["key"] != call.stored_key:
        raise Refusal(404, "client error: there is no such upload session")
    return Session(
        upload=upload_of(told),
        total=int(told["total"] or 0),
        granularity=int(told["unit"] or 0),
    )


def _granularity(total: int, limits: Limits) -> int | None:
    """Return how long parts are; None when none are long enough."""
    unit = max(_PIECE, -(-limits.min_part // _MIB) * _MIB)
    needed = -(-total // limits.max_parts)
    unit = max(unit, -(-needed // _MIB) * _MIB)
    return None if limits.max_part is not None and unit > limits.max_part else unit


def _digits(text: str | None, name: str) -> int:
    if text is None or _DIGITS.fullmatch(text) is None:
        raise Refusal(400, f"client error: {name} is no number of bytes")
    return int(text)
