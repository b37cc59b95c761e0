"""A few threads that take blocking work in batches.

Handing one job over costs more than most system calls. So what is asked for in one
turn of the event loop is handed over together, and the loop is woken once for every
`batch` jobs that are done.

The interpreter runs one thread at a time, and threads that all have work keep taking
it from each other. So where jobs are short (`patience`), one thread does them alone.
Another one watches it, and helps when a job takes long, as on a slow disk. Work that
mostly waits for the disk (fsync) wants all threads at once, and no patience.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio

from coatcheck.errors import AtCapacity, Closed
from coatcheck.payloads._threads import to_its_end, to_the_end
from coatcheck.payloads._waiting import in_its_next_turn, running_loop

from ._jobs import Job, JobState, schedule, tell, tell_here

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")
_MAX_WAITING: Final = 100_000
_PATIENCE: Final = 30.0
_DOZE: Final = 0.1
"""Seconds without a job after which nobody watches."""
_log = logging.getLogger("coatcheck.filesystem")


class BatchPool:
    """Threads that run blocking calls for any number of event loops.

    Args:
        name: What the threads are called.
        threads: How many of them, started when there is work.
        batch: The most jobs that are done before the loop hears of them.
        patience: Seconds that a job may take before other threads help; 0 lets
            them all work at once.
    """

    def __init__(
        self, name: str, *, threads: int, batch: int, patience: float = 0
    ) -> None:
        self._name = name
        self._threads = threads
        self._batch = batch
        self._patience = patience
        self._waiting: deque[Job[Any]] = deque()
        self._finished: list[Job[Any]] = []
        self._lock = threading.Lock()
        self._wanted = threading.Condition(self._lock)
        self._late = threading.Condition(self._lock)
        self._alive = 0
        self._idle = 0
        self._working = 0
        self._since = 0.0
        self._watched = False
        self._dozing = False
        self._closed = False
        self._closers: list[tuple[anyio.Event, Any]] = []
        self._gathered: dict[Any, list[Job[Any]]] = {}

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
        job = Job(call)
        self._submit(job)
        try:
            await job.done.wait()
        except BaseException:
            if not self._drop(job):
                await job.freed(discard)
            raise
        return job.outcome()

    async def run_last(self, call: Callable[[], None]) -> None:
        """Run a clean-up to its end, whatever is cancelled or closed meanwhile."""
        job = Job(call)
        try:
            self._submit(job)
        except (AtCapacity, Closed):
            await to_its_end(call)
            return
        await to_the_end(job.done)
        if job.state is JobState.DROPPED:
            await to_its_end(call)
        elif job.error is not None:
            raise job.error

    def _submit(self, job: Job[Any]) -> None:
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
        with self._lock:
            self._waiting.extend(jobs)
            self._call_threads(len(jobs))
            if self._alive:
                return
            for job in jobs:
                self._waiting.remove(job)
                job.refuse(AtCapacity("this machine cannot start another thread"))
        tell_here(jobs)

    def _call_threads(self, jobs: int) -> None:
        """Wake or start as many threads as so many new jobs want."""
        wanted = -(-jobs // self._batch)
        if self._patience:
            wanted = 0 if self._working else 1
            self._wake_watcher()
        # Counted down here: a thread that was told is not idle any more.
        told = min(self._idle, wanted)
        self._idle -= told
        self._wanted.notify(told)
        missing = self._threads - self._alive
        if self._patience and self._alive:
            missing = 0
        for _ in range(min(wanted - told, missing)):
            self._start_thread()

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._work, name=self._name, daemon=True)
        with suppress(RuntimeError):
            thread.start()
            self._alive += 1

    @property
    def has_ended(self) -> bool:
        """Whether no thread runs any more."""
        return not self._alive

    def _drop(self, job: Job[Any]) -> bool:
        with self._lock:
            if job.state is not JobState.WAITING:
                return False
            job.state = JobState.DROPPED
            return True

    def _work(self) -> None:
        job: Job[Any] | None = None
        while True:
            finished, job = self._next(job)
            if job is not None:
                job.run()
            elif finished:
                tell(finished)
            else:
                break
        with self._lock:
            self._alive -= 1
            told = [] if self._alive else self._closers
        for ended, loop in told:
            schedule(loop, ended.set)

    def _next(self, done: Job[Any] | None) -> tuple[list[Job[Any]], Job[Any] | None]:
        """Give a job back, and return either jobs to tell of or another job to do.

        Neither when the pool is closed and empty.
        """
        with self._lock:
            if done is not None:
                self._working -= 1
                self._finished.append(done)
            while True:
                if self._must_tell():
                    finished, self._finished = self._finished, []
                    return finished, None
                if self._waiting and self._may_work():
                    job = self._waiting.popleft()
                    if job.state is JobState.WAITING:
                        self._begin(job)
                        return [], job
                elif self._closed and not self._waiting:
                    return [], None
                else:
                    self._rest()

    def _must_tell(self) -> bool:
        if not self._finished:
            return False
        full = len(self._finished) >= self._batch or not self._waiting
        return full or self._is_held_up()

    def _may_work(self) -> bool:
        return not self._patience or not self._working or self._is_held_up()

    def _is_held_up(self) -> bool:
        """Tell whether those who work have not begun anything for a while."""
        return self._working > 0 and monotonic() - self._since >= self._patience > 0

    def _begin(self, job: Job[Any]) -> None:
        job.state = JobState.RUNNING
        self._working += 1
        if not self._patience:
            return
        self._since = monotonic()
        if not self._watched:
            if self._idle:
                self._idle -= 1
                self._wanted.notify()
            elif self._alive < self._threads:
                self._start_thread()
        self._wake_watcher()

    def _wake_watcher(self) -> None:
        if self._dozing:
            self._dozing = False
            self._late.notify()

    def _rest(self) -> None:
        """Wait for work, or watch those who work."""
        if not self._patience or self._watched or self._alive == 1:
            self._idle += 1
            self._wanted.wait()
            return
        self._watched = True
        self._dozing = not self._waiting and monotonic() - self._since > _DOZE
        try:
            self._late.wait(None if self._dozing else self._patience)
        finally:
            self._watched = self._dozing = False

    async def aclose(self) -> None:
        """Refuse new work, do what waits already, and wait for the threads to end.

        A thread that hangs in a system call is given up after half a minute.
        """
        ended = anyio.Event()
        loop = running_loop()
        self._hand_over(loop)
        with self._lock:
            self._closed = True
            if not self._alive:
                return
            self._closers.append((ended, loop))
            self._wanted.notify_all()
            self._late.notify_all()
        try:
            await to_the_end(ended, patience=_PATIENCE)
        finally:
            if not ended.is_set():
                _log.warning("a thread of %s hangs in a system call", self._name)
