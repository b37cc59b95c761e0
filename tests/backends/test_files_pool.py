"""The threads that do the filesystem backend's blocking work."""

from __future__ import annotations

import threading
from functools import partial

import anyio
import pytest
from anyio import to_thread

from coatcheck.backends._filesystem import _pool
from coatcheck.errors import AtCapacity

pytestmark = pytest.mark.timeout(30)


async def gathered(calls):
    """Return the results of async calls that run together, in the order of the calls."""
    results = {}

    async def keep(number, call):
        results[number] = await call()

    async with anyio.create_task_group() as tasks:
        for number, call in enumerate(calls):
            tasks.start_soon(keep, number, call)
    return [results[number] for number in range(len(calls))]


@pytest.mark.asyncio
@pytest.mark.parametrize(("threads", "batch"), [(1, 1), (1, 8), (2, 8), (6, 1)])
async def test_each_call_gets_its_own_result(
    make_pool, threads, batch, threads_of_pools
):
    """Whatever batches they are run in, results go to who asked."""
    pool = make_pool(threads=threads, batch=batch)
    calls = [partial(pool.run, partial(pow, number, 2)) for number in range(300)]
    assert await gathered(calls) == [number**2 for number in range(300)]
    assert 1 <= len(threads_of_pools()) <= threads


@pytest.mark.asyncio
@pytest.mark.parametrize("batch", [1, 8])
async def test_one_thread_runs_calls_in_order(make_pool, batch):
    """What was asked first is done first."""
    pool, done = make_pool(batch=batch), []
    await gathered([partial(pool.run, partial(done.append, i)) for i in range(100)])
    assert done == list(range(100))


@pytest.mark.asyncio
async def test_no_thread_starts_before_there_is_work(make_pool, threads_of_pools):
    """A pool costs nothing until it is used."""
    pool = make_pool(threads=6)
    assert threads_of_pools() == []
    await pool.run(int)
    assert len(threads_of_pools()) == 1


@pytest.mark.asyncio
async def test_calls_run_at_the_same_time_in_as_many_threads(make_pool, make_gate):
    """As many calls as threads are under way together, and one more waits."""
    pool, gates = make_pool(threads=3), [make_gate(i) for i in range(4)]
    async with anyio.create_task_group() as tasks:
        for gate in gates:
            tasks.start_soon(pool.run, gate)
        for gate in gates[:3]:
            await gate.begun()
        assert not gates[3].entered.is_set()
        gates[0].open()
        await gates[3].begun()
        for gate in gates:
            gate.open()


@pytest.mark.asyncio
@pytest.mark.parametrize("error", [ValueError("planted"), KeyboardInterrupt()])
async def test_an_exception_goes_to_its_caller_alone(make_pool, error, make_gate):
    """A call that fails takes neither its batch nor its thread along."""
    pool, gate = make_pool(batch=8), make_gate(1)
    results = []

    def raise_it():
        raise error

    async def failing():
        with pytest.raises(type(error)) as caught:
            await pool.run(raise_it)
        assert caught.value is error
        results.append("failed")

    async def working(number):
        results.append(await pool.run(lambda: number))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pool.run, gate)
        await gate.begun()
        for each in (partial(working, 1), failing, partial(working, 2)):
            tasks.start_soon(each)
        await anyio.wait_all_tasks_blocked()
        gate.open()
    assert sorted(results, key=str) == [1, 2, "failed"]
    assert await pool.run(lambda: 3) == 3


@pytest.mark.asyncio
async def test_a_waiting_call_that_is_cancelled_never_runs(make_pool, make_gate):
    """It ends at once, though the thread is busy, and its call is dropped."""
    pool, gate, ran = make_pool(), make_gate(), []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pool.run, gate)
        await gate.begun()
        with anyio.CancelScope() as scope:
            scope.cancel()
            await pool.run(partial(ran.append, 1), discard=ran.append)
        assert scope.cancelled_caught
        gate.open()
    assert await pool.run(lambda: 2) == 2
    assert ran == []


@pytest.mark.asyncio
async def test_a_running_call_that_is_cancelled_is_waited_for(make_pool, make_gate):
    """Its result goes to the discard hook, off the loop, before the caller goes on."""
    pool, gate, seen = make_pool(), make_gate("held"), []

    def discard(result):
        seen.append((result, threading.current_thread() is threading.main_thread()))

    async def cancelled():
        with scope:
            await pool.run(gate, discard=discard)
        seen.append(scope.cancelled_caught)

    scope = anyio.CancelScope()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cancelled)
        await gate.begun()
        scope.cancel()
        await anyio.wait_all_tasks_blocked()
        assert seen == []
        gate.open()
    assert seen == [("held", False), True]


@pytest.mark.asyncio
async def test_a_running_call_that_fails_has_nothing_to_discard(make_pool, make_gate):
    """The hook gets results only."""
    pool, gate, discarded = make_pool(), make_gate(error=ValueError("planted")), []

    async def cancelled():
        with scope:
            await pool.run(gate, discard=discarded.append)

    scope = anyio.CancelScope()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cancelled)
        await gate.begun()
        scope.cancel()
        gate.open()
    assert scope.cancelled_caught
    assert (gate.ended, discarded) == (True, [])


@pytest.mark.asyncio
async def test_a_result_that_is_taken_is_not_discarded(make_pool):
    """The hook is for cancelled calls."""
    discarded = []
    assert await make_pool().run(lambda: "kept", discard=discarded.append) == "kept"
    assert discarded == []


@pytest.mark.asyncio
async def test_too_many_waiting_calls_are_refused(make_pool, monkeypatch, make_gate):
    """A bound on what waits keeps memory bounded; what was taken is done."""
    monkeypatch.setattr(_pool, "_MAX_WAITING", 3)
    pool, gate, done = make_pool(), make_gate(), []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pool.run, gate)
        await gate.begun()
        for number in range(3):
            tasks.start_soon(pool.run, partial(done.append, number))
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(AtCapacity):
            await pool.run(partial(done.append, "refused"))
        gate.open()
    assert done == [0, 1, 2]


async def squares(pool):
    calls = [partial(pool.run, partial(pow, number, 2)) for number in range(100)]
    assert await gathered(calls) == [number**2 for number in range(100)]


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", ["asyncio", "trio"])
async def test_a_pool_serves_loops_in_several_threads(make_pool, kind):
    """Results come home to the loop that asked, of either kind."""
    pool = make_pool(threads=2, batch=8)
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            run = partial(anyio.run, squares, pool, backend=kind)
            tasks.start_soon(to_thread.run_sync, run)
        tasks.start_soon(squares, pool)
