"""Requests that are seen through although their caller is cancelled."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

import anyio

from coatcheck.payloads._threads import to_the_end

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from typing import Any

_T = TypeVar("_T")


async def to_completion(
    call: Coroutine[Any, Any, _T],
    *,
    undo: Callable[[_T], Awaitable[object]] | None = None,
) -> _T:
    """Await a call to its end, in a task of its own.

    A cancellation meanwhile is raised afterwards.

    Args:
        call: The call.
        undo: Undoes what the call did when its caller was cancelled.
    """
    task = asyncio.create_task(call)
    done = anyio.Event()
    task.add_done_callback(lambda _: done.set())
    try:
        await to_the_end(done)
    except asyncio.CancelledError:
        if task.exception() is None and undo is not None:
            await to_completion(_awaited(undo, task.result()))
        raise
    return task.result()


async def _awaited(undo: Callable[[_T], Awaitable[object]], result: _T) -> None:
    await undo(result)
