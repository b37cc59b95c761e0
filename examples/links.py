"""Share links to files: made here, answered here, opened by anybody with plain HTTP.

    pip install 'coatcheck[service]'
    python examples/links.py [FOLDER]

Process A keeps stashes as files, answers links to them on a free port, and passes on
nothing but links. Process B has neither the files nor the key: it fetches a link with
plain HTTP, claims it by `retrieve`, and finds it expired in the end.

For good, the service is a process of its own, with any ASGI server:

    export COATCHECK_BACKENDS=file COATCHECK_FILESYSTEM_ROOT=./coats
    export COATCHECK_PUBLIC_URL=https://coats.example COATCHECK_SIGNING_KEY=...
    uvicorn --app-dir examples --factory links:service --port 8000
"""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
import sys
import tempfile
import urllib.error
import urllib.request
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

from coatcheck import Coatcheck, Config
from coatcheck.errors import StashNotFound
from coatcheck.service import create_links_app

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fastapi import FastAPI


def service() -> FastAPI:
    """Return the service for an ASGI server, configured by the environment."""
    return create_links_app(Config.from_env())


@asynccontextmanager
async def answering(cc: Coatcheck, listener: socket.socket) -> AsyncIterator[None]:
    """Answer links in this very process while the block runs."""
    config = uvicorn.Config(create_links_app(cc), log_level="warning")
    server = uvicorn.Server(config)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve(sockets=[listener]))
        try:
            yield
        finally:
            server.should_exit = True


async def share(folder: str) -> None:
    """Be process A."""
    # The address is bound first, because links are made for it.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = Config(
            backends=("inline", "file"),
            filesystem_root=folder,
            public_url=url,
            signing_key=secrets.token_urlsafe(),
        )
        async with Coatcheck(config) as cc, answering(cc, listener):
            report = await cc.create("report", {"rows": list(range(1000))}, "jobs")
            film = await cc.create_stream(
                "film", Path(__file__), "media", content_type="text/x-python"
            )
            link = await report.share(ttl_sec=60)
            print(f"{link!r} works for a minute")
            links = {
                "report": str(link),
                "film": str(await cc.share(film.address, ttl_sec=60)),
                "brief": str(await report.share(ttl_sec=1)),
            }
            await claim_elsewhere(url, links)


async def claim_elsewhere(url: str, links: dict[str, str]) -> None:
    """Run process B and hand it the links."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, __file__, "--claim", url), stdin=asyncio.subprocess.PIPE
    )
    await process.communicate(json.dumps(links).encode())
    if process.returncode:
        raise SystemExit(process.returncode)


async def claim(url: str, links: dict[str, str]) -> None:
    """Be process B."""
    # A fragment is for whoever reads the bytes, and is not sent.
    with urllib.request.urlopen(links["film"].partition("#")[0]) as answer:  # noqa: ASYNC210, S310
        body = answer.read()
        print(f"{len(body)} bytes by plain HTTP, {answer.headers['content-type']}")
    # Links are read only from where they are trusted.
    async with Coatcheck(Config(backends=("inline", "https"), public_url=url)) as cc:
        report = await cc.retrieve(links["report"])
        assert report.data["rows"][-1] == len(report.data["rows"]) - 1
        film = await cc.retrieve(links["film"])
        assert film.data == body
        print(f"claimed {report.name!r} and {film.name!r}, verified by digest")
        await asyncio.sleep(1)
        try:
            await cc.retrieve(links["brief"])
        except StashNotFound as error:
            print(f"later: {error}")
        else:
            raise SystemExit("an expired link was served")


def main(arguments: list[str]) -> None:
    """Run process A, or be process B."""
    match arguments:
        case ["--claim", url]:
            asyncio.run(claim(url, json.loads(sys.stdin.read())))
        case [folder]:
            asyncio.run(share(folder))
        case []:
            with tempfile.TemporaryDirectory(prefix="coatcheck-links-") as work:
                asyncio.run(share(work))
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
