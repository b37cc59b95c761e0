"""Uvicorn's HTTP protocol with bounds on what arrives before and after a request.

It parses nothing itself: it counts bytes and seconds, and speaks JSON in the one
answer that uvicorn gives by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    import asyncio

MAX_HEAD: Final = 64 * 1024
"""Bytes of a request's line and headers."""
MAX_DISCARDED: Final = 64 * 1024 * 1024
"""Bytes of a body that is still sent after its request was answered."""
HEAD_SECONDS: Final = 30.0
"""How long a request's line and headers may take."""
_ANSWER: Final = b'{"detail":"client error: this is no sound HTTP request"}'


class BoundedProtocol(HttpToolsProtocol):
    """A connection whose peer cannot hold it for nothing, nor fill the memory."""

    _head = 0
    _discarded = 0
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what arrived, and count it while no request is whole."""
        if self._timer is None and self._is_between_requests():
            self._await_head()
        self._head += len(data)
        super().data_received(data)
        if self._timer is None:
            self._head = 0
        elif self._head > MAX_HEAD and not self.transport.is_closing():
            self.send_400_response("")

    def on_headers_complete(self) -> None:
        """Stop the count: a request's headers are there."""
        self._stop_waiting()
        self._discarded = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body; what nobody waits for is counted."""
        if self.cycle.response_complete:
            self._discarded += len(body)
            if self._discarded > MAX_DISCARDED:
                self.transport.abort()
        super().on_body(body)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  # uvicorn's name
        """Answer what is no HTTP."""
        self._stop_waiting()
        head = [
            b"HTTP/1.1 400 Bad Request",
            b"content-type: application/json",
            b"content-length: %d" % len(_ANSWER),
            b"connection: close",
        ]
        self.transport.write(b"\r\n".join([*head, b"", _ANSWER]))
        self.transport.close()

    def _is_between_requests(self) -> bool:
        cycle: Any = self.cycle
        return cycle is None or (cycle.response_complete and not cycle.more_body)

    def _await_head(self) -> None:
        self._head = 0
        self._timer = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        self._timer = None
        self.transport.abort()
