"""One call for each of many items, a bounded number at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import anyio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

_T = TypeVar("_T")
_R = TypeVar("_R")


async def in_parallel(
    items: Iterable[_T], call: Callable[[_T], Awaitable[_R]], *, at_once: int
) -> list[_R]:
    """Await the call for every item; results keep the order of the items.

    The first failure cancels the rest and is raised as it is, in no group.

    Args:
        items: Taken one by one, as calls end.
        call: What is done with each.
        at_once: The most calls that run at the same time.
    """
    results: dict[int, _R] = {}
    waiting = enumerate(items)
    failures: list[Exception] = []

    async def work(scope: anyio.CancelScope) -> None:
        try:
            for index, item in waiting:
                results[index] = await call(item)
        except Exception as error:  # noqa: BLE001  # raised below, bare
            failures.append(error)
            scope.cancel()

    async with anyio.create_task_group() as tasks:
        for _ in range(at_once):
            tasks.start_soon(work, tasks.cancel_scope)
    if failures:
        raise failures[0]
    return [results[index] for index in range(len(results))]
