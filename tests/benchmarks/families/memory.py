"""What needs no storage: memory, and addresses that carry their payload."""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from functools import partial
from itertools import count, islice
from typing import TYPE_CHECKING, Any

from tests.benchmarks.clients import Client, coatcheck_client, gets
from tests.benchmarks.workloads import Loop, Peer, Workload

from coatcheck import Coatcheck, Config

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from tests.benchmarks.workloads import Stage

IN_MEMORY = ("mem",)
MOST = 40_000


def small_payloads() -> Callable[[int], list[tuple[str, dict[str, int]]]]:
    """Return what makes names and payloads, each another."""
    numbers = count()
    return lambda wanted: [
        (f"name-{number}", {"a": number}) for number in islice(numbers, wanted)
    ]


def is_same(job: tuple[str, Any], loaded: Any) -> bool:
    return (loaded.name, loaded.data) == job


@asynccontextmanager
async def coatcheck_pairs(config: Config, _stage: Stage) -> AsyncIterator[Loop]:
    """Ours: create, and retrieve by the address."""
    async with Coatcheck(config) as cc:

        async def pair(job: tuple[str, Any]):
            stash = await cc.create(*job)
            return await cc.retrieve(stash.address)

        yield Loop(config=config, jobs=small_payloads(), operate=pair, is_right=is_same)


@contextmanager
def kstash_pairs(backend: str, _stage: Stage) -> Iterator[Loop]:
    """Create, and retrieve by the address; on one backend, as in its README."""
    import kstash

    config = kstash.Config(backends=[backend])

    def pair(job: tuple[str, Any]):
        stash = kstash.create(*job, config=config)
        return kstash.retrieve(stash.address, config=config)

    yield Loop(blocking=True, jobs=small_payloads(), operate=pair, is_right=is_same)


def coatcheck_memory(_stage: Stage):
    return coatcheck_client(Config(backends=IN_MEMORY))


@asynccontextmanager
async def chuk_memory(_stage: Stage) -> AsyncIterator[Client]:
    """One open store on the provider `memory`, the faster of its two."""
    from chuk_artifacts import ArtifactStore

    async with ArtifactStore(storage_provider="memory") as store:
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
        name="mem.pair",
        title='create and retrieve {"a": i}, one caller',
        ours=partial(coatcheck_pairs, Config(backends=IN_MEMORY)),
        unit="pairs/s",
        most=MOST,
        peers=(Peer(name="kstash", setup=partial(kstash_pairs, "mem"), goal=1.2),),
    ),
    Workload(
        name="inline.pair",
        title='create and retrieve {"a": i}, one caller',
        ours=partial(coatcheck_pairs, Config()),
        unit="pairs/s",
        most=MOST,
        peers=(Peer(name="kstash", setup=partial(kstash_pairs, "inline"), goal=1.2),),
    ),
    Workload(
        name="mem.get.16k",
        title="retrieve 16 KiB, one caller",
        ours=gets(coatcheck_memory),
        most=MOST,
        peers=(
            Peer(name="chuk-artifacts", setup=gets(chuk_memory), goal=0.8, aim=1.0),
        ),
    ),
)
