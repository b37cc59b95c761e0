"""Expiry where equal bytes have equal ETags, as on plain S3."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta

import anyio
import pytest

from coatcheck._core.expiry import TimeToIdle, TimeToLive
from coatcheck.abc import Capability, PutInfo, Write
from coatcheck.backends._memory import MemoryBackend
from coatcheck.errors import (
    AlreadyExists,
    BackendUnavailable,
    IntegrityError,
    ObjectNotFound,
    PreconditionFailed,
    UnsupportedOperation,
)
from coatcheck.wrappers import (
    ForwardingBucket,
    ForwardingRead,
    ForwardingReader,
    expiring,
    expiring_info,
    reap,
)
from coatcheck.wrappers._claims import CLAIMS, LEASE, ClaimingBucket

HOUR = timedelta(hours=1)
GRACE = timedelta(minutes=15)
LIVE, IDLE = TimeToLive(HOUR), TimeToIdle(HOUR)


def plain_etag(body):
    return hashlib.md5(body).hexdigest()


class Plain(ForwardingBucket):
    """Memory with the ETags of S3: those of the bytes, whenever they were written."""

    def __init__(self, inner, *, lacks=frozenset()):
        super().__init__(inner)
        self._lacks = {Capability.GENERATION, *lacks}
        self.etags = {}
        self.before_delete = None

    @property
    def capabilities(self):
        return super().capabilities - self._lacks

    async def put(self, key, body, **options):
        receipt = await super().put(key, body, **options)
        self.etags[key] = plain_etag(body)
        return replace(receipt, etag=self.etags[key])

    async def head(self, key):
        return replace(await super().head(key), etag=self.etags[key])

    def get(self, key, **options):
        etags = self.etags

        class Reader(ForwardingReader):
            @property
            def info(self):
                return replace(super().info, etag=etags[key])

        class Read(ForwardingRead):
            async def __aenter__(self):
                return Reader(await super().__aenter__())

        return Read(super().get(key, **options))

    async def update_info(self, key, info, *, if_match):
        if if_match != self.etags[key]:
            raise PreconditionFailed("other bytes")
        inner = await super().head(key)
        receipt = await super().update_info(key, info, if_match=inner.etag)
        return replace(receipt, etag=self.etags[key])

    async def delete(self, key, *, if_match=None):
        if self.before_delete is not None and not key.startswith(CLAIMS):
            hook, self.before_delete = self.before_delete, None
            await hook()
        if if_match is not None and if_match != self.etags.get(key):
            raise PreconditionFailed("other bytes")
        await super().delete(key)

    async def copy_from(self, source, source_key, key, *, if_match=None, **options):
        if if_match not in (None, self.etags[source_key]):
            raise PreconditionFailed("other bytes")
        receipt = await super().copy_from(source, source_key, key, **options)
        self.etags[key] = self.etags[source_key]
        return receipt

    async def scan(self, prefix="", **options):
        async for page in super().scan(prefix, **options):
            yield replace(
                page,
                entries=tuple(
                    replace(each, etag=self.etags[each.key]) for each in page.entries
                ),
            )


@pytest.fixture
def plain(backend):
    """A plain bucket of an open backend."""
    return Plain(backend.bucket("b"))


async def put(bucket, clock, key="k", expiry=LIVE, mode=Write.OVERWRITE):
    info = expiring_info(PutInfo(), expiry, clock())
    return await bucket.put(key, b"body", info=info, mode=mode)


async def keys_of(bucket):
    return [entry.key async for page in bucket.scan() for entry in page.entries]


@pytest.mark.asyncio
async def test_from_its_deadline_nothing_is_there(backend, plain, clock):
    """It is hidden at once, though the reaper comes only after the grace."""
    async with backend:
        bucket = expiring(plain, grace=GRACE)
        assert isinstance(bucket, ClaimingBucket)
        await put(bucket, clock)
        clock.advance(3600)
        with pytest.raises(ObjectNotFound):
            await bucket.head("k")
        with pytest.raises(ObjectNotFound):
            await bucket.touch("k")
        assert await keys_of(bucket) == []
        assert (await reap(bucket)).deleted == 0
        clock.advance(GRACE.total_seconds() - 1)
        assert (await reap(bucket)).deleted == 0
        clock.advance(1)
        assert (await reap(bucket)).deleted == 1
        assert await keys_of(plain) == []


@pytest.mark.asyncio
async def test_an_expired_object_gives_way(backend, plain, clock):
    """A creator removes what is in its way under a claim, and leaves none."""
    async with backend:
        bucket = expiring(plain, grace=GRACE)
        await put(bucket, clock)
        with pytest.raises(AlreadyExists):
            await put(bucket, clock, mode=Write.CREATE)
        clock.advance(3600)
        await put(bucket, clock, mode=Write.CREATE)
        assert (await bucket.head("k")).deadline == clock() + HOUR
        assert await keys_of(plain) == ["k"]


@pytest.mark.asyncio
async def test_touching_and_renewing(backend, plain, clock):
    """Both move the deadline before it has come."""
    async with backend:
        bucket = expiring(plain)
        await put(bucket, clock, expiry=IDLE)
        clock.advance(1800)
        assert await bucket.touch("k") == clock() + HOUR
        clock.advance(1800)
        async with bucket.get("k") as reader:
            assert await reader.read() == b"body"
        assert (await bucket.head("k")).deadline == clock() + HOUR


@pytest.mark.asyncio
async def test_a_touch_that_lands_too_late_fails(backend, plain, clock):
    """When the deadline came on the way, the touch did not succeed."""
    async with backend:
        bucket = expiring(plain)
        await put(bucket, clock, expiry=IDLE)
        clock.advance(3599)
        update = Plain.update_info

        async def slowly(*args, **options):
            clock.advance(2)
            return await update(plain, *args, **options)

        plain.update_info = slowly
        with pytest.raises(ObjectNotFound, match="expired"):
            await bucket.touch("k")


@pytest.mark.asyncio
async def test_the_reaper_looks_again_under_its_claim(backend, plain, clock):
    """What was created anew since the listing lives, though its ETag is the same."""
    async with backend:
        bucket = expiring(plain, grace=GRACE)
        await put(bucket, clock)
        seen = await plain.head("k")
        clock.advance(3600 + GRACE.total_seconds())
        await put(bucket, clock, mode=Write.CREATE)
        assert (await plain.head("k")).etag == seen.etag
        assert await bucket.remove_expired(seen) is False
        assert (await bucket.head("k")).size == 4


@pytest.mark.asyncio
async def test_who_creates_waits_for_the_reapers_claim(backend, plain, clock):
    """Between the reaper's look and its delete nobody creates."""
    async with backend:
        bucket = expiring(plain, grace=GRACE)
        await put(bucket, clock)
        clock.advance(3600 + GRACE.total_seconds())
        order = []

        async def create():
            await put(bucket, clock, mode=Write.CREATE)
            order.append("created")

        async def while_reaping():
            tasks.start_soon(create)
            await anyio.sleep(0.2)
            order.append("deleted")

        plain.before_delete = while_reaping
        async with anyio.create_task_group() as tasks:
            assert (await reap(bucket)).deleted == 1
        assert order == ["deleted", "created"]
        assert (await bucket.head("k")).size == 4
        assert await keys_of(plain) == ["k"]


