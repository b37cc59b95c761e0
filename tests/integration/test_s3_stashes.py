"""The claim check on S3: addresses, links, and what is told of what goes wrong."""

from __future__ import annotations

import asyncio
import logging
import re
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import aioboto3
import anyio
import botocore.config
import pytest
from tests.integration import servers

from coatcheck import Address, ByteSpan, Coatcheck, Config, S3Config
from coatcheck.errors import (
    AccessDenied,
    BucketNotFound,
    IntegrityError,
    InvalidInput,
    StashNotFound,
    Unauthenticated,
    UnsupportedOperation,
)

TEXT = "t" * 200
CONTEXT = {"as_of": "today", "bin": b"0" * 1024 * 512}


@pytest.fixture
def opened(seaweed_url):
    """Open a Coatcheck on SeaweedFS."""

    @asynccontextmanager
    async def opening(**fields):
        s3 = {"endpoint_url": seaweed_url, "create_buckets": True}
        s3 |= fields.pop("s3", {})
        async with Coatcheck(Config(s3=S3Config(**s3), **fields)) as cc:
            yield cc

    return opening


@pytest.mark.asyncio
async def test_the_vector_on_s3(opened):
    """The address is kstash's, and another instance claims it."""
    async with opened() as cc:
        stash = await cc.create("context", CONTEXT, "stashes")
    assert str(stash.address) == "s3://stashes/context.c6ab205fe81dcad3eec3ab48b96b0618"
    async with opened() as cc:
        loaded = await cc.retrieve(str(stash.address))
        assert loaded == stash
        assert loaded.data == CONTEXT
        assert await cc.create("context", CONTEXT, "stashes") == stash


@pytest.mark.asyncio
async def test_all_verbs_on_s3(opened, tmp_path):
    """What memory and files can, S3 can."""
    body = bytes(range(256)) * 100_000
    async with opened() as cc:
        await cc.check()
        items = [(f"dir/n{number}", [number] * 100) for number in range(20)]
        stashes = await cc.create_many(items, "verbs")
        loaded = await cc.retrieve_many([stash.address for stash in stashes])
        assert loaded == stashes
        names = [entry.address.name async for entry in cc.scan("verbs", prefix="dir/")]
        assert sorted(names) == sorted(name for name, _ in items)
        stream = await cc.create_stream("video", body_chunks(body), "verbs")
        assert stream.size == len(body)
        async with cc.open(stream.address) as reader:
            assert b"".join([chunk async for chunk in reader]) == body
        async with cc.open(stream.address, byte_range=ByteSpan(5, 10)) as reader:
            assert await reader.read() == body[5:10]
        await cc.download(stream.address, tmp_path / "copy")
        copied = await asyncio.to_thread(Path(tmp_path, "copy").read_bytes)
        assert copied == body
        await cc.delete(stream.address)
        assert not await cc.exists(stream.address)
        with pytest.raises(StashNotFound):
            await cc.retrieve(stream.address)


async def body_chunks(body):
    for start in range(0, len(body), 300_000):
        yield body[start : start + 300_000]


@pytest.mark.asyncio
async def test_share_links(opened):
    """A link opens one stash without credentials, until it expires."""
    async with opened(trusted_hosts=()) as cc:
        stash = await cc.create("sp ace ü+%;", CONTEXT, "links")
        link = await stash.share(ttl_sec=2)
        assert str(link).startswith("http://127.0.0.1:")
        assert "Signature" not in repr(link)
        again = await cc.retrieve(str(link))
        assert (again.data, again.digest) == (CONTEXT, stash.digest)
        assert again == stash
        assert again.address.url == str(link)
        assert await cc.exists(link)
        async with cc.open(str(link)) as reader:
            assert len(await reader.read()) == stash.size
        for verb in (cc.touch, cc.delete, cc.share):
            with pytest.raises(UnsupportedOperation, match="only reads"):
                await verb(link)
        await asyncio.sleep(3.2)
        with pytest.raises(StashNotFound, match="expired"):
            await cc.retrieve(str(link))
        assert not await cc.exists(link)


