"""What surrounds every request: bounds, names, headers, and the last word on errors."""

from __future__ import annotations

import logging
import re
from datetime import timedelta
from importlib.metadata import version
from time import perf_counter
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from ._answers import Problem, answer_problem, problem_of
from ._exchange import Exchange, encoded
from ._refusals import ClientGone, busy
from ._targets import kind_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ._exchange import ASGIScope, Headers, Message, Receive, Send
    from ._service import Service
    from ._targets import Kind

    ASGIApp = Callable[[ASGIScope, Receive, Send], Awaitable[None]]
    Objects = Callable[[Exchange, bytes, Kind], Awaitable[None]]

OPEN_ROUTES: Final = frozenset({b"/health", b"/ready", b"/metrics", b"/keda"})
"""Routes that are answered whatever the load is."""
_METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"})
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:/=+-]{1,128}")
_CLIENT_GONE: Final = 499
_FAILURE: Final = 500
_SOON: Final = timedelta(seconds=1)
# Nothing that is stored here may act in the name of this origin.
_ALWAYS: Final[Headers] = encoded(
    {
        "server": f"coatcheck/{version('coatcheck')}",
        "x-content-type-options": "nosniff",
        "content-security-policy": "sandbox; default-src 'none'",
        "cache-control": "private, no-cache",
        "vary": "x-os-auth, authorization",
    }
)
_log = logging.getLogger("coatcheck.service")
_access = logging.getLogger("coatcheck.service.access")


class Frame:
    """ASGI middleware around everything that the service answers.

    Args:
        app: What answers everything but objects.
        service: The service.
        objects: What answers requests for objects.
    """

    def __init__(
        self,
        app: ASGIApp,
        service: Service,
        objects: Objects,
    ) -> None:
        self._app = app
        self._objects = objects
        self._service = service

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(scope, send)
        scope, path = _below_root(scope)
        if path in OPEN_ROUTES:
            await self._app(scope, receive, answer.send)
            return
        kind = kind_of(path)
        self._service.enter()
        try:
            self._check_room()
            if kind is None:
                await self._app(scope, receive, answer.send)
            else:
                # The router knows nothing of them: it sees decoded paths.
                await self._objects(Exchange(scope, receive, answer.send), path, kind)
        except ClientGone:
            await self._abandon(scope, receive, answer)
        except Exception as error:  # noqa: BLE001  # the last word is here
            await self._fail(scope, receive, answer, error)
        finally:
            self._note(scope, answer, kind)

    def _check_room(self) -> None:
        service = self._service
        if service.draining:
            raise busy(503, "busy: the service is about to end", _SOON)
        if service.in_flight > service.config.max_requests:
            raise busy(503, "busy: as many requests as are answered at once", _SOON)

    async def _abandon(
        self, scope: ASGIScope, receive: Receive, answer: _Answer
    ) -> None:
        """Note that nobody takes the answer; what would be sent goes nowhere."""
        begun, answer.status = answer.status, _CLIENT_GONE
        if not begun:
            problem = Problem(status=_CLIENT_GONE, detail="client error: gone")
            await answer_problem(Exchange(scope, receive, answer.send), problem)

    async def _fail(
        self, scope: ASGIScope, receive: Receive, answer: _Answer, error: Exception
    ) -> None:
        problem = problem_of(error)
        if problem.status >= _FAILURE:
            _log.error(
                "request %s failed: %s", answer.request_id, error, exc_info=error
            )
        if answer.status:
            # The answer ends here, short of its length: no client takes it for whole.
            raise error
        await answer_problem(Exchange(scope, receive, answer.send), problem)

    def _note(self, scope: ASGIScope, answer: _Answer, kind: Kind | None) -> None:
        seconds = perf_counter() - answer.begun
        method = scope["method"] if scope["method"] in _METHODS else "other"
        route = "other" if kind is None else kind.value or "objects"
        self._service.leave(route, method, answer.status, seconds)
        if not _access.isEnabledFor(logging.INFO):
            return
        _access.info(
            "%s %a %d",
            method,
            scope["path"],
            answer.status,
            extra={
                "coatcheck_request_id": answer.request_id,
                "coatcheck_seconds": seconds,
            },
        )


def _below_root(scope: ASGIScope) -> tuple[ASGIScope, bytes]:
    """Return a request and its undecoded path below the service's root.

    The server puts the root before what arrives, as behind a proxy that takes it
    off; who comes without such a proxy, by the URL that is announced, has sent it.
    """
    root: str = scope.get("root_path", "")
    path: bytes = scope["raw_path"].removeprefix(root.encode())
    if (
        not root
        or kind_of(path) is not None
        or not path.startswith(f"{root}/".encode())
    ):
        return scope, path
    sent = {"path": scope["path"].removeprefix(root), "raw_path": path}
    return {**scope, **sent}, path.removeprefix(root.encode())


class _Answer:
    """An answer on its way: what it is, and the headers that all have."""

    def __init__(self, scope: ASGIScope, send: Send) -> None:
        self.begun = perf_counter()
        self.status = 0
        self.request_id = _request_id(scope)
        self._send = send

    async def send(self, message: Message) -> None:
        """Send a message, with these headers when it is the first."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            given: Headers = list(message["headers"])
            names = {name for name, _ in given}
            given += [header for header in _ALWAYS if header[0] not in names]
            given.append((b"x-request-id", self.request_id.encode()))
            message = {**message, "headers": given}
        await self._send(message)


def _request_id(scope: ASGIScope) -> str:
    """Return the name of a request: the one it came with, or a new one."""
    for name, text in scope["headers"]:
        if name == b"x-request-id":
            given: str = text.decode("latin-1")
            if _REQUEST_ID.fullmatch(given):
                return given
    return uuid4().hex