async def overwrite(bucket, clock, body):
    info = expiring_info(PutInfo(), LIVE, clock())
    await bucket.put("k", body, info=info)


async def complete(bucket, clock, body):
    info = expiring_info(PutInfo(), LIVE, clock())
    upload = await bucket.initiate("k", info=info)
    part = await bucket.put_part(upload, 1, body, size=len(body))
    await bucket.complete(upload, [part])
    bucket.inner.etags["k"] = plain_etag(body)


async def copy(bucket, clock, body):
    await bucket.put("source", body)
    info = expiring_info(PutInfo(), LIVE, clock())
    await bucket.copy_from(bucket, "source", "k", info=info)
    await bucket.delete("source")


@pytest.mark.asyncio
@pytest.mark.parametrize("write", [overwrite, complete, copy])
@pytest.mark.parametrize("body", [b"body", b"other"])
async def test_who_overwrites_waits_for_the_reapers_claim(
    backend, plain, clock, write, body
):
    """What is written between the reaper's look and its delete is not lost."""
    async with backend:
        bucket = expiring(plain, grace=GRACE)
        await put(bucket, clock)
        clock.advance(3600 + GRACE.total_seconds())

        async def while_reaping():
            tasks.start_soon(write, bucket, clock, body)
            await anyio.sleep(0.2)

        plain.before_delete = while_reaping
        async with anyio.create_task_group() as tasks:
            assert (await reap(bucket)).deleted == 1
        assert (await bucket.head("k")).size == len(body)
        assert await keys_of(plain) == ["k"]


