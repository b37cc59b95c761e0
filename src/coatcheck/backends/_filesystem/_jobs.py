"""One piece of blocking work, and how its result comes home to the loop that asked."""

from __future__ import annotations

import logging
from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from coatcheck.payloads._threads import to_its_end, to_the_end
from coatcheck.payloads._waiting import new_event, running_loop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_T = TypeVar("_T")
_log = logging.getLogger("coatcheck.filesystem")


class JobState(Enum):
    """How far a job is."""

    WAITING = 1
    RUNNING = 2
    DONE = 3
    DROPPED = 4


class Job(Generic[_T]):
    """A call that a thread makes for a task of a loop.

    Args:
        call: The call.
    """

    __slots__ = ("call", "done", "error", "loop", "result", "state")

    def __init__(self, call: Callable[[], _T]) -> None:
        self.call = call
        self.loop: Any = running_loop()
        self.done = new_event(self.loop)
        self.state = JobState.WAITING
        self.result: _T | None = None
        self.error: BaseException | None = None

    def run(self) -> None:
        """Make the call, in a thread."""
        try:
            self.result = self.call()
        except BaseException as error:  # noqa: BLE001  # handed to who waits for it
            self.error = error
        self.state = JobState.DONE

    def refuse(self, error: BaseException) -> None:
        """Let the call fail that was never made."""
        self.state = JobState.DROPPED
        self.error = error

    def outcome(self) -> _T:
        """Return what the call returned, or raise what it raised."""
        if self.error is not None:
            raise self.error
        return cast("_T", self.result)

    async def freed(self, discard: Callable[[_T], None] | None) -> None:
        """Wait for the call, which runs, and free its result."""
        try:
            await to_the_end(self.done)
        finally:
            if discard is not None and self.error is None:
                result = cast("_T", self.result)
                await to_its_end(lambda: discard(result))


def tell(jobs: Iterable[Job[Any]]) -> None:
    """Wake the tasks that wait for jobs, from a thread."""
    by_loop: dict[Any, list[Job[Any]]] = {}
    for job in jobs:
        by_loop.setdefault(job.loop, []).append(job)
    for loop, finished in by_loop.items():
        schedule(loop, tell_here, finished)


def tell_here(jobs: Iterable[Job[Any]]) -> None:
    """Wake the tasks that wait for jobs, in their loop."""
    for job in jobs:
        job.done.set()


def schedule(loop: Any, function: Callable[..., None], *args: Any) -> None:
    """Let a loop make a call; called from a thread."""
    # asyncio and trio name the same thing differently.
    schedule = getattr(loop, "call_soon_threadsafe", None) or loop.run_sync_soon
    try:
        schedule(function, *args)
    except RuntimeError:
        _log.debug("an event loop ended before its file operations")
