"""Multipart uploads in memory."""

from __future__ import annotations

import hashlib
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import pytest

from coatcheck.abc import (
    Part,
    PutInfo,
    Update,
    Upload,
    Verified,
    Write,
)
from coatcheck.backends._memory import MemoryBackend
from coatcheck.errors import (
    AlreadyExists,
    IntegrityError,
    InvalidInput,
    ObjectNotFound,
    PreconditionFailed,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Clock:
    """A clock that tests move."""

    def __init__(self):
        self.now = START

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


async def read(bucket, key, **conditions):
    async with bucket.get(key, **conditions) as reader:
        return await reader.read()


async def keys_of(bucket, prefix="", **options):
    found = []
    async with aclosing(bucket.scan(prefix, **options)) as pages:
        async for page in pages:
            found += [*(entry.key for entry in page.entries), *page.prefixes]
    return found


async def stream(*chunks):
    for chunk in chunks:
        yield chunk


async def two_parts(bucket, key="k", **options):
    upload = await bucket.initiate(key, **options)
    second = await bucket.put_part(upload, 7, stream(b"cd", b"e"), size=3)
    first = await bucket.put_part(upload, 2, b"ab", size=2)
    return upload, [first, second]


@pytest.mark.asyncio
async def test_parts_are_joined_by_number():
    """Parts arrive in any order, one is replaced, and the object is whole."""
    async with MemoryBackend() as backend:
        bucket = backend.bucket("b")
        upload, parts = await two_parts(bucket, info=PutInfo(origin="o"))
        with pytest.raises(ObjectNotFound):
            await bucket.head("k")
        parts[0] = await bucket.put_part(upload, 2, b"AB", size=2)
        assert [part async for part in bucket.list_parts(upload)] == parts
        receipt = await bucket.complete(upload, parts)
        assert (receipt.size, receipt.sha256, receipt.created) == (5, None, True)
        assert await read(bucket, "k") == b"ABcde"
        assert (await bucket.head("k")).origin == "o"


@pytest.mark.asyncio
async def test_a_declared_digest_of_an_upload_is_kept():
    """Reading an object of parts is verified when its digest was declared."""
    digest = hashlib.sha256(b"abcde").hexdigest()
    async with MemoryBackend() as backend:
        bucket = backend.bucket("b")
        await bucket.complete(*await two_parts(bucket, info=PutInfo(sha256=digest)))
        async with bucket.get("k") as reader:
            assert reader.verified is Verified.SHA256
            assert await reader.read() == b"abcde"


@pytest.mark.asyncio
@pytest.mark.parametrize("info", [PutInfo(), PutInfo(write_id="mine")])
async def test_completing_is_repeatable(info):
    """Completing again gives the same receipt while the object stands."""
    async with MemoryBackend() as backend:
        bucket = backend.bucket("b")
        upload, parts = await two_parts(bucket, info=info, mode=Write.CREATE)
        receipt = await bucket.complete(upload, parts)
        assert await bucket.complete(upload, parts) == receipt
        info_now = await bucket.head("k")
        await bucket.update_info("k", PutInfo(), if_match=info_now.etag)
        assert (await bucket.complete(upload, parts)).size == receipt.size
        await bucket.put("k", b"replaced")
        with pytest.raises(ObjectNotFound):
            await bucket.complete(upload, parts)
        with pytest.raises(ObjectNotFound):
            await bucket.put_part(upload, 1, b"", size=0)


@pytest.mark.asyncio
async def test_completing_refuses_wrong_parts():
    """No parts, wrong order, a wrong ETag, a missing or an empty part are errors."""
    async with MemoryBackend() as backend:
        bucket = backend.bucket("b")
        upload, (first, second) = await two_parts(bucket)
        empty = await bucket.put_part(upload, 1, b"", size=0)
        missing = Part(number=9, etag=first.etag, size=2)
        for parts in (
            [],
            [second, first],
            [first, first],
            [Part(number=2, etag=second.etag, size=2), second],
            [first, missing],
            [empty, first],
        ):
            with pytest.raises(InvalidInput):
                await bucket.complete(upload, parts)
        assert await keys_of(bucket) == []
        await bucket.complete(upload, [first, second])


@pytest.mark.asyncio
async def test_the_mode_holds_when_completing():
    """CREATE and Update of an upload are decided when it is completed."""
    async with MemoryBackend() as backend:
        bucket = backend.bucket("b")
        created, parts = await two_parts(bucket, mode=Write.CREATE)
        receipt = await bucket.put("k", b"other")
        with pytest.raises(AlreadyExists):
            await bucket.complete(created, parts)
        updated, parts = await two_parts(bucket, mode=Update(receipt.etag))
        await bucket.complete(updated, parts)
        outdated, parts = await two_parts(bucket, mode=Update(receipt.etag))
        with pytest.raises(PreconditionFailed):
            await bucket.complete(outdated, parts)
        assert [each.upload_id async for each in bucket.list_uploads()] == [
            created.upload_id,
            outdated.upload_id,
        ]


@pytest.mark.asyncio
async def test_parts_are_checked():
    """Numbers, lengths and MD5s outside what was declared are refused."""
    async with MemoryBackend() as backend:
        bucket = backend.bucket("b")
        upload = await bucket.initiate("k")
        right = hashlib.md5(b"ab").digest()
        for number in (0, 10_001):
            with pytest.raises(InvalidInput):
                await bucket.put_part(upload, number, b"ab", size=2)
        with pytest.raises(InvalidInput):
            await bucket.put_part(upload, 1, b"", size=-1)
        for size, md5 in ((3, None), (2, bytes(16))):
            with pytest.raises(IntegrityError):
                await bucket.put_part(upload, 1, b"ab", size=size, content_md5=md5)
        assert [part async for part in bucket.list_parts(upload)] == []
        await bucket.put_part(upload, 10_000, b"ab", size=2, content_md5=right)


@pytest.mark.asyncio
async def test_an_upload_is_known_by_id_and_key():
    """An upload under another key, or with another id, is not there."""
    async with MemoryBackend() as backend:
        bucket = backend.bucket("b")
        upload, parts = await two_parts(bucket)
        for other in (
            Upload(key="other", upload_id=upload.upload_id, started=upload.started),
            Upload(key="k", upload_id="other", started=upload.started),
        ):
            for call in (
                bucket.put_part(other, 1, b"", size=0),
                bucket.complete(other, parts),
                anext(bucket.list_parts(other)),
            ):
                with pytest.raises(ObjectNotFound):
                    await call
            await bucket.abort(other)
        await bucket.complete(upload, parts)


@pytest.mark.asyncio
async def test_uploads_are_listed_by_key_and_age_and_swept(clock):
    """Uploads are listed in order, by prefix and age; a sweep takes the stale ones."""
    async with MemoryBackend(clock=clock) as backend:
        bucket = backend.bucket("b")
        for key in ("b", "a/1", "b", "a/0"):
            await bucket.initiate(key)
            clock.now += HOUR
        await bucket.put("object", b"")
        uploads = [each async for each in bucket.list_uploads()]
        assert [(each.key, each.started.hour) for each in uploads] == [
            ("a/0", 3),
            ("a/1", 1),
            ("b", 0),
            ("b", 2),
        ]
        within = [each.key async for each in bucket.list_uploads("a/")]
        old = [each async for each in bucket.list_uploads(older_than=3 * HOUR)]
        assert within == ["a/0", "a/1"]
        assert [each.started.hour for each in old] == [1, 0]
        assert (await bucket.sweep(older_than=3 * HOUR)).uploads == 2
        assert (await bucket.sweep(older_than=3 * HOUR)).uploads == 0
        left = [each.started.hour async for each in bucket.list_uploads()]
        assert left == [3, 2]
        assert await keys_of(bucket) == ["object"]


@pytest.mark.asyncio
async def test_aborting_leaves_objects_alone():
    """Aborting twice, or after completion, is success and touches no object."""
    async with MemoryBackend() as backend:
        bucket = backend.bucket("b")
        upload, parts = await two_parts(bucket)
        await bucket.complete(upload, parts)
        await bucket.abort(upload)
        assert await read(bucket, "k") == b"abcde"
        dropped, parts = await two_parts(bucket, "other")
        await bucket.abort(dropped)
        await bucket.abort(dropped)
        with pytest.raises(ObjectNotFound):
            await bucket.complete(dropped, parts)
