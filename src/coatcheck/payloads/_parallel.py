"""One call for each of many items, a bounded number at once."""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Iterable,
    Iterator,
)
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import anyio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from anyio.abc import TaskGroup

_T = TypeVar("_T")
_R = TypeVar("_R")
_END: Final[Any] = object()


async def in_parallel(
    items: Iterable[_T] | AsyncIterable[_T],
    call: Callable[[_T], Awaitable[_R]],
    *,
    at_once: int,
) -> list[_R]:
    """Await the call for every item; results keep the order of the items.

    The first failure, of a call or of the items, cancels the rest and is raised as it
    is, in no group. There is at most one task more than there are items.

    Args:
        items: Taken one by one, as calls end. An async generator is closed.
        call: What is done with each.
        at_once: The most calls that run at the same time.
    """
    results: dict[int, _R] = {}
    failures: list[Exception] = []
    workers = iter(range(at_once))

    async def work(tasks: TaskGroup, waiting: _Numbered[_T]) -> None:
        try:
            while (item := await waiting.take()) is not _END:
                index, given = item
                if next(workers, None) is not None:
                    tasks.start_soon(work, tasks, waiting)
                results[index] = await call(given)
                # It may be large, and would live on while the next is awaited.
                del item, given
        except Exception as error:  # noqa: BLE001  # raised below, bare
            failures.append(error)
            tasks.cancel_scope.cancel()

    async with (
        aclosing(_Numbered(items)) as numbered,
        anyio.create_task_group() as group,
    ):
        next(workers)
        group.start_soon(work, group, numbered)
    if failures:
        raise failures[0]
    return [results[index] for index in range(len(results))]


async def beside(
    other: Callable[[], Awaitable[object]], call: Callable[[], Awaitable[_R]]
) -> _R:
    """Await a call while another one runs beside it, and ends with it.

    The first failure of either ends both and is raised as it is, in no group.

    Args:
        other: What runs beside the call for as long as that takes.
        call: The call whose result is returned.
    """
    results: list[_R] = []

    async def run(act: Callable[[], Awaitable[Any]]) -> None:
        result = await act()
        if act is call:
            results.append(result)
            raise _Over

    with suppress(_Over):
        await in_parallel((other, call), run, at_once=2)
    return results[0]


class _Over(Exception):
    """A call ended well, and what ran beside it has nothing more to do."""


class _Numbered(Generic[_T]):
    """Items that several tasks take from, each item once."""

    def __init__(self, items: Iterable[_T] | AsyncIterable[_T]) -> None:
        self._items: Iterator[_T] | AsyncIterator[_T]
        self._items = aiter(items) if isinstance(items, AsyncIterable) else iter(items)
        self._taken = 0
        self._taking = anyio.Lock()

    async def take(self) -> Any:
        """Return the next item with its number, `_END` when there is none."""
        if not isinstance(self._items, AsyncIterator):
            return self._numbered(next(self._items, _END))
        async with self._taking:
            return self._numbered(await anext(self._items, _END))

    def _numbered(self, item: Any) -> Any:
        if item is _END:
            return _END
        self._taken += 1
        return self._taken - 1, item

    async def aclose(self) -> None:
        """Close an async generator that was not used up."""
        if isinstance(self._items, AsyncGenerator):
            await self._items.aclose()
