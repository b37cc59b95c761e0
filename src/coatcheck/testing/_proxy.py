"""An HTTP proxy before a storage server, that lets chosen requests fail."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple, Self, TypeAlias
from urllib.parse import urlsplit

from coatcheck.errors import Closed, InvalidInput

from ._proxy_exchange import Exchange, answer_instead
from ._proxy_faults import Answer, HttpFault, ResetBeforeSending
from ._proxy_messages import REQUEST, BadMessage, Head
from ._proxy_wire import MAX_HEAD, Wire

if TYPE_CHECKING:
    from types import TracebackType

_log = logging.getLogger("coatcheck.testing")
DEFAULT_PATIENCE: Final = timedelta(minutes=1)
Match: TypeAlias = Callable[[str, str, Mapping[str, str]], bool]
"""Chooses requests by method, target and headers (their names in lower case)."""


class SeenRequest(NamedTuple):
    """A request that came to the proxy."""

    method: str
    target: str
    """Path and query as they were sent."""
    fault: str | None
    """The name of the fault's class; None for a request that passed."""


class FaultProxy:
    """Listens on a free port of 127.0.0.1 and forwards HTTP/1.1 to an upstream.

        async with FaultProxy("http://127.0.0.1:9000") as proxy:
            proxy.plan(DropAnswer(), match=lambda method, *_: method == "PUT")
            ...  # a client of proxy.url: its next PUT is done, and hears nothing

    Path, query, headers (Host too, so that signatures stay valid) and bodies pass
    unchanged. Each request has an upstream connection of its own, so that none
    fails because an idle one was closed. An upstream that cannot be reached, or
    breaks off, resets the client's connection; so does a message that is not
    HTTP/1.1, or a head of more than 64 KiB.

    Runs on asyncio. Nothing outlives the `async with` block.

    Args:
        upstream: The server's URL, `http://host:port`.
        patience: How long each read and write may wait, an idle client's included.

    Raises:
        InvalidInput: The URL is no such URL.
    """

    def __init__(
        self, upstream: str, *, patience: timedelta = DEFAULT_PATIENCE
    ) -> None:
        self._upstream = _host_and_port(upstream)
        self._patience = patience
        self._plans: list[tuple[Match, deque[HttpFault | None]]] = []
        self._standing: list[tuple[Match, HttpFault]] = []
        self._server: asyncio.Server | None = None
        self._is_open = False
        self._url: str | None = None
        self._clients: dict[asyncio.Task[None], Wire] = {}
        self._failures: list[BaseException] = []
        self.requests: list[SeenRequest] = []
        """The requests whose head came in, in that order."""

    @property
    def url(self) -> str:
        """Where it listens, or listened; raises Closed before it is entered."""
        if self._url is None:
            raise Closed("the proxy listens nowhere yet; enter it with async with")
        return self._url

    def plan(self, *faults: HttpFault | None, match: Match | None = None) -> None:
        """Let the next requests meet these faults, one each, in their order.

        Earlier plans come first; when all are used up, `always` counts.

        Args:
            faults: What they meet; None lets a request pass.
            match: Chooses the requests; without it the plan is for all.
        """
        self._plans.append((match or _any_request, deque(faults)))

    def always(self, fault: HttpFault, match: Match | None = None) -> None:
        """Let every request that no plan is for meet this fault, until `clear`.

        Args:
            fault: What they meet.
            match: Chooses the requests; of several the first that matches counts.
        """
        self._standing.append((match or _any_request, fault))

    def clear(self) -> None:
        """Let every request pass from now on."""
        self._plans.clear()
        self._standing.clear()

    async def __aenter__(self) -> Self:
        if self._server is not None:
            raise Closed("the proxy was entered before; make another")
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            listener.bind(("127.0.0.1", 0))
            self._server = await asyncio.start_server(
                self._accept, sock=listener, limit=MAX_HEAD, start_serving=False
            )
            self._is_open = True
            await self._server.start_serving()
        except BaseException:
            self._is_open = False
            if self._server is not None:
                self._server.close()
            listener.close()
            raise
        self._url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop listening, reset every connection and end every task.

        Raises:
            BaseExceptionGroup: What a `match` raised, or the proxy itself.
        """
        self._is_open = False
        if self._server is not None:
            self._server.close()
        clients = dict(self._clients)
        for task in clients:
            task.cancel()
        if clients:
            await asyncio.wait(clients)
        for client in clients.values():  # a task may have ended before it began
            await client.aclose()
        failures, self._failures = self._failures, []
        if failures:
            raise BaseExceptionGroup("the proxy failed", failures)

    def _accept(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        client = Wire(reader, writer, patience=self._patience)
        if not self._is_open:
            client.reset()
            return
        task = asyncio.create_task(self._serve(client))
        self._clients[task] = client
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._clients.pop(task).reset()
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failures.append(error)

    async def _serve(self, client: Wire) -> None:
        try:
            async with client:
                while await self._serve_one(client):
                    pass
        except* (OSError, EOFError, BadMessage) as broken:
            _log.debug("connection reset: %r", broken.exceptions)

    async def _serve_one(self, client: Wire) -> bool:
        request = await client.head(REQUEST)
        if request is None:
            return False
        fault = self._met_by(request)
        match fault:
            case ResetBeforeSending():
                client.reset()
                return False
            case Answer():
                return await answer_instead(client, request, fault)
            case _:
                async with await self._connect() as upstream:
                    return await Exchange(client, upstream, request).run(fault)

    def _met_by(self, request: Head) -> HttpFault | None:
        method, target, _ = request.start.split(" ")
        fault = self._drawn(method, target, request.headers)
        name = None if fault is None else type(fault).__name__
        self.requests.append(SeenRequest(method, target, name))
        return fault

    def _drawn(
        self, method: str, target: str, headers: Mapping[str, str]
    ) -> HttpFault | None:
        for match, faults in self._plans:
            if faults and match(method, target, headers):
                return faults.popleft()
        for match, fault in self._standing:
            if match(method, target, headers):
                return fault
        return None

    async def _connect(self) -> Wire:
        host, port = self._upstream
        # A task of its own has a stack of its own: who watches for calls that block
        # finds no caller of ours behind the loop's connect, which does not block.
        connecting = asyncio.create_task(
            asyncio.open_connection(host, port, limit=MAX_HEAD)
        )
        try:
            async with asyncio.timeout(self._patience.total_seconds()):
                reader, writer = await connecting
        except BaseException:
            connecting.add_done_callback(_hang_up)
            raise
        return Wire(reader, writer, patience=self._patience)


def _hang_up(
    connecting: asyncio.Task[tuple[asyncio.StreamReader, asyncio.StreamWriter]],
) -> None:
    """Close a connection that came about in the moment of giving up."""
    if not connecting.cancelled() and connecting.exception() is None:
        connecting.result()[1].transport.abort()


def _any_request(method: str, target: str, headers: Mapping[str, str]) -> bool:
    del method, target, headers
    return True


def _host_and_port(url: str) -> tuple[str, int]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme != "http" or not parts.hostname:
        raise InvalidInput("an upstream is a URL as http://host:port")
    return parts.hostname, port or 80
