"""Many operations in one request to a service."""

from __future__ import annotations

import re
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import quote
from uuid import uuid4

import aiohttp

from coatcheck._core.scopes import Location
from coatcheck.abc import BatchOutcome, BatchStep, BatchVerb
from coatcheck.errors import (
    BackendError,
    CoatcheckError,
    InvalidInput,
    ObjectNotFound,
)
from coatcheck.payloads._body import OneChunk
from coatcheck.payloads._integrity import VerifiedReader

from ._failures import BACKEND, FOREIGN, Doing, refusal_of
from ._metadata import info_of, receipt_of, sent_headers, size_of
from ._resumable import ResumingBucket

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from coatcheck.abc import ObjectInfo

    from ._messages import Passing, Request

_OPERATION: Final = "x-sn-batch-operation-"
_ROUTE: Final = "objects:batch"
_KINDS: Final = {
    BatchVerb.PUT: "insert",
    BatchVerb.GET: "get",
    BatchVerb.HEAD: "head",
    BatchVerb.DELETE: "delete",
}
_STATUS: Final = re.compile(r"([0-9]{3})\b.*")
_DIGITS: Final = re.compile(r"[0-9]{1,6}")
_AT_ONCE: Final = 4 * 1024 * 1024
"""More than a connection holds: aiohttp warns of itself when it gives bytes back."""


class BatchingBucket(ResumingBucket):
    """The verb `batch`."""

    async def batch(self, steps: Sequence[BatchStep]) -> list[BatchOutcome]:
        self._check_open()
        limits = self.limits
        if len(steps) > limits.max_batch:
            raise InvalidInput(f"a batch has at most {limits.max_batch} steps")
        if any(len(step.body) > limits.max_batch_body for step in steps):
            raise InvalidInput(
                f"a body in a batch has at most {limits.max_batch_body} bytes"
            )
        outcomes: dict[int, BatchOutcome] = {}
        for place, found in self._places(steps, outcomes).items():
            await self._sent(place, found, outcomes)
        return [outcomes[index] for index in range(len(steps))]

    def _places(
        self, steps: Sequence[BatchStep], outcomes: dict[int, BatchOutcome]
    ) -> dict[Location, dict[int, _Sent]]:
        """Sort steps by usecase and scope; what cannot be sent has its outcome."""
        places: dict[Location, dict[int, _Sent]] = {}
        for index, step in enumerate(steps):
            try:
                find = self.writable if step.verb is BatchVerb.PUT else self.readable
                sent = _Sent(step, find(step.key))
            except ObjectNotFound as error:
                absent = step.verb is BatchVerb.DELETE
                outcomes[index] = BatchOutcome(error=None if absent else error)
            except CoatcheckError as error:
                outcomes[index] = BatchOutcome(error=error)
            else:
                place = Location(sent.location.usecase, sent.location.scope, "")
                places.setdefault(place, {})[index] = sent
        return places

    async def _sent(
        self,
        place: Location,
        steps: Mapping[int, _Sent],
        outcomes: dict[int, BatchOutcome],
    ) -> None:
        """Send the steps of one scope; note what became of each."""
        boundary = f"coatcheck-{uuid4().hex}"
        # All of it may be done again without harm, so a lost answer is asked for anew.
        request = self.request(
            "POST",
            place,
            "batch in",
            writes=True,
            route=_ROUTE,
            headers={"content-type": f'multipart/form-data; boundary="{boundary}"'},
            body=_form(steps.values(), boundary),
        )
        indexes = list(steps)

        async def once() -> None:
            async with self.wire.answered(request) as response:
                if response.status != HTTPStatus.OK:
                    raise await self.wire.refused(request, response)
                await self._read(request, response, indexes, steps, outcomes)

        await self.wire.attempted(request, once)
        for index in indexes:
            if index not in outcomes:
                doing = steps[index].doing
                outcomes[index] = BatchOutcome(
                    error=BackendError(
                        f"{doing.what}: the service did not answer this step",
                        key=doing.key,
                        backend=BACKEND,
                    )
                )

    async def _read(
        self,
        request: Request,
        response: aiohttp.ClientResponse,
        indexes: Sequence[int],
        steps: Mapping[int, _Sent],
        outcomes: dict[int, BatchOutcome],
    ) -> None:
        failure: Passing | BackendError
        try:
            reader = aiohttp.MultipartReader.from_response(response)
            while (part := await reader.next()) is not None:
                if not isinstance(part, aiohttp.BodyPartReader):
                    continue
                headers = {name.lower(): text for name, text in part.headers.items()}
                body = await _whole(part)
                told = headers.get(f"{_OPERATION}index", "")
                if _DIGITS.fullmatch(told) and int(told) < len(indexes):
                    index = indexes[int(told)]
                    answered = steps[index].outcome(headers, body, self.now())
                    outcomes[index] = await answered
        except FOREIGN as error:
            failure = self.wire.failed(request, error)
        except (ValueError, AssertionError):
            # aiohttp's words for what is no multipart body.
            failure = BackendError(
                "the service answers a batch with what is none", backend=BACKEND
            )
        else:
            return
        raise failure


