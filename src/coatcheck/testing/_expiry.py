"""Expiry, for buckets that have EXPIRES: through `expiring`, or by themselves."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import anyio
import pytest

from coatcheck._core.expiry import Expiry, TimeToIdle, TimeToLive, deadline_from
from coatcheck.abc import (
    Capability,
    FromCreation,
    FromNow,
    PutInfo,
    Until,
    Update,
    Write,
)
from coatcheck.errors import (
    AlreadyExists,
    ExpiryNotExtendable,
    ObjectNotFound,
    PreconditionFailed,
)
from coatcheck.wrappers import ExpiringBucket, expiring, expiring_info, reap

from ._bodies import stream
from ._stage import Contract, Stage, scenario

if TYPE_CHECKING:
    from datetime import datetime

    from coatcheck.abc import Receipt

HOUR = timedelta(hours=1)
INSTANT = timedelta(microseconds=1)
LIVE, IDLE = TimeToLive(HOUR), TimeToIdle(HOUR)


async def put(
    it: Stage, bucket: ExpiringBucket, key: str, expiry: Expiry | None
) -> Receipt:
    """Store an object with a policy that counts from now."""
    info = expiring_info(PutInfo(), expiry, it.clock())
    return await bucket.put(key, b"body", info=info)


class ExpiryContract(Contract):
    """What `expiring` around the subject's bucket promises."""

    @scenario(Capability.GENERATION)
    async def test_from_its_deadline_nothing_is_there(self, it: Stage) -> None:
        """Just before the deadline all is there, and from it on nothing is."""
        bucket = expiring(it.bucket)
        etag = (await put(it, bucket, "k", LIVE)).etag
        it.clock.advance(HOUR - INSTANT)
        assert (await bucket.head("k")).deadline == it.clock() + INSTANT
        it.clock.advance(INSTANT)
        with pytest.raises(ObjectNotFound, match="expired"):
            await bucket.head("k")
        with pytest.raises(ObjectNotFound):
            await bucket.get("k").__aenter__()
        with pytest.raises(ObjectNotFound):
            await bucket.touch("k")
        with pytest.raises(ObjectNotFound):
            await bucket.update_info("k", PutInfo(), if_match=etag)
        with pytest.raises(PreconditionFailed):
            await bucket.put("k", b"x", mode=Update(etag))
        if Capability.COPY in it.bucket.capabilities:
            with pytest.raises(ObjectNotFound):
                await bucket.copy_from(bucket, "k", "copy")
        if Capability.SCAN in it.bucket.capabilities:
            assert [page async for page in bucket.scan()] == []

    @scenario(Capability.GENERATION)
    async def test_a_new_object_takes_the_place_of_an_expired_one(
        self, it: Stage
    ) -> None:
        """CREATE finds the key free, for whole bodies, streams and copies."""
        bucket = expiring(it.bucket)
        bodies = (b"new", stream(b"new", 1))
        for body in bodies:
            await put(it, bucket, "k", LIVE)
            with pytest.raises(AlreadyExists):
                await bucket.put("k", b"early", mode=Write.CREATE)
            it.clock.advance(HOUR)
            await bucket.put("k", body, mode=Write.CREATE)
            assert (await bucket.head("k")).deadline is None
            await bucket.delete("k")

    @scenario(Capability.GENERATION)
    async def test_touching(self, it: Stage) -> None:
        """A touch counts from now, never back; a TimeToLive admits none."""
        bucket = expiring(it.bucket)
        await put(it, bucket, "idle", IDLE)
        await put(it, bucket, "live", LIVE)
        await put(it, bucket, "ever", None)
        it.clock.advance(HOUR / 2)
        assert await bucket.touch("idle") == it.clock() + HOUR
        it.clock.advance(-60)
        assert await bucket.touch("idle") == it.clock() + HOUR + timedelta(seconds=60)
        assert await bucket.touch("ever") is None
        with pytest.raises(ExpiryNotExtendable):
            await bucket.touch("live")
        with pytest.raises(ObjectNotFound):
            await bucket.touch("absent")
        it.clock.advance(HOUR)
        assert (await bucket.head("idle")).size == 4

    @scenario(Capability.GENERATION)
    async def test_extending(self, it: Stage) -> None:
        """Objects live longer as asked, never shorter, and not once they are over."""
        bucket = expiring(it.bucket)
        for key, policy in (("live", LIVE), ("idle", IDLE), ("ever", None)):
            await put(it, bucket, key, policy)
        start = it.clock()
        it.clock.advance(HOUR - INSTANT)
        for key in ("live", "idle"):
            assert await bucket.extend_expiry(key, FromNow(HOUR / 2)) > it.clock()
            assert await bucket.extend_expiry(key, Until(start + 3 * HOUR)) == (
                start + 3 * HOUR
            )
            assert await bucket.extend_expiry(key, FromCreation(2 * HOUR)) == (
                start + 3 * HOUR
            )
        assert (await bucket.head("live")).expiry == TimeToLive(3 * HOUR)
        assert (await bucket.head("idle")).expiry == IDLE
        with pytest.raises(ExpiryNotExtendable):
            await bucket.extend_expiry("ever", FromNow(HOUR))
        it.clock.advance(2 * HOUR + INSTANT)
        for key in ("live", "idle", "absent"):
            with pytest.raises(ObjectNotFound):
                await bucket.extend_expiry(key, FromNow(HOUR))

    @scenario(Capability.GENERATION)
    async def test_reading_renews_now_and_then(self, it: Stage) -> None:
        """A read counts once a quarter of the idle time has gone, not before."""
        bucket = expiring(it.bucket)
        await put(it, bucket, "k", IDLE)
        first = it.clock() + HOUR
        it.clock.advance(HOUR / 4)
        async with bucket.get("k"):
            pass
        assert (await bucket.head("k")).deadline == first
        it.clock.advance(1)
        async with bucket.get("k") as reader:
            assert await reader.read() == b"body"
        assert (await bucket.head("k")).deadline == it.clock() + HOUR

    @scenario(Capability.GENERATION, Capability.SCAN, Capability.DELETE_IF)
    async def test_reaping(self, it: Stage) -> None:
        """What has expired is deleted and counted; everything else stays."""
        bucket = expiring(it.bucket)
        for number in range(30):
            policy = (LIVE, IDLE, None)[number % 3]
            await put(it, bucket, f"k{number:02d}", policy)
        it.clock.advance(HOUR / 2)
        for number in range(1, 30, 6):
            await bucket.touch(f"k{number:02d}")
        it.clock.advance(HOUR / 2)
        assert (await reap(bucket, "k0")).deleted == 5
        reaped = await reap(bucket)
        assert (reaped.scanned, reaped.deleted, reaped.failed) == (25, 10, 0)
        assert reaped.freed == 40
        left = [f"k{n:02d}" for n in range(30) if n % 3 == 2 or n % 6 == 1]
        assert await it.keys() == left

    @scenario(Capability.GENERATION, Capability.SCAN, Capability.DELETE_IF)
    async def test_reapers_beside_touches(self, it: Stage) -> None:
        """Whoever was told that a touch succeeded finds the object afterwards."""
        bucket = expiring(it.bucket)
        for _ in range(10):
            for number in range(8):
                await put(it, bucket, f"k{number}", IDLE)
            touched: list[str] = []

            async def touch(key: str, touched: list[str] = touched) -> None:
                try:
                    await bucket.touch(key)
                except ObjectNotFound:
                    return
                touched.append(key)

            async def pass_the_deadline() -> None:
                it.clock.advance(2 * INSTANT)
                await reap(bucket)

            it.clock.advance(HOUR - INSTANT)
            async with anyio.create_task_group() as tasks:
                for number in range(4):
                    tasks.start_soon(touch, f"k{number}")
                tasks.start_soon(pass_the_deadline)
                for number in range(4, 8):
                    tasks.start_soon(touch, f"k{number}")
                tasks.start_soon(reap, bucket)
            for key in touched:
                assert (await bucket.head(key)).size == 4
            await bucket.delete_many([f"k{number}" for number in range(8)])

    @scenario(Capability.GENERATION, Capability.CREATE)
    async def test_the_later_deadline_holds(self, it: Stage) -> None:
        """Creating the same again extends, and never shortens."""
        bucket = expiring(it.bucket)
        now = it.clock()

        async def create(expiry: Expiry | None) -> tuple[bool, datetime | None]:
            info = expiring_info(PutInfo(), expiry, now)
            receipt, standing = await bucket.put_later("k", b"body", info=info)
            found = await bucket.head("k")
            assert (found.expiry, found.deadline) == (
                standing.expiry,
                standing.deadline,
            )
            return receipt is not None, found.deadline

        two, one = TimeToLive(2 * HOUR), TimeToIdle(HOUR)
        assert await create(one) == (True, deadline_from(one, now))
        assert await create(two) == (False, deadline_from(two, now))
        assert await create(one) == (False, deadline_from(two, now))
        assert await create(None) == (False, None)
        assert await create(two) == (False, None)
