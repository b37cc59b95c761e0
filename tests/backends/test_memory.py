"""The memory backend: modes, generations and copies."""

from __future__ import annotations

from contextlib import aclosing
from datetime import UTC, datetime, timedelta, timezone

import pytest

from coatcheck.abc import (
    ByteOffset,
    ByteSpan,
    ByteSuffix,
    PutInfo,
    Update,
    Write,
)
from coatcheck.backends._memory import MemoryBackend, MemoryStore
from coatcheck.errors import (
    AlreadyExists,
    Closed,
    InvalidRange,
    ObjectNotFound,
    PreconditionFailed,
    UnsupportedOperation,
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


@pytest.mark.asyncio
async def test_modes_admit_what_they_say():
    """CREATE needs a free key, and Update the ETag that stands."""
    async with MemoryBackend() as backend:
        bucket = backend.bucket("b")
        with pytest.raises(PreconditionFailed):
            await bucket.put("k", b"0", mode=Update("none"))
        first = await bucket.put("k", b"1", mode=Write.CREATE)
        with pytest.raises(AlreadyExists):
            await bucket.put("k", b"2", mode=Write.CREATE)
        second = await bucket.put("k", b"3", mode=Update(first.etag))
        with pytest.raises(PreconditionFailed):
            await bucket.put("k", b"4", mode=Update(first.etag))
        assert (first.created, second.created) == (True, False)
        assert await read(bucket, "k") == b"3"


@pytest.mark.asyncio
@pytest.mark.parametrize("creates", [True, False])
async def test_a_repeated_write_recognises_itself(creates):
    """A conditional write whose answer was lost succeeds again, with one receipt."""
    async with MemoryBackend() as backend:
        bucket = backend.bucket("b")
        mode = Write.CREATE
        if not creates:
            mode = Update((await bucket.put("k", b"0")).etag)
        info = PutInfo(write_id="mine")
        first = await bucket.put("k", b"1", info=info, mode=mode)
        assert await bucket.put("k", b"1", info=info, mode=mode) == first
        await bucket.update_info("k", PutInfo(origin="o"), if_match=first.etag)
        again = await bucket.put("k", b"1", info=info, mode=mode)
        assert again.etag == (await bucket.head("k")).etag
        with pytest.raises((AlreadyExists, PreconditionFailed)):
            await bucket.put("k", b"1", info=PutInfo(write_id="other"), mode=mode)


@pytest.mark.asyncio
async def test_every_mutation_has_its_own_etag():
    """Equal bytes and equal metadata still make another generation."""
    async with MemoryBackend() as backend:
        bucket = backend.bucket("b")
        etags = [(await bucket.put("k", b"x")).etag for _ in range(2)]
        for _ in range(2):
            info = await bucket.head("k")
            receipt = await bucket.update_info("k", info.put_info(), if_match=info.etag)
            etags.append(receipt.etag)
        etags.append((await bucket.copy_from(bucket, "k", "k")).etag)
        assert len(set(etags)) == len(etags)
        assert (await bucket.head("k")).etag == etags[-1]


@pytest.mark.asyncio
async def test_an_update_keeps_what_it_does_not_give(clock):
    """Creation time and digest stay; all other metadata is replaced."""
    async with MemoryBackend(clock=clock) as backend:
        bucket = backend.bucket("b")
        first = await bucket.put("k", b"x", info=PutInfo(origin="o", filename="f"))
        clock.now += HOUR
        second = await bucket.update_info("k", PutInfo(origin="p"), if_match=first.etag)
        info = await bucket.head("k")
        assert (info.created, info.modified) == (START, START + HOUR)
        assert (info.origin, info.filename) == ("p", None)
        assert info.sha256 == first.sha256
        assert info.write_id == second.write_id != first.write_id
        with pytest.raises(PreconditionFailed):
            await bucket.update_info("k", PutInfo(), if_match=first.etag)
        with pytest.raises(ObjectNotFound):
            await bucket.update_info("absent", PutInfo(), if_match=first.etag)


@pytest.mark.asyncio
async def test_a_read_is_of_one_generation():
    """Overwriting or deleting under a reader does not change what it reads."""
    old = b"o" * 2_000_000
    async with MemoryBackend() as backend:
        bucket = backend.bucket("b")
        first = await bucket.put("k", old)
        async with bucket.get("k") as reader:
            begun = await reader.read(10)
            await bucket.put("k", b"new")
            await bucket.delete("k")
            assert begun + await reader.read() == old
            assert reader.info.etag == first.etag


@pytest.mark.asyncio
async def test_a_read_is_entered_once():
    """Entering the same read twice is refused."""
    async with MemoryBackend() as backend:
        bucket = backend.bucket("b")
        await bucket.put("k", b"x")
        reading = bucket.get("k")
        async with reading:
            pass
        with pytest.raises(Closed):
            await reading.__aenter__()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("byte_range", "expected"),
    [
        (ByteSpan(1, 3), slice(1, 3)),
        (ByteSpan(8, 99), slice(8, 99)),
        (ByteOffset(4), slice(4, None)),
        (ByteSuffix(3), slice(-3, None)),
        (ByteSuffix(99), slice(None)),
    ],
)
async def test_ranges(byte_range, expected):
    """A range gives its bytes and says which they are."""
    body = b"0123456789"
    async with MemoryBackend() as backend:
        bucket = backend.bucket("b")
        await bucket.put("k", body)
        async with bucket.get("k", byte_range=byte_range) as reader:
            assert await reader.read() == body[expected]
            assert reader.range == range(len(body))[expected]
            assert reader.info.size == len(body)


