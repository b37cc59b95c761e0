"""16 KiB to and from S3: 32 in flight, and one blocking caller."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from tests.benchmarks.clients import (
    AT_ONCE,
    Client,
    blocking_gets,
    blocking_puts,
    coatcheck_client,
    gets,
    puts,
)
from tests.benchmarks.workloads import BUCKET, REGION, Peer, Workload

from coatcheck import Config, S3Config, sync

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.benchmarks.workloads import Stage

# A call takes the slow ones a fifth of a second: a round is one wave, without warm-up.
SLOW = AT_ONCE


def s3_config(stage: Stage) -> Config:
    return Config(s3=S3Config(endpoint_url=stage.url, region=REGION))


def coatcheck_s3(stage: Stage):
    """Open a Coatcheck, with what is inline by default left on."""
    return coatcheck_client(s3_config(stage))


@contextmanager
def coatcheck_sync(stage: Stage) -> Iterator[Client]:
    """The blocking API, as a script uses it."""
    config = s3_config(stage)
    with sync.Coatcheck(config) as cc:
        yield Client(
            config=config,
            put=lambda name, body: cc.create(name, body, BUCKET),
            get=cc.retrieve,
            key_of=lambda stash: stash.address,
            content=lambda stash: stash.data,
        )


@asynccontextmanager
async def aioboto3_s3(stage: Stage) -> AsyncIterator[Client]:
    """One open client, with as many connections as ours."""
    import aioboto3
    from aiobotocore.config import AioConfig

    session = aioboto3.Session()
    config = AioConfig(max_pool_connections=50)
    async with session.client("s3", endpoint_url=stage.url, config=config) as client:

        async def put(name: str, body: bytes) -> str:
            await client.put_object(Bucket=BUCKET, Key=name, Body=body)
            return name

        async def get(key: str) -> bytes:
            response = await client.get_object(Bucket=BUCKET, Key=key)
            async with response["Body"] as body:
                return await body.read()

        yield Client(put=put, get=get)


@asynccontextmanager
async def obstore_s3(stage: Stage) -> AsyncIterator[Client]:
    """One store, `put_async` and `get_async`; no copy of the bytes into Python's."""
    from obstore.store import S3Store

    store = S3Store(
        BUCKET,
        endpoint=stage.url,
        region=REGION,
        access_key_id=os.environ["AWS_ACCESS_KEY_ID"],
        secret_access_key=os.environ["AWS_SECRET_ACCESS_KEY"],
        client_options={"allow_http": True},
    )

    async def put(name: str, body: bytes) -> str:
        await store.put_async(name, body)
        return name

    async def get(key: str):
        response = await store.get_async(key)
        return await response.bytes_async()

    yield Client(put=put, get=get, content=bytes)


@contextmanager
def kstash_s3(stage: Stage) -> Iterator[Client]:
    """Its two functions as its README calls them; it takes no client from outside."""
    import kstash

    yield Client(
        put=lambda name, body: kstash.create(name, body, namespace=BUCKET),
        get=kstash.retrieve,
        key_of=lambda stash: stash.address,
        content=lambda stash: stash.data,
    )


@asynccontextmanager
async def chuk_s3(stage: Stage) -> AsyncIterator[Client]:
    """One open store; the provider `s3`, since `vfs-s3` takes several times as long."""
    from chuk_artifacts import ArtifactStore
    from chuk_artifacts.config import configure_s3

    configure_s3(
        access_key=os.environ["AWS_ACCESS_KEY_ID"],
        secret_key=os.environ["AWS_SECRET_ACCESS_KEY"],
        bucket=BUCKET,
        endpoint_url=stage.url,
        region=REGION,
    )
    async with ArtifactStore() as store:
        session = await store.create_session()

        async def put(name: str, body: bytes) -> str:
            return await store.store(
                body,
                mime="application/octet-stream",
                summary=name,
                session_id=session,
            )

        yield Client(put=put, get=store.retrieve)


WORKLOADS = (
    Workload(
        name="s3.put.16k.c32",
        title="create 16 KiB, 32 in flight",
        ours=puts(coatcheck_s3),
        at_once=AT_ONCE,
        needs_s3=True,
        peers=(
            Peer(name="aioboto3", setup=puts(aioboto3_s3), goal=2.5),
            Peer(name="obstore", setup=puts(obstore_s3), goal=0.85, aim=1.0),
            Peer(
                name="kstash",
                setup=blocking_puts(kstash_s3),
                goal=100,
                ops=SLOW,
            ),
            Peer(name="chuk-artifacts", setup=puts(chuk_s3), goal=100, ops=SLOW),
        ),
    ),
    Workload(
        name="s3.get.16k.c32",
        title="retrieve 16 KiB, 32 in flight",
        ours=gets(coatcheck_s3),
        at_once=AT_ONCE,
        needs_s3=True,
        peers=(
            Peer(name="aioboto3", setup=gets(aioboto3_s3), goal=3.5),
            Peer(name="obstore", setup=gets(obstore_s3), goal=1.1, aim=1.3),
            Peer(
                name="kstash",
                setup=blocking_gets(kstash_s3, stored=SLOW),
                goal=100,
                ops=SLOW,
            ),
            Peer(
                name="chuk-artifacts",
                setup=gets(chuk_s3, stored=SLOW),
                goal=100,
                ops=SLOW,
            ),
        ),
    ),
    Workload(
        name="sync.s3.get.16k",
        title="retrieve 16 KiB, blocking, one caller",
        ours=blocking_gets(coatcheck_sync, stored=SLOW),
        needs_s3=True,
        peers=(
            Peer(name="kstash", setup=blocking_gets(kstash_s3, stored=SLOW), goal=20),
        ),
    ),
)
