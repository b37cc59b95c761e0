"""Requests to a service: sent, answered, and sent again when that is safe."""

from __future__ import annotations

import io
import random
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, TypeVar

import aiohttp
import anyio
from yarl import URL

from coatcheck._core.headers import retry_after
from coatcheck._core.wire import object_path
from coatcheck.errors import BackendError, Closed, InvalidInput

from ._failures import (
    BACKEND,
    FOREIGN,
    PASSING,
    Doing,
    failure_of,
    refusal_of,
    was_sent,
)
from ._messages import OBJECTS, Answer, Passing, Request

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

    from coatcheck._core.scopes import Location
    from coatcheck.abc import ServiceAccess
    from coatcheck.errors import CoatcheckError

_T = TypeVar("_T")
MAX_DOCUMENT: Final = 16 * 1024 * 1024
"""The most bytes of a document that are read."""
_HEADER: Final = "x-os-auth"
_MAX_REFUSAL: Final = 8 * 1024
_REFUSING: Final = 5.0
_READING: Final = 60.0
_CONNECTING: Final = 5.0
_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 10.0
_LARGE: Final = 1024 * 1024
_CONNECTIONS: Final = 100


class Wire:
    """The connections to one service.

    Args:
        base: The service's URL, a path before its routes included.
        access: How it is reached.
    """

    def __init__(self, base: URL, access: ServiceAccess) -> None:
        self._base = base
        self._access = access
        self._session: aiohttp.ClientSession | None = None
        self.offers_etags = False
        """Whether the service keeps conditions, as far as its answers tell."""

    @property
    def retries(self) -> int:
        """How often a request is tried again."""
        return self._access.retries

    def meter(self, step: str, usecase: str, seconds: float) -> None:
        """Tell how long a step of a larger operation took."""
        if self._access.meter is not None:
            self._access.meter(step, usecase, seconds)

    async def open(self) -> None:
        """Make the session; nothing is sent."""
        reading = self._access.timeout
        given: dict[str, Any] = {
            "timeout": aiohttp.ClientTimeout(
                total=None,
                sock_connect=_CONNECTING,
                sock_read=_READING if reading is None else reading.total_seconds(),
            ),
            "cookie_jar": aiohttp.DummyCookieJar(),
            "auto_decompress": False,
            "trust_env": False,
            **self._access.connection,
        }
        given["headers"] = {
            "user-agent": "coatcheck",
            "accept-encoding": "identity",
            **(self._access.connection.get("headers") or {}),
        }
        if "connector" not in given:
            given["connector"] = aiohttp.TCPConnector(limit=_CONNECTIONS)
        try:
            self._session = aiohttp.ClientSession(**given)
        except TypeError as error:
            raise InvalidInput(f"connection_kwargs cannot be used: {error}") from error

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    def path_of(self, location: Location, route: str = OBJECTS) -> str:
        """Return the path of an object as it is sent, the base's included."""
        return self._base.raw_path.rstrip("/") + object_path(location, route)

    def url_of(self, path: str, query: Mapping[str, str] | str = "") -> URL:
        """Return the URL of a path as it is sent."""
        url = self._base.with_path(path, encoded=True)
        if isinstance(query, str):
            return URL(f"{url}?{query}" if query else str(url), encoded=True)
        return url.with_query(query) if query else url

    async def exchange(self, request: Request, *good: int) -> Answer:
        """Send a request and return its answer.

        Args:
            request: The request.
            good: The statuses that are no failure.

        Raises:
            CoatcheckError: What another status, or a failure, means.
        """

        async def once() -> Answer:
            async with self.answered(request) as response:
                return await self.taken(request, response, good)

        return await self.attempted(request, once)

    async def status_of(self, path: str) -> int:
        """Return the status that one of the service's own routes answers.

        Raises:
            BackendError: The service cannot be reached.
        """
        doing = Doing(what=f"GET of {path}", key="")
        url = self.url_of(self._base.raw_path.rstrip("/") + path)
        try:
            async with self._open_session().get(url, allow_redirects=False) as response:
                self._learn(response)
                return response.status
        except FOREIGN as error:
            failure = failure_of(doing, error)
        raise failure

    async def attempted(
        self, request: Request, once: Callable[[], Awaitable[_T]]
    ) -> _T:
        """Await a call that sends a request, again while that is safe and may help.

        Raises:
            CoatcheckError: As the last attempt.
        """
        pause, left = _FIRST_PAUSE, self._access.retries
        while True:
            try:
                return await once()
            except Passing as passing:
                failure, wait = passing.failure, passing.wait
                again = left > 0 and passing.may_repeat(request)
            if not again:
                raise failure
            left -= 1
            wait = wait or pause * random.uniform(0.5, 1.5)  # noqa: S311
            await anyio.sleep(min(wait, _LONGEST_PAUSE))
            pause = min(2 * pause, _LONGEST_PAUSE)

    @asynccontextmanager
    async def answered(
        self, request: Request, data: Any = None
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        """Send a request once; give the response, whose body is still to come.

        Args:
            request: The request.
            data: A body that flows.

        Raises:
            Passing: The connection failed.
        """
        response = await self.sent(request, data)
        try:
            yield response
        finally:
            response.close()

    async def sent(self, request: Request, data: Any = None) -> aiohttp.ClientResponse:
        """Send a request once; the response is the caller's to close.

        Raises:
            Passing: The connection failed.
        """
        session = self._open_session()
        location = request.location
        headers = {
            **request.headers,
            **self._access.headers(),
            **self._credentials(location),
        }
        url = self.url_of(self.path_of(location, request.route), request.query)
        if request.body is not None:
            data = _as_data(request.body)
        try:
            response = await session.request(
                request.method, url, headers=headers, data=data, allow_redirects=False
            )
        except FOREIGN as error:
            failure = self.failed(request, error)
        else:
            self._learn(response)
            return response
        # Outside of the handler, since aiohttp's errors show headers and URLs.
        raise failure

    def failed(self, request: Request, error: Exception) -> Passing:
        """Return what a failure of the connection means."""
        if self._session is None or self._session.closed:
            closed = Closed(f"{request.doing.what}: the client was closed meanwhile")
            return Passing(closed, sent=True, fatal=True)
        return Passing(failure_of(request.doing, error), sent=was_sent(error))

    async def refused(
        self, request: Request, response: aiohttp.ClientResponse
    ) -> CoatcheckError | Passing:
        """Return what a response with another status than the good ones means."""
        headers = lowered(response)
        body = await _beginning(response)
        failure = refusal_of(request.doing, response.status, headers, body)
        if response.status not in PASSING:
            return failure
        wait = retry_after(headers)
        return Passing(
            failure,
            # Who is told to slow down was not listened to.
            sent=response.status != HTTPStatus.TOO_MANY_REQUESTS,
            wait=None if wait is None else wait.total_seconds(),
        )

    async def taken(
        self, request: Request, response: aiohttp.ClientResponse, good: tuple[int, ...]
    ) -> Answer:
        """Read an answer that may have any status.

        Raises:
            Passing: The connection failed, or the service asks to try again.
            CoatcheckError: What another status than the good ones means.
        """
        if response.status not in good:
            raise await self.refused(request, response)
        try:
            body = await _all_of(response)
        except FOREIGN as error:
            failure = self.failed(request, error)
        else:
            return Answer(status=response.status, headers=lowered(response), body=body)
        raise failure

    def _credentials(self, location: Location) -> dict[str, str]:
        token = self._access.token
        if token is None:
            return {}
        if not isinstance(token, str):
            token = token.request_token(location.usecase, location.scope)
        return {_HEADER: f"Bearer {token}"}

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            raise Closed("ServiceBackend is closed")
        return self._session

    def _learn(self, response: aiohttp.ClientResponse) -> None:
        offered = "etag" in response.headers
        server = response.headers.get("server", "")
        if offered or server.startswith("coatcheck/"):
            self.offers_etags = True


def lowered(response: aiohttp.ClientResponse) -> dict[str, str]:
    """Return a response's headers with names in lower case."""
    return {name.lower(): text for name, text in response.headers.items()}


def _as_data(body: bytes) -> object:
    # aiohttp warns of large bytes, which it would write in one go.
    return body if len(body) <= _LARGE else io.BytesIO(body)


async def _all_of(response: aiohttp.ClientResponse) -> bytes:
    pieces: list[bytes] = []
    left = MAX_DOCUMENT
    async for piece in response.content.iter_any():
        left -= len(piece)
        if left < 0:
            raise BackendError(
                f"the service answers with more than {MAX_DOCUMENT} bytes",
                backend=BACKEND,
            )
        pieces.append(piece)
    return b"".join(pieces)


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    """Read what fits of an error document; what is missing only costs words."""
    body = b""
    with anyio.move_on_after(_REFUSING):
        try:
            while len(body) < _MAX_REFUSAL:
                piece = await response.content.read(_MAX_REFUSAL - len(body))
                if not piece:
                    break
                body += piece
        except FOREIGN:
            return body
    return body