@pytest.mark.asyncio
async def test_links_that_were_changed(opened):
    """A changed signature, another object's name, and a stream's digest are seen."""
    async with opened() as cc:
        one = await cc.create("one", TEXT, "links")
        two = await cc.create("two", TEXT[::-1] + "!", "links")
        link = str(await cc.share(one.address, ttl_sec=60))
        forged = re.sub("Signature=[0-9a-f]{4}", "Signature=0000", link)
        with pytest.raises(StashNotFound, match="changed"):
            await cc.retrieve(forged)
        with pytest.raises(StashNotFound):
            await cc.retrieve(link.replace(one.address.key, two.address.key))
        stream = await cc.create_stream("s", b"bytes" * 1000, "links")
        link = str(await cc.share(stream.address, ttl_sec=60))
        assert link.endswith(f"#sha256={stream.address.sha256}&size=5000")
        assert (await cc.retrieve(link)).data == b"bytes" * 1000
        with pytest.raises(IntegrityError):
            await cc.retrieve(link.replace(stream.address.sha256, "0" * 64))


@pytest.mark.asyncio
async def test_links_live_from_a_second_to_a_week(opened):
    """Other times are refused."""
    async with opened() as cc:
        stash = await cc.create("n", TEXT, "links")
        for seconds in (0, -1, 604_801):
            with pytest.raises(InvalidInput):
                await cc.share(stash.address, ttl_sec=seconds)
        assert (await cc.share(stash.address, ttl_sec=604_800)).url
        gone = Address.parse(f"s3://links/gone.{'0' * 32}")
        with pytest.raises(StashNotFound):
            await cc.share(gone)


@pytest.mark.asyncio
async def test_links_of_others(opened, seaweed_url):
    """What another program signed, in the old form too, is read the same."""
    async with opened() as cc:
        stash = await cc.create("theirs", TEXT, "links")
        for version in ("s3", "s3v4"):
            config = botocore.config.Config(signature_version=version)
            session = aioboto3.Session(region_name="us-east-1")
            async with session.client(
                "s3", endpoint_url=seaweed_url, config=config
            ) as client:
                url = await client.generate_presigned_url(
                    "get_object",
                    Params={"Bucket": "links", "Key": stash.address.key},
                    ExpiresIn=60,
                )
            assert ("AWSAccessKeyId" in url) == (version == "s3")
            assert (await cc.retrieve(url)).data == TEXT


@pytest.mark.asyncio
async def test_links_to_others_are_not_fetched(opened):
    """Only trusted origins are; an address decides nothing."""
    async with opened() as cc:
        for url in (
            f"http://127.0.0.1:1/links/n.{'0' * 32}?X-Amz-Signature=s",
            f"https://example.com/links/n.{'0' * 32}?X-Amz-Signature=s",
            f"http://169.254.169.254/latest/n.{'0' * 32}",
        ):
            with pytest.raises(AccessDenied, match="trusted_hosts"):
                await cc.retrieve(url)


@pytest.mark.asyncio
async def test_missing_and_malformed_buckets(opened):
    """A bucket that is not there is NotFound when reading, and said when writing."""
    async with opened(s3={"create_buckets": False}) as cc:
        with pytest.raises(StashNotFound):
            await cc.retrieve(f"s3://no-such-bucket/n.{'0' * 32}")
        with pytest.raises((BucketNotFound, StashNotFound)):
            await cc.create("n", TEXT, "no-such-bucket")
        with pytest.raises((InvalidInput, BucketNotFound, StashNotFound)):
            await cc.create("n", TEXT, "No_Such_Bucket")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("key", "secret", "kind"),
    [
        ("test", "wrong", Unauthenticated),
        ("nobody", "wrong", Unauthenticated),
        ("reader", servers.READER_SECRET, AccessDenied),
    ],
)
async def test_credentials_that_do_not_do(opened, monkeypatch, key, secret, kind):
    """Wrong credentials are Unauthenticated, good ones without the right denied."""
    async with opened() as cc:
        await cc.create("n", TEXT, "links")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    async with opened(s3={"create_buckets": False}) as cc:
        with pytest.raises(kind) as caught:
            await cc.create("other", TEXT, "links")
    assert secret not in str(caught.value)


