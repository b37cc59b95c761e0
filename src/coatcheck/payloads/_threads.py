"""Blocking work in threads that no cancellation leaves half done.

`anyio.CancelScope(shield=True)` keeps anyio's own cancellations away, but asyncio's
`Task.cancel()`, which `asyncio.timeout` and `asyncio.TaskGroup` use, goes through it.
"""

from __future__ import annotations

import math
import threading
from enum import Enum
from typing import TYPE_CHECKING, Generic, TypeVar, cast

import anyio
from anyio import from_thread, to_thread

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ._waiting import LoopEvent

_T = TypeVar("_T")


async def to_the_end(event: LoopEvent, *, patience: float = math.inf) -> None:
    """Wait for an event through every cancellation, and raise the last one after it.

    Args:
        event: The event.
        patience: Seconds after which it is given up, without an error.
    """
    interruption: BaseException | None = None
    give_up = anyio.current_time() + patience
    while not event.is_set() and anyio.current_time() < give_up:
        try:
            with anyio.CancelScope(shield=True, deadline=give_up):
                await event.wait()
        except anyio.get_cancelled_exc_class() as error:
            interruption = error
    if interruption is not None:
        raise interruption


async def in_thread(
    call: Callable[[], _T], *, discard: Callable[[_T], object] | None = None
) -> _T:
    """Run a call in a thread and return what it returns.

    Cancellation: a call that has not begun is dropped. One that runs is waited for,
    since a thread cannot be stopped, and its result goes to `discard`.

    Args:
        call: The call.
        discard: Frees a result that nobody will get; runs in a thread.
    """
    errand = _Errand(call, discard)
    try:
        await to_thread.run_sync(errand.run)
    except RuntimeError:
        # An interpreter that ends starts no threads any more, and has nobody waiting.
        errand.run()
    except BaseException:
        state = errand.abandon()
        if state is _State.RUNNING:
            await to_the_end(errand.done)
        elif state is _State.FINISHED:
            await to_its_end(errand.free)
        raise
    return errand.outcome()


async def to_its_end(call: Callable[[], object]) -> None:
    """Run a clean-up in a thread, whatever is cancelled meanwhile.

    The last cancellation is raised after the call has ended.
    """
    errand = _Errand(call, None)
    interruption: BaseException | None = None
    while errand.state is not _State.FINISHED:
        try:
            with anyio.CancelScope(shield=True):
                await in_thread(errand.run)
        except anyio.get_cancelled_exc_class() as error:
            interruption = error
    errand.outcome()
    if interruption is not None:
        raise interruption


async def one_after_another(*steps: Callable[[], Awaitable[object]]) -> None:
    """Await clean-ups in turn, each whatever became of those before it.

    Raises:
        BaseException: The last failure or cancellation, after the last step.
    """
    failure: BaseException | None = None
    for step in steps:
        try:
            await step()
        except BaseException as error:  # noqa: BLE001  # raised below
            failure = error
    if failure is not None:
        raise failure


class _State(Enum):
    WAITING = 1
    RUNNING = 2
    FINISHED = 3
    ABANDONED = 4


class _Errand(Generic[_T]):
    def __init__(
        self, call: Callable[[], _T], discard: Callable[[_T], object] | None
    ) -> None:
        self._call = call
        self._discard = discard
        self._lock = threading.Lock()
        self._result: _T | None = None
        self._error: BaseException | None = None
        self.state = _State.WAITING
        self.done = anyio.Event()

    def run(self) -> None:
        with self._lock:
            if self.state is not _State.WAITING:
                return
            self.state = _State.RUNNING
        try:
            self._result = self._call()
        except BaseException as error:  # noqa: BLE001  # handed to who waits for it
            self._error = error
        with self._lock:
            abandoned = self.state is _State.ABANDONED
            self.state = _State.FINISHED
        if abandoned:
            self.free()
            from_thread.run_sync(self.done.set)

    def abandon(self) -> _State:
        """Let nobody wait for the result, and return how far the call was."""
        with self._lock:
            state = self.state
            if state is not _State.FINISHED:
                self.state = _State.ABANDONED
            return state

    def free(self) -> None:
        if self._discard is not None and self._error is None:
            self._discard(cast("_T", self._result))

    def outcome(self) -> _T:
        if self._error is not None:
            raise self._error
        return cast("_T", self._result)
