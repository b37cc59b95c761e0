"""Equal calls at one time, and calls for what was read before, on a real store."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import uuid4

import pytest
from tests.stashes.slow import settle

from coatcheck import Coatcheck, Config, S3Config, TimeToLive
from coatcheck.errors import StashNotFound
from coatcheck.testing import FaultProxy, ManualClock

HOUR = timedelta(hours=1)
PAYLOAD = {"rows": ["t" * 200] * 80}


class Watched:
    """A Coatcheck behind a proxy that sees its requests."""

    def __init__(self, cc, proxy, events):
        self.cc = cc
        self.events = events
        self._proxy = proxy
        self.namespace = f"many-{uuid4().hex[:8]}"

    def forget(self):
        """Count from now on."""
        self.events.clear()
        self._proxy.requests.clear()

    def requests(self, method):
        """Return how many requests of a method came to the store."""
        return sum(request.method == method for request in self._proxy.requests)

    async def under_way(self, flights):
        """Wait until somebody works."""
        while not len(flights):
            await settle(1)

    def told(self, name):
        """Return how many events had a name."""
        return sum(event.name == name for event in self.events)


@pytest.fixture
def watched(seaweed_url):
    """Open a Coatcheck on SeaweedFS in a bucket of its own."""

    @asynccontextmanager
    async def opening(**fields):
        clock = fields.pop("clock", None)
        events = []
        async with FaultProxy(seaweed_url) as proxy:
            s3 = S3Config(endpoint_url=proxy.url, create_buckets=True)
            config = Config(s3=s3, **fields)
            async with Coatcheck(config, clock=clock, observer=events.append) as cc:
                it = Watched(cc, proxy, events)
                # The first write makes the bucket and tries what it can.
                await cc.create("first", PAYLOAD, it.namespace)
                it.forget()
                yield it

    return opening


async def at_once(count, call):
    async with asyncio.TaskGroup() as tasks:
        started = [tasks.create_task(call()) for _ in range(count)]
    return [task.result() for task in started]


@pytest.mark.asyncio
@pytest.mark.parametrize("expires", [None, TimeToLive(HOUR)])
async def test_sixteen_equal_creates_are_one_put(watched, expires):
    """The store, which lets writers of one key wait for each other, sees one."""
    async with watched() as it:
        stashes = await at_once(
            16, lambda: it.cc.create("n", PAYLOAD, it.namespace, expires=expires)
        )
        assert it.requests("PUT") == 1
        assert (it.told("put"), it.told("put_coalesced")) == (1, 15)
        assert len({id(stash.data) for stash in stashes}) == 16
        assert len(set(stashes)) == 1
        assert (await it.cc.retrieve(stashes[0].address)).data == PAYLOAD


@pytest.mark.asyncio
async def test_a_thousand_equal_retrieves_are_one_get(watched):
    """By address as by link; each caller has data of its own."""
    async with watched() as it:
        stash = await it.cc.create("n", PAYLOAD, it.namespace)
        link = await stash.share(ttl_sec=60)
        for address in (stash.address, link):
            it.forget()
            loaded = await at_once(1000, lambda a=address: it.cc.retrieve(a))
            assert it.requests("GET") == 1
            assert it.told("get_coalesced") == 999
            assert len({id(each.data) for each in loaded}) == 1000
            assert all(each.data == PAYLOAD for each in loaded)


@pytest.mark.asyncio
async def test_the_first_of_many_is_cancelled(watched):
    """The others create and retrieve all the same."""
    async with watched() as it:
        create = [
            asyncio.create_task(it.cc.create("n", PAYLOAD, it.namespace))
            for _ in range(8)
        ]
        await it.under_way(it.cc._traffic._puts)
        create[0].cancel()
        stashes = await asyncio.gather(*create, return_exceptions=True)
        assert isinstance(stashes[0], asyncio.CancelledError)
        assert [stash.data for stash in stashes[1:]] == [PAYLOAD] * 7
        retrieve = [
            asyncio.create_task(it.cc.retrieve(stashes[1].address)) for _ in range(8)
        ]
        await it.under_way(it.cc._traffic._gets)
        retrieve[0].cancel()
        loaded = await asyncio.gather(*retrieve, return_exceptions=True)
        assert isinstance(loaded[0], asyncio.CancelledError)
        assert [stash.data for stash in loaded[1:]] == [PAYLOAD] * 7


@pytest.mark.asyncio
async def test_what_was_read_needs_no_request(watched):
    """Until its time is over, or it is deleted here; elsewhere it is seen later."""
    clock = ManualClock()
    async with (
        watched(cache_bytes=2**20, clock=clock) as it,
        watched(clock=clock) as other,
    ):
        addresses = [
            (await it.cc.create(f"n{number}", PAYLOAD, it.namespace)).address
            for number in range(3)
        ]
        loaded = await it.cc.retrieve_many(addresses)
        it.forget()
        assert await it.cc.retrieve_many(addresses) == loaded
        assert it.told("cache_hit") == 3
        assert it.requests("GET") + it.requests("HEAD") == 0
        await it.cc.delete(addresses[0])
        await other.cc.delete(addresses[1])
        with pytest.raises(StashNotFound):
            await it.cc.retrieve(addresses[0])
        assert (await it.cc.retrieve(addresses[1])).data == PAYLOAD
        clock.advance(60)
        with pytest.raises(StashNotFound):
            await it.cc.retrieve(addresses[1])
        assert (await it.cc.retrieve(addresses[2])).data == PAYLOAD


@pytest.mark.asyncio
async def test_batches_within_bounds_of_bytes(watched):
    """Bodies of many sizes, compressed and not, both ways."""
    sizes = [100, 3_000_000, 20_000, 1, 1_500_000, 400_000] * 4
    for compression in ("none", "zstd"):
        async with watched(max_payload_bytes=4_000_000, compression=compression) as it:
            budget = it.cc._traffic.budget
            budget.limit = 5_000_000
            items = [(f"n{n}", bytes([n]) * size) for n, size in enumerate(sizes)]
            stashes = await it.cc.create_many(items, it.namespace)
            loaded = await it.cc.retrieve_many([stash.address for stash in stashes])
            assert [stash.data for stash in loaded] == [data for _, data in items]
            assert budget.held == 0
