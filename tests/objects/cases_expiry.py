"""What sessions promise about expiry."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from tests.objects.stage import case, keys, stream

from coatcheck.errors import ExpiryNotExtendable, InvalidInput, ObjectNotFound
from coatcheck.objects import Get, Head, TimeToIdle, TimeToLive

HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
INSTANT = timedelta(microseconds=1)
LIVE, IDLE = TimeToLive(HOUR), TimeToIdle(HOUR)


class ExpiryCases:
    """Expiring."""

    @case
    async def test_a_time_to_live_is_exact(self, it):
        """Just before the deadline an object is there, and from it on it is not."""
        session = it.expiring(LIVE)
        await session.put(b"body", "key")
        it.clock.advance(HOUR - INSTANT)
        assert await session.get_bytes("key") == b"body"
        assert await session.exists("key")
        assert await keys(session) == ["key"]
        it.clock.advance(INSTANT)
        with pytest.raises(ObjectNotFound):
            await session.get_bytes("key")
        with pytest.raises(ObjectNotFound):
            await session.head("key")
        assert not await session.exists("key")
        assert await keys(session) == []

    @case
    async def test_reading_does_not_renew_a_time_to_live(self, it):
        """It counts from the write alone."""
        session = it.expiring(LIVE)
        await session.put(b"body", "key")
        it.clock.advance(HOUR - SECOND)
        await session.get_bytes("key")
        it.clock.advance(SECOND)
        assert not await session.exists("key")

    @case
    async def test_a_time_to_idle_is_exact(self, it):
        """What nobody asks for is gone at the deadline."""
        session = it.expiring(IDLE)
        await session.put(b"body", "key")
        it.clock.advance(HOUR)
        assert not await session.exists("key")

    @case
    async def test_reading_renews_a_time_to_idle(self, it):
        """A read counts once a quarter of the time has gone, from that moment on."""
        session = it.expiring(IDLE)
        await session.put(b"body", "key")
        it.clock.advance(HOUR / 4 + SECOND)
        assert await session.get_bytes("key") == b"body"
        it.clock.advance(HOUR - INSTANT)
        assert await keys(session) == ["key"]
        it.clock.advance(INSTANT)
        assert not await session.exists("key")

    @case
    async def test_reading_often_renews_seldom(self, it):
        """Before a quarter of the time has gone a read changes nothing."""
        session = it.expiring(IDLE)
        await session.put(b"body", "key")
        it.clock.advance(HOUR / 4)
        await session.get_bytes("key")
        it.clock.advance(HOUR * 3 / 4)
        assert not await session.exists("key")

    @case
    async def test_looking_renews_a_time_to_idle(self, it):
        """`head` and `exists` count as reads do."""
        for look in ("head", "exists"):
            session = it.expiring(IDLE)
            await session.put(b"body", "key")
            it.clock.advance(HOUR / 2)
            await getattr(session, look)("key")
            it.clock.advance(HOUR - INSTANT)
            assert await keys(session) == ["key"]
            it.clock.advance(INSTANT)
            assert await keys(session) == []

    @case
    async def test_a_read_of_a_range_renews(self, it):
        """It is a read."""
        from coatcheck.objects import ByteSpan

        session = it.expiring(IDLE)
        await session.put(b"0" * 1000, "key")
        it.clock.advance(HOUR / 2)
        await session.get_bytes("key", byte_range=ByteSpan(1, 2))
        it.clock.advance(HOUR / 2)
        assert await session.exists("key")

    @case
    async def test_listing_renews_nothing(self, it):
        """To be listed is no access."""
        session = it.expiring(IDLE)
        await session.put(b"body", "key")
        it.clock.advance(HOUR / 2)
        assert await keys(session) == ["key"]
        it.clock.advance(HOUR / 2)
        assert await keys(session) == []

    @case
    async def test_the_usecase_sets_the_policy(self, it):
        """The metadata tells the policy, and when it ends."""
        for policy in (LIVE, IDLE):
            session = it.expiring(policy)
            key = await session.put(b"body")
            metadata = await session.head(key)
            assert metadata.expiration_policy == policy
            assert metadata.time_created == it.now
            assert metadata.time_expires == it.now + HOUR

    @case
    async def test_the_call_sets_another_policy(self, it):
        """A call's own policy counts more than the usecase's."""
        session = it.expiring(LIVE)
        other = TimeToIdle(timedelta(days=3, hours=2, minutes=1, seconds=5))
        key = await session.put(b"body", expiration_policy=other)
        assert (await session.head(key)).expiration_policy == other
        it.clock.advance(other.duration - INSTANT)
        assert await keys(session) == [key]
        it.clock.advance(INSTANT)
        assert await keys(session) == []

    @case
    async def test_the_call_switches_expiry_off(self, it):
        """None is never, whatever the usecase says."""
        session = it.expiring(LIVE)
        key = await session.put(b"body", expiration_policy=None)
        metadata = await session.head(key)
        assert (metadata.expiration_policy, metadata.time_expires) == (None, None)
        it.clock.advance(timedelta(days=1000))
        assert await session.exists(key)

    @case
    async def test_overwriting_counts_anew(self, it):
        """Expiry is the last write's."""
        session = it.expiring(LIVE)
        await session.put(b"one", "key")
        it.clock.advance(HOUR / 2)
        await session.put(b"two", "key")
        it.clock.advance(HOUR / 2)
        assert await session.get_bytes("key") == b"two"
        await session.put(b"three", "key", expiration_policy=None)
        it.clock.advance(10 * HOUR)
        assert await session.get_bytes("key") == b"three"

    @case
    async def test_expired_keys_are_free(self, it):
        """A new object takes the place of an expired one, and knows nothing of it."""
        session = it.expiring(LIVE)
        for contents in (b"new", stream(b"new", 1)):
            await session.put(b"old", "key", metadata={"is": "old"})
            it.clock.advance(HOUR)
            await session.put(contents, "key")
            assert await session.get_bytes("key") == b"new"
            assert (await session.head("key")).custom == {}

    @case
    async def test_expired_objects_are_deleted_with_success(self, it):
        """Deleting what is over is success, as deleting nothing is."""
        session = it.expiring(LIVE)
        await session.put(b"body", "key")
        it.clock.advance(HOUR)
        await session.delete("key")
        assert not await session.exists("key")

    @case
    async def test_expired_objects_beside_live_ones(self, it):
        """Only what is over is hidden."""
        session = it.expiring(LIVE)
        for number in range(6):
            policy = (LIVE, TimeToLive(2 * HOUR), None)[number % 3]
            await session.put(b"body", f"k{number}", expiration_policy=policy)
        it.clock.advance(HOUR)
        assert await keys(session) == ["k1", "k2", "k4", "k5"]
        results = await session.many([Get("k0"), Head("k1"), Head("k3"), Get("k5")])
        assert [each.error is None for each in results] == [False, True, False, True]

    @case
    async def test_extending_from_now(self, it):
        """An object lives on from the moment of the call."""
        session = it.expiring(LIVE)
        await session.put(b"body", "key")
        it.clock.advance(HOUR / 2)
        deadline = await session.extend_expiry("key", from_now=2 * HOUR)
        assert timedelta(0) <= deadline - (it.now + 2 * HOUR) < SECOND
        assert (await session.head("key")).time_expires == deadline
        it.clock.advance(2 * HOUR - SECOND)
        assert await session.get_bytes("key") == b"body"
        it.clock.advance(2 * SECOND)
        assert not await session.exists("key")

    @case
    async def test_extending_from_creation(self, it):
        """An object lives so long from its writing on."""
        session = it.expiring(IDLE)
        await session.put(b"body", "key")
        created = it.now
        it.clock.advance(HOUR / 8)
        deadline = await session.extend_expiry("key", from_creation=5 * HOUR)
        assert timedelta(0) <= deadline - (created + 5 * HOUR) < SECOND
        assert (await session.head("key")).time_expires == deadline

    @case
    async def test_extending_until_a_time(self, it):
        """An object lives until then, and not shorter by a rounded second."""
        for policy in (LIVE, IDLE):
            session = it.expiring(policy)
            await session.put(b"body", "key")
            at = it.now + 3 * HOUR + timedelta(microseconds=123_456)
            deadline = await session.extend_expiry("key", at=at)
            assert timedelta(0) <= deadline - at < 2 * SECOND
            it.clock.advance(at - it.now)
            assert await session.exists("key")

    @case
    async def test_extending_never_shortens(self, it):
        """A target that is no later than the deadline is success and no change."""
        for policy in (LIVE, IDLE):
            session = it.expiring(policy)
            await session.put(b"body", "key")
            before = await session.head("key")
            for target in (
                {"from_now": timedelta(0)},
                {"from_now": HOUR / 2},
                {"from_creation": HOUR},
                {"at": it.now - HOUR},
                {"at": before.time_expires},
            ):
                assert await session.extend_expiry("key", **target) == (
                    before.time_expires
                )
            assert await session.head("key") == before

    @case
    async def test_extending_a_time_to_live_makes_it_longer(self, it):
        """The policy says how long the object lives now, from its creation on."""
        session = it.expiring(LIVE)
        await session.put(b"body", "key", metadata={"a": "b"})
        created = it.now
        await session.extend_expiry("key", from_creation=3 * HOUR)
        metadata = await session.head("key")
        assert metadata.expiration_policy == TimeToLive(3 * HOUR)
        assert metadata.time_created == created
        assert metadata.custom == {"a": "b"}
        assert await session.get_bytes("key") == b"body"

    @case
    async def test_extending_a_time_to_idle_keeps_it(self, it):
        """Reading renews it by its own duration afterwards."""
        session = it.expiring(IDLE)
        await session.put(b"body", "key")
        await session.extend_expiry("key", from_now=3 * HOUR)
        assert (await session.head("key")).expiration_policy == IDLE
        it.clock.advance(3 * HOUR - SECOND)
        await session.get_bytes("key")
        it.clock.advance(HOUR - SECOND)
        assert await session.exists("key")

    @case
    async def test_what_never_expires_is_not_extended(self, it):
        """Without a policy there is nothing to extend."""
        key = await it.session.put(b"body")
        for target in ({"from_now": HOUR}, {"at": it.now}, {"from_creation": HOUR}):
            with pytest.raises(ExpiryNotExtendable):
                await it.session.extend_expiry(key, **target)

    @case
    async def test_what_is_over_is_not_extended(self, it):
        """From its deadline on, and before it was put, an object is not found."""
        session = it.expiring(LIVE)
        await session.put(b"body", "key")
        it.clock.advance(HOUR)
        for key in ("key", "absent"):
            with pytest.raises(ObjectNotFound):
                await session.extend_expiry(key, from_now=HOUR)
        assert not await session.exists("key")

    @case
    async def test_extending_takes_one_target(self, it):
        """None, two, a naive time and a negative duration are refused."""
        session = it.expiring(LIVE)
        await session.put(b"body", "key")
        for target in (
            {},
            {"from_now": HOUR, "from_creation": HOUR},
            {"at": datetime(2030, 1, 1)},  # noqa: DTZ001
            {"from_now": -SECOND},
            {"from_creation": -SECOND},
            {"from_now": timedelta(days=50_000)},
        ):
            with pytest.raises(InvalidInput):
                await session.extend_expiry("key", **target)
        assert (await session.head("key")).time_expires == it.now + HOUR

    @case
    async def test_streams_expire_too(self, it):
        """However a body came, its expiry counts from when the put began."""
        session = it.expiring(LIVE)
        key = await session.put(stream(b"x" * 100_000))
        assert (await session.head(key)).time_expires == it.now + HOUR
