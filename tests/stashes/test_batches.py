"""Many stashes at once: in order, lazily, and within bounds of number and bytes."""

from __future__ import annotations

import anyio
import pytest
from anyio.lowlevel import checkpoint
from tests.stashes.slow import Alive, left_over, settle

from coatcheck.errors import AtCapacity, PayloadError, StashNotFound
from coatcheck.stashes import _claiming, _store, _traffic

pytestmark = pytest.mark.anyio

TEXT = "t" * 200
LIMIT = 20_000


@pytest.fixture
def alive(monkeypatch, slow):
    """The encoded bodies that are alive, those encoded and those read."""
    found = Alive()
    encode = _store.encode

    def counted(data, *, max_bytes):
        body, decoded = encode(data, max_bytes=max_bytes)
        return found.body(body), decoded

    monkeypatch.setattr(_store, "encode", counted)
    slow.gates.alive = found
    return found


@pytest.fixture
def small_budget(monkeypatch):
    """A budget that a few bodies use up."""
    monkeypatch.setattr(_traffic, "LEAST_BUDGET", LIMIT)


async def flow(items):
    for item in items:
        await checkpoint()
        yield item


async def test_order_is_kept_for_every_kind_of_iterable(slow):
    """Lists, generators, async generators; stored and inline mixed."""
    payloads = [number if number % 3 else [number] * 200 for number in range(60)]
    items = [(f"n{number}", data) for number, data in enumerate(payloads)]
    async with slow.opened(backends=("inline", "mem"), concurrency=7) as cc:
        stashes = await cc.create_many(items)
        assert [(stash.name, stash.data) for stash in stashes] == items
        assert await cc.create_many(iter(items)) == stashes
        assert await cc.create_many(flow(items)) == stashes
        addresses = [stash.address for stash in stashes]
        texts = [str(address) for address in addresses]
        for given in (addresses, iter(texts), flow(addresses), flow(texts)):
            loaded = await cc.retrieve_many(given)
            assert loaded == stashes
            assert [stash.data for stash in loaded] == payloads
        assert await cc.create_many([]) == []
        assert await cc.retrieve_many(flow([])) == []


async def test_items_are_taken_when_there_is_room_for_them(slow):
    """No more than run at once are asked for."""
    taken = 0

    async def items():
        nonlocal taken
        for number in range(100):
            taken += 1
            yield f"n{number}", TEXT

    async with slow.opened(concurrency=5) as cc:
        slow.gates.hold("put")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cc.create_many, items())
            await settle()
            assert (taken, slow.calls["put"]) == (5, 5)
            slow.gates.release("put")
        assert (taken, slow.calls["put"]) == (100, 100)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_ten_thousand_creates_hold_few_bodies(slow, alive):
    """As many encoded payloads are alive as run at once, and one that waits."""
    async with slow.opened() as cc:
        slow.gates.hold("put", first=64)
        async with anyio.create_task_group() as tasks:

            async def create():
                items = ((f"n{number}", bytes(1024)) for number in range(10_000))
                assert len(await cc.create_many(items)) == 10_000

            tasks.start_soon(create)
            await settle(200)
            assert alive.bodies <= 65
            slow.gates.release("put")
        assert alive.most_bodies <= 65
        assert alive.bodies == 0
        assert slow.calls["put"] == 10_000


async def test_creates_hold_few_bytes(slow, alive, small_budget):
    """All calls together encode no more than the budget, and one that waits."""
    async with slow.opened(max_payload_bytes=LIMIT) as cc:
        slow.gates.hold("put")
        async with anyio.create_task_group() as tasks:
            for name in "abc":
                items = [(f"{name}{number}", bytes(5000)) for number in range(30)]
                tasks.start_soon(cc.create_many, items)
            await settle()
            assert slow.calls["put"] == 3
            assert alive.bodies == 4
            slow.gates.release("put")
        assert alive.most_bytes <= LIMIT + 5005
        assert slow.calls["put"] == 90


async def test_a_payload_as_large_as_the_budget_goes_alone(slow, alive, small_budget):
    """It waits for all before it, and those behind it wait."""
    sizes = [5000, 5000, LIMIT - 5, 5000, 5000, LIMIT - 5]
    async with slow.opened(max_payload_bytes=LIMIT) as cc:
        items = [(f"n{number}", bytes(size)) for number, size in enumerate(sizes)]
        stashes = await cc.create_many(items)
        assert [len(stash.data) for stash in stashes] == sizes
        assert alive.most_bytes <= 2 * LIMIT
        loaded = await cc.retrieve_many([stash.address for stash in stashes])
        assert loaded == stashes


@pytest.mark.parametrize("compression", ["none", "zstd"])
async def test_retrieves_hold_few_bytes(slow, alive, small_budget, compression):
    """Bodies are read when there is room for them, whatever their size is."""
    sizes = [5000, 100, 3000, 18_000, 1, 7000, 200, 12_000] * 5
    fields = {"max_payload_bytes": LIMIT, "compression": compression}
    async with slow.opened(**fields) as cc:
        addresses = []
        for number, size in enumerate(sizes):
            data = [number % 256] * size if compression == "zstd" else bytes(size)
            addresses.append((await cc.create(f"n{number}", data)).address)
        alive.most_bytes, most_held = 0, 0
        budget = cc._traffic.budget
        budget.guess = 100
        slow.gates.hold("read")
        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(cc.retrieve_many, addresses)
            await settle()
            assert slow.calls["read"] >= 2
            slow.gates.release("read")
            while budget.held:
                most_held = max(most_held, budget.held)
                await checkpoint()
        assert alive.most_bytes <= LIMIT
        assert most_held <= LIMIT
        loaded = await cc.retrieve_many(addresses)
        assert [len(stash.data) for stash in loaded] == sizes
        assert left_over(cc) == (0, 0, 0, 0)


