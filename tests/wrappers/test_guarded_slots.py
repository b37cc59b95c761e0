"""Slots that calls share, and the events that tell of calls."""

from __future__ import annotations

import logging
from contextlib import aclosing
from datetime import timedelta

import anyio
import pytest

from coatcheck._core.expiry import TimeToIdle
from coatcheck.abc import PutInfo
from coatcheck.backends._memory import MemoryBackend
from coatcheck.errors import ErrorKind, ObjectNotFound, Timeout
from coatcheck.wrappers import Guard, expiring, expiring_info

SOON = timedelta(milliseconds=50)
NEVER = timedelta(hours=1)
# No test waits so long: it is what keeps a failing one from hanging.
PATIENCE = 10


async def read(bucket, key):
    async with bucket.get(key) as reader:
        return await reader.read()


async def exhaust(items):
    return [item async for item in items]


async def stream(*chunks):
    for chunk in chunks:
        yield chunk


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_no_more_calls_run_than_allowed(loop, guarded, hanging):
    """Of many calls only as many run as there are slots."""

    async def scenario():
        async with MemoryBackend() as backend:
            inner = hanging(backend.bucket("b"), "head")
            bucket = guarded(inner, timeout=NEVER, concurrency=2)
            async with anyio.create_task_group() as tasks:
                for _ in range(5):
                    tasks.start_soon(bucket.head, "k")
                await anyio.wait_all_tasks_blocked()
                running = inner.running
                tasks.cancel_scope.cancel()
            return running, inner.running

    assert anyio.run(scenario, backend=loop) == (2, 0)


@pytest.mark.asyncio
async def test_one_guard_is_one_limit_for_all_its_buckets(backend, waiting):
    """Buckets around which the same guard stands share its slots."""
    async with backend:
        guard = Guard(total_timeout=SOON, concurrency=1)
        one = guard.around(waiting(backend.bucket("a")))
        two = guard.around(waiting(backend.bucket("b")))
        await one.put("k", b"x")
        async with one.get("k"), anyio.create_task_group() as tasks:

            async def look():
                with pytest.raises(Timeout):
                    await two.put("k", b"x")

            tasks.start_soon(look)
        with pytest.raises(ObjectNotFound):
            await two.head("k")


@pytest.mark.asyncio
async def test_a_read_holds_its_slot_to_its_end(backend, waiting, guarded):
    """While a read is open its slot is taken, and after it it is free."""
    async with backend:
        bucket = guarded(waiting(backend.bucket("b")))
        await bucket.put("k", b"x")
        async with bucket.get("k"), anyio.create_task_group() as tasks:

            async def look():
                with pytest.raises(Timeout):
                    await bucket.head("k")

            tasks.start_soon(look)
        assert (await bucket.head("k")).size == 1


@pytest.mark.asyncio
@pytest.mark.parametrize("waits", [True, False])
async def test_a_cancelled_call_gives_its_slot_back(backend, waits, guarded, hanging):
    """A caller that is cancelled in the queue or in the call leaves no slot taken."""
    async with backend:
        inner = hanging(backend.bucket("b"), "head")
        await inner.put("k", b"x")
        bucket = guarded(inner, timeout=NEVER)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bucket.head, "k")
            if waits:
                tasks.start_soon(bucket.head, "k")
                tasks.start_soon(read, bucket, "k")
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
        inner.hangs.clear()
        with anyio.fail_after(PATIENCE):
            assert await read(bucket, "k") == b"x"


@pytest.mark.asyncio
async def test_a_failed_entry_gives_its_slot_back(backend, waiting, guarded):
    """A read that finds nothing leaves no slot taken."""
    async with backend:
        bucket = guarded(waiting(backend.bucket("b")))
        for _ in range(3):
            with pytest.raises(ObjectNotFound):
                await read(bucket, "k")


