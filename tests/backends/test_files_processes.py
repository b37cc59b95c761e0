"""One root shared by real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from datetime import timedelta

import pytest
from anyio import to_thread

from coatcheck.abc import Update
from coatcheck.errors import Outcome, PreconditionFailed, Timeout

PRELUDE = """
import asyncio, json, os, sys
from datetime import timedelta
from coatcheck.abc import Update, Write
from coatcheck.backends._filesystem import FilesystemBackend
from coatcheck.errors import *

root, number = sys.argv[1], int(sys.argv[2])

def ready():
    # The parent lets all of them go at the same time.
    print("ready", flush=True)
    return sys.stdin.readline()

async def read(bucket, key):
    async with bucket.get(key) as reader:
        return await reader.read(), reader.info.etag
"""
RUN = """
async def opened():
    async with FilesystemBackend(root, durable=False) as backend:
        return await main(backend.bucket("jobs"))

print(json.dumps(asyncio.run(opened())), flush=True)
"""


class Workers:
    """Processes that run one programme and start on one signal."""

    def __init__(self, root):
        self._root = root
        self._running = []

    def start(self, programme, number):
        source = PRELUDE + programme + RUN
        for each in range(number):
            process = subprocess.Popen(
                [sys.executable, "-c", source, str(self._root), str(each)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            self._running.append(process)
        for process in self._running:
            assert process.stdout.readline() == "ready\n"
        return self._running

    def go(self):
        for process in self._running:
            process.stdin.write("go\n")
            process.stdin.flush()

    def results(self):
        results = [
            json.loads(process.communicate(timeout=60)[0]) for process in self._running
        ]
        assert {process.returncode for process in self._running} == {0}
        self._running.clear()
        return results

    def race(self, programme, number):
        self.start(programme, number)
        self.go()
        return self.results()

    def end(self):
        for process in self._running:
            process.kill()
            process.communicate()


@pytest.fixture
def workers(root):
    started = Workers(root)
    yield started
    started.end()


CREATE = """
async def main(bucket):
    ready()
    won = []
    for key in range(20):
        try:
            await bucket.put(f"k/{key}", str(number).encode(), mode=Write.CREATE)
        except AlreadyExists:
            continue
        won.append(key)
    return won
"""


@pytest.mark.asyncio
async def test_a_create_has_one_winner_of_eight(bucket, workers, read):
    """Of eight processes that create a key, one succeeds, and its bytes stand."""
    results = await to_thread.run_sync(workers.race, CREATE, 8)
    winners = Counter(key for won in results for key in won)
    assert winners == dict.fromkeys(range(20), 1)
    for number, won in enumerate(results):
        for key in won:
            assert await read(bucket, f"k/{key}") == str(number).encode()


COUNT = """
async def main(bucket):
    ready()
    tries = 0
    for _ in range(25):
        while True:
            tries += 1
            body, etag = await read(bucket, "counter")
            try:
                await bucket.put("counter", b"%d" % (int(body) + 1), mode=Update(etag))
            except PreconditionFailed:
                continue
            break
    return tries
"""


@pytest.mark.asyncio
async def test_compare_and_set_loses_no_update(bucket, workers, read):
    """Four processes count to a hundred together."""
    await bucket.put("counter", b"0")
    tries = await to_thread.run_sync(workers.race, COUNT, 4)
    assert await read(bucket, "counter") == b"100"
    assert sum(tries) >= 100


DELETE_IF = """
async def main(bucket):
    etag = (await bucket.head("k")).etag
    ready()
    try:
        await bucket.delete("k", if_match=etag)
        await bucket.put("k", b"after %d" % number, mode=Write.CREATE)
    except (PreconditionFailed, AlreadyExists):
        return False
    return True
"""


@pytest.mark.asyncio
async def test_a_conditional_delete_removes_its_own_object_only(bucket, workers, read):
    """Who deletes by the first ETag never removes what was written since."""
    await bucket.put("k", b"first")
    results = await to_thread.run_sync(workers.race, DELETE_IF, 6)
    assert results.count(True) == 1
    assert await read(bucket, "k") == b"after %d" % results.index(True)


MIXED = """
async def main(bucket):
    ready()
    torn = 0
    for turn in range(40):
        await bucket.put("k", bytes([number]) * (1 + 997 * turn))
        try:
            body, _ = await read(bucket, "k")
        except ObjectNotFound:
            continue
        torn += len(set(body)) != 1
        if turn % 8 == 7:
            await bucket.delete("k")
    return torn
