"""A service behind a proxy that loses and bends what passes, and old services."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from aiohttp import web
from tests.service.stage import KEY, serving, with_keys

from coatcheck.abc import ServiceAccess
from coatcheck.backends._service import ServiceBackend, _resumable, _wire
from coatcheck.objects import SecretKey
from coatcheck.testing import FaultProxy

PLACE = "attachments/org.42/objects/"
KEY_PEM = KEY.private_pem


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    """Wait little between attempts."""
    monkeypatch.setattr(_wire, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(_wire, "_LONGEST_PAUSE", 0.05)
    monkeypatch.setattr(_resumable, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(_resumable, "_LONGEST_PAUSE", 0.05)


@dataclass
class Staged:
    """A bucket in a service, and the proxy on the way to it."""

    bucket: object
    backend: ServiceBackend
    proxy: FaultProxy
    service: object

    async def read(self, key, **options):
        async with self.bucket.get(key, **options) as reader:
            return await reader.read()

    def seen(self, method, *, before=0):
        """Return the requests with this method that came to the proxy."""
        return [each for each in self.proxy.requests[before:] if each.method == method]


def access_of(**fields):
    """Return the access of who has the service's key."""
    return ServiceAccess(token=SecretKey(KEY.kid, KEY_PEM), **fields)


@asynccontextmanager
async def staged(config=None, **fields):
    """Open a backend behind a proxy before a service over memory."""
    async with (
        serving(config or with_keys()) as service,
        FaultProxy(service.url) as proxy,
        ServiceBackend(proxy.url, access=access_of(**fields)) as backend,
    ):
        bucket = backend.bucket("objects", PLACE)
        yield Staged(bucket, backend, proxy, service)


def puts(method, target, headers):
    """Match what writes whole objects."""
    return method == "PUT" and "?" not in target


def steps(method, target, headers):
    """Match the steps of resumable uploads."""
    return "session=" in target


def method_is(*names):
    """Return what matches requests with one of these methods."""
    return lambda method, target, headers: method in names


@asynccontextmanager
async def old_service(*routes):
    """Run a service of a few routes; give its URL."""
    app = web.Application(client_max_size=2**30)
    app.add_routes(routes)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()
