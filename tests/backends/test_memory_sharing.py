"""The lifetime of memory, and who shares it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from datetime import UTC, datetime

import anyio
import pytest

from coatcheck.abc import (
    Capability,
    PutInfo,
    Update,
    Upload,
    Write,
)
from coatcheck.backends._memory import MemoryBackend, MemoryStore
from coatcheck.errors import (
    AlreadyExists,
    Closed,
    ObjectNotFound,
    PreconditionFailed,
)

START = datetime(2026, 1, 1, tzinfo=UTC)


async def read(bucket, key, **conditions):
    async with bucket.get(key, **conditions) as reader:
        return await reader.read()


async def keys_of(bucket, prefix="", **options):
    found = []
    async with aclosing(bucket.scan(prefix, **options)) as pages:
        async for page in pages:
            found += [*(entry.key for entry in page.entries), *page.prefixes]
    return found


async def stream(*chunks):
    for chunk in chunks:
        yield chunk


async def two_parts(bucket, key="k", **options):
    upload = await bucket.initiate(key, **options)
    second = await bucket.put_part(upload, 7, stream(b"cd", b"e"), size=3)
    first = await bucket.put_part(upload, 2, b"ab", size=2)
    return upload, [first, second]


def test_capabilities_are_honest():
    """Memory signs no links and leaves expiry to its wrapper; it can all the rest."""
    bucket = MemoryBackend().bucket("b")
    missing = frozenset(Capability) - bucket.capabilities
    assert missing == {
        *(Capability.SIGN, Capability.EXPIRES, Capability.RESUME, Capability.BATCH)
    }
    assert bucket.limits.min_part == 1
    assert bucket.limits.max_parts == 10_000


@pytest.mark.asyncio
@pytest.mark.parametrize("opened", [False, True])
async def test_every_method_needs_an_open_backend(opened):
    """Before opening and after closing every method raises Closed."""
    backend = MemoryBackend()
    bucket = backend.bucket("b")
    if opened:
        async with backend:
            await bucket.put("k", b"x")
    upload = Upload(key="k", upload_id="u", started=START)
    for call in (
        backend.check(),
        bucket.put("k", b""),
        read(bucket, "k"),
        bucket.head("k"),
        bucket.delete("k"),
        bucket.delete_many(["k"]),
        keys_of(bucket),
        bucket.update_info("k", PutInfo(), if_match="e"),
        bucket.copy_from(bucket, "k", "copy"),
        bucket.initiate("k"),
        bucket.put_part(upload, 1, b"", size=0),
        anext(bucket.list_parts(upload)),
        bucket.complete(upload, []),
        bucket.abort(upload),
        anext(bucket.list_uploads()),
        bucket.sweep(),
    ):
        with pytest.raises(Closed):
            await call


@pytest.mark.asyncio
async def test_a_store_outlives_its_backends():
    """What one backend stored, another over the same store reads."""
    store = MemoryStore()
    async with MemoryBackend(store) as one:
        await one.check()
        await one.bucket("b").put("k", b"x")
    async with MemoryBackend(store) as two, MemoryBackend() as three:
        assert await read(two.bucket("b"), "k") == b"x"
        assert await keys_of(two.bucket("c")) == []
        with pytest.raises(ObjectNotFound):
            await three.bucket("b").head("k")


def test_threads_with_loops_of_their_own_share_a_store():
    """Of creates from several event loops one wins, and the count of bytes is right."""
    store = MemoryStore()

    async def create_all(number):
        won = 0
        async with MemoryBackend(store) as backend:
            bucket = backend.bucket("b")
            for key in range(200):
                try:
                    await bucket.put(str(key), b"x" * 3, mode=Write.CREATE)
                    won += 1
                except AlreadyExists:
                    await bucket.put(f"{number}-{key}", b"xy")
        return won

    with ThreadPoolExecutor(4) as threads:
        won = list(threads.map(lambda number: anyio.run(create_all, number), range(4)))
    assert sum(won) == 200
    assert store.used == 200 * 3 + 600 * 2


@pytest.mark.asyncio
async def test_compare_and_set_loses_no_increment():
    """Tasks that count by Update lose none of their steps."""
    async with MemoryBackend() as backend:
        bucket = backend.bucket("b")
        await bucket.put("k", b"0")

        async def count():
            for _ in range(10):
                while True:
                    async with bucket.get("k") as reader:
                        body = b"%d" % (int(await reader.read()) + 1)
                        mode = Update(reader.info.etag)
                    await anyio.lowlevel.checkpoint()
                    try:
                        await bucket.put("k", body, mode=mode)
                    except PreconditionFailed:
                        continue
                    break

        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(count)
        assert await read(bucket, "k") == b"50"


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_others_have_their_turn(loop):
    """A long run of operations lets every other task run, on either event loop."""

    async def scenario():
        ran = []

        async def other():
            ran.append(1)

        async with MemoryBackend() as backend, anyio.create_task_group() as tasks:
            bucket = backend.bucket("b")
            tasks.start_soon(other)
            # Twice the turn: trio may take this task first when both are ready.
            for _ in range(2 * 64):
                await bucket.put("k", b"")
            return list(ran)

    assert anyio.run(scenario, backend=loop) == [1]


def test_memory_runs_on_trio():
    """Streams, threads for large bodies, multipart and scans need no asyncio."""
    body = bytes(1_000_000)

    async def scenario():
        async with MemoryBackend() as backend:
            bucket = backend.bucket("b", "p/")
            await bucket.put("streamed", stream(body, body))
            await bucket.complete(*await two_parts(bucket, "joined"))
            whole = await read(bucket, "streamed")
            return await keys_of(bucket), whole == body * 2

    assert anyio.run(scenario, backend="trio") == (["joined", "streamed"], True)