"""


@pytest.mark.asyncio
async def test_no_reader_sees_a_torn_object(bucket, workers, files):
    """Overwriting, reading and deleting together, every read is of one write."""
    assert await to_thread.run_sync(workers.race, MIXED, 4) == [0] * 4
    assert files.litter() == []


HOLD = """
async def main(bucket):
    await bucket.put("k", b"held")
    with bucket.files.disk.locks.held("jobs", "k"):
        ready()
    return None
"""


@pytest.mark.asyncio
async def test_a_lock_held_elsewhere_ends_in_timeout(make_backend, workers, read):
    """Changing waits for `lock_timeout` and no longer; reading does not wait."""
    await to_thread.run_sync(workers.start, HOLD, 1)
    async with make_backend(lock_timeout=timedelta(milliseconds=50)) as backend:
        bucket = backend.bucket("jobs")
        etag = (await bucket.head("k")).etag
        for change in (
            lambda: bucket.put("k", b"new"),
            lambda: bucket.put("k", b"new", mode=Update(etag)),
            lambda: bucket.delete("k"),
        ):
            with pytest.raises(Timeout, match="is locked by somebody else") as caught:
                await change()
            assert caught.value.outcome is Outcome.NOT_APPLIED
            assert caught.value.retryable
        assert await read(bucket, "k") == b"held"
        workers.go()
        await to_thread.run_sync(workers.results)
        await bucket.put("k", b"new")
        assert await read(bucket, "k") == b"new"


@pytest.mark.asyncio
async def test_a_killed_process_blocks_nobody(make_backend, workers, read):
    """The kernel releases the locks of who died."""
    (holder,) = await to_thread.run_sync(workers.start, HOLD, 1)
    holder.send_signal(signal.SIGKILL)
    await to_thread.run_sync(holder.wait)
    async with make_backend(lock_timeout=timedelta(milliseconds=50)) as backend:
        bucket = backend.bucket("jobs")
        await bucket.put("k", b"new")
        assert await read(bucket, "k") == b"new"


@pytest.mark.asyncio
async def test_a_waiter_goes_on_when_the_holder_dies(bucket, workers, calls, read):
    """Who waits for the lock gets it, without waiting for its timeout."""
    (holder,) = await to_thread.run_sync(workers.start, HOLD, 1)
    calls.before("pause", lambda _: os.kill(holder.pid, signal.SIGKILL), nth=3)
    await bucket.put("k", b"new")
    assert await read(bucket, "k") == b"new"
    assert calls.counts["pause"] >= 3


UNFINISHED = """
async def main(bucket):
    upload = await bucket.initiate("k")
    await bucket.put_part(upload, 1, b"part", size=4)
    async def body():
        yield b"x" * 100_000
        ready()
    await bucket.put("k", body())
"""


@pytest.mark.asyncio
async def test_a_writer_killed_in_its_body_leaves_no_object(
    bucket, workers, files, list_all
):
    """Nothing of it shows, and a sweep takes what stays of it."""
    (writer,) = await to_thread.run_sync(workers.start, UNFINISHED, 1)
    writer.kill()
    await to_thread.run_sync(writer.wait)
    assert await list_all(bucket) == []
    assert files.litter() == []
    assert (await bucket.sweep()).uploads == 0
    assert (await bucket.sweep(older_than=timedelta(0))).uploads == 1
    assert list(files.uploads().iterdir()) == []


@pytest.mark.asyncio
async def test_a_writer_that_lost_its_object_says_so(bucket):
    """An ETag of an object that is gone is a failed precondition."""
    etag = (await bucket.put("k", b"one")).etag
    await bucket.delete("k")
    with pytest.raises(PreconditionFailed):
        await bucket.put("k", b"two", mode=Update(etag))
