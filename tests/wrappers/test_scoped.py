"""The part of a bucket behind a prefix."""

from __future__ import annotations

from contextlib import aclosing
from datetime import timedelta

import pytest

from coatcheck.abc import Capability, PutInfo, SignedRequest, SignGet, Write
from coatcheck.errors import (
    AlreadyExists,
    InvalidName,
    ObjectNotFound,
    PreconditionFailed,
)
from coatcheck.wrappers import scoped
from coatcheck.wrappers._forwarding import ForwardingBucket


async def keys_of(bucket, prefix="", **options):
    found = []
    async with aclosing(bucket.scan(prefix, **options)) as pages:
        async for page in pages:
            found += [*(entry.key for entry in page.entries), *page.prefixes]
    return found


async def read(bucket, key):
    async with bucket.get(key) as reader:
        return await reader.read(), reader.info.key


@pytest.mark.parametrize(
    "prefix",
    ["a", "/", "/a/", "a//", "../", "a/./", "a\n/", "e\u0301/", "\ud800/"],
    ids=ascii,
)
def test_other_prefixes_are_refused(backend, prefix):
    """A prefix is like a canonical key and ends with a slash."""
    with pytest.raises(InvalidName):
        scoped(backend.bucket("b"), prefix)


def test_no_prefix_is_the_bucket_itself(backend):
    """The empty prefix wraps nothing."""
    bucket = backend.bucket("b")
    assert scoped(bucket, "") is bucket


def test_nested_scopes_merge(backend):
    """A scope in a scope is one wrapper with the joined prefix."""
    bucket = backend.bucket("b")
    nested = scoped(scoped(bucket, "a/"), "ü/")
    assert nested.inner is bucket
    assert nested.inner_key("k") == "a/ü/k"
    assert nested.limits.max_key == bucket.limits.max_key - 5


@pytest.mark.parametrize("parts", [["a" * 1024 + "/"], ["a" * 600 + "/"] * 2])
def test_a_prefix_leaves_room_for_keys(backend, parts):
    """A prefix behind which no key fits is refused."""
    *outer, innermost_prefix = parts
    bucket = backend.bucket("b")
    for prefix in outer:
        bucket = scoped(bucket, prefix)
    with pytest.raises(InvalidName):
        scoped(bucket, innermost_prefix)


@pytest.mark.asyncio
async def test_keys_go_in_and_come_out_without_the_prefix(backend):
    """Every result of a verb shows the key as it was given."""
    async with backend:
        whole = backend.bucket("b")
        bucket = scoped(whole, "a/")
        receipt = await bucket.put("k", b"x", mode=Write.CREATE)
        assert await read(bucket, "k") == (b"x", "k")
        assert await read(whole, "a/k") == (b"x", "a/k")
        assert (await bucket.head("k")).key == "k"
        await bucket.update_info("k", PutInfo(origin="o"), if_match=receipt.etag)
        assert (await whole.head("a/k")).origin == "o"
        await bucket.copy_from(bucket, "k", "sub/copy")
        await bucket.copy_from(whole, "a/k", "other")
        assert await keys_of(bucket) == ["k", "other", "sub/copy"]
        assert await keys_of(bucket, delimiter="/") == ["k", "other", "sub/"]
        assert await keys_of(bucket, start_after="k") == ["other", "sub/copy"]
        assert await keys_of(bucket, "sub/") == ["sub/copy"]
        with pytest.raises(PreconditionFailed):
            await bucket.delete("k", if_match="other")
        assert await bucket.delete_many(["k", "none"]) == {"k": None, "none": None}
        await bucket.delete("other")
        assert await keys_of(whole) == ["a/sub/copy"]


@pytest.mark.asyncio
async def test_nothing_outside_is_seen_or_reached(backend):
    """Neighbours with like names are invisible, and no key leads out."""
    async with backend:
        whole = backend.bucket("b")
        for key in ("a", "a-/k", "a0/k", "b/k", "k"):
            await whole.put(key, b"secret")
        bucket = scoped(whole, "a/")
        await bucket.put("k", b"mine")
        assert await keys_of(bucket) == ["k"]
        assert await keys_of(bucket, delimiter="/") == ["k"]
        assert await keys_of(bucket, start_after="") == ["k"]
        for key in ("../b/k", "/../k", "", "../a0/k"):
            with pytest.raises(ObjectNotFound):
                await bucket.head(key)
            with pytest.raises(ObjectNotFound):
                await read(bucket, key)
            await bucket.delete(key)
            with pytest.raises(InvalidName):
                await bucket.put(key, b"")
            with pytest.raises(InvalidName):
                await bucket.initiate(key)
            with pytest.raises(InvalidName):
                await bucket.copy_from(bucket, "k", key)
        assert len(await keys_of(whole)) == 6


@pytest.mark.asyncio
async def test_modes_hold_behind_the_prefix(backend):
    """CREATE looks at the key behind the prefix and at no other."""
    async with backend:
        whole = backend.bucket("b")
        await whole.put("k", b"")
        bucket = scoped(whole, "a/")
        await bucket.put("k", b"", mode=Write.CREATE)
        with pytest.raises(AlreadyExists):
            await bucket.put("k", b"", mode=Write.CREATE)


@pytest.mark.asyncio
async def test_uploads_are_scoped(backend):
    """Uploads show and take keys without the prefix, and only the scope's own."""
    async with backend:
        whole = backend.bucket("b")
        foreign = await whole.initiate("b/k")
        bucket = scoped(whole, "a/")
        upload = await bucket.initiate("k")
        part = await bucket.put_part(upload, 1, b"x", size=1)
        assert upload.key == "k"
        assert [each async for each in bucket.list_uploads()] == [upload]
        assert [each async for each in bucket.list_uploads("z")] == []
        assert [each async for each in bucket.list_parts(upload)] == [part]
        await bucket.complete(upload, [part])
        assert await read(whole, "a/k") == (b"x", "a/k")
        for call in (
            bucket.put_part(foreign, 1, b"x", size=1),
            bucket.complete(foreign, [part]),
        ):
            with pytest.raises(ObjectNotFound):
                await call
        await bucket.abort(foreign)
        assert [each async for each in whole.list_uploads()] == [foreign]


@pytest.mark.asyncio
async def test_a_sweep_is_of_the_whole_bucket(backend):
    """Litter has no key, so a sweep through a scope removes all of it."""
    async with backend:
        whole = backend.bucket("b")
        await whole.initiate("b/k")
        swept = await scoped(whole, "a/").sweep(older_than=timedelta(0))
        assert swept.uploads == 1


@pytest.mark.asyncio
async def test_links_are_for_the_whole_key(backend):
    """What is signed is the key as the storage knows it."""
    asked = []

    class Signing(ForwardingBucket):
        async def sign(self, what, key, *, expires_in):
            asked.append((key, expires_in))
            return SignedRequest(method="GET", url="u", expires_at=backend.now())

    bucket = scoped(Signing(backend.bucket("b")), "a/")
    minute = timedelta(minutes=1)
    await bucket.sign(SignGet(), "k", expires_in=minute)
    assert asked == [("a/k", minute)]
    assert Capability.SIGN not in bucket.capabilities
