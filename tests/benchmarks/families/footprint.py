"""The memory that one operation takes, each in a fresh process after a small one."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from functools import partial
from itertools import repeat
from typing import TYPE_CHECKING, Any

import anyio
from tests.benchmarks.ours import s3_config
from tests.benchmarks.workloads import BUCKET, KIB, MIB, Loop, Workload

from coatcheck import Coatcheck, Config

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable
    from pathlib import Path

    from tests.benchmarks.workloads import Setup, Stage

STREAM_LIMIT = 64
CREATES_LIMIT = 150
CREATES = 10_000
CHUNK = bytes(range(256)) * (256 * KIB // 256)
SMALL = 2 * MIB


def large(stage: Stage) -> int:
    """Return the size of a large stream, 1 GiB unless in a hurry."""
    return (128 if stage.quick else 1024) * MIB


def config_of(backend: str, stage: Stage) -> Config:
    if backend == "s3":
        return s3_config(stage)
    root = stage.path / "coatcheck"
    root.mkdir(exist_ok=True)
    return Config(backends=("inline", "file"), filesystem_root=str(root))


def chunks_of(size: int) -> Iterable[bytes]:
    return repeat(CHUNK, size // len(CHUNK))


async def generated(_stage: Stage, size: int) -> AsyncIterator[bytes]:
    for chunk in chunks_of(size):
        yield chunk


def written(stage: Stage, size: int) -> Path:
    """Return a file of that size."""
    path = stage.path / f"{size}.bin"
    if not path.exists():
        with path.open("wb") as file:
            file.writelines(chunks_of(size))
    return path


async def prepare_in(stage: Stage) -> None:
    """Make the file that is sent."""
    await anyio.to_thread.run_sync(written, stage, large(stage))


async def prepare_out(backend: str, stage: Stage) -> None:
    """Make the object that is read, unless one was sent before."""
    address = address_of(backend, stage)
    if not address.exists():
        async with Coatcheck(config_of(backend, stage)) as cc:
            source = generated(stage, large(stage))
            stash = await cc.create_stream("prepared", source, BUCKET)
            address.write_text(str(stash.address))


def address_of(backend: str, stage: Stage) -> Path:
    return stage.path / f"{backend}.address"


@asynccontextmanager
async def inwards(
    backend: str, source_of: Callable[[Stage, int], Any], stage: Stage
) -> AsyncIterator[Loop]:
    """Send a large stream, after a small one has loaded all that is needed."""
    async with Coatcheck(config_of(backend, stage)) as cc:
        await cc.create_stream("small", source_of(stage, SMALL), BUCKET)

        async def send(size: int) -> int:
            stash = await cc.create_stream("large", source_of(stage, size), BUCKET)
            address_of(backend, stage).write_text(str(stash.address))
            return stash.size

        yield Loop(
            config=cc.config,
            jobs=lambda _wanted: [large(stage)],
            operate=send,
            is_right=lambda size, sent: sent == size,
        )


@asynccontextmanager
async def outwards(
    backend: str, flow: Callable[[Coatcheck, str, Stage], Any], stage: Stage
) -> AsyncIterator[Loop]:
    """Read a large stream, after a small one has loaded all that is needed."""
    async with Coatcheck(config_of(backend, stage)) as cc:
        small = await cc.create_stream("small", generated(stage, SMALL), BUCKET)
        await flow(cc, str(small.address), stage)
        yield Loop(
            config=cc.config,
            jobs=lambda _wanted: [address_of(backend, stage).read_text()],
            operate=lambda address: flow(cc, address, stage),
            is_right=lambda _address, size: size == large(stage),
        )


async def iterate(cc: Coatcheck, address: str, _stage: Stage) -> int:
    """Read chunk by chunk."""
    async with cc.open(address) as reader:
        return sum([len(chunk) async for chunk in reader])


async def download(cc: Coatcheck, address: str, stage: Stage) -> int:
    """Read into a file."""
    path = stage.path / "downloaded.bin"
    await cc.download(address, path)
    return path.stat().st_size


@asynccontextmanager
async def creates(backend: str, stage: Stage) -> AsyncIterator[Loop]:
    """Ask for all creates at once, one task each."""
    async with Coatcheck(config_of(backend, stage)) as cc:
        await cc.create("small", os.urandom(KIB), BUCKET)

        async def create_all(items: list[tuple[str, bytes]]):
            return await asyncio.gather(*(cc.create(*item, BUCKET) for item in items))

        async def is_right(items: list[tuple[str, bytes]], stashes: list[Any]) -> bool:
            loaded = await cc.retrieve_many(stash.address for stash in stashes[::100])
            return [each.data for each in loaded] == [body for _, body in items[::100]]

        yield Loop(
            config=cc.config,
            jobs=lambda _wanted: [
                [(f"each-{number}", os.urandom(KIB)) for number in range(CREATES)]
            ],
            operate=create_all,
            is_right=is_right,
        )


def ways(backend: str) -> dict[str, tuple[str, float, Setup]]:
    """Return what is weighed on a backend: its title, its limit and its loop."""
    return {
        "in": (
            "1 GiB in, from an async generator",
            STREAM_LIMIT,
            partial(inwards, backend, generated),
        ),
        "in.path": (
            "1 GiB in, from a path",
            STREAM_LIMIT,
            partial(inwards, backend, written),
        ),
        "out": (
            "1 GiB out, chunk by chunk",
            STREAM_LIMIT,
            partial(outwards, backend, iterate),
        ),
        "out.path": (
            "1 GiB out, into a file",
            STREAM_LIMIT,
            partial(outwards, backend, download),
        ),
        "creates": (
            f"{CREATES} creates of 1 KiB, asked for at once",
            CREATES_LIMIT,
            partial(creates, backend),
        ),
    }


def preparation(backend: str, way: str) -> Callable[[Stage], Any] | None:
    """Return what has to be there before."""
    if way.startswith("out"):
        return partial(prepare_out, backend)
    return prepare_in if way == "in.path" else None


WORKLOADS = tuple(
    Workload(
        name=f"memory.{backend}.{way}",
        title=title,
        ours=ours,
        unit="MiB",
        most_extra_mib=limit,
        prepare=preparation(backend, way),
        needs_s3=backend == "s3",
        group=f"memory.{backend}",
    )
    for backend in ("file", "s3")
    for way, (title, limit, ours) in ways(backend).items()
)