@pytest.mark.asyncio
async def test_nothing_secret_is_logged(opened, caplog, monkeypatch):
    """At DEBUG neither secret, signature nor payload stands in any of our records."""
    payload = "a payload that nobody shall read" * 10
    with caplog.at_level(logging.DEBUG, "coatcheck"):
        async with opened() as cc:
            stash = await cc.create("n", payload, "links")
            link = await stash.share(ttl_sec=60)
            await cc.retrieve(link)
            forged = re.sub("Signature=[0-9a-f]{4}", "Signature=0000", str(link))
            with pytest.raises(StashNotFound) as caught:
                await cc.retrieve(forged)
    signature = re.search("Signature=([0-9a-f]+)", str(link))[1]
    ours = "\n".join(
        record.getMessage()
        for record in caplog.records
        if record.name.startswith("coatcheck")
    )
    chain, error = "", caught.value
    while error is not None:
        chain += repr(error) + str(error)
        error = error.__cause__ or error.__context__
    for secret in (servers.MARK, signature, payload):
        assert secret not in ours
        assert secret not in chain


@pytest.mark.asyncio
async def test_an_open_client_may_be_given(seaweed_url):
    """Somebody else's client is used, and not closed."""
    from coatcheck.backends._s3 import S3Backend

    async with aioboto3.Session().client("s3", endpoint_url=seaweed_url) as client:
        async with S3Backend(S3Config(create_buckets=True), client=client) as backend:
            await backend.bucket("given").put("k", b"x")
            assert (await backend.bucket("given").head("k")).size == 1
        await client.list_buckets()


@pytest.mark.asyncio
async def test_readers_that_stop_reading(seaweed_url, monkeypatch):
    """A pool of four that four readers hold fails the fifth in time, and is whole."""
    from coatcheck.backends._s3 import S3Backend, _backend
    from coatcheck.errors import AtCapacity

    monkeypatch.setattr(_backend, "_SLOT_SECONDS", 0.3)
    config = S3Config(
        endpoint_url=seaweed_url, create_buckets=True, max_pool_connections=4
    )
    async with S3Backend(config) as backend:
        bucket = backend.bucket("pool")
        await bucket.put("k", bytes(3_000_000))
        reads = [bucket.get("k") for _ in range(4)]
        for read in reads:
            reader = await read.__aenter__()
            await reader.read(1)
        with pytest.raises(AtCapacity, match="max_pool_connections"):
            await bucket.head("k")
        for read in reads:
            await read.__aexit__(None, None, None)
        for _ in range(8):
            async with bucket.get("k") as reader:
                assert len(await reader.read()) == 3_000_000


@pytest.mark.asyncio
async def test_metadata_limits(seaweed_url):
    """More than S3's 2 KiB is refused before anything is sent."""
    from coatcheck.abc import PutInfo
    from coatcheck.backends._s3 import S3Backend

    config = S3Config(endpoint_url=seaweed_url, create_buckets=True)
    async with S3Backend(config) as backend:
        bucket = backend.bucket("limits")
        info = PutInfo(custom={"long": "x" * 2048})
        with pytest.raises(InvalidInput, match="2048"):
            await bucket.put("k", b"x", info=info)
        with pytest.raises(InvalidInput, match="2048"):
            await bucket.initiate("k", info=info)


@pytest.mark.asyncio
async def test_objects_of_other_programs(seaweed_url, opened):
    """An object without our metadata is read, listed and claimed."""
    session = aioboto3.Session()
    async with session.client("s3", endpoint_url=seaweed_url) as client:
        await client.create_bucket(Bucket="foreign")
        key = "object.34472d91b2f84052bf26d4eaa862ef86"
        body = b"\x81\xa4data{"
        await client.put_object(Bucket="foreign", Key=key, Body=body)
    async with opened() as cc:
        stash = await cc.retrieve(f"s3://foreign/{key}")
        assert stash.data == {"data": 123}
        (entry,) = [entry async for entry in cc.scan("foreign")]
        assert entry.address == stash.address


def test_time_to_first_error_without_a_store(tmp_path):
    """A store that is not there is told within seconds, by name of what to set."""
    config = Config(
        s3=S3Config(endpoint_url="http://127.0.0.1:9"),
        total_timeout=timedelta(seconds=20),
    )

    async def create():
        async with Coatcheck(config) as cc:
            await cc.create("n", TEXT)

    from coatcheck.errors import BackendUnavailable

    with pytest.raises(BackendUnavailable, match="endpoint_url"):
        asyncio.run(create())


def test_s3_under_trio_is_refused_early(seaweed_url):
    """The SDK runs on asyncio only, and the error says what does not."""
    config = Config(s3=S3Config(endpoint_url=seaweed_url))

    async def create():
        async with Coatcheck(config) as cc:
            await cc.create("n", TEXT)

    with pytest.raises(UnsupportedOperation, match="memory or files"):
        anyio.run(create, backend="trio")
