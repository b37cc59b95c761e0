"""Loops over what a side brings, the same for all sides."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from itertools import count, cycle, islice
from typing import TYPE_CHECKING

from tests.benchmarks.timing import Watch, in_tasks, in_threads
from tests.benchmarks.workloads import KIB, Loop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from contextlib import AbstractAsyncContextManager, AbstractContextManager

    from tests.benchmarks.clients import Client
    from tests.benchmarks.workloads import Setup, Stage

SIZE = 16 * KIB
STORED = 512
"""Objects that are read in turn: more than are in flight, so that no two reads meet."""
AT_ONCE = 32


def puts(client_of: Callable[[Stage], AbstractAsyncContextManager[Client]]) -> Setup:
    """Put random bytes, never the same twice, under names made beforehand."""
    return partial(_puts, client_of)


def gets(
    client_of: Callable[[Stage], AbstractAsyncContextManager[Client]],
    *,
    stored: int = STORED,
) -> Setup:
    """Get objects in turn, all of which the same client put."""
    return partial(_gets, client_of, stored)


def blocking_puts(
    client_of: Callable[[Stage], AbstractContextManager[Client]],
) -> Setup:
    """Do as `puts`, in threads."""
    return partial(_blocking_puts, client_of)


def blocking_gets(
    client_of: Callable[[Stage], AbstractContextManager[Client]],
    *,
    stored: int = STORED,
) -> Setup:
    """Do as `gets`, in threads."""
    return partial(_blocking_gets, client_of, stored)


def payloads(prefix: str, size: int = SIZE) -> Callable[[int], list[tuple[str, bytes]]]:
    """Return what makes named bodies of random bytes that differ in their heads."""
    numbers, tail = count(), os.urandom(size - 16)

    def make(wanted: int) -> list[tuple[str, bytes]]:
        return [
            (f"{prefix}-{number}", os.urandom(16) + tail)
            for number in islice(numbers, wanted)
        ]

    return make


@asynccontextmanager
async def _puts(client_of, stage: Stage) -> AsyncIterator[Loop]:
    async with client_of(stage) as client:

        async def is_right(job, result) -> bool:
            found = await client.get(client.key_of(result))
            return client.content(found) == job[1]

        yield Loop(
            config=client.config,
            jobs=payloads(client_of.__name__),
            operate=lambda job: client.put(*job),
            is_right=is_right,
        )


@asynccontextmanager
async def _gets(client_of, stored: int, stage: Stage) -> AsyncIterator[Loop]:
    async with client_of(stage) as client:
        filling = Watch(payloads(client_of.__name__)(stored), keep=stored)
        await in_tasks(lambda job: client.put(*job), filling, AT_ONCE)
        yield _reading(client, filling)


@contextmanager
def _blocking_puts(client_of, stage: Stage) -> Iterator[Loop]:
    with client_of(stage) as client:
        yield Loop(
            blocking=True,
            config=client.config,
            jobs=payloads(client_of.__name__),
            operate=lambda job: client.put(*job),
            is_right=lambda job, result: (
                client.content(client.get(client.key_of(result))) == job[1]
            ),
        )


@contextmanager
def _blocking_gets(client_of, stored: int, stage: Stage) -> Iterator[Loop]:
    with client_of(stage) as client:
        filling = Watch(payloads(client_of.__name__)(stored), keep=stored)
        in_threads(lambda job: client.put(*job), filling, AT_ONCE)
        yield _reading(client, filling, blocking=True)


def _reading(client: Client, filled: Watch, *, blocking: bool = False) -> Loop:
    stored = cycle([(client.key_of(done), body) for (_, body), done in filled.kept])
    return Loop(
        blocking=blocking,
        config=client.config,
        jobs=lambda wanted: list(islice(stored, wanted)),
        operate=lambda job: client.get(job[0]),
        is_right=lambda job, result: client.content(result) == job[1],
    )
