"""One of the processes that the end-to-end test of links is made of.

python links_programme.py serve ROOT     answers links to the files, and prints its URL
python links_programme.py share ROOT URL creates stashes, and prints links to them
python links_programme.py claim URL      reads links from its input, claims them
"""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import timedelta
from pathlib import Path

import uvicorn

from coatcheck import Coatcheck, Config
from coatcheck.abc import SignPut
from coatcheck.config import Place
from coatcheck.errors import CoatcheckError
from coatcheck.service import create_links_app

KEY = "a key that two processes share"
STREAM = bytes(range(256)) * 10_000


class Server(uvicorn.Server):
    """Uvicorn, telling where it listens."""

    async def startup(self, sockets=None):
        await super().startup(sockets)
        print(
            f"http://127.0.0.1:{self.servers[0].sockets[0].getsockname()[1]}",
            flush=True,
        )


def on_files(root, **fields):
    return Config(
        backends=("inline", "file"),
        filesystem_root=root,
        signing_key=KEY,
        durable=False,
        **fields,
    )


def serve(root):
    app = create_links_app(on_files(root))
    Server(uvicorn.Config(app, port=0, log_level="warning")).run()


async def share(root, url):
    async with Coatcheck(on_files(root, public_url=url)) as cc:
        report = await cc.create("report ü+%;", {"rows": [1] * 500}, "jobs")
        stream = await cc.create_stream("film", STREAM, "media")
        bucket = await cc._bucket(Place(scheme="file", bucket="uploads", prefix=""))
        put = await bucket.sign(SignPut(), "big", expires_in=timedelta(hours=1))
        links = {
            "report": str(await report.share(ttl_sec=600)),
            "stream": str(await cc.share(stream.address, ttl_sec=600)),
            "brief": str(await report.share(ttl_sec=1)),
            "put": put.url,
        }
        print(json.dumps(links))


async def claim(url):
    """Claim without files, and without the key."""
    found = {}
    config = Config(backends=("inline", "https"), public_url=url)
    async with Coatcheck(config) as cc:
        for name, link in json.loads(sys.stdin.read()).items():
            try:
                data = (await cc.retrieve(link)).data
                found[name] = data if isinstance(data, dict) else len(data)
            except CoatcheckError as error:
                found[name] = f"{type(error).__name__}: {error}"
    print(json.dumps(found))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", root]:
            serve(root)
        case ["share", root, url]:
            asyncio.run(share(root, url))
        case ["claim", url]:
            assert not Path("root").exists()
            asyncio.run(claim(url))
        case _:
            raise SystemExit(__doc__)
