"""256 MiB to and from S3, as one stream in constant memory."""

from __future__ import annotations

import hashlib
import os
from contextlib import asynccontextmanager
from functools import partial
from itertools import count, islice
from typing import TYPE_CHECKING, Any

import anyio
from tests.benchmarks.ours import coatcheck_streams
from tests.benchmarks.peers.with_aioboto3 import aioboto3_streams
from tests.benchmarks.peers.with_obstore import obstore_streams
from tests.benchmarks.workloads import MIB, Loop, Peer, Workload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from tests.benchmarks.clients import Streams
    from tests.benchmarks.workloads import Setup, Stage

    StreamsOf = Callable[[Stage], AbstractAsyncContextManager[Streams]]

SIZE = 256 * MIB
WARM_UP = b"warm" * 1000


def stream_puts(streams_of: StreamsOf) -> Setup:
    """Send a file, which lies in the page cache, under a new name each time."""
    return partial(_puts, streams_of)


def stream_gets(streams_of: StreamsOf) -> Setup:
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
async def _puts(streams_of: StreamsOf, stage: Stage) -> AsyncIterator[Loop]:
    numbers = count()
    async with streams_of(stage) as streams:
        await warm_up(streams, stage)
        yield Loop(
            config=streams.config,
            jobs=lambda wanted: [f"stream-{n}" for n in islice(numbers, wanted)],
            operate=lambda name: streams.put(name, source_of(stage)),
            is_right=lambda _name, key: is_source(streams, key, stage),
        )


@asynccontextmanager
async def _gets(streams_of: StreamsOf, stage: Stage) -> AsyncIterator[Loop]:
    async with streams_of(stage) as streams:
        await warm_up(streams, stage)
        stored = await streams.put("stream", source_of(stage))

        async def read(key: Any) -> int:
            size = 0
            async for chunk in streams.get(key):
                size += len(chunk)
            return size

        async def is_right(key: Any, size: int) -> bool:
            return size == SIZE and await is_source(streams, key, stage)

        yield Loop(
            config=streams.config,
            jobs=lambda wanted: [stored] * wanted,
            operate=read,
            is_right=is_right,
        )


async def warm_up(streams: Streams, stage: Stage) -> None:
    """Load and connect, with something small."""
    small = stage.path / f"small.{os.getpid()}"
    small.write_bytes(WARM_UP)
    key = await streams.put("small", small)
    found = b"".join([bytes(chunk) async for chunk in streams.get(key)])
    if found != WARM_UP:
        raise RuntimeError("a small stream did not come back")


async def is_source(streams: Streams, key: Any, stage: Stage) -> bool:
    """Read an object once more, and hold it against the file."""
    digest = hashlib.sha256()
    async for chunk in streams.get(key):
        digest.update(chunk)
    with source_of(stage).open("rb") as file:
        return digest.digest() == hashlib.file_digest(file, "sha256").digest()


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
