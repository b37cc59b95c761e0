"""Workloads as small as can be, by which the benchmark itself is tested."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from tests.benchmarks.clients import Client
from tests.benchmarks.loops import blocking_gets, gets, puts
from tests.benchmarks.ours import client_over
from tests.benchmarks.workloads import Loop, Peer, Workload

from coatcheck import Coatcheck, Config

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.benchmarks.workloads import Stage

STORED = 4


@asynccontextmanager
async def coatcheck_memory(_stage: Stage) -> AsyncIterator[Client]:
    async with Coatcheck(Config(backends=("mem",), max_inline_len=99)) as cc:
        yield client_over(cc)


@asynccontextmanager
async def a_dict(_stage: Stage) -> AsyncIterator[Client]:
    """A dict."""
    held: dict[str, bytes] = {}

    async def put(name: str, body: bytes) -> str:
        held[name] = body
        return name

    async def get(key: str) -> bytes:
        return held[key]

    yield Client(put=put, get=get)


@asynccontextmanager
async def a_liar(stage: Stage) -> AsyncIterator[Client]:
    """A dict that gives other bytes back."""
    async with a_dict(stage) as client:

        async def get(key: str) -> bytes:
            return (await client.get(key))[::-1]

        yield Client(put=client.put, get=get)


@contextmanager
def a_blocking_dict(_stage: Stage) -> Iterator[Client]:
    """A dict, without an event loop."""
    held: dict[str, bytes] = {}

    def get(key: str) -> bytes:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return held[key]
        raise AssertionError("an event loop runs")

    yield Client(put=lambda name, body: held.update({name: body}) or name, get=get)


@contextmanager
def broken(_stage: Stage) -> Iterator[Client]:
    """What does not even open."""
    raise RuntimeError("it does not open")


@asynccontextmanager
async def hungry(_stage: Stage) -> AsyncIterator[Loop]:
    """An operation that takes 20 MiB."""

    async def operate(size: int) -> int:
        return len(b"x" * size)

    yield Loop(
        jobs=lambda _wanted: [20 * 1024 * 1024],
        operate=operate,
        is_right=lambda size, taken: taken == size,
    )


async def prepare(stage: Stage) -> None:
    (stage.path / "prepared").touch()


@asynccontextmanager
async def needy(stage: Stage) -> AsyncIterator[Client]:
    """A dict on a stage that has been prepared."""
    if not (stage.path / "prepared").exists():
        raise RuntimeError("nothing is prepared")
    async with a_dict(stage) as client:
        yield client


WORKLOADS = (
    Workload(
        name="trial.put",
        title="create 16 KiB",
        ours=puts(coatcheck_memory),
        ops=8,
        at_once=4,
        peers=(
            Peer(name="dict", setup=puts(a_dict), goal=0.5, aim=1000),
            Peer(name="liar", setup=puts(a_liar), goal=0.5),
        ),
    ),
    Workload(
        name="trial.get",
        title="retrieve 16 KiB",
        ours=gets(coatcheck_memory, stored=STORED),
        unit="KiB/s",
        amount=16,
        most=64,
        at_once=4,
        peers=(
            Peer(
                name="blocking",
                setup=blocking_gets(a_blocking_dict, stored=STORED),
                goal=1,
            ),
            Peer(name="broken", setup=blocking_gets(broken), goal=1),
        ),
    ),
    Workload(
        name="trial.prepared",
        title="put where all is prepared",
        ours=puts(needy),
        ops=1,
        prepare=prepare,
        slow=True,
        peers=(Peer(name="dict", setup=puts(a_dict), goal=1),),
    ),
    Workload(
        name="memory.trial",
        title="take 20 MiB",
        ours=hungry,
        unit="MiB",
        most_extra_mib=40,
    ),
)
