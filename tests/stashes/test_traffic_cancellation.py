"""Cancelling a call that others joined, or that joined others, wherever it stands."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from tests.stashes.slow import left_over, settle

from coatcheck import Coatcheck, Config, TimeToIdle, TimeToLive
from coatcheck.backends._memory import MemoryStore
from coatcheck.testing import cancel_at_every_point

HOUR = timedelta(hours=1)
TEXT = "t" * 200
LIVE = TimeToLive(HOUR)

OPERATIONS = {
    "create": lambda it: it.cc.create("new", TEXT, "ns"),
    "create_expiring": lambda it: it.cc.create("new", TEXT, "ns", expires=LIVE),
    "create_again": lambda it: it.cc.create("kept", TEXT, "ns"),
    "create_later": lambda it: it.cc.create("idle", TEXT, "ns"),
    "create_large": lambda it: it.cc.create("new", TEXT * 1000, "ns"),
    "retrieve": lambda it: it.cc.retrieve(it.kept),
    "retrieve_idle": lambda it: it.cc.retrieve(it.idle),
    "create_many": lambda it: it.cc.create_many([("new", TEXT)] * 3, "ns"),
    "retrieve_many": lambda it: it.cc.retrieve_many([it.kept, it.idle] * 2),
}


class Scene:
    """An open Coatcheck with two stashes, and tasks that do what is cancelled."""

    def __init__(self, cc, clock):
        self.cc = cc
        self.clock = clock
        self.over = False
        self.others = []

    async def fill(self):
        self.kept = (await self.cc.create("kept", TEXT, "ns")).address
        idle = await self.cc.create("idle", TEXT, "ns", expires=TimeToIdle(HOUR))
        self.idle = idle.address
        self.clock.advance(HOUR / 2)

    def is_under_way(self):
        puts, gets, *_ = left_over(self.cc)
        return puts + gets > 0

    async def follow(self, operation):
        while not self.is_under_way() and not self.over:
            await settle(1)
        return await operation(self)

    async def check(self):
        """Check that the others have what they wanted, and nothing is left."""
        self.over = True
        for other in self.others:
            result = await other
            for stash in result if isinstance(result, list) else [result]:
                assert stash.data in (TEXT, TEXT * 1000)
                assert (await self.cc.retrieve(stash.address)).data == stash.data
        assert left_over(self.cc) == (0, 0, 0, 0)
        for guard in self.cc._guards.values():
            assert guard.slots.value == self.cc.config.concurrency


@pytest.fixture(params=["slow", "file"])
def scenes(request, clock, tmp_path):
    """Make scenes on a slow store in memory, then on files."""
    numbers = iter(range(10_000))

    @asynccontextmanager
    async def slow():
        place = request.getfixturevalue("slow")
        place.store = MemoryStore(clock=clock)
        async with place.opened(cache_bytes=2**20) as cc:
            yield Scene(cc, clock)

    @asynccontextmanager
    async def file():
        root = str(tmp_path / str(next(numbers)))
        config = Config(backends=("file",), filesystem_root=root, durable=False)
        async with Coatcheck(config, clock=clock) as cc:
            yield Scene(cc, clock)

    return {"slow": slow, "file": file}[request.param]


@pytest.mark.asyncio
@pytest.mark.parametrize("operation", OPERATIONS)
async def test_who_works_is_cancelled(scenes, operation):
    """Those who wait have what they wanted, and it is stored."""
    it = None

    @asynccontextmanager
    async def scene():
        nonlocal it
        async with scenes() as it:
            await it.fill()
            call = OPERATIONS[operation]
            it.others = [asyncio.create_task(it.follow(call)) for _ in range(3)]
            yield lambda: call(it)
            await it.check()

    points = 0
    async for point in cancel_at_every_point(scene):
        points = point
        await it.check()
        assert len(asyncio.all_tasks()) == 1
    assert points >= 1


@pytest.mark.asyncio
@pytest.mark.parametrize("operation", OPERATIONS)
async def test_who_waits_is_cancelled(scenes, operation):
    """The one who works, and those who wait beside it, do not notice."""
    it = None

    @asynccontextmanager
    async def scene():
        nonlocal it
        async with scenes() as it:
            await it.fill()
            call = OPERATIONS[operation]
            it.others = [asyncio.create_task(call(it)) for _ in range(2)]
            while not it.is_under_way() and not it.others[0].done():
                await settle(1)
            yield lambda: call(it)
            await it.check()

    points = 0
    async for point in cancel_at_every_point(scene):
        points = point
        await it.check()
        assert len(asyncio.all_tasks()) == 1
    assert points >= 1
