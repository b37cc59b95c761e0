"""A host that answers with whatever bytes a test scripts, and a listener nobody may meet."""

from __future__ import annotations

import asyncio
import gc
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from aiohttp.abc import AbstractResolver

from coatcheck.backends._https import LinkBackend, origins_of
from coatcheck.config import Config, S3Config

SECRET = "canarysignature"
BODY = b"a coat"


def answer(body=BODY, *, status="200 OK", length=None, headers=()):
    """Return the bytes of an answer; a length of False leaves its header out."""
    lines = [f"HTTP/1.1 {status}"]
    if length is not False:
        lines.append(f"Content-Length: {len(body) if length is None else length}")
    lines += [f"{name}: {text}" for name, text in headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def refusal(status, code="", message=""):
    """Return an answer as S3 refuses, with a signature among its words."""
    body = f"<Error><Code>{code}</Code><Message>{message}</Message><StringToSign>{SECRET}</StringToSign></Error>"
    return answer(body.encode(), status=f"{status} Refused")


class Host:
    """Counts connections, keeps requests, and answers as scripted.

    The script is the bytes of an answer, or a function from a request's head and the
    writer that returns them, or None to hang up.
    """

    def __init__(self):
        self.script = answer()
        self.hang_up = False
        self.connections = 0
        self.open = 0
        self.heads = []
        self._tasks = set()
        self._change = asyncio.Event()

    async def start(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    async def stop(self):
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def until(self, holds):
        """Wait until something holds of this host."""
        async with asyncio.timeout(10):
            while not holds(self):
                await self._change.wait()

    def _changed(self):
        self._change.set()
        self._change = asyncio.Event()

    def link(self, path="/stashes/n.1", query=f"X-Amz-Signature={SECRET}"):
        return f"{self.url}{path}?{query}"

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self._tasks.add(task)
        self.connections += 1
        self.open += 1
        try:
            await self._converse(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self.open -= 1
            self._changed()
            writer.close()
            self._tasks.discard(task)

    async def _converse(self, reader, writer):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.heads.append(head)
            self._changed()
            script = self.script
            if callable(script):
                script = script(head, writer)
                if asyncio.iscoroutine(script):
                    script = await script
            if script is not None:
                writer.write(script)
                await writer.drain()
            if script is None or self.hang_up:
                return


class FakeResolver(AbstractResolver):
    """Resolves every name to the next of the lists of addresses, the last for ever."""

    def __init__(self, *answers):
        self._answers = list(answers)
        self.asked = []

    async def resolve(self, host, port=0, family=0):
        self.asked.append((host, port))
        found = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return [
            {
                "hostname": host,
                "host": each,
                "port": port,
                "family": 10 if ":" in each else 2,
                "proto": 6,
                "flags": 0,
            }
            for each in found
        ]

    async def close(self):
        pass


@pytest.fixture
def unwatch(request, monkeypatch):
    """Take events from those that the detector of blocking calls looks for."""

    def unwatch_events(*names):
        for plugin in request.config.pluginmanager.get_plugins():
            watched = getattr(plugin, "_BLOCKING_EVENTS", None)
            if watched is not None:
                monkeypatch.setattr(plugin, "_BLOCKING_EVENTS", watched - {*names})

    return unwatch_events


@pytest.fixture(autouse=True)
def nonblocking_connects(unwatch):
    """Admit the event loop's own connects, which do not wait."""
    unwatch("socket.connect")


@asynccontextmanager
async def _started():
    host = Host()
    await host.start()
    try:
        yield host
    finally:
        await host.stop()


@pytest_asyncio.fixture
async def host():
    """A host that is configured as the endpoint."""
    async with _started() as started:
        yield started


@pytest_asyncio.fixture
async def canary():
    """A listener on this machine that no link may reach."""
    async with _started() as started:
        yield started
        assert started.connections == 0


@pytest.fixture
def origins():
    """Return the origins that a configuration trusts."""

    def origins_for(*, environ=None, **fields):
        return origins_of(Config(**fields), environ or {})

    return origins_for


@pytest_asyncio.fixture
async def make_backend(host, origins):
    """Open backends whose endpoint is the host, and close them after the test."""
    opened = []

    async def make(*, config=None, **options):
        fields = {"s3": S3Config(endpoint_url=host.url)} | (config or {})
        backend = LinkBackend(origins(**fields), **options)
        opened.append(await backend.__aenter__())
        return backend

    yield make
    for backend in opened:
        await backend.aclose()
    gc.collect()


@pytest_asyncio.fixture
async def backend(make_backend):
    return await make_backend()


@pytest.fixture
def read(backend):
    """Read a link to its end."""

    async def read_whole(url, **options):
        async with backend.get(url, **options) as reader:
            return await reader.read()

    return read_whole


@pytest.fixture
def resolver():
    return FakeResolver


@pytest.fixture
def scripted():
    return answer


@pytest.fixture
def refused():
    return refusal


@pytest.fixture
def secret():
    return SECRET
