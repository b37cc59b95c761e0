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

    LoopEvent: TypeAlias = "anyio.Event | Signal"


def until_deadline(seconds: float) -> AbstractContextManager[object]:
    """Cancel a block when the time is over, and go on behind it.

    On asyncio the cancellation comes once, as from `asyncio.timeout`, and reaches
    what a shielded scope of anyio holds as well.

    Args:
        seconds: How long the block may take.
    """
    task = asyncio_task()
    return anyio.move_on_after(seconds) if task is None else _Deadline(task, seconds)


def new_event(loop: object) -> LoopEvent:
    """Return an event for one task at a time of the loop that runs.

    Args:
        loop: What `running_loop` returned.
    """
    if isinstance(loop, asyncio.AbstractEventLoop):
        return Signal(loop)
    return anyio.Event()


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


class Signal:
    """What `asyncio.Event` does, for one task at a time.

    Args:
        loop: The loop that runs.
    """

    __slots__ = ("_is_set", "_loop", "_waiter")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._is_set = False
        self._waiter: asyncio.Future[None] | None = None

    def is_set(self) -> bool:
        """Tell whether it was set."""
        return self._is_set

    def set(self) -> None:
        """Wake the task that waits, and let none wait any more."""
        self._is_set = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self) -> None:
        """Wait until it is set."""
        if not self._is_set:
            self._waiter = self._loop.create_future()
            await self._waiter


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
