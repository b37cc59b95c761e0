"""What memory holds, and how much of it."""

from __future__ import annotations

import hashlib
from contextlib import aclosing

import pytest

from coatcheck.abc import (
    PutInfo,
    Verified,
)
from coatcheck.backends._memory import MemoryBackend, MemoryStore
from coatcheck.errors import (
    AtCapacity,
    IntegrityError,
    InvalidInput,
    ObjectNotFound,
)


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


@pytest.mark.asyncio
async def test_chunks_and_parts_are_copied():
    """Changing the caller's chunk or part afterwards does not change the object."""
    async with MemoryBackend() as backend:
        bucket = backend.bucket("b")
        chunk, part_body = bytearray(b"before"), bytearray(b"before")

        async def body():
            yield chunk
            yield b"!"

        await bucket.put("streamed", body())
        upload = await bucket.initiate("joined")
        part = await bucket.put_part(upload, 1, part_body, size=6)
        chunk[:] = part_body[:] = b"after!"
        await bucket.complete(upload, [part])
        assert await read(bucket, "streamed") == b"before!"
        assert await read(bucket, "joined") == b"before"


@pytest.mark.asyncio
@pytest.mark.parametrize("size", [0, 1, 64 * 1024 + 1, 3 * 1024 * 1024])
async def test_the_digest_is_computed_on_the_way(size):
    """Without a declared digest the object has its own, whole or streamed."""
    body = bytes(range(256)) * (size // 256 + 1)
    body = body[:size]
    async with MemoryBackend() as backend:
        bucket = backend.bucket("b")
        half = size // 2
        whole = await bucket.put("whole", body)
        streamed = await bucket.put("streamed", stream(body[:half], body[half:]))
        assert whole.sha256 == streamed.sha256 == hashlib.sha256(body).hexdigest()
        assert await read(bucket, "whole") == await read(bucket, "streamed") == body


@pytest.mark.asyncio
async def test_a_digest_is_not_computed_when_pinned_or_given():
    """A pinned put has no digest, and a given one is taken over."""
    async with MemoryBackend() as backend:
        bucket = backend.bucket("b")
        given_digest = "0" * 64
        pinned = await bucket.put("pinned", b"x", info=PutInfo(pinned=True))
        told = await bucket.put("told", b"x", info=PutInfo(sha256=given_digest))
        assert (pinned.sha256, told.sha256) == (None, given_digest)
        async with bucket.get("pinned") as reader:
            assert reader.verified is Verified.LENGTH
        with pytest.raises(IntegrityError):
            await read(bucket, "told")


@pytest.mark.asyncio
@pytest.mark.parametrize("make", [lambda: b"x" * 5, lambda: stream(b"xxx", b"xx")])
async def test_beyond_the_bound_nothing_is_stored(make):
    """A body that does not fit is refused, says what to do, and stores nothing."""
    store = MemoryStore(max_bytes=10)
    async with MemoryBackend(store) as backend:
        bucket = backend.bucket("b")
        await bucket.put("first", b"x" * 6)
        with pytest.raises(AtCapacity, match=r"MemoryStore\(max_bytes="):
            await bucket.put("second", make())
        assert await keys_of(bucket) == ["first"]
        assert store.used == 6


@pytest.mark.asyncio
async def test_a_stream_is_refused_as_soon_as_it_is_too_long():
    """An endless body is refused once it is beyond the bound."""
    taken = []

    async def endless():
        while True:
            taken.append(1)
            yield b"x" * 4

    async with MemoryBackend(max_bytes=10) as backend:
        with pytest.raises(AtCapacity):
            await backend.bucket("b").put("k", endless())
    assert len(taken) == 3


@pytest.mark.asyncio
async def test_overwriting_and_deleting_give_room_back():
    """The bound counts what stands, not what once stood."""
    store = MemoryStore(max_bytes=10)
    async with MemoryBackend(store) as backend:
        bucket = backend.bucket("b")
        await bucket.put("k", b"x" * 10)
        await bucket.put("k", b"y" * 10)
        await bucket.put("k", stream(b"z" * 4))
        assert store.used == 4
        await bucket.delete("k")
        assert store.used == 0


@pytest.mark.asyncio
async def test_parts_count_and_completing_always_fits():
    """Parts count like objects; joining them needs no room; aborting frees it."""
    store = MemoryStore(max_bytes=10)
    async with MemoryBackend(store) as backend:
        bucket = backend.bucket("b")
        upload = await bucket.initiate("k")
        await bucket.put_part(upload, 1, b"xxxx", size=4)
        first = await bucket.put_part(upload, 1, b"xxxxx", size=5)
        second = await bucket.put_part(upload, 2, b"yyyyy", size=5)
        with pytest.raises(AtCapacity):
            await bucket.put_part(upload, 3, b"z", size=1)
        with pytest.raises(AtCapacity):
            await bucket.put_part(upload, 3, stream(b"z"), size=1)
        await bucket.complete(upload, [first, second])
        assert store.used == 10
        await bucket.delete("k")
        dropped = await bucket.initiate("k")
        await bucket.put_part(dropped, 1, b"xxxx", size=4)
        await bucket.abort(dropped)
        assert store.used == 0


@pytest.mark.asyncio
async def test_a_copy_counts():
    """A copy counts although it shares the bytes."""
    async with MemoryBackend(max_bytes=10) as backend:
        bucket = backend.bucket("b")
        await bucket.put("k", b"x" * 6)
        with pytest.raises(AtCapacity):
            await bucket.copy_from(bucket, "k", "copy")
        assert await keys_of(bucket) == ["k"]


@pytest.mark.asyncio
async def test_without_a_bound_nothing_is_refused():
    """None as the bound admits everything."""
    async with MemoryBackend(max_bytes=None) as backend:
        receipt = await backend.bucket("b").put("k", b"x" * 1024)
        assert receipt.size == 1024


def test_a_bound_below_one_is_refused():
    """A bound that admits nothing is an error."""
    with pytest.raises(InvalidInput, match="max_bytes"):
        MemoryStore(max_bytes=0)


@pytest.mark.asyncio
async def test_an_empty_bucket_costs_nothing():
    """Looking into buckets, and emptying one, leaves nothing of them behind."""
    store = MemoryStore()
    async with MemoryBackend(store) as backend:
        bucket = backend.bucket("b")
        for look in (bucket.head("k"), read(bucket, "k")):
            with pytest.raises(ObjectNotFound):
                await look
        await bucket.delete("k")
        assert await keys_of(bucket) == []
        await bucket.put("k", b"")
        await bucket.delete("k")
        await bucket.abort(await bucket.initiate("k"))
        assert store._buckets == {}
