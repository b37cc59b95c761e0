"""Waiting at the price of the event loop that runs.

anyio's scopes and events cost several times what asyncio's own primitives do, and
every call to a store waits within them. So where asyncio runs, these are its own;
elsewhere they are anyio's.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeAlias

import anyio
from anyio.lowlevel import current_token

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from types import TracebackType

    LoopEvent: TypeAlias = anyio.Event | asyncio.Event


def until_deadline(seconds: float) -> AbstractContextManager[object]:
    """Cancel a block when the time is over, and go on behind it.

    On asyncio the cancellation comes once, as from `asyncio.timeout`, and reaches
    what a shielded scope of anyio holds as well.

    Args:
        seconds: How long the block may take.
    """
    task = asyncio_task()
    return anyio.move_on_after(seconds) if task is None else _Deadline(task, seconds)


def new_event() -> LoopEvent:
    """Return an event of the loop that runs."""
    return anyio.Event() if asyncio_task() is None else asyncio.Event()


def running_loop() -> object:
    """Return asyncio's loop, or what trio's is told with from other threads."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return current_token().native_token


def in_its_next_turn(loop: object, call: Callable[[], object]) -> bool:
    """Let asyncio's loop, which runs here, make a call in its next turn.

    Returns:
        Whether it will: trio's loop is not asked.
    """
    if not isinstance(loop, asyncio.AbstractEventLoop):
        return False
    loop.call_soon(call)
    return True


def asyncio_task() -> asyncio.Task[Any] | None:
    """Return the task that runs, None when it is none of asyncio's."""
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


class _Deadline:
    """What `asyncio.timeout` does, without its two coroutines."""

    __slots__ = ("_came", "_cancelling", "_handle", "_task")

    def __init__(self, task: asyncio.Task[Any], seconds: float) -> None:
        self._task = task
        self._came = False
        self._cancelling = task.cancelling()
        self._handle = task.get_loop().call_later(seconds, self._come)

    def _come(self) -> None:
        self._came = True
        self._task.cancel()

    def __enter__(self) -> None:
        """Begin; the time runs since the deadline was made."""

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        self._handle.cancel()
        if not self._came:
            return False
        # Somebody else's cancellation counts more than ours.
        ours = self._task.uncancel() <= self._cancelling
        return ours and isinstance(exc, asyncio.CancelledError)
