"""What a write tells the store arrives there, whichever way it is written."""

from __future__ import annotations

from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
from tests.integration.s3_subjects import client_of

from coatcheck.abc import PutInfo, Write
from coatcheck.backends._s3 import S3Backend
from coatcheck.config import S3Config
from coatcheck.errors import AccessDenied
from coatcheck.testing import Answer, FaultProxy

MIB = 1024 * 1024
OWNER = "123456789012"
HEADER = "x-amz-expected-bucket-owner"
SOURCE_HEADER = "x-amz-source-expected-bucket-owner"
INFO = PutInfo(
    content_type="text/plain",
    cache_control="private, max-age=60",
    content_disposition='attachment; filename="a.txt"',
    storage_class="STANDARD_IA",
    tags={"team": "data platform", "cost/centre": "17"},
)


@asynccontextmanager
async def opened(url, **fields):
    """Open a bucket of its own."""
    config = S3Config(endpoint_url=url, create_buckets=True, **fields)
    async with S3Backend(config) as backend:
        yield backend.bucket(f"parameters-{uuid4().hex[:12]}")


async def pieces():
    for _ in range(9):
        yield bytes(MIB)


async def write_every_way(bucket, info):
    """Write an object in each way that there is; return the keys."""
    await bucket.put("put", b"body", info=info)
    await bucket.put("created", b"body", info=info, mode=Write.CREATE)
    await bucket.put("in parts", pieces(), info=info)
    await bucket.copy_from(bucket, "put", "copied", info=info)
    await bucket.copy_from(
        bucket, "put", "copied in parts", info=info, mode=Write.CREATE
    )
    etag = (await bucket.put("updated", b"body")).etag
    await bucket.update_info("updated", info, if_match=etag)
    return ["put", "created", "in parts", "copied", "copied in parts", "updated"]


def heads(url, bucket, keys):
    """Return what the store tells of the objects to somebody else."""
    client = client_of(url)
    return {key: client.head_object(Bucket=bucket.name, Key=key) for key in keys}


@pytest.fixture(params=["moto_url", "seaweed_url"])
def url(request):
    """Both stores."""
    return request.getfixturevalue(request.param)


@pytest.mark.asyncio
async def test_headers_class_and_tags_arrive(url):
    """Type, caching, disposition, class of storage, and tags."""
    async with opened(url) as bucket:
        keys = await write_every_way(bucket, INFO)
        found = {key: await bucket.head(key) for key in keys}
    for key, head in heads(url, bucket, keys).items():
        assert head["ContentType"] == INFO.content_type, key
        assert head["CacheControl"] == INFO.cache_control, key
        assert head["ContentDisposition"] == INFO.content_disposition, key
        assert head["StorageClass"] == INFO.storage_class, key
        assert found[key].cache_control == INFO.cache_control, key
        assert found[key].storage_class == INFO.storage_class, key
        tagging = client_of(url).get_object_tagging(Bucket=bucket.name, Key=key)
        tags = {each["Key"]: each["Value"] for each in tagging["TagSet"]}
        assert tags == dict(INFO.tags), key


@pytest.mark.asyncio
async def test_updates_keep_class_and_tags(url):
    """What new metadata does not give stays as it was."""
    async with opened(url) as bucket:
        etag = (await bucket.put("k", b"body", info=INFO)).etag
        await bucket.update_info("k", PutInfo(origin="here"), if_match=etag)
    head = heads(url, bucket, ["k"])["k"]
    assert head["StorageClass"] == INFO.storage_class
    tagging = client_of(url).get_object_tagging(Bucket=bucket.name, Key="k")
    assert {each["Key"] for each in tagging["TagSet"]} == set(INFO.tags)


@pytest.mark.asyncio
async def test_encryption_by_the_store(url):
    """SSE-S3 is asked for in every write, and what is written is read back."""
    async with opened(url, sse="AES256") as bucket:
        keys = await write_every_way(bucket, PutInfo())
        for key in keys:
            async with bucket.get(key) as reader:
                assert await reader.read() in (b"body", bytes(9 * MIB))
    for key, head in heads(url, bucket, keys).items():
        assert head["ServerSideEncryption"] == "AES256", key


@pytest.mark.asyncio
async def test_encryption_by_a_key_of_ones_own(moto_url):
    """SSE-KMS names the key in every write."""
    key_id = f"arn:aws:kms:us-east-1:{OWNER}:key/{uuid4()}"
    async with opened(moto_url, sse=f"aws:kms:{key_id}") as bucket:
        keys = await write_every_way(bucket, PutInfo())
        for key in keys:
            async with bucket.get(key) as reader:
                assert await reader.read() in (b"body", bytes(9 * MIB))
    for key, head in heads(moto_url, bucket, keys).items():
        assert head["ServerSideEncryption"] == "aws:kms", key
        assert head["SSEKMSKeyId"] == key_id, key


async def use_every_verb(bucket):
    """Make every request that a bucket can make."""
    await write_every_way(bucket, PutInfo())
    await bucket.head("put")
    async with bucket.get("put") as reader:
        await reader.read()
    assert [page async for page in bucket.scan()]
    upload = await bucket.initiate("upload")
    await bucket.put_part(upload, 1, b"part", size=4)
    assert [part async for part in bucket.list_parts(upload)]
    assert [each async for each in bucket.list_uploads()]
    await bucket.abort(upload)
    await bucket.delete("put")
    await bucket.delete_many(["created", "copied"])
    await bucket.sweep()


@pytest.mark.asyncio
async def test_the_owner_is_asked_for(moto_url):
    """Each request says who must own its bucket, and a copy's source too."""
    wrong = []

    def is_of_others(method, target, headers):
        creates = method == "PUT" and target.count("/") == 1
        asked = [headers.get(HEADER)]
        if "x-amz-copy-source" in headers:
            asked.append(headers.get(SOURCE_HEADER))
        if not creates and set(asked) != {OWNER}:
            wrong.append((method, target, asked))
        return False

    async with FaultProxy(moto_url) as proxy:
        # Matches nothing: it is there to be shown the requests.
        proxy.always(Answer(status=500), is_of_others)
        async with opened(proxy.url, expected_bucket_owner=OWNER) as bucket:
            await use_every_verb(bucket)
        assert len(proxy.requests) > 20
    assert wrong == []


@pytest.mark.asyncio
async def test_buckets_of_others_are_refused(moto_url):
    """A store that finds another owner says 403, and nothing is read or written."""

    def is_foreign(method, target, headers):
        return headers.get(HEADER) not in (None, OWNER)

    async with FaultProxy(moto_url) as proxy:
        denied = b"<Error><Code>AccessDenied</Code></Error>"
        proxy.always(Answer(status=403, body=denied), is_foreign)
        async with opened(proxy.url, expected_bucket_owner=OWNER) as bucket:
            await bucket.put("k", b"body")
            assert (await bucket.head("k")).size == 4
        config = S3Config(endpoint_url=proxy.url, expected_bucket_owner="9" * 12)
        async with S3Backend(config) as backend:
            foreign = backend.bucket(bucket.name)
            with pytest.raises(AccessDenied):
                await foreign.put("k", b"other")
            with pytest.raises(AccessDenied):
                await foreign.head("k")
            with pytest.raises(AccessDenied):
                await foreign.get("k").__aenter__()
