"""Credentials that end: they are renewed in time, and it is said when they are not."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import aioboto3
import pytest
from aiobotocore.credentials import AioRefreshableCredentials
from aiobotocore.session import AioSession
from botocore.exceptions import CredentialRetrievalError
from tests.integration import servers

from coatcheck.abc import SignGet
from coatcheck.backends._s3 import S3Backend
from coatcheck.config import S3Config
from coatcheck.errors import AccessDenied, Unauthenticated
from coatcheck.testing import Answer, FaultProxy

HOUR = timedelta(hours=1)
MIB = 1024 * 1024
READER = ("reader", servers.READER_SECRET)
ADMIN = ("test", servers.SECRET)


class Vault:
    """Gives out credentials that end, as STS, IMDS or a web identity does."""

    def __init__(self, *given):
        self.given = list(given)
        self.asked = 0
        self.lifetime = HOUR
        self.now = datetime.now(UTC)
        key, secret = self.given.pop(0)
        self.credentials = AioRefreshableCredentials(
            key, secret, None, self.now + HOUR, self.refresh, "stub", lambda: self.now
        )

    async def refresh(self):
        self.asked += 1
        await asyncio.sleep(0.01)
        if not self.given:
            raise CredentialRetrievalError(provider="stub", error_msg="nobody there")
        key, secret = self.given.pop(0)
        return {
            "access_key": key,
            "secret_key": secret,
            "token": None,
            "expiry_time": (self.now + self.lifetime).isoformat(),
        }

    def session(self):
        session = AioSession()
        session._credentials = self.credentials
        return aioboto3.Session(botocore_session=session)


@pytest.fixture
def config(seaweed_url, monkeypatch):
    """A store that checks credentials, and an environment without any."""
    for name in servers.CREDENTIALS:
        monkeypatch.delenv(name)
    return S3Config(endpoint_url=seaweed_url, create_buckets=True)


@pytest.mark.asyncio
async def test_credentials_are_renewed_in_the_middle(config):
    """One backend goes on with new ones, which are asked for once by all calls."""
    vault = Vault(ADMIN, READER, ADMIN)
    async with S3Backend(config, session=vault.session()) as backend:
        bucket = backend.bucket("credentials")
        await bucket.put("k", b"body")
        assert vault.asked == 0
        vault.now += HOUR
        infos = await asyncio.gather(*(bucket.head("k") for _ in range(20)))
        assert {info.size for info in infos} == {4}
        assert vault.asked == 1
        with pytest.raises(AccessDenied):
            await bucket.put("k", b"the reader's")
        vault.now += HOUR
        await bucket.put("k", b"admin's")
        assert (await bucket.head("k")).size == 7


@pytest.mark.asyncio
async def test_a_stream_outlives_its_credentials(config):
    """Parts are signed with those that are good when they are sent."""
    vault = Vault(ADMIN, ADMIN)

    async def pieces():
        for number in range(20):
            if number == 12:
                vault.now += HOUR
            yield bytes(MIB)

    async with S3Backend(config, session=vault.session()) as backend:
        bucket = backend.bucket("credentials")
        await bucket.put("stream", pieces())
        assert (await bucket.head("stream")).size == 20 * MIB
    assert vault.asked == 1


@pytest.mark.asyncio
async def test_credentials_that_cannot_be_renewed(config):
    """Nobody who gives new ones is Unauthenticated, and says what to set."""
    vault = Vault(ADMIN)
    async with S3Backend(config, session=vault.session()) as backend:
        bucket = backend.bucket("credentials")
        await bucket.put("k", b"body")
        vault.now += HOUR
        with pytest.raises(Unauthenticated, match="profile or a role"):
            await bucket.head("k")
        with pytest.raises(Unauthenticated):
            await bucket.sign(SignGet(), "k", expires_in=HOUR)
        with pytest.raises(Unauthenticated):
            await bucket.get("k").__aenter__()


@pytest.mark.asyncio
async def test_new_credentials_that_have_expired(config):
    """Who gives out what is over already is told of like who gives nothing."""
    vault = Vault(ADMIN, ADMIN)
    async with S3Backend(config, session=vault.session()) as backend:
        bucket = backend.bucket("credentials")
        await bucket.put("k", b"body")
        vault.now += HOUR
        vault.lifetime = -HOUR
        with pytest.raises(Unauthenticated, match="renewed"):
            await bucket.head("k")


@pytest.mark.asyncio
async def test_links_live_no_longer_than_credentials(config):
    """A link that is asked for a day ends with the hour of what signs it."""
    vault = Vault(ADMIN, ADMIN)
    async with S3Backend(config, session=vault.session()) as backend:
        bucket = backend.bucket("credentials")
        for _ in range(2):
            link = await bucket.sign(SignGet(), "k", expires_in=timedelta(days=1))
            assert timedelta(0) < link.expires_at - datetime.now(UTC) <= HOUR
            assert int(link.url.split("X-Amz-Expires=")[1].split("&")[0]) <= 3600
            vault.credentials._expiry_time = vault.now
        assert vault.asked == 1


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "code", ["ExpiredToken", "InvalidToken", "TokenRefreshRequired"]
)
async def test_a_store_that_finds_them_expired(moto_url, monkeypatch, code):
    """What the store says of the token is Unauthenticated, in the middle of a stream too."""
    monkeypatch.setenv("AWS_SESSION_TOKEN", servers.SESSION_TOKEN)
    seen = []

    def is_part(method, target, headers):
        seen.append(headers.get("x-amz-security-token"))
        return "partNumber=2" in target

    async def pieces():
        for _ in range(20):
            yield bytes(MIB)

    async with FaultProxy(moto_url) as proxy:
        body = f"<Error><Code>{code}</Code><Message>over</Message></Error>"
        proxy.always(Answer(status=400, body=body.encode()), is_part)
        config = S3Config(endpoint_url=proxy.url, create_buckets=True)
        async with S3Backend(config) as backend:
            bucket = backend.bucket("credentials")
            with pytest.raises(Unauthenticated, match="token|expired"):
                await bucket.put("stream", pieces())
            assert [upload async for upload in bucket.list_uploads()] == []
    assert set(seen) == {servers.SESSION_TOKEN}