@pytest.mark.asyncio
async def test_who_knows_of_no_claims_is_spared(backend, plain, clock):
    """Other bytes that somebody wrote past the wrapper are not deleted."""
    async with backend:
        bucket = expiring(plain, grace=GRACE)
        await put(bucket, clock)
        clock.advance(3600 + GRACE.total_seconds())

        async def while_reaping():
            await plain.put("k", b"other")

        plain.before_delete = while_reaping
        assert (await reap(bucket)).deleted == 0
        assert (await bucket.head("k")).size == len(b"other")


@pytest.mark.asyncio
async def test_what_is_foreign_is_overwritten(backend, plain, clock):
    """An object whose metadata cannot be read is in nobody's way."""

    async def damaged(key):
        raise IntegrityError("not ours")

    async with backend:
        bucket = expiring(plain, grace=GRACE)
        await put(bucket, clock)
        head, plain.head = plain.head, damaged
        await bucket.put("k", b"other")
        plain.head = head
        assert (await bucket.head("k")).size == len(b"other")


@pytest.mark.asyncio
async def test_the_claim_of_a_dead_process_is_broken(backend, plain, clock):
    """After its lease somebody else may take it, and a sweep removes it."""
    async with backend:
        bucket = expiring(plain, grace=GRACE)
        await put(bucket, clock)
        clock.advance(3600)
        name = CLAIMS + hashlib.sha256(b"k").hexdigest()
        await plain.put(name, b"dead")
        clock.advance(LEASE.total_seconds() + 1)
        await put(bucket, clock, mode=Write.CREATE)
        assert await keys_of(plain) == ["k"]
        await plain.put(name, b"dead")
        clock.advance(86_400)
        assert (await bucket.sweep()).files == 1
        assert await keys_of(plain) == ["k"]


@pytest.mark.asyncio
async def test_a_claim_that_is_held_is_waited_for_with_an_end(
    backend, plain, clock, monkeypatch
):
    """Who cannot get a claim is told to try again."""

    async def quickly(_):
        clock.advance(10)
        # The holder lives and renews its claim again and again.
        await plain.put(name, b"%d" % clock().timestamp())

    async with backend:
        bucket = expiring(plain, grace=GRACE)
        await put(bucket, clock)
        clock.advance(3600)
        name = CLAIMS + hashlib.sha256(b"k").hexdigest()
        await plain.put(name, b"held")
        monkeypatch.setattr("coatcheck.wrappers._claims.anyio.sleep", quickly)
        with pytest.raises(BackendUnavailable, match="try again"):
            await put(bucket, clock, mode=Write.CREATE)


@pytest.mark.asyncio
async def test_without_conditions_nothing_may_expire(backend, clock):
    """A store that ignores conditions is told from one that holds to them."""
    async with backend:
        plain = Plain(backend.bucket("b"), lacks={Capability.CREATE})
        with pytest.raises(UnsupportedOperation, match="conditions"):
            await put(expiring(plain), clock)
        await plain.put("k", b"x")
        assert isinstance(expiring(plain), ClaimingBucket)


def test_a_memory_bucket_needs_no_claims():
    """Where ETags are generations, conditions do."""
    bucket = expiring(MemoryBackend().bucket("b"))
    assert not isinstance(bucket, ClaimingBucket)