async def _whole(part: aiohttp.BodyPartReader) -> bytes:
    body = bytearray()
    while not part.at_eof():
        body += await part.read_chunk(_AT_ONCE)
    return bytes(body)


class _Sent:
    """One step, and where it stands."""

    def __init__(self, step: BatchStep, location: Location) -> None:
        self.step = step
        self.location = location
        self._write_id = step.info.write_id or uuid4().hex
        self.headers = self._headers()
        """The headers of the part that is sent."""
        self.doing = Doing(
            what=f"{step.verb} of {step.key!a} in a batch",
            key=step.key,
            writes=step.verb in (BatchVerb.PUT, BatchVerb.DELETE),
        )

    def _headers(self) -> dict[str, str]:
        headers = {
            "content-disposition": "form-data; name=part",
            f"{_OPERATION}kind": _KINDS[self.step.verb],
            f"{_OPERATION}key": quote(self.location.key, safe=""),
        }
        if self.step.verb is BatchVerb.PUT:
            headers |= sent_headers(replace(self.step.info, write_id=self._write_id))
        return headers

    async def outcome(
        self, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> BatchOutcome:
        """Read the part that answers, and verify what it brings."""
        found = _STATUS.fullmatch(headers.get(f"{_OPERATION}status", ""))
        status = int(found[1]) if found else 0
        step = self.step
        if status == HTTPStatus.NOT_FOUND and step.verb is BatchVerb.DELETE:
            return BatchOutcome()
        if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            return BatchOutcome(error=refusal_of(self.doing, status, headers, body))
        match step.verb:
            case BatchVerb.PUT:
                size = len(step.body)
                receipt = receipt_of(headers, self._write_id, size=size)
                return BatchOutcome(receipt=receipt)
            case BatchVerb.GET:
                told = size_of(headers)
                size = len(body) if told is None else told
                info = info_of(step.key, headers, size=size, now=now)
                return await _verified(info, body)
            case BatchVerb.HEAD:
                size = size_of(headers) or 0
                return BatchOutcome(info=info_of(step.key, headers, size=size, now=now))
            case BatchVerb.DELETE:
                return BatchOutcome()


async def _verified(info: ObjectInfo, body: bytes) -> BatchOutcome:
    try:
        whole = await VerifiedReader(info, OneChunk(body)).read()
    except CoatcheckError as error:
        return BatchOutcome(error=error)
    return BatchOutcome(info=info, body=whole)


def _form(steps: Iterable[_Sent], boundary: str) -> bytes:
    """Return a body of parts."""
    pieces: list[bytes] = []
    for sent in steps:
        lines = [f"{name}: {text}" for name, text in sent.headers.items()]
        head = "\r\n".join([f"--{boundary}", *lines, "", ""])
        pieces += [head.encode(), sent.step.body, b"\r\n"]
    return b"".join([*pieces, f"--{boundary}--\r\n".encode()])
