"""A few threads that take blocking work in batches.

Handing one job over costs more than most system calls. So a thread takes up to
`batch` waiting jobs at once, and wakes the event loop once for all of them. Work
that waits for the disk (fsync) wants more threads and a batch of one.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from contextlib import suppress
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

import anyio

from coatcheck.errors import AtCapacity, Closed
from coatcheck.payloads._threads import to_its_end, to_the_end
from coatcheck.payloads._waiting import in_its_next_turn, new_event, running_loop

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")
_MAX_WAITING: Final = 100_000
_PATIENCE: Final = 30.0
_log = logging.getLogger("coatcheck.filesystem")


class _State(Enum):
    WAITING = 1
    RUNNING = 2
    DONE = 3
    DROPPED = 4


class _Job(Generic[_T]):
    __slots__ = ("call", "done", "error", "loop", "result", "state")

    def __init__(self, call: Callable[[], _T]) -> None:
        self.call = call
        self.done = new_event()
        self.loop: Any = running_loop()
        self.state = _State.WAITING
        self.result: _T | None = None
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.result = self.call()
        except BaseException as error:  # noqa: BLE001  # handed to who waits for it
            self.error = error
        self.state = _State.DONE


class BatchPool:
    """Threads that run blocking calls for any number of event loops.

    Args:
        name: What the threads are called.
        threads: How many of them, started when there is work.
        batch: The most jobs that a thread takes at once.
    """

    def __init__(self, name: str, *, threads: int, batch: int) -> None:
        self._name = name
        self._threads = threads
        self._batch = batch
        self._waiting: deque[_Job[Any]] = deque()
        self._changed = threading.Condition()
        self._alive = 0
        self._idle = 0
        self._closed = False
        self._closers: list[tuple[anyio.Event, Any]] = []
        self._gathered: dict[Any, list[_Job[Any]]] = {}

    async def run(
        self,
        call: Callable[[], _T],
        *,
        discard: Callable[[_T], None] | None = None,
    ) -> _T:
        """Run a call in a thread and return what it returns.

        Cancellation: a call that has not begun is dropped. One that runs is waited
        for, since a thread cannot be stopped, and its result goes to `discard`.

        Args:
            call: The call.
            discard: Frees a result that nobody will get.

        Raises:
            AtCapacity: Too many calls wait.
            Closed: The pool was closed before the call began.
        """
        job = _Job(call)
        self._submit(job)
        try:
            await job.done.wait()
        except BaseException:
            if not self._drop(job):
                await _freed(job, discard)
            raise
        if job.error is not None:
            raise job.error
        return cast("_T", job.result)

    async def run_last(self, call: Callable[[], None]) -> None:
        """Run a clean-up to its end, whatever is cancelled or closed meanwhile."""
        job = _Job(call)
        try:
            self._submit(job)
        except (AtCapacity, Closed):
            await to_its_end(call)
            return
        await to_the_end(job.done)
        if job.state is _State.DROPPED:
            await to_its_end(call)
        elif job.error is not None:
            raise job.error

    def _submit(self, job: _Job[Any]) -> None:
        """Gather what is called for in one turn of the loop, to hand it over at once.

        Each hand-over wakes a thread, which then wants the interpreter's lock.
        """
        if self._closed:
            raise Closed("the filesystem backend is closed")
        gathered = self._gathered.get(job.loop)
        if len(self._waiting) + len(gathered or ()) >= _MAX_WAITING:
            raise AtCapacity(f"{len(self._waiting)} file operations wait already")
        if gathered is not None:
            gathered.append(job)
            return
        self._gathered[job.loop] = [job]
        if not in_its_next_turn(job.loop, lambda: self._hand_over(job.loop)):
            self._hand_over(job.loop)

    def _hand_over(self, loop: Any) -> None:
        jobs = self._gathered.pop(loop, None)
        if jobs is None:
            return
        with self._changed:
            self._waiting.extend(jobs)
            wanted = -(-len(jobs) // self._batch)
            # Counted down here: a thread that was told is not idle any more.
            told = min(self._idle, wanted)
            self._idle -= told
            self._changed.notify(told)
            for _ in range(min(wanted - told, self._threads - self._alive)):
                self._start_thread()
            if self._alive:
                return
            for job in jobs:
                self._waiting.remove(job)
                job.state = _State.DROPPED
                job.error = AtCapacity("this machine cannot start another thread")
        _set_all(jobs)

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._work, name=self._name, daemon=True)
        with suppress(RuntimeError):
            thread.start()
            self._alive += 1

    @property
    def has_ended(self) -> bool:
        """Whether no thread runs any more."""
        return not self._alive

    def _drop(self, job: _Job[Any]) -> bool:
        with self._changed:
            if job.state is not _State.WAITING:
                return False
            job.state = _State.DROPPED
            return True

    def _work(self) -> None:
        while jobs := self._take():
            for job in jobs:
                job.run()
            _wake(jobs)
        with self._changed:
            self._alive -= 1
            told = [] if self._alive else self._closers
        for ended, loop in told:
            _schedule(loop, ended.set)

    def _take(self) -> list[_Job[Any]]:
        """Wait for work; return none of it when the pool is closed and empty."""
        with self._changed:
            while True:
                jobs: list[_Job[Any]] = []
                # A fair share only, so that other threads find work too.
                share = min(self._batch, -(-len(self._waiting) // self._threads))
                while self._waiting and len(jobs) < share:
                    job = self._waiting.popleft()
                    if job.state is _State.WAITING:
                        job.state = _State.RUNNING
                        jobs.append(job)
                if jobs or (self._closed and not self._waiting):
                    return jobs
                if not self._waiting:
                    self._idle += 1
                    self._changed.wait()

    async def aclose(self) -> None:
        """Refuse new work, do what waits already, and wait for the threads to end.

        A thread that hangs in a system call is given up after half a minute.
        """
        ended = anyio.Event()
        loop = running_loop()
        self._hand_over(loop)
        with self._changed:
            self._closed = True
            if not self._alive:
                return
            self._closers.append((ended, loop))
            self._changed.notify_all()
        try:
            await to_the_end(ended, patience=_PATIENCE)
        finally:
            if not ended.is_set():
                _log.warning("a thread of %s hangs in a system call", self._name)


async def _freed(job: _Job[_T], discard: Callable[[_T], None] | None) -> None:
    """Wait for a job that runs, and free its result."""
    try:
        await to_the_end(job.done)
    finally:
        if discard is not None and job.error is None:
            result = cast("_T", job.result)
            await to_its_end(lambda: discard(result))


def _wake(jobs: list[_Job[Any]]) -> None:
    by_loop: dict[Any, list[_Job[Any]]] = {}
    for job in jobs:
        by_loop.setdefault(job.loop, []).append(job)
    for loop, finished in by_loop.items():
        _schedule(loop, _set_all, finished)


def _schedule(loop: Any, function: Callable[..., None], *args: Any) -> None:
    # asyncio and trio name the same thing differently.
    schedule = getattr(loop, "call_soon_threadsafe", None) or loop.run_sync_soon
    try:
        schedule(function, *args)
    except RuntimeError:
        _log.debug("an event loop ended before its file operations")


def _set_all(jobs: list[_Job[Any]]) -> None:
    for job in jobs:
        job.done.set()
