"""Coatchecks whose links are answered by uvicorn on loopback."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from datetime import timedelta

import aiohttp
import pytest
import uvicorn
from fastapi import FastAPI
from yarl import URL

from coatcheck import Coatcheck, Config
from coatcheck.backends._memory import MemoryStore
from coatcheck.config import Place
from coatcheck.service import create_links_app, links_router
from coatcheck.wrappers import LinkSigner

KEY = "canary-signing-key-0123456789"


@asynccontextmanager
async def listening(app, sock, **options):
    """Answer requests on a bound socket until the block ends."""
    config = uvicorn.Config(app, **({"log_level": "warning"} | options))
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[sock]))
    try:
        async with asyncio.timeout(20):
            while not server.started:
                assert not serving.done()
                await asyncio.sleep(0.01)
        yield
    finally:
        server.should_exit = True
        await serving


def bound():
    """Return a socket on a free port of loopback."""
    # By its protocol asyncio knows that it must not wait for more to send.
    sock = socket.socket(proto=socket.IPPROTO_TCP)
    sock.bind(("127.0.0.1", 0))
    return sock


def impatient(cc):
    """Return an application that soon leaves clients that do not go on."""

    async def find(scheme, name):
        return await cc._bucket(Place(scheme=scheme, bucket=name, prefix=""))

    app = FastAPI()
    patience = timedelta(milliseconds=200)
    app.include_router(links_router(find, LinkSigner(KEY), idle=patience))
    return app


class Served:
    """An open Coatcheck, its answering service, and a client with plain HTTP."""

    def __init__(self, cc, session, clock, scheme):
        self.cc = cc
        self.session = session
        self.clock = clock
        self.scheme = scheme

    async def bucket(self, name="default", prefix=""):
        """Return a bucket as stashes have it."""
        place = Place(scheme=self.scheme, bucket=name, prefix=prefix)
        return await self.cc._bucket(place)

    async def signed(self, what, key, *, seconds=60, bucket="default"):
        found = await self.bucket(bucket)
        return await found.sign(what, key, expires_in=timedelta(seconds=seconds))

    def ask(self, method, url, **options):
        """Send a request to a link, to the character."""
        bare = str(url).partition("#")[0]
        return self.session.request(method, URL(bare, encoded=True), **options)

    async def answer(self, method, url, **options):
        """Return status, headers and body of an answer."""
        async with self.ask(method, url, **options) as response:
            return response.status, response.headers, await response.read()

    async def code(self, method, url, **options):
        """Return status and reason of a refusal."""
        async with self.ask(method, url, **options) as response:
            assert response.content_type == "application/json"
            said = await response.json()
            assert set(said) == {"detail", "code"}
            return response.status, said["code"]


class Services:
    """Opens what tests need, on memory or on files."""

    def __init__(self, scheme, folder, clock):
        self.scheme = scheme
        self.clock = clock
        self.root = folder / "root"
        self.memory = MemoryStore(clock=clock)

    def config(self, **fields):
        given = {
            "backends": ("inline", self.scheme, "https"),
            "filesystem_root": str(self.root),
            "durable": False,
            "signing_key": KEY,
        }
        return Config(**(given | fields))

    @asynccontextmanager
    async def opened(self, *, path="", app=create_links_app, server=None, **fields):
        with bound() as sock:
            url = f"http://127.0.0.1:{sock.getsockname()[1]}{path}"
            config = self.config(public_url=url, **fields)
            async with (
                Coatcheck(config, clock=self.clock, memory=self.memory) as cc,
                aiohttp.ClientSession(auto_decompress=False) as session,
                listening(app(cc), sock, **(server or {})),
            ):
                yield Served(cc, session, self.clock, self.scheme)

    def stored(self):
        """Return how many objects are stored, and how much is in progress."""
        if self.scheme == "mem":
            held = self.memory._buckets.values()
            return sum(len(each.records) for each in held), 0
        files = [path for path in self.root.glob("**/*") if path.is_file()]
        control = self.root / ".coatcheck"
        drafts = [path for path in files if "drafts" in path.parts]
        objects = [path for path in files if not path.is_relative_to(control)]
        return len(objects), len(drafts)


@pytest.fixture(params=["mem", "file"])
def services(request, tmp_path, clock):
    """Services on memory, then on files."""
    return Services(request.param, tmp_path, clock)


@pytest.fixture
def on_memory(tmp_path, clock):
    return Services("mem", tmp_path, clock)


@pytest.fixture
def on_files(tmp_path, clock):
    return Services("file", tmp_path, clock)
