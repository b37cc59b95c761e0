"""Our side: everything through a Coatcheck."""

from __future__ import annotations

from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

from tests.benchmarks.clients import Client, Streams
from tests.benchmarks.workloads import BUCKET, REGION

from coatcheck import Coatcheck, Config, S3Config, sync

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.benchmarks.workloads import Stage

    from coatcheck import StashEntry


def s3_config(stage: Stage) -> Config:
    return Config(s3=S3Config(endpoint_url=stage.url, region=REGION))


def memory_config() -> Config:
    return Config(backends=("mem",))


def client_over(cc: Any) -> Client:
    """Create, and retrieve by the text that a message would carry."""
    return Client(
        config=cc.config,
        put=lambda name, body: cc.create(name, body, BUCKET),
        get=cc.retrieve,
        key_of=lambda stash: str(stash.address),
        content=lambda stash: stash.data,
    )


@asynccontextmanager
async def coatcheck_s3(stage: Stage) -> AsyncIterator[Client]:
    async with Coatcheck(s3_config(stage)) as cc:
        yield client_over(cc)


@contextmanager
def coatcheck_sync(stage: Stage) -> Iterator[Client]:
    with sync.Coatcheck(s3_config(stage)) as cc:
        yield client_over(cc)


@asynccontextmanager
async def coatcheck_files(stage: Stage) -> AsyncIterator[Client]:
    """Not durable: the peers do not wait for the disk either."""
    root = stage.path / "coatcheck"
    root.mkdir()
    config = Config(
        backends=("inline", "file"), filesystem_root=str(root), durable=False
    )
    async with Coatcheck(config) as cc:
        yield client_over(cc)


@asynccontextmanager
async def coatcheck_memory(_stage: Stage) -> AsyncIterator[Client]:
    async with Coatcheck(memory_config()) as cc:
        yield client_over(cc)


@asynccontextmanager
async def coatcheck_streams(stage: Stage) -> AsyncIterator[Streams]:
    """`create_stream` from a path; `open`, and iterate."""
    async with Coatcheck(s3_config(stage)) as cc:

        async def put(name: str, path: Path):
            return (await cc.create_stream(name, path, BUCKET)).address

        async def get(key) -> AsyncIterator[bytes]:
            async with cc.open(key) as reader:
                async for chunk in reader:
                    yield chunk

        yield Streams(config=cc.config, put=put, get=get)


async def scanned(cc: Coatcheck) -> list[StashEntry]:
    """List as the paginator does: without asking each object for its deadline."""
    async with aclosing(cc.scan(BUCKET, as_listed=True)) as entries:
        return [entry async for entry in entries]
