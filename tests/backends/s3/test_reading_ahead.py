"""Large objects are read in parallel ranges, in order, within bounds."""

from __future__ import annotations

import asyncio
import math
import re

import anyio
import pytest
from tests.backends.scripted_host import answer

from coatcheck.backends._s3 import _ahead, _reads
from coatcheck.errors import BackendUnavailable, IntegrityError

pytestmark = pytest.mark.asyncio
PART = 64 * 1024
PARTS = 40
BODY = (
    b"".join(number.to_bytes(4, "big") for number in range(PART * PARTS // 4)) + b"end"
)
AHEAD = 5
"""Ranges beyond those that were read: one held back, one ready, three under way."""
TOLD = (("ETag", '"e"'), ("Last-Modified", "Thu, 26 Nov 2026 00:00:00 GMT"))


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    """Let what is large be small enough for a test."""
    monkeypatch.setattr(_ahead, "PART", PART)
    monkeypatch.setattr(_reads, "LARGE", 2 * PART)
    monkeypatch.setattr(_ahead, "JUDGED", 0)
    monkeypatch.setattr(_ahead, "FAST", math.inf)


class Store:
    """Keeps one object; counts the ranges that are asked for at once."""

    def __init__(self, host):
        self.etag = "e"
        self.failures = {}
        self.at_once = self.most = 0
        self.gate = None
        self.ranges = []
        host.script = self.script

    async def script(self, head, writer):
        found = re.search(r"(?im)^range: bytes=(\d+)-(\d+)", head)
        if not found:
            return answer(BODY, headers=TOLD)
        start, stop = int(found[1]), int(found[2]) + 1
        self.ranges.append(start)
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        if self.gate is not None:
            await self.gate.wait()
        await asyncio.sleep(0.001 * (start // PART % 3))
        self.at_once -= 1
        return self.told(head, start, stop, writer)

    def told(self, head, start, stop, writer):
        if f'if-match: "{self.etag}"' not in head.lower():
            return answer(
                b"<Error><Code>PreconditionFailed</Code></Error>", status="412 X"
            )
        whole = answer(
            BODY[start:stop],
            status="206 Partial Content",
            headers=(*TOLD, ("Content-Range", f"bytes {start}-{stop - 1}/{len(BODY)}")),
        )
        if self.failures.get(start // PART, 0):
            self.failures[start // PART] -= 1
            writer.write(whole[: len(whole) // 2])
            return None
        return whole


@pytest.fixture
def store(host):
    """The object behind the host."""
    return Store(host)


async def whole(bucket):
    async with bucket.get("k") as reader:
        return b"".join([chunk async for chunk in reader])


async def test_the_bytes_come_in_order(opened, store):
    """Ranges that overtake one another are handed on in order, a few at once."""
    async with opened() as bucket:
        assert await whole(bucket) == BODY
        assert bucket.s3._slots.value == 50
    assert sorted(store.ranges) == [PART * number for number in range(1, PARTS + 1)]
    assert 2 <= store.most <= 3


async def test_a_store_nearby_is_read_on_one_connection(
    opened, host, store, monkeypatch
):
    """Ranges cost, and several would not bring what comes at once any sooner."""
    monkeypatch.setattr(_ahead, "FAST", 1)
    async with opened() as bucket:
        assert await whole(bucket) == BODY
        assert bucket.s3._slots.value == 50
    assert store.ranges == []
    assert len(host.heads) == 1


@pytest.mark.parametrize("fast", [1, 3, PARTS - 2])
async def test_a_store_that_becomes_slow_is_read_by_ranges(
    opened, store, monkeypatch, fast
):
    """From a part beyond where it became slow, and nothing twice or not at all."""
    monkeypatch.setattr(_ahead, "FAST", 1)
    got = []
    async with opened() as bucket, bucket.get("k") as reader:
        async for chunk in reader:
            got.append(chunk)
            if sum(map(len, got)) >= fast * PART:
                monkeypatch.setattr(_ahead, "FAST", math.inf)
    assert b"".join(got) == BODY
    assert len(set(store.ranges)) == len(store.ranges)
    assert all(start >= fast * PART for start in store.ranges)


async def test_a_small_object_is_one_request(opened, host, store, monkeypatch):
    """Below the bound nothing is read ahead."""
    monkeypatch.setattr(_reads, "LARGE", len(BODY) + 1)
    async with opened() as bucket:
        assert await whole(bucket) == BODY
    assert len(host.heads) == 1


async def test_a_pool_of_one_is_enough(opened, store):
    """Without free connections the ranges use the reader's own, one by one."""
    async with opened(max_pool_connections=1) as bucket:
        with anyio.fail_after(20):
            assert await whole(bucket) == BODY
        assert bucket.s3._slots.value == 1
    assert store.most == 1


async def test_a_range_that_breaks_off_is_gone_on_with(opened, store):
    """Each range is retried by itself, from where it broke off."""
    store.failures = {2: 2, 7: 1}
    async with opened() as bucket:
        assert await whole(bucket) == BODY
    assert store.failures == {2: 0, 7: 0}


async def test_a_range_that_never_comes_fails_the_read(opened, store):
    """After some attempts the read fails, and every connection is free again."""
    store.failures = dict.fromkeys(range(PARTS + 1), 1000)
    async with opened() as bucket:
        with pytest.raises(BackendUnavailable, match="again and again"):
            await whole(bucket)
        assert bucket.s3._slots.value == 50


async def test_another_generation_is_not_mixed_in(opened, store):
    """An object that is replaced while it is read is damaged, and not half of each."""
    async with opened() as bucket, bucket.get("k") as reader:
        await reader.read(10)
        store.etag = "f"
        with pytest.raises(IntegrityError, match="replaced or deleted"):
            await reader.read()


@pytest.mark.parametrize("chunks", [0, 1, 2, 5])
async def test_leaving_early_leaves_nothing(opened, store, chunks):
    """Whoever leaves stops the ranges under way, and their connections are free."""
    async with opened() as bucket:
        before = asyncio.all_tasks()
        async with bucket.get("k") as reader:
            for _ in range(chunks):
                await anext(reader)
        assert bucket.s3._slots.value == 50
        left = [
            task for task in asyncio.all_tasks() - before if "_serve" not in repr(task)
        ]
        assert left == []
        assert len(store.ranges) <= (chunks + AHEAD if chunks else 0)


async def test_a_reader_that_stands_still_is_not_run_ahead_of(opened, store):
    """No more is fetched than a few ranges, however long the reader waits."""
    async with opened() as bucket, bucket.get("k") as reader:
        for _ in range(3):
            await anext(reader)
        for _ in range(50):
            await asyncio.sleep(0.002)
        assert len(store.ranges) <= 3 + AHEAD


async def test_a_cancelled_step_spares_the_range(opened, store):
    """A deadline within a read does not break it: the next step gets the chunk."""
    async with opened() as bucket, bucket.get("k") as reader:
        got = await reader.read(PART)
        store.gate = asyncio.Event()
        with anyio.move_on_after(0.05):
            while True:
                got += await anext(reader)
        store.gate.set()
        got += await reader.read()
    assert got == BODY


async def test_cancelling_the_reader_leaves_nothing(opened, host, store):
    """A task that is cancelled in the middle gives every connection back."""
    async with opened() as bucket:
        store.gate = asyncio.Event()
        task = asyncio.create_task(whole(bucket))
        await host.until(lambda _: store.ranges)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert bucket.s3._slots.value == 50
        store.gate.set()
