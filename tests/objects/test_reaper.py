"""The background reaper: bounded, one of several, and no trouble for anybody."""

from __future__ import annotations

import logging
from datetime import timedelta
from functools import partial

import anyio
import pytest

from coatcheck.abc import Capability, FromNow
from coatcheck.backends._memory import MemoryBackend, MemoryStore
from coatcheck.errors import BackendUnavailable, ErrorKind, ObjectNotFound
from coatcheck.objects import Client, TimeToIdle, TimeToLive, Usecase, _reaper
from coatcheck.objects._reaper import Reaper
from coatcheck.testing import Fault, FaultyBucket, ManualClock
from coatcheck.wrappers import ForwardingBucket, expiring

HOUR = timedelta(hours=1)
INSTANT = timedelta(microseconds=1)
OFTEN = timedelta(milliseconds=10)
LIVE = Usecase("live", expiration_policy=TimeToLive(HOUR))
IDLE = Usecase("idle", expiration_policy=TimeToIdle(HOUR))


async def stored(bucket):
    return [entry.key async for page in bucket.scan() for entry in page.entries]


async def until(condition):
    """Wait until something is true; a test that waits for ever fails by its timeout."""
    with anyio.fail_after(20):
        while not await condition():  # noqa: ASYNC110  # nothing tells
            await anyio.sleep(0.01)


@pytest.mark.asyncio
async def test_what_has_expired_is_deleted(clock):
    """An open client frees the storage by itself, and leaves what lives."""
    async with MemoryBackend(clock=clock) as backend:
        bucket = backend.bucket("b")
        async with Client(bucket, reap_every=OFTEN) as client:
            live, ever = client.session(LIVE), client.session(Usecase("ever"))
            for number in range(5):
                await live.put(b"x", f"k{number}")
                await ever.put(b"x", f"k{number}")
            clock.advance(HOUR - INSTANT)
            await anyio.sleep(0.05)
            assert len(await stored(bucket)) == 10
            clock.advance(INSTANT)

            async def reaped():
                return len(await stored(bucket)) == 5

            await until(reaped)
            assert await live.exists("k0") is False
            assert await ever.exists("k0") is True


@pytest.mark.asyncio
async def test_litter_goes_too(clock):
    """Uploads that nobody completed are swept when they are old."""
    async with MemoryBackend(clock=clock) as backend:
        bucket = backend.bucket("b")
        async with Client(bucket, reap_every=OFTEN) as client:
            await client.session(LIVE).initiate_multipart_upload()
            clock.advance(HOUR * 25)

            async def swept():
                return not [each async for each in bucket.list_uploads()]

            await until(swept)


