"""One side of a workload, in a process of its own.

python -m tests.benchmarks.side REGISTRY WORKLOAD SIDE STAGE

The stage is JSON. Orders come as JSON lines on standard input: `{"ops": 100, "check":
true}` plays a round. Answers go as JSON lines to standard output: first what the side
is, then the figures of each round. With the side `prepare` the stage is filled.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import AbstractAsyncContextManager
from importlib import import_module
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from tests.benchmarks.timing import Watch, in_tasks, in_threads, metered
from tests.benchmarks.workloads import Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tests.benchmarks.workloads import Loop, Workload

    Say = Callable[[dict[str, Any]], None]

PREPARE = "prepare"


class WrongResult(Exception):
    """A side did not do what it was asked."""


def main(registry: str, name: str, side: str, stage_text: str) -> None:
    """Play until standard input ends."""
    say = private_output()
    stage = Stage(**json.loads(stage_text))
    workload = find(registry, name)
    if side == PREPARE:
        if workload.prepare is not None:
            asyncio.run(workload.prepare(stage))
        say({})
        return
    setup = workload.setup_of(side)(stage)
    if isinstance(setup, AbstractAsyncContextManager):
        asyncio.run(play(setup, workload.at_once, say))
    else:
        play_blocking(setup, workload.at_once, say)


def find(registry: str, name: str) -> Workload:
    """Return a workload of a registry, which is a module."""
    workloads = import_module(registry).WORKLOADS
    return next(each for each in workloads if each.name == name)


def private_output() -> Say:
    """Keep standard output for answers; what else is printed goes to the log."""
    output = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    return lambda answer: print(json.dumps(answer), file=output)


def orders() -> Iterator[dict[str, Any]]:
    for line in sys.stdin:
        yield json.loads(line)


async def play(
    setup: AbstractAsyncContextManager[Loop], at_once: int, say: Say
) -> None:
    """Play rounds in this event loop; between them nothing runs."""
    async with setup as loop:
        say(described(loop))
        for order in orders():
            jobs = loop.jobs(order["ops"])
            watch = Watch(jobs)
            with metered() as cost:
                await in_tasks(loop.operate, watch, at_once)
            if order["check"]:
                for job, result in watch.kept:
                    right = loop.is_right(job, result)
                    insist(job, right=await right if isawaitable(right) else right)
            if loop.tidy is not None:
                await loop.tidy(jobs)
            say(cost.per_operation(watch.took))


def play_blocking(setup: AbstractContextManager[Loop], at_once: int, say: Say) -> None:
    """Play rounds without an event loop."""
    with setup as loop:
        say(described(loop))
        for order in orders():
            watch = Watch(loop.jobs(order["ops"]))
            with metered() as cost:
                in_threads(loop.operate, watch, at_once)
            if order["check"]:
                for job, result in watch.kept:
                    insist(job, right=loop.is_right(job, result))
            say(cost.per_operation(watch.took))


def insist(job: Any, *, right: bool) -> None:
    """Refuse figures of work that was not done."""
    if not right:
        raise WrongResult(f"not done: {ascii(job)[:80]}")


def described(loop: Loop) -> dict[str, Any]:
    """Return what the report tells of a side: what is not default."""
    if loop.config is None:
        return {}
    return {"config": loop.config.model_dump(mode="json", exclude_defaults=True)}


if __name__ == "__main__":
    main(*sys.argv[1:])
