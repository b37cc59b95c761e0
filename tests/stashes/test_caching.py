"""Stashes that are served from memory: never other than a read would be."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import anyio
import pytest
from tests.stashes.slow import settle

from coatcheck import Address, Coatcheck, Config, TimeToIdle, TimeToLive
from coatcheck.errors import (
    BackendUnavailable,
    Closed,
    IntegrityError,
    InvalidAddress,
    StashNotFound,
    UnsupportedBackend,
)

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
TEXT = "t" * 200
MIB = 1024 * 1024


async def reads(slow, cc, address, times=3):
    """Retrieve some times; return how often the store was read."""
    before = slow.calls["get"]
    for _ in range(times):
        assert (await cc.retrieve(address)).data is not None
    return slow.calls["get"] - before


async def test_a_stash_is_read_once(slow):
    """Then it is served from memory, with data of its own for every caller."""
    async with slow.opened(cache_bytes=MIB) as cc:
        stash = await cc.create("n", {"rows": [TEXT]})
        slow.calls.clear()
        first = await cc.retrieve(stash.address)
        again = [await cc.retrieve(str(stash.address)) for _ in range(5)]
        assert slow.calls["get"] == 1
        assert slow.told("cache_hit") == 5
        assert len({id(each.data["rows"]) for each in (first, *again)}) == 6
        for each in again:
            assert each == first
            assert each.data == first.data
            assert (each.size, each.created) == (first.size, first.created)
            assert each.content_type == first.content_type
        typed = await cc.retrieve(stash.address, as_type=dict[str, list[str]])
        assert typed.data == first.data
        hits = [event for event in slow.events if event.name == "cache_hit"]
        assert {(each.backend, each.bucket, each.key) for each in hits} == {
            ("mem", "default", stash.address.key)
        }


async def test_it_is_off_unless_it_has_memory(slow):
    """By default every retrieve asks the store."""
    async with slow.opened() as cc:
        stash = await cc.create("n", TEXT)
        assert await reads(slow, cc, stash.address) == 3
        assert slow.told("cache_hit") == 0


async def test_what_is_created_is_not_kept(slow):
    """Memory is for what is read; the first retrieve asks the store."""
    async with slow.opened(cache_bytes=MIB) as cc:
        stash = await cc.create("n", TEXT)
        assert await reads(slow, cc, stash.address) == 1


async def test_the_bound_on_bytes_is_kept(slow):
    """What was not used for longest is read again; what is large always is."""
    async with slow.opened(cache_bytes=64 * 1024) as cc:
        small = [(await cc.create(f"n{i}", [TEXT, i])).address for i in range(100)]
        large = (await cc.create("large", "x" * 8192)).address
        await cc.retrieve_many(small)
        cache = cc._traffic._cache
        assert 10 <= len(cache) < 100
        assert cache.used <= 64 * 1024
        assert await reads(slow, cc, small[-1]) == 0
        assert await reads(slow, cc, small[0]) == 1
        assert await reads(slow, cc, large) == 3


async def test_a_hit_honours_the_deadline(slow):
    """From it on the stash is not found, and nothing of it is served."""
    async with slow.opened(cache_bytes=MIB, cache_ttl=2 * HOUR) as cc:
        stash = await cc.create("n", TEXT, expires=TimeToLive(HOUR))
        assert await reads(slow, cc, stash.address) == 1
        slow.clock.advance(HOUR - timedelta(microseconds=1))
        assert await reads(slow, cc, stash.address) == 0
        slow.clock.advance(timedelta(microseconds=1))
        with pytest.raises(StashNotFound):
            await cc.retrieve(stash.address)


async def test_the_store_is_asked_whether_somebody_extended_it(slow):
    """A deadline that has come in memory may have been moved in the store."""
    fields = {"cache_bytes": MIB, "cache_ttl": 10 * HOUR}
    async with slow.opened(**fields) as cc, slow.opened() as other:
        stash = await cc.create("n", TEXT, expires=TimeToLive(HOUR))
        assert await reads(slow, cc, stash.address) == 1
        await other.create("n", TEXT, expires=TimeToLive(3 * HOUR))
        slow.clock.advance(2 * HOUR)
        assert await reads(slow, cc, stash.address) == 1
        assert (await cc.retrieve(stash.address)).deadline == slow.clock() + HOUR


async def test_a_hit_counts_for_time_to_idle(slow):
    """When a renewal is due the store is read, which renews; else memory serves."""
    async with slow.opened(cache_bytes=MIB, cache_ttl=10 * HOUR) as cc:
        stash = await cc.create("n", TEXT, expires=TimeToIdle(HOUR))
        assert await reads(slow, cc, stash.address) == 1
        for _ in range(40):
            slow.clock.advance(10 * MINUTE)
            assert (await cc.retrieve(stash.address)).data == TEXT
        assert slow.calls["update_info"] == 20
        # A read that renews, and one that sees it renewed and is kept.
        assert slow.calls["get"] == 1 + 40 - 1
        slow.clock.advance(HOUR)
        with pytest.raises(StashNotFound):
            await cc.retrieve(stash.address)


async def test_anothers_delete_is_unseen_for_at_most_the_ttl(slow):
    """Until then it may be served; from then on it is not found."""
    fields = {"cache_bytes": MIB, "cache_ttl": MINUTE}
    async with slow.opened(**fields) as cc, slow.opened() as other:
        stash = await cc.create("n", TEXT)
        slow.gates.hold("read")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cc.retrieve, stash.address)
            await settle()
            # The time counts from the beginning of the read.
            slow.clock.advance(10)
            await other.delete(stash.address)
            slow.gates.release("read")
        slow.clock.advance(49.9)
        assert await reads(slow, cc, stash.address) == 0
        slow.clock.advance(0.1)
        with pytest.raises(StashNotFound):
            await cc.retrieve(stash.address)


async def test_the_ttl_is_a_minute_by_default(slow):
    """After it the store is asked again."""
    async with slow.opened(cache_bytes=MIB) as cc:
        stash = await cc.create("n", TEXT)
        assert await reads(slow, cc, stash.address) == 1
        slow.clock.advance(59)
        assert await reads(slow, cc, stash.address) == 0
        slow.clock.advance(1)
        assert await reads(slow, cc, stash.address) == 1


@pytest.mark.parametrize("verb", ["delete", "touch", "create", "reap", "stash.delete"])
async def test_our_own_changes_are_seen_at_once(slow, verb):
    """Nothing that was read before them is served after them."""
    async with slow.opened(cache_bytes=MIB) as cc:
        stash = await cc.create("n", TEXT, expires=TimeToIdle(HOUR))
        await cc.create("n", TEXT, "untouched")
        assert await reads(slow, cc, stash.address) == 1
        slow.clock.advance(20)
        match verb:
            case "delete" | "touch":
                await getattr(cc, verb)(str(stash.address))
            case "create":
                await cc.create("n", TEXT)
            case "reap":
                await cc.reap()
            case "stash.delete":
                await stash.delete()
        slow.calls.clear()
        if "delete" in verb:
            with pytest.raises(StashNotFound):
                await cc.retrieve(stash.address)
            return
        found = await cc.retrieve(stash.address)
        assert slow.calls["get"] == 1
        left = {"touch": HOUR, "create": None, "reap": HOUR - timedelta(seconds=20)}
        wanted = left[verb]
        assert found.deadline == (wanted and slow.clock() + wanted)


async def test_a_change_that_fails_may_have_happened(slow):
    """So nothing is served after it either."""
    async with slow.opened(cache_bytes=MIB) as cc:
        stash = await cc.create("n", TEXT)
        assert await reads(slow, cc, stash.address) == 1
        slow.gates.fail_next("delete", BackendUnavailable("lost"))
        with pytest.raises(BackendUnavailable):
            await cc.delete(stash.address)
        assert await reads(slow, cc, stash.address) == 1
        slow.gates.hold("delete")
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(cc.delete, stash.address)
                await settle()
                scope.cancel()
        slow.gates.release("delete")
        assert await reads(slow, cc, stash.address) == 1


async def test_a_read_that_a_delete_overtakes_is_not_kept(slow):
    """It gives what it found to its caller, and to nobody after the delete."""
    async with slow.opened(cache_bytes=MIB) as cc:
        stash = await cc.create("n", TEXT)
        slow.gates.hold("read")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cc.retrieve, stash.address)
            await settle()
            await cc.delete(stash.address)
            slow.gates.release("read")
        with pytest.raises(StashNotFound):
            await cc.retrieve(stash.address)


async def test_a_delete_by_another_name_of_the_place_is_seen(slow):
    """Two namespaces may lead to one object."""
    mapped = {"a": "mem://company/", "b": "mem://company/jobs/"}
    async with slow.opened(cache_bytes=MIB, namespaces=mapped) as cc:
        stash = await cc.create("n", TEXT, "b")
        other = replace(stash.address, namespace="a", name="jobs/n")
        assert await reads(slow, cc, stash.address) == 1
        assert await reads(slow, cc, other) == 0
        await cc.delete(other)
        with pytest.raises(StashNotFound):
            await cc.retrieve(stash.address)


async def test_what_is_seen_gone_is_forgotten(slow):
    """After `exists` has said no, `retrieve` does not say yes."""
    async with slow.opened(cache_bytes=MIB) as cc, slow.opened() as other:
        stash = await cc.create("n", TEXT)
        assert await reads(slow, cc, stash.address) == 1
        await other.delete(stash.address)
        assert not await cc.exists(stash.address)
        with pytest.raises(StashNotFound):
            await cc.retrieve(stash.address)


@pytest.mark.parametrize("compression", ["none", "zstd"])
async def test_only_what_was_verified_is_kept(slow, compression):
    """Other bytes under the address are refused as often as they are asked for."""
    async with slow.opened(cache_bytes=MIB, compression=compression) as cc:
        stash = await cc.create("n", TEXT)
        other = await cc.create("m", TEXT[::-1] + "!")
        async with slow.behind() as bucket:
            await bucket.copy_from(bucket, other.address.key, stash.address.key)
            for _ in range(3):
                with pytest.raises(IntegrityError):
                    await cc.retrieve(stash.address)
            assert len(cc._traffic._cache) == 0
            await cc.delete(stash.address)
        await cc.create("n", TEXT)
        assert (await cc.retrieve(stash.address)).data == TEXT


async def test_bytes_are_served_only_to_the_pins_they_were_held_against(slow):
    """An address that pins other bytes is refused as it would be without memory."""
    async with slow.opened(cache_bytes=MIB) as cc:
        stream = (await cc.create_stream("s", b"s" * 5000)).address
        assert await reads(slow, cc, stream) == 1
        bare = Address.parse(str(stream).partition("?")[0])
        for forged in (
            bare,
            replace(stream, size=4999),
            replace(stream, sha256="0" * 64),
        ):
            with pytest.raises(IntegrityError):
                await cc.retrieve(forged)
        assert await reads(slow, cc, stream) == 0


async def test_what_is_not_admitted_is_not_served(slow):
    """Configuration and state are looked at first, as without memory."""
    async with slow.opened(cache_bytes=MIB, namespaces={"ns": "mem://b"}) as cc:
        stash = await cc.create("n", TEXT, "ns")
        assert await reads(slow, cc, stash.address) == 1
        with pytest.raises(InvalidAddress):
            await cc.retrieve(replace(stash.address, namespace="b"))
        with pytest.raises(UnsupportedBackend):
            await cc.retrieve(replace(stash.address, scheme="file"))
    assert len(cc._traffic._cache) == 0
    with pytest.raises(Closed):
        await cc.retrieve(stash.address)


async def test_streams_flow_from_the_store(slow):
    """`open` and `download` hold nothing, and fill nothing."""
    async with slow.opened(cache_bytes=MIB) as cc:
        stash = await cc.create("n", TEXT)
        for _ in range(2):
            async with cc.open(stash.address) as reader:
                assert len(await reader.read()) == stash.size
        assert slow.calls["get"] == 2
        assert await reads(slow, cc, stash.address) == 1


async def test_memory_and_inline_are_not_kept(clock):
    """They are in memory already."""
    config = Config(backends=("inline", "mem"), cache_bytes=MIB)
    async with Coatcheck(config, clock=clock) as cc:
        for data in (TEXT, 1):
            stash = await cc.create("n", data)
            assert (await cc.retrieve(stash.address)).data == data
        assert len(cc._traffic._cache) == 0


async def test_hits_let_others_have_their_turn(slow):
    """What never waits for the store still gives way now and then."""
    async with slow.opened(cache_bytes=MIB) as cc:
        stash = await cc.create("n", TEXT)
        await cc.retrieve(stash.address)
        turns = 0

        async def other():
            nonlocal turns
            while True:
                await settle(1)
                turns += 1

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(other)
            await settle(2)
            before = turns
            # Twice the turn: trio may take this task first when both are ready.
            for _ in range(2 * 640):
                await cc.retrieve(stash.address)
            assert turns - before >= 10
            tasks.cancel_scope.cancel()
