"""Many operations in one request, each with an answer of its own."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_to_bytes
from uuid import uuid4

import anyio

from coatcheck._core.objects import nothing
from coatcheck._core.permissions import Permission
from coatcheck.errors import CoatcheckError, InvalidName, ObjectNotFound
from coatcheck.payloads._parallel import in_parallel

from ._answers import problem_of
from ._batch_parts import MAX_BODY, MAX_OPERATIONS, MAX_PART, parts_of
from ._metadata import metadata_headers, metadata_of, receipt_headers
from ._reads import send_piece
from ._refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from coatcheck.abc import Reader

    from ._batch_parts import Part
    from ._calls import Call

_PREFIX: Final = "x-sn-batch-operation-"
_AT_ONCE: Final = 8
_BROKEN_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_PLAIN: Final = re.compile(rb"[^A-Za-z0-9]")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Result:
    """What became of one operation."""

    index: int
    status: int
    kind: str = ""
    key: str | None = None
    headers: Mapping[str, str] = field(default_factory=nothing)
    body: bytes = b""


async def batch(call: Call) -> None:
    """Carry out operations while they arrive, at once and in no order.

    Answers stand in the order in which operations ended. Reads come last, when the
    whole request was taken, since nothing is answered to who is still sending.
    """
    body = call.body(most=MAX_BODY)
    parts = parts_of(body, call.exchange.header("content-type"))
    answers = _Answers(call)
    reads: list[Part] = []

    async def carry_out(part: Part) -> _Result | None:
        if part.headers.get(f"{_PREFIX}kind", "").lower() == "get":
            reads.append(part)
            return None
        return await _result(call, part)

    async with aclosing(parts):
        done = await in_parallel(parts, carry_out, at_once=_AT_ONCE)
    await answers.begin()
    for result in filter(None, done):
        await answers.write(result)

    async def answer(part: Part) -> None:
        await _answer_read(call, part, answers)

    await in_parallel(reads, answer, at_once=_AT_ONCE)
    await answers.end()


async def _result(call: Call, part: Part) -> _Result:
    """Carry out one operation, whose failure is its own."""
    try:
        one, kind = _operation(call, part)
        async with one.slot(bulk=True):
            match kind:
                case "insert":
                    return await _insert(one, part)
                case "head":
                    return await _head(one, part)
                case _:
                    return await _delete(one, part)
    except (CoatcheckError, Refusal) as error:
        return _failed(part, error)


def _operation(call: Call, part: Part) -> tuple[Call, str]:
    """Return an operation as a call of its own, admitted and allowed, and its kind."""
    if part.index >= MAX_OPERATIONS:
        raise Refusal(413, f"client error: more than {MAX_OPERATIONS} operations")
    if part.is_too_large:
        raise Refusal(413, f"client error: the part is longer than {MAX_PART} bytes")
    if part.is_ambiguous:
        raise Refusal(400, "client error: a header is given twice")
    kind = part.headers.get(f"{_PREFIX}kind", "").lower()
    permission = _PERMISSIONS.get(kind)
    if permission is None:
        raise Refusal(400, "client error: the kind is get, head, insert or delete")
    one = call.one_of(_key(part, kind))
    call.service.rates.admit(one.target)
    one.allow(permission)
    return one, kind


_PERMISSIONS: Final = {
    "delete": Permission.OBJECT_DELETE,
    "get": Permission.OBJECT_READ,
    "head": Permission.OBJECT_READ,
    "insert": Permission.OBJECT_WRITE,
}


def _key(part: Part, kind: str) -> str:
    text = part.headers.get(f"{_PREFIX}key")
    if text is None:
        if kind == "insert":
            return str(uuid4())
        raise Refusal(400, "client error: the operation names no key")
    if _BROKEN_ESCAPE.search(text):
        raise InvalidName("the key has a '%' that begins no escape; send %25")
    try:
        key = unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise InvalidName("the key is not UTF-8") from None
    if not key:
        raise InvalidName("key is empty")
    return key


async def _insert(one: Call, part: Part) -> _Result:
    info = metadata_of(part.headers, one.bucket.now())
    one.service.policies.check_expiry(one.target, info.expiry)
    most = one.most_bytes()
    if most is not None and len(part.body) > most:
        raise Refusal(413, f"client error: the object is longer than {most} bytes")
    receipt = await one.bucket.put(one.stored_key, part.body, info=info)
    return _Result(
        index=part.index,
        status=201,
        kind="insert",
        key=one.target.key,
        headers=receipt_headers(receipt),
    )


async def _head(one: Call, part: Part) -> _Result:
    try:
        info = await one.bucket.head(one.stored_key)
    except ObjectNotFound:
        return _absent(one, part, "head")
    await one.bucket.renew(info)
    return _Result(
        index=part.index,
        status=204,
        kind="head",
        key=one.target.key,
        headers=metadata_headers(info),
    )


async def _delete(one: Call, part: Part) -> _Result:
    await one.bucket.delete(one.stored_key)
    return _Result(index=part.index, status=204, kind="delete", key=one.target.key)


async def _answer_read(call: Call, part: Part, answers: _Answers) -> None:
    """Answer one read; only its bytes, once they flow, can fail the whole answer."""
    try:
        one, kind = _operation(call, part)
        async with one.slot(bulk=True), one.bucket.get(one.stored_key) as reader:
            small = await reader.read() if reader.info.size <= MAX_PART else None
            result = _Result(
                index=part.index,
                status=200,
                kind=kind,
                key=one.target.key,
                headers=metadata_headers(reader.info),
                body=small or b"",
            )
            await answers.write(result, reader if small is None else None)
            return
    except ObjectNotFound:
        failure = _absent(call.one_of(_key(part, "get")), part, "get")
    except (CoatcheckError, Refusal) as error:
        if answers.is_torn:
            raise
        failure = _failed(part, error)
    await answers.write(failure)


def _absent(one: Call, part: Part, kind: str) -> _Result:
    return _Result(index=part.index, status=404, kind=kind, key=one.target.key)


def _failed(part: Part, error: Exception) -> _Result:
    problem = problem_of(error)
    return _Result(
        index=part.index,
        status=problem.status,
        headers={"content-type": "application/json", **problem.headers},
        body=json.dumps(problem.document()).encode(),
    )


class _Answers:
    """The answer, written part by part.

    Args:
        call: The request.
    """

    def __init__(self, call: Call) -> None:
        self._call = call
        self._boundary = f"os-boundary-{uuid4().hex}"
        self._writing = anyio.Lock()
        self.is_torn = False
        """Whether a part was begun and could not be ended."""

    async def begin(self) -> None:
        """Begin the answer."""
        media = f'multipart/form-data; boundary="{self._boundary}"'
        await self._call.exchange.start(200, [(b"content-type", media.encode())])

    async def write(
        self, result: _Result, more: AsyncIterator[bytes] | Reader | None = None
    ) -> None:
        """Write one part, with what a reader gives behind its body."""
        async with self._writing:
            self.is_torn = True
            await self._send(_head_of(result, self._boundary) + result.body)
            if more is not None:
                async for chunk in more:
                    await self._send(chunk)
            await self._send(b"\r\n")
            self.is_torn = False

    async def end(self) -> None:
        """End the answer."""
        await self._send(f"--{self._boundary}--\r\n".encode(), more=False)

    async def _send(self, piece: bytes, *, more: bool = True) -> None:
        await send_piece(self._call, piece, more=more)


def _head_of(result: _Result, boundary: str) -> bytes:
    headers = {
        "content-disposition": "form-data; name=part",
        f"{_PREFIX}index": str(result.index),
        f"{_PREFIX}status": f"{result.status} {HTTPStatus(result.status).phrase}",
    }
    if result.key is not None:
        headers[f"{_PREFIX}key"] = _encoded(result.key)
        headers[f"{_PREFIX}kind"] = result.kind
    headers |= result.headers
    lines = [f"--{boundary}", *(f"{name}: {text}" for name, text in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def _encoded(key: str) -> str:
    """Return a key with every byte escaped that is no letter or digit."""
    return _PLAIN.sub(lambda found: b"%%%02X" % found[0][0], key.encode()).decode()
