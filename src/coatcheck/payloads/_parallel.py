"""One call for each of many items, a bounded number at once."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import anyio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

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

    The first failure cancels the rest and is raised as it is, in no group.

    Args:
        items: Taken one by one, as calls end.
        call: What is done with each.
        at_once: The most calls that run at the same time.
    """
    results: dict[int, _R] = {}
    waiting = _Numbered(items)
    failures: list[Exception] = []

    async def work(scope: anyio.CancelScope) -> None:
        try:
            while (item := await waiting.take()) is not _END:
                index, given = item
                results[index] = await call(given)
                # It may be large, and would live on while the next is awaited.
                del item, given
        except Exception as error:  # noqa: BLE001  # raised below, bare
            failures.append(error)
            scope.cancel()

    async with anyio.create_task_group() as tasks:
        for _ in range(at_once):
            tasks.start_soon(work, tasks.cancel_scope)
    if failures:
        raise failures[0]
    return [results[index] for index in range(len(results))]


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
