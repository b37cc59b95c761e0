"""One thread does the files' work while the disk answers; when it does not, all do."""

from __future__ import annotations

import threading
import time
from functools import partial

import anyio
import anyio.lowlevel
import pytest

from coatcheck.backends._filesystem import _pool

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(30)]
PATIENCE = 0.01


class Work:
    """Calls that tell which threads made them, and how many were under way at once."""

    def __init__(self):
        self.threads = []
        self.at_once = self.most = 0

    def __call__(self):
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        # Whoever else works may go on here.
        time.sleep(0)
        self.threads.append(threading.get_ident())
        self.at_once -= 1


@pytest.fixture
def pool(make_pool):
    """A pool of some threads that are patient with one another."""
    return make_pool(threads=4, batch=8, patience=PATIENCE)


async def until(reached):
    with anyio.fail_after(10):
        while not reached():  # noqa: ASYNC110  # threads set no event of a loop
            await anyio.sleep(0.001)


async def together(*calls):
    async with anyio.create_task_group() as tasks:
        for call in calls:
            tasks.start_soon(call)


async def test_one_thread_does_short_work(make_pool, threads_of_pools):
    """While it gets on nobody helps; a second thread only watches."""
    pool, work = make_pool(threads=4, batch=8, patience=20), Work()
    for _ in range(20):
        await together(*[partial(pool.run, work)] * 50)
    assert len(work.threads) == 20 * 50
    assert work.most == 1
    assert len(threads_of_pools()) == 2


async def test_what_waits_is_done_when_a_call_takes_long(pool, make_gate):
    """A disk that hangs in one call holds up no other for longer than the patience."""
    gate, work = make_gate(), Work()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pool.run, gate)
        await gate.begun()
        with anyio.fail_after(10):
            await together(*[partial(pool.run, work)] * 20)
        assert not gate.ended
        gate.open()
    assert len(work.threads) == 20


async def test_as_many_calls_are_under_way_as_there_are_threads(pool, make_gate):
    """Slow calls wait beside one another, up to all threads."""
    gates = [make_gate() for _ in range(4)]
    async with anyio.create_task_group() as tasks:
        for gate in gates:
            tasks.start_soon(pool.run, gate)
        for gate in gates:
            await gate.begun()
        for gate in gates:
            gate.open()


async def test_what_is_done_is_told_while_its_neighbours_hang(pool, make_gate):
    """Results of one batch do not wait for the slowest of it, nor for a free thread."""
    gates, done = [make_gate() for _ in range(5)], []

    async def quick(number):
        done.append(await pool.run(lambda: number))

    async with anyio.create_task_group() as tasks:
        for number in range(3):
            tasks.start_soon(quick, number)
        for gate in gates:
            tasks.start_soon(pool.run, gate)
        await until(lambda: len(done) == 3)
        await until(lambda: pool._working == 4)
        for gate in gates:
            gate.open()
    assert sorted(done) == [0, 1, 2]


async def test_a_disk_counts_as_slow_for_a_while_only(pool, make_gate, monkeypatch):
    """When it answers again, one thread is enough again."""
    monkeypatch.setattr(_pool, "_SLOW", 0.05)
    gate = make_gate()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pool.run, gate)
        await gate.begun()
        await pool.run(int)
        gate.open()
    await anyio.sleep(0.1)
    assert pool._is_patient()
    work = Work()
    await together(*[partial(pool.run, work)] * 200)
    assert max(map(work.threads.count, set(work.threads))) >= 100


async def test_nobody_watches_where_nothing_is_done(pool, make_gate, monkeypatch):
    """A pool that rests costs no wake-ups, and one that hangs later is still helped."""
    monkeypatch.setattr(_pool, "_DOZE", 0.01)
    for _ in range(2):
        await pool.run(int)
        await until(lambda: pool._dozing)
        gate = make_gate()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pool.run, gate)
            await gate.begun()
            with anyio.fail_after(10):
                assert await pool.run(lambda: 2) == 2
            gate.open()
        pool._slow_until = 0


async def test_a_busy_interpreter_is_no_slow_disk(make_pool):
    """Calls that wait for the interpreter, as all threads do, call nobody to help."""
    pool = make_pool(threads=4, batch=8, patience=0.1)
    await pool.run(int)
    end = time.monotonic() + 0.5

    async def hog():
        while time.monotonic() < end:
            sum(range(200_000))
            await anyio.lowlevel.checkpoint()

    work = Work()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hog)
        while time.monotonic() < end:
            await pool.run(work)
    assert work.most == 1
    assert pool._slow_until == 0


async def test_closing_does_what_waits(make_pool, make_gate):
    """Also behind a call that hangs; nobody is patient any more."""
    pool = make_pool(threads=4, batch=8, patience=20)
    gate, done = make_gate(), []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pool.run, gate)
        await gate.begun()
        for number in range(20):
            tasks.start_soon(pool.run, partial(done.append, number))
        await anyio.wait_all_tasks_blocked()
        await until(lambda: pool._watched)
        tasks.start_soon(pool.aclose)
        await until(lambda: len(done) == 20)
        assert not gate.ended
        gate.open()
    assert pool.has_ended


@pytest.mark.parametrize("hanging", [0, 1])
async def test_closing_ends_who_works_and_who_watches(
    make_pool, make_gate, hanging, threads_of_pools
):
    """All threads end, the one that watches or dozes too."""
    pool = make_pool(threads=4, batch=8, patience=PATIENCE)
    gates = [make_gate() for _ in range(hanging)]
    async with anyio.create_task_group() as tasks:
        for gate in gates:
            tasks.start_soon(pool.run, gate)
            await gate.begun()
        await pool.run(int)
        tasks.start_soon(pool.aclose)
        await anyio.wait_all_tasks_blocked()
        for gate in gates:
            gate.open()
    assert pool.has_ended
    for thread in threads_of_pools():
        await anyio.to_thread.run_sync(thread.join, 10)
    assert threads_of_pools() == []
