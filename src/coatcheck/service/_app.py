"""The ASGI app."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from fastapi import FastAPI
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from coatcheck.wrappers import LinkSigner

from ._batch import batch
from ._calls import admit
from ._config import ServiceConfig
from ._frame import Frame
from ._links import links_router
from ._metrics import CONTENT_TYPE
from ._multipart import abort, complete, initiate, list_parts, put_part
from ._reads import get_object, head_object
from ._refusals import Refusal
from ._scans import scan
from ._service import Service
from ._targets import Kind
from ._usage import PATH as USAGE_PATH
from ._usage import UsageRoute
from ._writes import delete_object, patch_object, post_object, put_object

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
    from datetime import datetime

    from starlette.requests import Request

    from ._calls import Call
    from ._exchange import Exchange

    Handler = Callable[[Call], Awaitable[None]]

# By kind of route, and by whether the path names a key.
_HANDLERS: Final[Mapping[tuple[Kind, bool], Mapping[str, Handler]]] = {
    (Kind.OBJECTS, False): {"POST": post_object},
    (Kind.OBJECTS, True): {
        "DELETE": delete_object,
        "GET": get_object,
        "HEAD": head_object,
        "PATCH": patch_object,
        "PUT": put_object,
    },
    (Kind.MULTIPART, False): {"POST": initiate},
    (Kind.MULTIPART, True): {"DELETE": abort, "PUT": initiate},
    (Kind.PARTS, True): {"GET": list_parts, "PUT": put_part},
    (Kind.COMPLETE, True): {"POST": complete},
    (Kind.BATCH, False): {"POST": batch},
    (Kind.SCAN, False): {"GET": scan},
}


def create_app(
    config: ServiceConfig | None = None,
    *,
    clock: Callable[[], datetime] | None = None,
) -> FastAPI:
    """Return the service as an ASGI app; its storage is open while it is served.

    `app.state.service.draining = True` turns new requests away, `/ready` first.

    Args:
        config: The configuration; None serves memory to nobody without keys.
        clock: Tells the time that deadlines go by; None is this machine's clock.

    Raises:
        InvalidConfig: The configuration cannot be used.
    """
    service = Service(config or ServiceConfig(), clock=clock)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        async with service.running():
            yield

    app = FastAPI(
        title="coatcheck",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    app.state.service = service
    app.router.routes.extend(_open_routes(service))
    app.router.routes.append(Route(USAGE_PATH, UsageRoute(service), methods=["GET"]))
    _add_links(app, service)
    app.add_middleware(Frame, service=service, objects=Objects(service))
    return app


def _add_links(app: FastAPI, service: Service) -> None:
    """Answer links to memory and files, when there is a key that signs them."""
    config = service.config
    if config.signing_key is None:
        return
    retired = [key.get_secret_value() for key in config.retired_signing_keys]
    signer = LinkSigner(config.signing_key.get_secret_value(), retired=retired)
    router = links_router(service.find, signer, idle=config.body_timeout)
    # Proxies keep the path of the public URL, or take it away.
    prefixes = {"", unquote(urlsplit(config.public_url or "").path.rstrip("/"))}
    for prefix in sorted(prefixes, reverse=True):
        app.include_router(router, prefix=prefix)


class Objects:
    """The routes of objects, told apart by the path as it was sent.

    A key is decoded exactly once, by the service itself: what the server decoded
    before would make `%2520` a space and hide what is no UTF-8.

    Args:
        service: The service.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    async def __call__(self, exchange: Exchange, path: bytes, kind: Kind) -> None:
        """Answer a request.

        Args:
            exchange: The request.
            path: Its undecoded path below the service's root.
            kind: The kind of its route.

        Raises:
            Refusal: The request is refused.
            CoatcheckError: The storage failed.
        """
        call = admit(self._service, exchange, path, kind)
        handlers = _HANDLERS.get((kind, bool(call.target.key)), {})
        handler = handlers.get(exchange.method)
        if handler is None:
            raise Refusal(
                405,
                f"client error: {exchange.method[:20]!a} is not for this path",
                {"allow": ", ".join(sorted(handlers))},
            )
        await handler(call)


def _open_routes(service: Service) -> list[BaseRoute]:
    """Return what is answered to anybody, at any load."""

    async def health(_: Request) -> Response:
        return PlainTextResponse("OK")

    async def ready(_: Request) -> Response:
        if service.draining:
            return PlainTextResponse("draining", status_code=503)
        return PlainTextResponse("OK")

    async def metrics(_: Request) -> Response:
        return Response(service.metrics.text(), media_type=CONTENT_TYPE)

    async def keda(_: Request) -> Response:
        return Response(service.metrics.keda_text(), media_type=CONTENT_TYPE)

    return [
        Route("/health", health),
        Route("/ready", ready),
        Route("/metrics", metrics),
        Route("/keda", keda),
    ]
