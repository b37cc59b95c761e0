"""Writing whole objects to a service."""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING
from uuid import uuid4

from coatcheck._core.writes import Update, Write
from coatcheck.abc import NO_INFO, Capability
from coatcheck.errors import (
    AlreadyExists,
    BackendError,
    BackendUnavailable,
    CoatcheckError,
    Outcome,
    PreconditionFailed,
)
from coatcheck.payloads._body import open_source, whole_bytes

from ._failures import BACKEND
from ._metadata import document_of, receipt_of, sent_headers
from ._place import ServicePlace
from ._streams import Outflow

if TYPE_CHECKING:
    from coatcheck._core.scopes import Location
    from coatcheck.abc import Body, PutInfo, Receipt, WriteMode
    from coatcheck.payloads._body import Source

    from ._messages import Answer, Request

_DONE = (HTTPStatus.OK, HTTPStatus.CREATED)


class ServiceWrites(ServicePlace):
    """The verb `put`."""

    async def put(
        self,
        key: str,
        body: Body,
        *,
        info: PutInfo = NO_INFO,
        mode: WriteMode = Write.OVERWRITE,
        size: int | None = None,
    ) -> Receipt:
        self._check_open()
        location = self.writable(key)
        info = replace(info, write_id=info.write_id or uuid4().hex)
        headers = sent_headers(info) | self._conditions(mode)
        write_id = info.write_id or ""
        request = self.request("PUT", location, "put of", writes=True, headers=headers)
        try:
            whole = whole_bytes(body, size)
            if whole is not None:
                return await self._put_whole(request, whole, write_id)
            async with open_source(body, size) as source:
                return await self._put_flowing(request, source, write_id)
        except PreconditionFailed as failure:
            return await self._put_before(failure, location, mode, write_id)
        except CoatcheckError as failure:
            return await self.settled(failure, location, write_id)

    def _conditions(self, mode: WriteMode) -> dict[str, str]:
        match mode:
            case Write.OVERWRITE:
                return {}
            case Write.CREATE:
                self.require(Capability.CREATE, "create")
                return {"if-none-match": "*"}
            case Update(etag):
                self.require(Capability.REPLACE_IF, "replace what was seen")
                return {"if-match": f'"{etag}"'}

    async def _put_whole(
        self, request: Request, whole: bytes, write_id: str
    ) -> Receipt:
        # Conditions do no harm to what is sent again: the write id tells our own.
        answer = await self.wire.exchange(replace(request, body=whole), *_DONE)
        _check_done(answer, request)
        return receipt_of(answer.headers, write_id, size=len(whole))

    async def _put_flowing(
        self, request: Request, source: Source, write_id: str
    ) -> Receipt:
        if source.size is not None:
            length = {"content-length": str(source.size)}
            request = replace(request, headers={**request.headers, **length})
        request = replace(request, repeatable=False)
        outflow = Outflow(self.wire, request, source)

        answer = await self.wire.attempted(request, lambda: outflow.exchange(*_DONE))
        _check_done(answer, request)
        return receipt_of(answer.headers, write_id, size=outflow.count)

    async def _put_before(
        self,
        failure: PreconditionFailed,
        location: Location,
        mode: WriteMode,
        write_id: str,
    ) -> Receipt:
        """Return the receipt when it was this very write that is in the way."""
        receipt = await self.made(location, write_id)
        if receipt is not None:
            return receipt
        if mode is Write.CREATE:
            key = location.stored_key
            raise AlreadyExists(
                f"object {key!a} exists", key=key, backend=BACKEND
            ) from failure
        raise failure


def _check_done(answer: Answer, request: Request) -> None:
    """Refuse a success that does not name the object.

    Raises:
        BackendUnavailable: Something that is no service answered.
    """
    try:
        named = document_of(answer.body).get("key") == request.location.key
    except BackendError:
        named = False
    if not named:
        raise BackendUnavailable(
            f"{request.doing.what}: something that is no service answered; see the URL",
            key=request.doing.key,
            backend=BACKEND,
            outcome=Outcome.UNKNOWN,
        )
