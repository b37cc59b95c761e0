"""What needs no storage: memory, and addresses that carry their payload."""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from functools import partial
from itertools import count, islice
from typing import TYPE_CHECKING, Any

from tests.benchmarks.loops import gets
from tests.benchmarks.ours import coatcheck_memory, memory_config
from tests.benchmarks.peers.with_chuk_artifacts import chuk_memory
from tests.benchmarks.peers.with_kstash import kstash_pairing
from tests.benchmarks.workloads import Loop, Peer, Workload

from coatcheck import Coatcheck, Config

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from tests.benchmarks.workloads import Stage

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
    """Create, and retrieve by the address."""
    async with Coatcheck(config) as cc:

        async def pair(job: tuple[str, Any]):
            stash = await cc.create(*job)
            return await cc.retrieve(stash.address)

        yield Loop(config=config, jobs=small_payloads(), operate=pair, is_right=is_same)


@contextmanager
def blocking_pairs(
    pairing: Callable[[str], Any], backend: str, _stage: Stage
) -> Iterator[Loop]:
    yield Loop(
        blocking=True,
        jobs=small_payloads(),
        operate=pairing(backend),
        is_right=is_same,
    )


WORKLOADS = (
    Workload(
        name="mem.pair",
        title='create and retrieve {"a": i}, one caller',
        ours=partial(coatcheck_pairs, memory_config()),
        unit="pairs/s",
        most=MOST,
        peers=(
            Peer(
                name="kstash",
                setup=partial(blocking_pairs, kstash_pairing, "mem"),
                goal=1.2,
            ),
        ),
    ),
    Workload(
        name="inline.pair",
        title='create and retrieve {"a": i}, one caller',
        ours=partial(coatcheck_pairs, Config()),
        unit="pairs/s",
        most=MOST,
        peers=(
            Peer(
                name="kstash",
                setup=partial(blocking_pairs, kstash_pairing, "inline"),
                goal=1.2,
            ),
        ),
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
