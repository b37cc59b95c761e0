"""The process that serves: one line when it is ready, and an orderly end."""

from __future__ import annotations

import logging
import signal
import time
from typing import TYPE_CHECKING, Final

import uvicorn

from ._app import create_app
from ._protocol import BoundedProtocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from socket import socket
    from types import FrameType

    from fastapi import FastAPI

    from ._config import ServiceConfig
    from ._service import Service

_KEEP_ALIVE: Final = 75
_LAST_SECONDS: Final = 5
_log = logging.getLogger("coatcheck.service")


class Server(uvicorn.Server):
    """A server that drains at the first signal, and ends at once at the second.

    While it drains it turns new requests away, and it ends when those in flight are
    answered.

    Args:
        app: The service.
        host: Where it listens.
        port: On which port; 0 is any that is free.
        announce: Called with the URL when it is ready.
    """

    def __init__(
        self, app: FastAPI, *, host: str, port: int, announce: Callable[[str], object]
    ) -> None:
        service: Service = app.state.service
        config = uvicorn.Config(
            app,
            host=host,
            port=port,
            http=BoundedProtocol,
            ws="none",
            lifespan="on",
            access_log=False,  # it would log the tokens that URLs carry
            log_config=None,
            server_header=False,
            root_path=service.config.root_path,
            timeout_keep_alive=_KEEP_ALIVE,
            timeout_graceful_shutdown=_LAST_SECONDS,
        )
        super().__init__(config)
        self._service = service
        self._announce = announce
        self._give_up = 0.0

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        if self.started:
            self._announce(self._url())

    def _url(self) -> str:
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        host = self.config.host if self.config.host not in ("0.0.0.0", "::") else host  # noqa: S104
        shown = f"[{host}]" if ":" in host else host
        return f"http://{shown}:{port}{self.config.root_path}"

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Begin to drain at the first signal; end at the second."""
        if self._service.draining:
            self.should_exit = self.force_exit = True
            return
        self._service.draining = True
        self._give_up = (
            time.monotonic() + self._service.config.drain_timeout.total_seconds()
        )
        _log.info("signal %s: draining", signal.Signals(sig).name)

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Close the connections, those in use too when there is no time."""
        if self.force_exit:
            for connection in list(self.server_state.connections):
                connection.transport.abort()
        await super().shutdown(sockets)

    async def on_tick(self, counter: int) -> bool:
        """End when a draining service has nothing to do any more, or no more time."""
        if self._service.draining:
            over = time.monotonic() >= self._give_up
            self.should_exit = self.should_exit or over or not self._service.in_flight
        return await super().on_tick(counter)


def serve(
    config: ServiceConfig, *, host: str, port: int, announce: Callable[[str], object]
) -> None:
    """Serve until a signal ends it.

    Args:
        config: The configuration.
        host: Where to listen.
        port: On which port; 0 is any that is free.
        announce: Called with the URL when the service is ready.

    Raises:
        InvalidConfig: The configuration cannot be used.
    """
    Server(create_app(config), host=host, port=port, announce=announce).run()
