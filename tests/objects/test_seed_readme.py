"""What objectstore's README shows runs here, with `await` and `async with` added.

Each function is one of its examples, with the import renamed, against a service. What
is different otherwise stands in the table of our README.
"""

from __future__ import annotations

import sys
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import anyio
import pytest
from tests.objects.stage import fetched
from tests.service.stage import KEY, serving, with_keys

from coatcheck.errors import ExpiryNotExtendable, InvalidInput
from coatcheck.objects import Client, Scope, SecretKey, TimeToIdle, TimeToLive, Usecase

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


@asynccontextmanager
async def opened(usecase="attachments", **options):
    """Open a client of a service, and a session of the scope that examples use."""
    async with (
        serving() as service,
        Client(service.url, **options) as client,
    ):
        yield client.session(Usecase(usecase), org=42, project=1337)


@pytest.mark.asyncio
async def test_quick_start():
    """Upload, download, delete."""
    async with serving() as service, Client(service.url) as client:
        session = client.session(Usecase("attachments"), org=42, project=1337)

        key = await session.put(b"Hello, world!")

        async with session.get(key) as result:
            content = await result.payload.read()

        await session.delete(key)

    assert content == b"Hello, world!"


@pytest.mark.asyncio
async def test_scopes():
    """Further components come behind the first two."""
    async with serving() as service, Client(service.url) as client:
        session = client.session(Usecase("attachments"), org=42, project=1337)
        key = await session.put(b"x")
        session = client.session(
            Usecase("attachments"), org=42, project=1337, app_slug="email_app"
        )
        assert not await session.exists(key)


@pytest.mark.asyncio
async def test_expiration():
    """A default of the usecase, another policy of the call, and an extension."""
    usecase = Usecase("attachments", expiration_policy=TimeToIdle(timedelta(days=30)))
    async with serving() as service, Client(service.url) as client:
        session = client.session(usecase, org=42, project=1337)

        key = await session.put(
            b"payload", expiration_policy=TimeToLive(timedelta(hours=1))
        )

        try:
            await session.extend_expiry(key, from_now=timedelta(days=30))
        except ExpiryNotExtendable:
            raise AssertionError from None

        expires = (await session.head(key)).time_expires
        assert expires - datetime.now(UTC) > timedelta(days=29)


@pytest.mark.asyncio
async def test_origin_and_custom_metadata():
    """Both come back."""
    async with opened() as session:
        key = await session.put(b"payload", origin="203.0.113.42")
        assert (await session.head(key)).origin == "203.0.113.42"
        key = await session.put(b"payload", metadata={"source": "upload-service"})
        assert (await session.head(key)).custom == {"source": "upload-service"}


@pytest.mark.asyncio
async def test_compression():
    """Switched off, of one's own, and by the name that older versions had."""
    video_data, zstd_data = b"\x00\x00\x00\x18ftypmp42", zstd.compress(b"data")
    async with opened() as session:
        key = await session.put(video_data, compress="none")
        assert (await session.head(key)).compression is None
        key = await session.put(zstd_data, precompressed="zstd")
        assert await session.get_bytes(key) == b"data"
        key = await session.put(b"payload", compression="none")
        assert (await session.head(key)).size == 7


@pytest.mark.asyncio
async def test_multipart():
    """Parts at the same time, completed, or aborted when that is refused."""
    async with opened() as session:
        upload = await session.initiate_multipart_upload(
            key="my-large-object",
            compression="zstd",
            metadata={"source": "upload-service"},
        )

        chunks = [b"part1", b"part2", b"part3", b"part4"]
        parts = []

        async def upload_part(part_number, data):
            compressed = zstd.compress(data)
            parts.append(
                await upload.put_part(
                    compressed, part_number=part_number, content_length=len(compressed)
                )
            )

        async with anyio.create_task_group() as tasks:
            for i, chunk in enumerate(chunks):
                tasks.start_soon(upload_part, i + 1, chunk)

        try:
            key = await upload.complete(parts)
        except InvalidInput:
            await upload.abort()
            raise

        assert await session.get_bytes(key) == b"part1part2part3part4"


@pytest.mark.asyncio
async def test_resuming_a_multipart_upload():
    """Key and id are all that another process needs."""
    async with opened() as session:
        upload = await session.initiate_multipart_upload(key="my-large-object")
        await upload.put_part(b"first", part_number=1, content_length=5)
        saved_key = upload.key
        saved_upload_id = upload.upload_id

        resumed = session.resume_multipart_upload(saved_key, saved_upload_id)
        existing_parts = await resumed.list_parts()

        new_parts = [await resumed.put_part(b"second", part_number=2, content_length=6)]
        key = await resumed.complete(new_parts + existing_parts)

        assert await session.get_bytes(key) == b"firstsecond"


@pytest.mark.asyncio
async def test_authentication():
    """A key that signs, and a token that somebody else signed."""
    async with serving(with_keys()) as service:
        client = Client(
            service.url, token=SecretKey(kid="main", secret_key=KEY.private_pem)
        )
        async with client:
            session = client.session(Usecase("my_app"), org=42, project=1337)
            key = await session.put(b"x")

        token = SecretKey(kid="main", secret_key=KEY.private_pem).token_for_scope(
            "my_app", Scope.of(org=42, project=1337)
        )
        async with Client(service.url, token=token) as client:
            session = client.session(Usecase("my_app"), org=42, project=1337)
            assert await session.get_bytes(key) == b"x"


@pytest.mark.asyncio
async def test_urls():
    """One with a token, and one that is presigned, are opened by anybody."""
    key = SecretKey(kid="main", secret_key=KEY.private_pem)
    async with (
        serving(with_keys()) as service,
        Client(service.url, token=key) as client,
    ):
        session = client.session(Usecase("attachments"), org=42, project=1337)
        await session.put(b"content", "my-key", compress="none")
        url = session.object_url("my-key", token_validity=timedelta(hours=1))
        assert await fetched(url) == (200, b"content")
        url = await session.presigned_object_url(
            "GET", "my-key", duration=timedelta(hours=1)
        )
        assert await fetched(url) == (200, b"content")


@pytest.mark.asyncio
async def test_configuration():
    """All options with their defaults."""
    async with (
        serving() as service,
        Client(
            service.url,
            propagate_traces=False,
            retries=3,
            timeout_ms=None,
            connection_kwargs={},
        ) as client,
    ):
        attachments = Usecase("attachments")
        assert await client.session(attachments).put(b"x", "key") == "key"
