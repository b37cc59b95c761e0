"""The memory backend: modes, generations and copies."""

from __future__ import annotations

from contextlib import aclosing
from datetime import UTC, datetime, timedelta, timezone

import pytest

from coatcheck.abc import (
    PutInfo,
)
from coatcheck.backends._memory import MemoryBackend, MemoryStore
from coatcheck.errors import (
    Closed,
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