async def test_what_is_compressed_takes_room_for_all_of_it(slow, small_budget):
    """The stored bytes are few, and what comes out of them is what counts."""
    fields = {"max_payload_bytes": LIMIT, "compression": "zstd"}
    async with slow.opened(**fields) as cc:
        items = [(f"n{number}", bytes(15_000)) for number in range(4)]
        addresses = [(await cc.create(*item)).address for item in items]
        budget = cc._traffic.budget
        budget.guess, held = 100, []
        decompress = _claiming.decompress

        def watched(stored, *, max_bytes):
            held.append(budget.held)
            return decompress(stored, max_bytes=max_bytes)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_claiming, "decompress", watched)
            assert len(await cc.retrieve_many(addresses)) == 4
        assert len(held) == 4
        assert all(15_000 < each <= LIMIT for each in held)


async def test_a_read_that_finds_no_room_is_given_back(slow, small_budget):
    """No connection waits for others: it is closed, and the read begins again."""
    async with slow.opened(max_payload_bytes=LIMIT) as cc:
        items = [(f"n{number}", bytes(15_000)) for number in range(4)]
        addresses = [(await cc.create(*item)).address for item in items]
        cc._traffic.budget.guess = 100
        slow.gates.hold("get")
        slow.gates.hold("read")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cc.retrieve_many, addresses)
            await settle()
            slow.gates.release("get")
            await settle()
            # All looked, and one reads; the others hold neither slot nor read.
            assert (slow.calls["get"], slow.calls["read"]) == (4, 1)
            assert cc._guards["mem"].slots.value == 64 - 1
            slow.gates.release("read")
        assert slow.calls["get"] == 4 + 3


async def test_who_finds_no_room_lets_others_read(slow, small_budget):
    """Another caller that waits for the same body needs no room of the budget."""
    async with slow.opened(max_payload_bytes=LIMIT) as cc:
        one = (await cc.create("one", bytes(15_000))).address
        two = (await cc.create("two", bytes(15_000))).address
        cc._traffic.budget.guess = 100
        slow.gates.hold("read", first=1)
        got = []

        async def retrieve():
            got.append(await cc.retrieve(two))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cc.retrieve_many, [one])
            await settle()
            slow.gates.hold("get")
            tasks.start_soon(cc.retrieve_many, [two])
            await settle()
            tasks.start_soon(retrieve)
            await settle()
            slow.gates.release("get")
            await settle()
            # The first body is still being read, and the second is there.
            assert [stash.name for stash in got] == ["two"]
            slow.gates.release("read")


async def test_equal_items_are_joined(slow):
    """A batch of equals is one write, and one read."""
    async with slow.opened(concurrency=50) as cc:
        slow.gates.hold("put")
        slow.gates.hold("get")
        got = []
        async with anyio.create_task_group() as tasks:

            async def both():
                stashes = await cc.create_many([("n", TEXT)] * 50)
                got.extend(await cc.retrieve_many([stashes[0].address] * 50))

            tasks.start_soon(both)
            await settle()
            assert slow.calls["put"] == 1
            slow.gates.release("put")
            await settle()
            assert slow.calls["get"] == 1
            slow.gates.release("get")
        assert len(got) == 50
        assert len({id(stash) for stash in got}) == 50


async def test_the_first_failure_ends_it(slow):
    """The rest is cancelled; what was stored stays, and creating again is safe."""
    async with slow.opened(concurrency=4) as cc:
        slow.gates.fail_next("put", None, None, AtCapacity("full"))
        items = [(f"n{number}", TEXT) for number in range(100)]
        with pytest.raises(AtCapacity, match="full"):
            await cc.create_many(items)
        assert slow.calls["put"] <= 8
        assert left_over(cc) == (0, 0, 0, 0)
        assert len(await cc.create_many(items)) == 100
        with pytest.raises(PayloadError):
            await cc.create_many([("good", TEXT), ("bad", object())])
        gone = f"mem://default/gone.{'0' * 32}"
        with pytest.raises(StashNotFound, match="gone"):
            await cc.retrieve_many([gone] * 10)
        with pytest.raises(ZeroDivisionError):
            await cc.create_many((f"n{1 // n}", TEXT) for n in (1, 1, 0))


@pytest.mark.parametrize("gate", ["put", "get", "read"])
async def test_cancelled_it_leaves_nothing(slow, gate, small_budget):
    """No task, no slot, no bytes, and the generator is closed."""
    async with slow.opened(max_payload_bytes=LIMIT) as cc:
        items = [(f"n{number}", bytes(5000)) for number in range(50)]
        addresses = []
        if gate != "put":
            addresses = [each.address for each in await cc.create_many(items)]
        given = flow(addresses or items)
        slow.gates.hold(gate)
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                call = cc.create_many if gate == "put" else cc.retrieve_many
                tasks.start_soon(call, given)
                await settle()
                scope.cancel()
        slow.gates.release(gate)
        assert left_over(cc) == (0, 0, 0, 0)
        assert cc._guards["mem"].slots.value == 64
        assert given.ag_frame is None
        assert len(await cc.create_many(items)) == 50
