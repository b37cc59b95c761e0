"""S3 backends in front of a host that answers as a test says."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from tests.backends.scripted_host import Host

from coatcheck.backends._s3 import S3Backend
from coatcheck.config import S3Config

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "testsecret"}


@pytest.fixture(autouse=True)
def credentials(monkeypatch, clean_environment):
    """Let the SDK find credentials, and wait little between its attempts."""
    from botocore.retries.standard import ExponentialBackoff

    for name, text in CREDENTIALS.items():
        monkeypatch.setenv(name, text)
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0.01)


@pytest_asyncio.fixture
async def host():
    """A host that is configured as the endpoint."""
    started = Host()
    await started.start()
    yield started
    await started.stop()


@pytest.fixture
def opened(host):
    """Open a bucket of the host."""

    @asynccontextmanager
    async def open_bucket(*, session=None, **fields):
        config = S3Config(endpoint_url=host.url, **fields)
        async with S3Backend(config, session=session) as backend:
            backend.keeps_conditions = True
            yield backend.bucket("stashes")

    return open_bucket
