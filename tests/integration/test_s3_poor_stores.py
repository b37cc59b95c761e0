"""A store that ignores conditions and answers ranges with 200: rclone's."""

from __future__ import annotations

import pytest
from tests.stashes.test_stashes import HOUR, TEXT

from coatcheck import ByteSpan, Coatcheck, Config, S3Config, TimeToLive
from coatcheck.abc import Capability, Update, Write
from coatcheck.backends._s3 import S3Backend
from coatcheck.errors import IntegrityError, UnsupportedOperation


@pytest.fixture
def s3(rclone_url):
    """How the poor store is reached."""
    return S3Config(endpoint_url=rclone_url, create_buckets=True)


@pytest.mark.asyncio
async def test_what_can_work_works(s3, tmp_path):
    """Content-addressed creates, reads, streams, listings and links."""
    async with Coatcheck(Config(s3=s3)) as cc:
        stash = await cc.create("n", TEXT, "poor")
        assert await cc.create("n", TEXT, "poor") == stash
        assert (await cc.retrieve(stash.address)).data == TEXT
        body = bytes(range(256)) * 50_000
        (tmp_path / "body").write_bytes(body)
        stream = await cc.create_stream("s", tmp_path / "body", "poor")
        async with cc.open(stream.address) as reader:
            assert b"".join([chunk async for chunk in reader]) == body
        async with cc.open(stream.address, byte_range=ByteSpan(7, 99)) as reader:
            assert await reader.read() == body[7:99]
        names = sorted([each.address.name async for each in cc.scan("poor")])
        assert names == ["n", "s"]
        await cc.delete(stash.address)
        assert not await cc.exists(stash.address)


@pytest.mark.asyncio
async def test_what_cannot_work_is_refused(s3):
    """Expiry and explicit conditions, with the reason."""
    async with Coatcheck(Config(s3=s3)) as cc:
        with pytest.raises(UnsupportedOperation, match="If-None-Match"):
            await cc.create("n", TEXT, "poor", expires=TimeToLive(HOUR))
    async with S3Backend(s3) as backend:
        bucket = backend.bucket("poor")
        for mode in (Write.CREATE, Update("etag")):
            with pytest.raises(UnsupportedOperation, match="If-None-Match"):
                await bucket.put("k", b"x", mode=mode)
        assert Capability.CREATE not in bucket.capabilities
        assert [
            each.key
            async for page in bucket.scan(".coatcheck/")
            for each in page.entries
        ] == []


@pytest.mark.asyncio
async def test_another_payload_under_the_key_is_seen(s3):
    """Without conditions too a create compares what stands there."""
    async with Coatcheck(Config(s3=s3)) as cc:
        stash = await cc.create("compared", TEXT, "poor")
        async with S3Backend(s3) as backend:
            await backend.bucket("poor").put(stash.address.key, b"other")
        with pytest.raises(IntegrityError):
            await cc.create("compared", TEXT, "poor")
