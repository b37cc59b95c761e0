"""Uploads that go on where a lost connection left them."""

from __future__ import annotations

import random
import re
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus
from time import perf_counter
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import anyio

from coatcheck._core.names import shown
from coatcheck._core.scopes import Location
from coatcheck.abc import NO_INFO
from coatcheck.errors import (
    BackendUnavailable,
    CoatcheckError,
    IntegrityError,
    ObjectNotFound,
    Outcome,
    UnsupportedOperation,
)
from coatcheck.payloads._body import open_source

from ._failures import BACKEND
from ._messages import Passing
from ._metadata import document_of, receipt_of, sent_headers
from ._multipart import MultipartBucket

if TYPE_CHECKING:
    from collections.abc import Generator

    from coatcheck.abc import Body, PutInfo, Receipt
    from coatcheck.payloads._body import Source

    from ._messages import Answer, Request

_MIB: Final = 1024 * 1024
_PIECE: Final = 8 * _MIB
_LARGEST: Final = 32 * _MIB
_OFFSET: Final = "upload-offset"
_DIGITS: Final = re.compile(r"[0-9]{1,18}")
_DROPPING: Final = 5.0
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 10.0
_TOLD: Final = (HTTPStatus.CREATED, HTTPStatus.NO_CONTENT, HTTPStatus.CONFLICT)


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """A resumable upload as the service knows it."""

    location: Location
    """The object to come."""
    token: str
    """Names the session."""
    piece: int
    """How many bytes are sent at a time."""
    size: int
    """Bytes in all."""
    write_id: str
    """The write id that the object will have."""


