"""256 MiB to and from S3, as one stream in constant memory."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
from tests.benchmarks.families.s3_small import s3_config
from tests.benchmarks.workloads import BUCKET, MIB, REGION, Loop, Peer, Workload

from coatcheck import Coatcheck, Config

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from tests.benchmarks.workloads import Setup, Stage


SIZE = 256 * MIB
WARM_UP = b"warm" * 1000


@dataclass(frozen=True, kw_only=True)
class Streams:
    """What a store's own loop calls for bytes that are too many to hold."""

    put: Callable[[str, Path], Any]
    """Stores a file; returns a key."""
    get: Callable[[Any], AsyncGenerator[Any]]
    """Yields an object's chunks, by its key."""
    config: Config | None = None


def stream_puts(
    streams_of: Callable[[Stage], AbstractAsyncContextManager[Streams]],
) -> Setup:
    """Send a file, which lies in the page cache, under a new name each time."""
    return partial(_puts, streams_of)


def stream_gets(
    streams_of: Callable[[Stage], AbstractAsyncContextManager[Streams]],
) -> Setup:
    """Read an object to its end and let the chunks go; ours verifies them too."""
    return partial(_gets, streams_of)


async def make_source(stage: Stage) -> None:
    await anyio.to_thread.run_sync(_write_source, source_of(stage))


def source_of(stage: Stage) -> Path:
    return stage.path / "stream.bin"


def _write_source(path: Path) -> None:
    with path.open("wb") as file:
        for _ in range(SIZE // MIB):
            file.write(os.urandom(MIB))


@asynccontextmanager
async def _puts(streams_of, stage: Stage) -> AsyncIterator[Loop]:
    source, numbers = source_of(stage), count()
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    async with streams_of(stage) as streams:
        await warm_up(streams, stage)

        async def is_right(_job, key) -> bool:
            return await digest_of(streams.get(key)) == digest

        yield Loop(
            config=streams.config,
            jobs=lambda wanted: [
                f"{streams_of.__name__}-{number}" for number in islice(numbers, wanted)
            ],
            operate=lambda name: streams.put(name, source),
            is_right=is_right,
        )


@asynccontextmanager
async def _gets(streams_of, stage: Stage) -> AsyncIterator[Loop]:
    source = source_of(stage)
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    async with streams_of(stage) as streams:
        await warm_up(streams, stage)
        stored = await streams.put(streams_of.__name__, source)

        async def read(key) -> int:
            size = 0
            async for chunk in streams.get(key):
                size += len(chunk)
            return size

        async def is_right(key, size) -> bool:
            return size == SIZE and await digest_of(streams.get(key)) == digest

        yield Loop(
            config=streams.config,
            jobs=lambda wanted: [stored] * wanted,
            operate=read,
            is_right=is_right,
        )


async def warm_up(streams: Streams, stage: Stage) -> None:
    """Open connections with something small."""
    small = stage.path / "small.bin"
    small.write_bytes(WARM_UP)
    key = await streams.put("small", small)
    found = b"".join([bytes(chunk) async for chunk in streams.get(key)])
    if found != WARM_UP:
        raise RuntimeError("a small stream did not come back")


async def digest_of(chunks: AsyncGenerator[Any]) -> str:
    digest = hashlib.sha256()
    async for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


@asynccontextmanager
async def coatcheck_streams(stage: Stage) -> AsyncIterator[Streams]:
    """Ours: `create_stream` from a path, `open` and iterate."""
    config = s3_config(stage)
    async with Coatcheck(config) as cc:

        async def put(name: str, path: Path):
            return (await cc.create_stream(name, path, BUCKET)).address

        async def get(key) -> AsyncGenerator[bytes]:
            async with cc.open(key) as reader:
                async for chunk in reader:
                    yield chunk

        yield Streams(config=config, put=put, get=get)


@asynccontextmanager
async def aioboto3_streams(stage: Stage) -> AsyncIterator[Streams]:
    """One open client; its managed upload, and reads of up to 1 MiB."""
    import aioboto3
    from aiobotocore.config import AioConfig

    session = aioboto3.Session()
    config = AioConfig(max_pool_connections=50)
    async with session.client("s3", endpoint_url=stage.url, config=config) as client:

        async def put(name: str, path: Path) -> str:
            with path.open("rb") as file:
                await client.upload_fileobj(file, BUCKET, name)
            return name

        async def get(key: str) -> AsyncGenerator[bytes]:
            response = await client.get_object(Bucket=BUCKET, Key=key)
            while chunk := await response["Body"].read(MIB):
                yield chunk

        yield Streams(put=put, get=get)


@asynccontextmanager
async def obstore_streams(stage: Stage) -> AsyncIterator[Streams]:
    """One store; a path to `put_async`, which sends parts, and its own stream."""
    from obstore.store import S3Store

    store = S3Store(
        BUCKET,
        endpoint=stage.url,
        region=REGION,
        access_key_id=os.environ["AWS_ACCESS_KEY_ID"],
        secret_access_key=os.environ["AWS_SECRET_ACCESS_KEY"],
        client_options={"allow_http": True},
    )

    async def put(name: str, path: Path) -> str:
        await store.put_async(name, path)
        return name

    async def get(key: str) -> AsyncGenerator[Any]:
        response = await store.get_async(key)
        async for chunk in response.stream():
            yield chunk

    yield Streams(put=put, get=get)


WORKLOADS = (
    Workload(
        name="s3.put.256m",
        title="stream a file of 256 MiB in",
        ours=stream_puts(coatcheck_streams),
        unit="MB/s",
        amount=SIZE / 1e6,
        ops=1,
        needs_s3=True,
        prepare=make_source,
        peers=(
            Peer(name="obstore", setup=stream_puts(obstore_streams), goal=0.95),
            Peer(name="aioboto3", setup=stream_puts(aioboto3_streams), goal=1.0),
        ),
    ),
    Workload(
        name="s3.get.256m",
        title="stream 256 MiB out",
        ours=stream_gets(coatcheck_streams),
        unit="MB/s",
        amount=SIZE / 1e6,
        ops=1,
        needs_s3=True,
        prepare=make_source,
        peers=(
            Peer(name="obstore", setup=stream_gets(obstore_streams), goal=0.95),
            Peer(name="aioboto3", setup=stream_gets(aioboto3_streams), goal=1.0),
        ),
    ),
)
