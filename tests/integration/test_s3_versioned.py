"""Buckets that keep versions: what is deleted is gone, though the store keeps it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from tests.integration.s3_subjects import client_of

from coatcheck import Coatcheck, Config, S3Config, TimeToLive
from coatcheck.abc import Update, Write
from coatcheck.backends._s3 import S3Backend
from coatcheck.errors import (
    AlreadyExists,
    ObjectNotFound,
    PreconditionFailed,
    StashNotFound,
)
from coatcheck.testing import ManualClock
from coatcheck.wrappers._claims import CLAIMS

HOUR = timedelta(hours=1)
TEXT = "t" * 200


@pytest.fixture(params=["moto_url", "seaweed_url"])
def url(request):
    """Both stores."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def name(url):
    """A bucket that keeps versions."""
    name = f"versioned-{uuid4().hex[:12]}"
    client = client_of(url)
    client.create_bucket(Bucket=name)
    status = {"Status": "Enabled"}
    client.put_bucket_versioning(Bucket=name, VersioningConfiguration=status)
    return name


@asynccontextmanager
async def opened(url, name):
    """Open the bucket."""
    async with S3Backend(S3Config(endpoint_url=url)) as backend:
        yield backend.bucket(name)


def kept(url, name, prefix=""):
    """Return the numbers of versions and of delete markers that the store keeps."""
    found = client_of(url).list_object_versions(Bucket=name, Prefix=prefix)
    return len(found.get("Versions", [])), len(found.get("DeleteMarkers", []))


async def body_of(bucket, key):
    async with bucket.get(key) as reader:
        return await reader.read()


async def keys_of(bucket):
    return [entry.key async for page in bucket.scan() for entry in page.entries]


@pytest.mark.asyncio
async def test_the_newest_version_is_the_object(url, name):
    """Each write makes a version, which receipt and info name; older ones stay."""
    async with opened(url, name) as bucket:
        first = await bucket.put("k", b"first")
        second = await bucket.put("k", b"second", mode=Update(first.etag))
        assert first.version != second.version
        assert (await bucket.head("k")).version == second.version
        assert await body_of(bucket, "k") == b"second"
        with pytest.raises(AlreadyExists):
            await bucket.put("k", b"third", mode=Write.CREATE)
        with pytest.raises(PreconditionFailed):
            await bucket.put("k", b"third", mode=Update(first.etag))
        moved = await bucket.copy_from(bucket, "k", "copy")
        assert (await bucket.head("copy")).version == moved.version
        assert await keys_of(bucket) == ["copy", "k"]
    assert kept(url, name, "k") == (2, 0)


@pytest.mark.asyncio
async def test_a_delete_leaves_a_marker(url, name):
    """What is deleted is gone for every verb, and may be created anew."""
    async with opened(url, name) as bucket:
        etag = (await bucket.put("k", b"body")).etag
        with pytest.raises(PreconditionFailed):
            await bucket.delete("k", if_match="0" * 32)
        await bucket.delete("k", if_match=etag)
        with pytest.raises(ObjectNotFound):
            await bucket.head("k")
        with pytest.raises(ObjectNotFound):
            await body_of(bucket, "k")
        assert await keys_of(bucket) == []
        await bucket.delete("k")
        await bucket.put("k", b"again", mode=Write.CREATE)
        assert await body_of(bucket, "k") == b"again"
        await bucket.put("other", b"body")
        assert await bucket.delete_many(["k", "other"]) == {"k": None, "other": None}
        assert await keys_of(bucket) == []
    # A delete of what is gone may leave a marker too.
    versions, markers = kept(url, name, "k")
    assert (versions, markers) in ((2, 2), (2, 3))
    assert kept(url, name, "other") == (1, 1)


@pytest.mark.asyncio
async def test_streams_copies_and_sweeps(url, name):
    """Uploads complete into versions, and a sweep aborts what is left of others."""
    async with opened(url, name) as bucket:
        body = bytes(9 * 1024 * 1024)
        first = await bucket.put("stream", b"short")
        await bucket.put("stream", pieces(body))
        assert (await bucket.head("stream")).version != first.version
        upload = await bucket.initiate("left")
        await bucket.put_part(upload, 1, b"part", size=4)
        swept = await bucket.sweep(older_than=timedelta(0) - HOUR)
        assert swept.uploads == 1
        assert [each async for each in bucket.list_uploads()] == []
        assert await keys_of(bucket) == ["stream"]
    assert kept(url, name, "stream") == (2, 0)


async def pieces(body):
    yield body


@pytest.mark.asyncio
async def test_stashes_expire_in_versions(url, name):
    """Reaped stashes are gone and are created again; claims leave versions as well."""
    clock = ManualClock(datetime.now(UTC))
    config = Config(
        s3=S3Config(endpoint_url=url),
        namespaces={"jobs": f"s3://{name}"},
        grace=timedelta(minutes=15),
    )
    async with Coatcheck(config, clock=clock) as cc:
        stash = await cc.create("n", TEXT, "jobs", expires=TimeToLive(HOUR))
        clock.advance(HOUR)
        with pytest.raises(StashNotFound):
            await cc.retrieve(stash.address)
        clock.advance(config.grace)
        report = await cc.reap("jobs")
        assert (report.scanned, report.deleted, report.failed) == (1, 1, 0)
        again = await cc.reap("jobs")
        assert (again.scanned, again.deleted) == (0, 0)
        assert [entry async for entry in cc.scan("jobs")] == []
        stash = await cc.create("n", TEXT, "jobs", expires=TimeToLive(HOUR))
        clock.advance(HOUR)
        stash = await cc.create("n", TEXT, "jobs", expires=TimeToLive(HOUR))
        assert (await cc.retrieve(stash.address)).data == TEXT
    assert await asyncio.to_thread(kept, url, name, stash.address.key) == (3, 2)
    assert await asyncio.to_thread(kept, url, name, CLAIMS) == (2, 2)
