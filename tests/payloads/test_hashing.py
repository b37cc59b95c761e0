"""The digest of a stream, made in threads while the stream goes on."""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from functools import partial

import anyio
import pytest
from anyio import to_thread

from coatcheck._core.digests import DigestAlgorithm
from coatcheck.payloads import _hashing
from coatcheck.payloads._hashing import StreamDigest
from coatcheck.payloads._threads import in_thread

pytestmark = pytest.mark.timeout(60)
MIB = 1024 * 1024
SHA256 = DigestAlgorithm.SHA256


def chunks_of(total, size):
    body = os.urandom(total)
    return body, [body[at : at + size] for at in range(0, total, size)]


async def digested(chunks, expected):
    digest = StreamDigest(SHA256, expected)
    for chunk in chunks:
        await digest.take(chunk)
    return await digest.is_as_expected()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("total", "size"),
    [(0, 1), (1, 1), (70_000, 70_000), (3 * MIB, 1000), (9 * MIB, MIB), (20 * MIB, 3)],
)
async def test_the_digest_is_that_of_all_chunks_in_order(total, size):
    """Whichever thread hashed which of them."""
    body, chunks = chunks_of(total, max(size, 1) if size > 3 else MIB // 3)
    assert await digested(chunks, hashlib.sha256(body).hexdigest())
    assert not await digested([*chunks, b"x"], hashlib.sha256(body).hexdigest())
    if len(chunks) > 1:
        turned = [chunks[1], chunks[0], *chunks[2:]]
        assert not await digested(turned, hashlib.sha256(body).hexdigest())


@pytest.mark.asyncio
async def test_several_streams_share_the_threads():
    """More streams than threads: each gets its own digest."""
    streams = [chunks_of(6 * MIB, 200_000) for _ in range(6)]
    results = await asyncio.gather(
        *(
            digested(chunks, hashlib.sha256(body).hexdigest())
            for body, chunks in streams
        )
    )
    assert results == [True] * 6


class Held:
    """A hasher that waits until it may go on."""

    def __init__(self):
        self.inner = hashlib.sha256()
        self.open = threading.Event()
        self.entered = threading.Event()

    def update(self, chunk):
        self.entered.set()
        assert self.open.wait(30)
        self.inner.update(chunk)

    def hexdigest(self):
        return self.inner.hexdigest()


@pytest.fixture
def held(monkeypatch):
    """The hasher of the next digest."""
    hasher = Held()
    monkeypatch.setattr(_hashing, "hasher", lambda _: hasher)
    yield hasher
    hasher.open.set()


@pytest.mark.asyncio
async def test_a_stream_runs_only_so_far_ahead(held):
    """What waits to be hashed is bounded, and so is what is held of it."""
    digest = StreamDigest(SHA256, "")
    taken = 0

    async def take():
        nonlocal taken
        for _ in range(50):
            await digest.take(bytes(MIB))
            taken += 1

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(take())
        assert await to_thread.run_sync(held.entered.wait, 30)
        for _ in range(100):
            await asyncio.sleep(0.001)
        assert taken * MIB <= _hashing._MOST_BEHIND
        held.open.set()
    assert taken == 50


@pytest.mark.asyncio
async def test_nothing_is_lost_when_waiting_is_cancelled(held):
    """The chunk was taken; hashing goes on where it was."""
    body, chunks = chunks_of(8 * MIB, MIB)
    digest = StreamDigest(SHA256, hashlib.sha256(body).hexdigest())
    for number, chunk in enumerate(chunks):
        task = asyncio.ensure_future(digest.take(chunk))
        if number == 4:
            await asyncio.sleep(0.01)
            assert not task.done()
            task.cancel()
            held.open.set()
            with pytest.raises(asyncio.CancelledError):
                await task
        else:
            await task
    assert await digest.is_as_expected()


@pytest.mark.asyncio
async def test_threads_end_when_there_is_nothing_to_do():
    """They are there while there is work."""
    body, chunks = chunks_of(5 * MIB, MIB)
    assert await digested(chunks, hashlib.sha256(body).hexdigest())
    with anyio.fail_after(10):
        while any(  # noqa: ASYNC110  # they end by themselves
            "coatcheck-hash" in each.name for each in threading.enumerate()
        ):
            await anyio.sleep(0.01)


@pytest.mark.asyncio
async def test_without_a_thread_the_digest_is_made_all_the_same(monkeypatch):
    """When the machine gives no thread for it, who asks for the digest makes it."""

    class Refused(threading.Thread):
        def start(self):
            if self.name.startswith("coatcheck-hash"):
                raise RuntimeError("can't start new thread")
            super().start()

    await in_thread(int)
    monkeypatch.setattr(_hashing.threading, "Thread", Refused)
    body, chunks = chunks_of(9 * MIB, MIB)
    assert await digested(chunks, hashlib.sha256(body).hexdigest())


def in_child(body, chunks, results):
    results.put(asyncio.run(digested(chunks, hashlib.sha256(body).hexdigest())))


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_a_forked_child_has_threads_of_its_own():
    """It does not wait for those of its parent, which it does not have."""
    import multiprocessing

    body, chunks = chunks_of(9 * MIB, MIB)
    assert asyncio.run(digested(chunks, hashlib.sha256(body).hexdigest()))
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    child = context.Process(target=partial(in_child, body, chunks, results))
    child.start()
    child.join(30)
    assert child.exitcode == 0
    assert results.get() is True
