"""Keys and scans of the memory backend."""

from __future__ import annotations

from contextlib import aclosing

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coatcheck.abc import (
    ObjectInfo,
    PutInfo,
)
from coatcheck.backends._memory import MemoryBackend
from coatcheck.errors import (
    InvalidInput,
    InvalidName,
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


BAD_KEYS = [
    "",
    ".",
    "..",
    "/a",
    "a/",
    "a//b",
    "a/../b",
    "a\0",
    "a\n",
    "e\u0301",
    "\ud800",
]


@pytest.mark.asyncio
@pytest.mark.parametrize("key", [*BAD_KEYS, "x" * 1025], ids=ascii)
async def test_keys_that_are_not_canonical(key):
    """They are refused on every write, and simply absent otherwise."""
    async with MemoryBackend() as backend:
        bucket = backend.bucket("b")
        await bucket.put("k", b"")
        for write in (
            bucket.put(key, b""),
            bucket.copy_from(bucket, "k", key),
            bucket.initiate(key),
        ):
            with pytest.raises(InvalidName):
                await write
        for look in (bucket.head(key), read(bucket, key)):
            with pytest.raises(ObjectNotFound):
                await look
        await bucket.delete(key)
        assert await bucket.delete_many([key]) == {key: None}
        assert await keys_of(bucket) == ["k"]


@pytest.mark.parametrize("name", ["", "..", "a/b", "a?b", "a\n"], ids=ascii)
def test_bucket_names_are_checked(name):
    """A name that no address could carry is refused."""
    with pytest.raises(InvalidName):
        MemoryBackend().bucket(name)


def listed(keys, prefix, start_after, *, folded):
    """Return what a scan must give, computed the slow way."""
    found = set()
    for key in keys:
        slash = key.find("/", len(prefix)) if folded else -1
        shown = key if slash < 0 else key[: slash + 1]
        if key.startswith(prefix) and (start_after is None or shown > start_after):
            found.add(shown)
    return sorted(found, key=str.encode)


SEGMENT = st.text("ab0-.é\U0001f600\uffee", min_size=1, max_size=3).filter(
    lambda text: text not in (".", "..")
)
KEY = st.lists(SEGMENT, min_size=1, max_size=3).map("/".join)


@settings(max_examples=60, deadline=None)
@given(
    kept=st.sets(KEY, max_size=12),
    gone=st.sets(KEY, max_size=4),
    late=st.sets(KEY, max_size=4),
    prefix=st.sampled_from(["", "a", "a/", "b/a"]),
    start_after=st.none() | KEY | KEY.map(lambda key: f"{key}/"),
    folded=st.booleans(),
)
def test_scans_follow_the_model(kept, gone, late, prefix, start_after, folded):
    """Order, prefix, start and folding are those of the model, after changes too."""

    async def scenario():
        async with MemoryBackend() as backend:
            bucket = backend.bucket("b")
            for key in kept | gone:
                await bucket.put(key, b"")
            await keys_of(bucket)
            for key in gone:
                await bucket.delete(key)
            for key in late | (kept & gone):
                await bucket.put(key, b"")
            return sorted(
                await keys_of(
                    bucket,
                    prefix,
                    start_after=start_after,
                    delimiter="/" if folded else None,
                ),
                key=str.encode,
            ), await keys_of(bucket)

    found, everything = anyio.run(scenario)
    standing = (kept - gone) | late | (kept & gone)
    assert found == listed(standing, prefix, start_after, folded=folded)
    assert everything == sorted(standing, key=str.encode)


@pytest.mark.asyncio
async def test_pages_are_bounded_full_and_whole():
    """Long scans come in pages of at most 1000 infos, common prefixes once."""
    names = [f"{folder}/{number:04}" for folder in "ab" for number in range(1250)]
    async with MemoryBackend() as backend:
        bucket = backend.bucket("b")
        for name in reversed(names):
            await bucket.put(name, b"", info=PutInfo(pinned=True))
        pages = [page async for page in bucket.scan()]
        assert [len(page.entries) for page in pages] == [1000, 1000, 500]
        entries = [entry for page in pages for entry in page.entries]
        assert all(isinstance(entry, ObjectInfo) for entry in entries)
        assert [entry.key for entry in entries] == names
        assert await keys_of(bucket, delimiter="/") == ["a/", "b/"]
        assert [page async for page in bucket.scan("none")] == []


@pytest.mark.asyncio
async def test_a_scan_survives_changes():
    """What stands all along is listed once; what was deleted ahead is not listed."""
    names = [f"{number:04}" for number in range(1500)]
    async with MemoryBackend() as backend:
        bucket = backend.bucket("b")
        for name in names:
            await bucket.put(name, b"", info=PutInfo(pinned=True))
        found = []
        async with aclosing(bucket.scan()) as pages:
            async for page in pages:
                found += [entry.key for entry in page.entries]
                await bucket.delete("0000")
                await bucket.delete("1400")
                await bucket.put("0000a", b"")
                await bucket.put("1200", b"replaced")
        assert found == [name for name in names if name != "1400"]


@pytest.mark.asyncio
async def test_scans_refuse_what_they_cannot_do():
    """Another delimiter, and a malformed prefix, are errors."""
    async with MemoryBackend() as backend:
        bucket = backend.bucket("b")
        with pytest.raises(InvalidInput):
            await keys_of(bucket, delimiter="-")
        with pytest.raises(InvalidName):
            await keys_of(bucket, "a\0")