@pytest.mark.asyncio
async def test_a_range_outside_is_refused():
    """A range beyond the object is an error, of an empty object as well."""
    async with MemoryBackend() as backend:
        bucket = backend.bucket("b")
        await bucket.put("k", b"")
        with pytest.raises(InvalidRange):
            await read(bucket, "k", byte_range=ByteOffset(0))


@pytest.mark.asyncio
async def test_conditions_of_reads_and_deletes():
    """ETag conditions hold or fail; an absent object is absent whatever they say."""
    async with MemoryBackend() as backend:
        bucket = backend.bucket("b")
        etag = (await bucket.put("k", b"x")).etag
        assert await read(bucket, "k", if_match=etag) == b"x"
        assert await read(bucket, "k", if_none_match="other") == b"x"
        with pytest.raises(PreconditionFailed):
            await read(bucket, "k", if_match="other")
        with pytest.raises(PreconditionFailed):
            await read(bucket, "k", if_none_match=etag)
        with pytest.raises(PreconditionFailed):
            await bucket.delete("k", if_match="other")
        await bucket.delete("k", if_match=etag)
        await bucket.delete("k", if_match=etag)
        with pytest.raises(ObjectNotFound):
            await read(bucket, "k", if_match=etag)


@pytest.mark.asyncio
async def test_times_are_utc(clock):
    """Times given or told in other zones come back in UTC."""
    clock.now = clock.now.astimezone(timezone(HOUR))
    async with MemoryBackend(clock=clock) as backend:
        bucket = backend.bucket("b")
        await bucket.put("k", b"", info=PutInfo(created=clock.now - HOUR))
        info = await bucket.head("k")
        assert (info.created.tzinfo, info.modified.tzinfo) == (UTC, UTC)
        assert (info.created, info.modified) == (START - HOUR, START)


@pytest.mark.asyncio
async def test_a_shared_store_is_marked_with_the_backends_clock(clock):
    """Backends over one store may have clocks of their own, or the store's."""
    store = MemoryStore(clock=lambda: START - HOUR)
    async with MemoryBackend(store) as one, MemoryBackend(store, clock=clock) as two:
        assert (one.now(), two.now()) == (START - HOUR, START)
        await one.bucket("b").put("one", b"")
        await two.bucket("b").put("two", b"")
        assert (await two.bucket("b").head("one")).created == START - HOUR
        assert (await one.bucket("b").head("two")).created == START


@pytest.mark.asyncio
async def test_a_copy_takes_metadata_over_or_gets_its_own(clock):
    """The source's metadata is taken over, its creation time excepted, or replaced."""
    async with MemoryBackend(clock=clock) as backend:
        source, target = backend.bucket("one"), backend.bucket("two", "in/")
        first = await source.put("k", b"x", info=PutInfo(origin="o"))
        clock.now += HOUR
        await target.copy_from(source, "k", "same")
        await target.copy_from(source, "k", "own", info=PutInfo(filename="f"))
        same, own = await target.head("same"), await target.head("own")
        assert (same.origin, same.created, same.sha256) == (
            "o",
            START + HOUR,
            first.sha256,
        )
        assert (own.origin, own.filename, own.sha256) == (None, "f", first.sha256)
        assert await read(target, "same") == b"x"
        assert await keys_of(backend.bucket("two")) == ["in/own", "in/same"]


@pytest.mark.asyncio
async def test_copies_have_conditions():
    """The source's ETag and the mode of the target are held to."""
    async with MemoryBackend() as backend:
        bucket = backend.bucket("b")
        etag = (await bucket.put("k", b"x")).etag
        with pytest.raises(PreconditionFailed):
            await bucket.copy_from(bucket, "k", "copy", if_match="other")
        with pytest.raises(ObjectNotFound):
            await bucket.copy_from(bucket, "absent", "copy")
        with pytest.raises(AlreadyExists):
            await bucket.copy_from(bucket, "k", "k", mode=Write.CREATE)
        await bucket.copy_from(bucket, "k", "copy", mode=Write.CREATE, if_match=etag)
        assert await read(bucket, "copy") == b"x"


@pytest.mark.asyncio
async def test_copies_stay_in_one_open_store():
    """Another store is refused, and so is a source whose backend is closed."""
    store = MemoryStore()
    async with MemoryBackend(store) as closed:
        source = closed.bucket("b")
        await source.put("k", b"x")
    async with MemoryBackend(store) as one, MemoryBackend() as other:
        bucket, foreign = one.bucket("b"), other.bucket("b")
        assert bucket.can_copy_from(one.bucket("c", "p/"))
        assert not bucket.can_copy_from(foreign)
        with pytest.raises(UnsupportedOperation):
            await bucket.copy_from(foreign, "k", "copy")
        with pytest.raises(Closed):
            await bucket.copy_from(source, "k", "copy")