@pytest.mark.asyncio
async def test_a_scan_holds_no_slot_between_pages(backend, waiting, guarded):
    """While a page is looked at, other calls find the slot free."""
    async with backend:
        bucket = guarded(waiting(backend.bucket("b")))
        for number in range(1001):
            await backend.bucket("b").put(str(number), b"", info=PutInfo(pinned=True))
        async with aclosing(bucket.scan()) as pages:
            async for page in pages:
                await bucket.delete(page.entries[0].key)
        assert sum([len(page.entries) async for page in bucket.scan()]) == 999


@pytest.mark.asyncio
async def test_a_stream_that_waits_for_a_slot_has_a_deadline(backend, waiting, guarded):
    """The wait for a slot counts for a body that flows, too."""
    async with backend:
        bucket = guarded(waiting(backend.bucket("b")))
        await bucket.put("k", b"x")
        with anyio.move_on_after(1) as hung:
            async with bucket.get("k"):
                with pytest.raises(Timeout):
                    await bucket.put("other", stream(b"x"))
        assert not hung.cancelled_caught


@pytest.mark.asyncio
async def test_a_renewal_needs_no_slot_besides_its_reads(
    backend, clock, waiting, guarded
):
    """When every slot is held by a read that is due to renew, renewals go through."""
    events = []
    async with backend:
        bucket = expiring(
            guarded(waiting(backend.bucket("b")), concurrency=1), observer=events.append
        )
        idle = TimeToIdle(timedelta(seconds=100))
        await bucket.put("k", b"x", info=expiring_info(PutInfo(), idle, clock()))
        clock.advance(60)
        assert await read(bucket, "k") == b"x"
        assert events == []
        assert (await bucket.head("k")).deadline == clock() + idle.duration


@pytest.mark.asyncio
async def test_what_is_immediate_has_no_deadline_and_no_limit(backend, guarded):
    """Memory is never refused: neither by the clock nor for want of a slot."""
    async with backend:
        bucket = guarded(backend.bucket("b"), timeout=timedelta(microseconds=1))
        await bucket.put("k", b"x" * 2_000_000)
        async with bucket.get("k") as one, bucket.get("k") as two:
            await bucket.put("other", stream(b"x" * 1000))
            assert await one.read() == await two.read()


@pytest.mark.asyncio
@pytest.mark.parametrize("immediate", [True, False])
async def test_events_tell_what_happened(backend, waiting, immediate, guarded):
    """Every operation is told once, with its key, duration and kind of error."""
    events = []
    async with backend:
        inner = backend.bucket("b")
        bucket = guarded(inner if immediate else waiting(inner), observer=events.append)
        await bucket.put("k", b"x")
        await bucket.put("k", stream(b"x"))
        await read(bucket, "k")
        with pytest.raises(ObjectNotFound):
            await bucket.head("none")
        with pytest.raises(ObjectNotFound):
            await read(bucket, "none")
        await bucket.delete("k")
    assert [(event.name, event.key, event.error) for event in events] == [
        ("put", "k", None),
        ("put", "k", None),
        ("get", "k", None),
        ("head", "none", ErrorKind.OBJECT_NOT_FOUND),
        ("get", "none", ErrorKind.OBJECT_NOT_FOUND),
        ("delete", "k", None),
    ]
    assert {(event.backend, event.bucket) for event in events} == {("mem", "b")}
    assert all(event.duration >= timedelta(0) for event in events)


@pytest.mark.asyncio
async def test_a_timeout_is_told(backend, guarded, hanging):
    """A call that ran out of time is told with that kind."""
    events = []
    async with backend:
        bucket = guarded(hanging(backend.bucket("b"), "head"), observer=events.append)
        with pytest.raises(Timeout):
            await bucket.head("k")
    assert [event.error for event in events] == [ErrorKind.TIMEOUT]


@pytest.mark.asyncio
async def test_an_observer_that_fails_breaks_nothing(backend, caplog, guarded):
    """What an observer raises is logged and goes no further."""

    def broken(event):
        raise RuntimeError(event.name)

    async with backend:
        bucket = guarded(backend.bucket("b"), observer=broken)
        with caplog.at_level(logging.ERROR, "coatcheck.observer"):
            await bucket.put("k", b"x")
        assert await read(bucket, "k") == b"x"
    assert "put" in caplog.text
