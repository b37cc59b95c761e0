"""What an operation costs among 1 k, 10 k and 100 k stashes: the same, it should be.

Ours is played against itself: the fuller store is ours, the one of 1 k is the peer.
"""

from __future__ import annotations

import json
import os
import random
from contextlib import asynccontextmanager
from functools import partial
from itertools import count, islice
from typing import TYPE_CHECKING, Any

import anyio
from tests.benchmarks.ours import memory_config
from tests.benchmarks.workloads import BUCKET, Loop, Peer, Workload

from coatcheck import Coatcheck, Config

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from tests.benchmarks.workloads import Stage

SIZES = {"1k": 1_000, "10k": 10_000, "100k": 100_000}
LEAST = "1k"
FLAT = 0.8
"""The ratio from which on a cost counts as flat: what is left is the processor's cache."""
PAYLOAD = 200
MOST = {"create": 1_000, "retrieve": 20_000}
"""Operations of a round: so few creates that 1 k stays far from 10 k."""


def config_of(backend: str, folder: Path) -> Config:
    if backend == "mem":
        return memory_config()
    return Config(backends=("file",), filesystem_root=str(folder), durable=False)


async def fill(cc: Coatcheck, size: int) -> list[str]:
    """Create so many stashes; return their addresses."""
    stashes = await cc.create_many(
        ((f"grown-{number}", os.urandom(PAYLOAD)) for number in range(size)), BUCKET
    )
    return [str(stash.address) for stash in stashes]


def files_of(size: str, stage: Stage) -> tuple[Path, Path]:
    """Return the folder of a store and the file of its addresses."""
    return stage.path / size, stage.path / f"{size}.json"


def fill_files(*sizes: str) -> Callable[[Stage], Awaitable[None]]:
    """Return what fills stores of files, unless an earlier workload has done it."""

    async def prepare(stage: Stage) -> None:
        for size in sizes:
            folder, listed = files_of(size, stage)
            if not listed.exists():
                folder.mkdir()
                async with Coatcheck(config_of("file", folder)) as cc:
                    listed.write_text(json.dumps(await fill(cc, SIZES[size])))
                # Else the disk would still be busy with it in the first rounds.
                await anyio.to_thread.run_sync(os.sync)

    return prepare


@asynccontextmanager
async def grown(
    backend: str, size: str, stage: Stage
) -> AsyncIterator[tuple[Coatcheck, list[str]]]:
    """Give a store of that size, and the addresses in it."""
    folder, listed = files_of(size, stage)
    async with Coatcheck(config_of(backend, folder)) as cc:
        if backend == "mem":
            yield cc, await fill(cc, SIZES[size])
        else:
            yield cc, json.loads(listed.read_text())


@asynccontextmanager
async def creates(backend: str, size: str, stage: Stage) -> AsyncIterator[Loop]:
    """Create more stashes, which are deleted between rounds."""
    async with grown(backend, size, stage) as (cc, _addresses):
        numbers = count()
        created = []

        async def create(job: tuple[str, bytes]):
            stash = await cc.create(*job, BUCKET)
            created.append(stash)
            return stash

        async def is_right(job: tuple[str, bytes], stash: Any) -> bool:
            return (await cc.retrieve(stash.address)).data == job[1]

        async def tidy(_jobs: Any) -> None:
            while created:
                await created.pop().delete()

        yield Loop(
            config=cc.config,
            jobs=lambda wanted: [
                (f"more-{number}", os.urandom(PAYLOAD))
                for number in islice(numbers, wanted)
            ],
            operate=create,
            is_right=is_right,
            tidy=tidy,
        )


@asynccontextmanager
async def retrieves(backend: str, size: str, stage: Stage) -> AsyncIterator[Loop]:
    """Retrieve stashes at random."""
    async with grown(backend, size, stage) as (cc, addresses):
        chosen = random.Random(4)
        yield Loop(
            config=cc.config,
            jobs=lambda wanted: chosen.choices(addresses, k=wanted),
            operate=cc.retrieve,
            is_right=lambda address, stash: (
                str(stash.address) == address and len(stash.data) == PAYLOAD
            ),
        )


def growth(backend: str, verb: str, size: str) -> Workload:
    """Return the workload of one verb among so many stashes."""
    loop = {"create": creates, "retrieve": retrieves}[verb]
    return Workload(
        name=f"growth.{backend}.{verb}.{size}",
        title=f"{verb} {PAYLOAD} bytes among {size} stashes",
        ours=partial(loop, backend, size),
        most=MOST[verb],
        prepare=fill_files(LEAST, size) if backend == "file" else None,
        group="growth.file" if backend == "file" else "",
        slow=size == "100k",
        peers=(Peer(name=LEAST, setup=partial(loop, backend, LEAST), goal=FLAT),),
    )


WORKLOADS = tuple(
    growth(backend, verb, size)
    for backend in ("mem", "file")
    for verb in ("create", "retrieve")
    for size in SIZES
    if size != LEAST
)
