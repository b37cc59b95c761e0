"""The clock: how long operations took, and what they cost this process."""

from __future__ import annotations

import asyncio
import gc
import math
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any

from tests.benchmarks.workloads import MIB
from tests.process_memory import forget_peak, held, most_held

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence


class Watch:
    """A round under way: jobs left, seconds that each took, a sample of results."""

    def __init__(self, jobs: Sequence[Any], *, keep: int = 4) -> None:
        self.todo = iter(jobs)
        self.took: list[float] = []
        self.kept: list[tuple[Any, Any]] = []
        self._every = max(1, len(jobs) // keep)

    def note(self, begun: float, job: Any, result: Any) -> None:
        self.took.append(perf_counter() - begun)
        if len(self.took) % self._every == 0:
            self.kept.append((job, result))


async def in_tasks(
    operate: Callable[[Any], Awaitable[Any]], watch: Watch, at_once: int
) -> None:
    """Do the jobs in as many tasks, each taking the next when it is done."""

    async def one() -> None:
        for job in watch.todo:
            begun = perf_counter()
            watch.note(begun, job, await operate(job))

    if at_once == 1:
        await one()
        return
    async with asyncio.TaskGroup() as tasks:
        for _ in range(at_once):
            tasks.create_task(one())


def in_threads(operate: Callable[[Any], Any], watch: Watch, at_once: int) -> None:
    """Do the jobs in as many threads; one at once is done in this one."""

    def one() -> None:
        for job in watch.todo:
            begun = perf_counter()
            watch.note(begun, job, operate(job))

    if at_once == 1:
        one()
        return
    with ThreadPoolExecutor(at_once) as pool:
        for done in [pool.submit(one) for _ in range(at_once)]:
            done.result()


@dataclass
class Cost:
    """What happened while a meter ran."""

    seconds: float = 0
    cpu_seconds: float = 0
    extra_mib: float = 0
    """What the process had at most, over what it had at the beginning."""

    def per_operation(self, took: Sequence[float]) -> dict[str, float]:
        """Return the figures of one round."""
        return {
            "ops": len(took),
            "seconds": self.seconds,
            "cpu_ms": 1000 * self.cpu_seconds / len(took),
            "p50_ms": 1000 * percentile(took, 0.50),
            "p99_ms": 1000 * percentile(took, 0.99),
            "extra_rss_mib": self.extra_mib,
        }


def percentile(took: Sequence[float], share: float) -> float:
    """Return the least value that this share of all does not exceed."""
    return sorted(took)[max(0, math.ceil(share * len(took)) - 1)]


@contextmanager
def metered() -> Iterator[Cost]:
    """Measure a block: wall time, CPU time of all threads, and memory."""
    cost = Cost()
    gc.collect()
    forget_peak()
    before = held()
    cpu, begun = process_time(), perf_counter()
    yield cost
    cost.seconds = perf_counter() - begun
    cost.cpu_seconds = process_time() - cpu
    # Linux counts a few pages late.
    cost.extra_mib = max(0, most_held() - before) / MIB
