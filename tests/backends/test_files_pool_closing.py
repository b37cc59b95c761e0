"""How the threads of the filesystem backend end."""

from __future__ import annotations

import threading
from functools import partial

import anyio
import pytest
from anyio import to_thread

from coatcheck.backends._filesystem import _pool
from coatcheck.errors import Closed

pytestmark = pytest.mark.timeout(30)


@pytest.mark.asyncio
async def test_closing_waits_for_what_runs_and_what_waits(
    make_pool, make_gate, threads_of_pools
):
    """Work that was taken is done; then the threads end."""
    pool, gate, done = make_pool(), make_gate(), []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pool.run, gate)
        await gate.begun()
        tasks.start_soon(pool.run, partial(done.append, "waited"))

        async def close():
            await pool.aclose()
            assert pool.has_ended
            done.append("closed")

        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(close)
        await anyio.wait_all_tasks_blocked()
        assert done == []
        gate.open()
    assert done == ["waited", "closed"]
    for thread in threads_of_pools():
        await to_thread.run_sync(thread.join, 10)
    assert threads_of_pools() == []


@pytest.mark.asyncio
async def test_everybody_who_closes_waits(make_pool, make_gate):
    """Of two that close at once each comes back when the threads have ended."""
    pool, gate = make_pool(), make_gate()
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pool.run, gate)
            await gate.begun()
            tasks.start_soon(pool.aclose)
            tasks.start_soon(pool.aclose)
            await anyio.wait_all_tasks_blocked()
            gate.open()
    assert pool.has_ended


@pytest.mark.asyncio
@pytest.mark.parametrize("used", [False, True])
async def test_a_closed_pool_refuses_work(make_pool, used):
    """Whether it was used or not; closing again does nothing."""
    pool, ran = make_pool(), []
    if used:
        await pool.run(int)
    for _ in range(2):
        await pool.aclose()
        assert pool.has_ended
    with pytest.raises(Closed):
        await pool.run(partial(ran.append, 1))
    assert ran == []


@pytest.mark.asyncio
async def test_a_last_call_runs_in_any_case(make_pool):
    """Cleaning up is done under cancellation, and after the pool was closed."""
    pool, ran = make_pool(), []
    with anyio.CancelScope() as scope:
        scope.cancel()
        await pool.run_last(partial(ran.append, "cancelled"))
    await pool.aclose()
    await pool.run_last(partial(ran.append, "closed"))
    assert ran == ["cancelled", "closed"]


@pytest.mark.asyncio
async def test_closing_gives_a_hanging_thread_up(
    make_pool, monkeypatch, caplog, make_gate
):
    """A thread that hangs in a system call holds nobody's exit up for ever."""
    monkeypatch.setattr(_pool, "_PATIENCE", 0.01)
    pool, gate = make_pool(), make_gate()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pool.run, gate)
        await gate.begun()
        await pool.aclose()
        assert not pool.has_ended
        assert "hangs in a system call" in caplog.text
        gate.open()


@pytest.mark.asyncio
async def test_a_last_call_after_the_close_leaves_the_loop_alone(make_pool):
    """Cleaning up blocks, so it belongs into a thread even then."""
    pool, threads = make_pool(), []
    await pool.aclose()
    await pool.run_last(lambda: threads.append(threading.current_thread()))
    assert threading.current_thread() not in threads


@pytest.mark.asyncio
async def test_a_backend_that_closes_ends_its_threads(make_backend):
    """Neither readers nor writers outlive it."""
    before = set(threading.enumerate())
    async with make_backend() as backend:
        bucket = backend.bucket("jobs")
        await bucket.put("k", b"coat")
        await bucket.head("k")
        started = set(threading.enumerate()) - before
        names = {thread.name for thread in started}
        assert {"coatcheck-read", "coatcheck-write"} <= names
    ours = [each for each in started if each.name.startswith("coatcheck")]
    for thread in ours:
        await to_thread.run_sync(thread.join, 10)
    assert not any(thread.is_alive() for thread in ours)


@pytest.mark.asyncio
async def test_closing_lets_a_write_end(make_backend, calls, read):
    """A write that is on its way when the backend closes is whole or not at all."""
    entered, go_on = threading.Event(), threading.Event()

    def wait(*_):
        entered.set()
        assert go_on.wait(10)

    async with make_backend() as backend:
        calls.before("write", wait)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(backend.bucket("jobs").put, "k", b"coat")
            assert await to_thread.run_sync(entered.wait, 10)
            tasks.start_soon(backend.aclose)
            await anyio.wait_all_tasks_blocked()
            go_on.set()
    async with make_backend() as backend:
        assert await read(backend.bucket("jobs"), "k") == b"coat"
