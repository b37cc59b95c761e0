"""A host that answers with whatever bytes a test scripts, and a listener nobody may meet."""

from __future__ import annotations

import gc
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from aiohttp.abc import AbstractResolver
from tests.backends.scripted_host import SECRET, Host, answer, refusal

from coatcheck.backends._https import LinkBackend, origins_of
from coatcheck.config import Config, S3Config


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