class ResumingBucket(MultipartBucket):
    """The verb `put_resumable`."""

    async def put_resumable(
        self, key: str, body: Body, *, info: PutInfo = NO_INFO, size: int
    ) -> Receipt:
        self._check_open()
        location = self.writable(key)
        info = replace(info, write_id=info.write_id or uuid4().hex)
        session = await self._begun(location, info, size) if size else None
        if session is None:
            return await self.put(key, body, info=info, size=size)
        try:
            async with open_source(body, size) as source:
                return await _Transfer(self, session, source).run()
        except BaseException as error:
            # When the outcome is unknown, the service may be about to finish it.
            if getattr(error, "outcome", None) is not Outcome.UNKNOWN:
                await self._drop(session)
            raise

    async def _begun(
        self, location: Location, info: PutInfo, size: int
    ) -> Session | None:
        """Begin a session; None when the service does not offer any for this."""
        headers = {**sent_headers(info), "upload-length": str(size)}
        request = self.request(
            "PUT",
            location,
            "resumable upload to",
            query={"upload_type": "resumable"},
            headers=headers,
            body=b"",
        )
        try:
            with self.metered("create", location):
                answer = await self.wire.exchange(request, HTTPStatus.OK)
        except UnsupportedOperation:
            return None
        document = document_of(answer.body)
        token, unit = document.get("session"), document.get("granularity") or 1
        # Services that know no sessions take this for a plain put of nothing.
        if not isinstance(token, str) or not isinstance(unit, int):
            return None
        if not 0 < unit <= _LARGEST:
            return None
        return Session(
            location=location,
            token=token,
            piece=max(_PIECE // unit, 1) * unit,
            size=size,
            write_id=info.write_id or "",
        )

    async def _drop(self, session: Session) -> None:
        """Let the service forget a session; what stays it sweeps itself."""
        with anyio.CancelScope(shield=True), anyio.move_on_after(_DROPPING):
            request = self.about(session, "DELETE")
            try:
                with self.metered("cancel", session.location):
                    await self.wire.exchange(request, HTTPStatus.NO_CONTENT)
            except CoatcheckError:
                return

    def about(
        self,
        session: Session,
        method: str,
        *,
        offset: str | None = None,
        body: bytes | None = None,
    ) -> Request:
        """Return a request about a session."""
        return self.request(
            method,
            session.location,
            "resumable upload to",
            writes=True,
            query={"session": session.token},
            headers={} if offset is None else {_OFFSET: offset},
            body=body,
        )

    @contextmanager
    def metered(self, step: str, location: Location) -> Generator[None]:
        """Tell how long a step took."""
        begun = perf_counter()
        try:
            yield
        finally:
            self.wire.meter(
                f"resumable.{step}", location.usecase, perf_counter() - begun
            )


class _Transfer:
    """One body on its way, of which the unconfirmed bytes are held.

    Args:
        bucket: The bucket.
        session: The session.
        source: The body.
    """

    def __init__(
        self, bucket: ResumingBucket, session: Session, source: Source
    ) -> None:
        self._bucket = bucket
        self._session = session
        self._source = source
        self._held = bytearray()
        self._offset = 0
        self._failures = 0
        self._at_end = False

    async def run(self) -> Receipt:
        """Send all of it.

        Raises:
            OutcomeUnknown: The end was sent, and it cannot be told what became of it.
            CoatcheckError: It failed again and again without a byte more, or for good.
        """
        session = self._session
        while True:
            await self._fill()
            piece = bytes(self._held[: session.piece])
            try:
                answer = await self._step(piece)
            except CoatcheckError as failure:
                return await self._ended(failure)
            if answer.status == HTTPStatus.CREATED:
                return receipt_of(answer.headers, session.write_id, size=session.size)

    async def _step(self, piece: bytes) -> Answer:
        """Send a piece, and find out how far the service is."""
        location = self._session.location
        if self._offset + len(piece) == self._session.size:
            self._at_end = True
        with self._bucket.metered("put", location):
            answer = await self._asked(str(self._offset), piece)
        sent = answer is not None
        while answer is None:
            with self._bucket.metered("progress", location):
                answer = await self._asked("*", b"")
        if answer.status != HTTPStatus.CREATED:
            self._advance(answer, sent=sent)
        return answer

    async def _fill(self) -> None:
        """Read on until a piece is there, or all that is left."""
        while len(self._held) < self._session.piece:
            chunk = await anext(self._source, None)
            if chunk is None:
                return
            self._held += chunk

    async def _asked(self, offset: str, piece: bytes) -> Answer | None:
        """Return the answer, None when it is lost and the offset must be asked for."""
        bucket, session = self._bucket, self._session
        request = bucket.about(session, "PUT", offset=offset, body=piece)
        request = replace(request, repeatable=False)
        try:
            async with bucket.wire.answered(request) as response:
                return await bucket.wire.taken(request, response, _TOLD)
        except Passing as passing:
            failure, wait = passing.failure, passing.wait
        self._failures += 1
        if not failure.retryable or self._failures > bucket.wire.retries:
            raise failure
        pause = _FIRST_PAUSE * 2.0**self._failures * random.uniform(0.5, 1.5)  # noqa: S311
        await anyio.sleep(min(wait or pause, _LONGEST_PAUSE))
        return None

    def _advance(self, answer: Answer, *, sent: bool) -> None:
        """Go on from where the service says that it stands.

        Raises:
            IntegrityError: It says what cannot be.
            BackendUnavailable: It stands still.
        """
        told = answer.headers.get(_OFFSET, "")
        offset = int(told) if _DIGITS.fullmatch(told) else -1
        gained = offset - self._offset
        if not 0 <= gained <= len(self._held):
            raise IntegrityError(
                f"the service says that it holds {shown(told)} bytes of"
                f" {self._session.size}, and {self._offset} were confirmed",
                key=self._session.location.stored_key,
                backend=BACKEND,
            )
        if gained:
            self._failures = 0
            self._offset = offset
            del self._held[:gained]
            return
        self._failures += sent
        if self._failures > self._bucket.wire.retries:
            raise BackendUnavailable(
                f"the service takes nothing beyond {offset} of {self._session.size}"
                " bytes",
                key=self._session.location.stored_key,
                backend=BACKEND,
            )

    async def _ended(self, failure: CoatcheckError) -> Receipt:
        """Return the receipt when the upload was done although a step failed.

        Raises:
            OutcomeUnknown: The end was sent, and nothing can be proven.
            CoatcheckError: The failure; nothing was done.
        """
        if isinstance(failure, ObjectNotFound):
            failure = BackendUnavailable(
                f"{failure.message}; the service has forgotten the upload",
                key=failure.key,
                backend=BACKEND,
            )
        # Until its last byte is there, an object does not appear.
        failure.outcome = Outcome.UNKNOWN if self._at_end else Outcome.NOT_APPLIED
        session = self._session
        return await self._bucket.settled(failure, session.location, session.write_id)