@pytest.mark.asyncio
async def test_several_reapers_at_once(clock):
    """Clients reap the same bucket, and each object once; touched ones stay."""
    store = MemoryStore(clock=clock)
    deleted = []
    async with MemoryBackend(store, clock=clock) as backend:
        reapers = [Reaper(expiring(backend.bucket("b")), HOUR, None) for _ in range(4)]
        async with Client(backend.bucket("b"), reap_every=None) as client:
            session = client.session(IDLE)
            for round_ in range(20):
                for number in range(10):
                    await session.put(b"x", f"k{number}")
                clock.advance(HOUR - INSTANT)
                kept = []

                async def extend(key, kept=kept):
                    try:
                        await session.extend_expiry(key, from_now=2 * HOUR)
                    except ObjectNotFound:
                        return
                    kept.append(key)

                async def reap(reaper):
                    clock.advance(INSTANT / 2 if round_ % 2 else INSTANT)  # noqa: B023
                    deleted.append((await reaper.go_on()).deleted)

                async with anyio.create_task_group() as tasks:
                    for number in range(10):
                        tasks.start_soon(extend, f"k{number}")
                        if number % 3 == 0:
                            tasks.start_soon(reap, reapers[number // 3])
                for key in kept:
                    assert await session.exists(key)
                for number in range(10):
                    await session.delete(f"k{number}")
    assert sum(deleted) > 0


@pytest.mark.asyncio
async def test_nothing_is_lost_that_was_extended_in_time(clock):
    """Who was told that an object lives on finds it, whatever reapers do meanwhile."""
    async with MemoryBackend(clock=clock) as backend:
        bucket = expiring(backend.bucket("b"))
        reaper = Reaper(bucket, HOUR, None)
        async with Client(bucket, reap_every=None) as client:
            session = client.session(LIVE)
            for _ in range(50):
                await session.put(b"x", "key")
                key = "live/_/objects/key"
                clock.advance(HOUR - INSTANT)
                outcome = []

                async def extend(outcome=outcome, key=key):
                    try:
                        outcome.append(await bucket.extend_expiry(key, FromNow(HOUR)))
                    except ObjectNotFound:
                        outcome.append(None)

                async def reap():
                    clock.advance(INSTANT)
                    await reaper.go_on()

                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(extend)
                    tasks.start_soon(reap)
                (deadline,) = outcome
                assert await session.exists("key") is (deadline is not None)
                assert len(await stored(backend.bucket("b"))) == (deadline is not None)


@pytest.mark.asyncio
async def test_failures_are_told_and_end_nothing(clock, caplog):
    """A storage that fails for a while is reaped later, and users notice nothing."""
    events = []
    async with MemoryBackend(clock=clock) as backend:
        faulty = FaultyBucket(backend.bucket("b"))
        client = Client(faulty, reap_every=OFTEN, observer=events.append)
        with caplog.at_level(logging.WARNING, "coatcheck.objects"):
            async with client:
                session = client.session(LIVE)
                await session.put(b"x", "key")
                clock.advance(HOUR)
                faulty.fail_next("scan", *[Fault(error=BackendUnavailable("down"))] * 3)

                async def reaped():
                    return not await stored(backend.bucket("b"))

                await until(reaped)
    failed = [event for event in events if event.name == "reap_failed"]
    assert len(failed) == 3
    assert {event.error for event in failed} == {ErrorKind.BACKEND_UNAVAILABLE}
    assert caplog.text.count("could not reap") == 3


@pytest.mark.asyncio
async def test_a_go_is_bounded(clock, monkeypatch):
    """A large bucket is gone through bit by bit, and then from its beginning again."""
    monkeypatch.setattr(_reaper, "AT_ONE_GO", 1)
    async with MemoryBackend(clock=clock) as backend:
        bucket = expiring(backend.bucket("b"))
        async with Client(bucket, reap_every=None) as client:
            for number in range(2500):
                await client.session(LIVE).put(b"", f"k{number:04d}")
            clock.advance(HOUR)
            reaper = Reaper(bucket, HOUR, None)
            gos = [await reaper.go_on()]
            while gos[-1].next_after is not None:
                gos.append(await reaper.go_on())
        assert len(gos) > 2
        assert max(go.scanned for go in gos) < 2500
        assert sum(go.deleted for go in gos) == 2500
        assert await stored(backend.bucket("b")) == []
        assert reaper._next_after is None


@pytest.mark.asyncio
async def test_a_bucket_that_cannot_be_reaped():
    """A bucket that does not list is served all the same."""

    class Unlisted(ForwardingBucket):
        @property
        def capabilities(self):
            return super().capabilities - {Capability.SCAN}

    async with MemoryBackend() as backend:
        bucket = Unlisted(backend.bucket("b"))
        async with Client(bucket, reap_every=timedelta(milliseconds=1)) as client:
            await anyio.sleep(0.05)
            key = await client.session(LIVE).put(b"x")
            assert await client.session(LIVE).exists(key)


@pytest.mark.asyncio
async def test_errors_come_out_as_they_are():
    """What a user's block raises is no group, and the reaper is gone afterwards."""
    before = {task.id for task in anyio.get_running_tasks()}
    async with MemoryBackend() as backend:

        async def fail():
            async with Client(backend.bucket("b"), reap_every=OFTEN):
                assert len(anyio.get_running_tasks()) > len(before)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await fail()
        with anyio.move_on_after(0.05) as scope:
            async with Client(backend.bucket("b"), reap_every=OFTEN):
                await anyio.sleep_forever()
        assert scope.cancelled_caught
    assert {task.id for task in anyio.get_running_tasks()} <= before


def test_clients_over_buckets_run_on_trio(clock):
    """Nothing of a session over memory needs asyncio."""

    async def main():
        manual = ManualClock()
        async with (
            MemoryBackend(clock=manual) as backend,
            Client(backend.bucket("b"), reap_every=OFTEN) as client,
        ):
            session = client.session(LIVE, org=1)
            body = bytes(1_000_000)
            key = await session.put(body)
            assert await session.get_bytes(key) == body
            manual.advance(HOUR)

            async def reaped():
                return not await stored(backend.bucket("b"))

            await until(reaped)

    anyio.run(partial(main), backend="trio")


@pytest.mark.asyncio
async def test_services_reap_by_themselves(clock):
    """A client of a bucket that expires by itself starts no reaper."""

    class Expiring(ForwardingBucket):
        @property
        def capabilities(self):
            return super().capabilities | {Capability.EXPIRES}

    async with MemoryBackend(clock=clock) as backend:
        before = len(anyio.get_running_tasks())
        bucket = Expiring(expiring(backend.bucket("b")))
        async with Client(bucket, reap_every=OFTEN) as client:
            assert len(anyio.get_running_tasks()) == before
            key = await client.session(LIVE).put(b"x")
            clock.advance(HOUR)
            assert not await client.session(LIVE).exists(key)
