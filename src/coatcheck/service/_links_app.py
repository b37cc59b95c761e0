"""An application that answers the links of one Coatcheck, and nothing else."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from fastapi import FastAPI

from coatcheck._app import Coatcheck, backend_of, link_signer
from coatcheck.errors import InvalidConfig
from coatcheck.wrappers import Guard, expiring

from ._links import links_router

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from coatcheck.abc import Bucket
    from coatcheck.config import Config


def create_links_app(coats: Coatcheck | Config) -> FastAPI:
    """Return an ASGI application that answers the share links of a Coatcheck.

    It answers below the path of `Config.public_url` and without it, since proxies
    keep that path or take it away. Run it with any ASGI server:

        uvicorn.run(create_links_app(Config.from_env()), port=8000)

    Args:
        coats: A Coatcheck that is open in the event loop of the server, which is the
            way to serve memory; or a configuration, by which the application opens
            one of its own for as long as it runs.

    Raises:
        InvalidConfig: The configuration has no signing key.
    """
    opened = coats if isinstance(coats, Coatcheck) else Coatcheck(coats)
    config = opened.config
    signer = link_signer(config)
    if signer is None:
        raise InvalidConfig(
            "links cannot be answered without Config.signing_key, which they are"
            " signed with"
        )
    # Slots of their own: slow readers of links shall not hold up the Coatcheck's own.
    guards: dict[str, Guard] = {}

    async def find(scheme: str, name: str) -> Bucket:
        backend = await backend_of(opened, scheme)
        if scheme not in guards:
            guards[scheme] = Guard(
                total_timeout=config.total_timeout, concurrency=config.concurrency
            )
        bucket = guards[scheme].around(backend.bucket(name))
        return expiring(bucket, grace=config.grace)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        if opened is coats:
            yield
            return
        async with opened:
            yield

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    # Sooner than the deadline of the storage, which an idle client holds up.
    router = links_router(find, signer, idle=config.total_timeout / 2)
    prefixes = {"", unquote(urlsplit(config.public_url or "").path.rstrip("/"))}
    for prefix in sorted(prefixes, reverse=True):
        app.include_router(router, prefix=prefix)
    return app
