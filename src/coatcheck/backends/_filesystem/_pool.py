"""A few threads that take blocking work in batches.

Handing one job over costs more than most system calls. So what is asked for in one
turn of the event loop is handed over together, and the loop is woken once for every
`batch` jobs that are done.

The interpreter runs one thread at a time, and threads that all have work keep taking
it from each other. So as long as the disk answers at once, one thread does all the
work. Another one watches it, and when a job does not get on for `patience`, all
threads work at the same time for a while. Work that mostly waits for the disk (fsync)
has no patience.
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
_GLANCE: Final = 0.002
"""Seconds between two looks of the thread that watches."""
_DOZE: Final = 0.1
"""Seconds without a job after which it looks no more until the next."""
_SLOW: Final = 1.0
"""Seconds for which a disk counts as slow."""
_log = logging.getLogger("coatcheck.filesystem")


class BatchPool:
    """Threads that run blocking calls for any number of event loops.

    Args:
        name: What the threads are called.
        threads: How many of them, started when there is work.
        batch: The most jobs that are done before the loop hears of them.
        patience: Seconds without progress after which other threads help; 0 lets
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
        self._begun = 0
        self._slow_until = 0.0
        self._watched = False
        self._called = False
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
        """Wake or start as many threads as so many jobs want."""
        if self._is_patient():
            wanted = 0 if self._working else 1
        else:
            wanted = jobs if self._patience else -(-jobs // self._batch)
        # Counted down here: a thread that was told is not idle any more.
        told = min(self._idle, wanted)
        self._idle -= told
        self._wanted.notify(told)
        most = 1 if self._is_patient() else self._threads
        for _ in range(min(wanted - told, most - self._alive)):
            self._start_thread()

    def _start_thread(self) -> bool:
        thread = threading.Thread(target=self._work, name=self._name, daemon=True)
        with suppress(RuntimeError):
            thread.start()
            self._alive += 1
            return True
        return False

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
        return full or self._is_slow()

    def _may_work(self) -> bool:
        return not self._working or not self._is_patient()

    def _is_patient(self) -> bool:
        """Tell whether one thread is enough, as far as anybody knows."""
        return self._patience > 0 and not self._closed and not self._is_slow()

    def _is_slow(self) -> bool:
        return self._slow_until > 0 and monotonic() < self._slow_until

    def _begin(self, job: Job[Any]) -> None:
        job.state = JobState.RUNNING
        self._working += 1
        self._begun += 1
        if self._dozing:
            self._dozing = False
            self._late.notify()
        elif not (self._watched or self._called) and self._is_patient():
            self._call_watcher()

    def _call_watcher(self) -> None:
        if self._idle:
            self._idle -= 1
            self._wanted.notify()
            self._called = True
        elif self._alive < self._threads:
            self._called = self._start_thread()

    def _rest(self) -> None:
        """Wait for work, or watch the one who works."""
        if self._watched or self._alive == 1 or not self._is_patient():
            self._idle += 1
            self._wanted.wait()
            return
        self._watched, self._called = True, False
        try:
            self._watch()
        finally:
            self._watched = self._dozing = False

    def _watch(self) -> None:
        """Look now and then whether jobs get on; return when they do not."""
        late = quiet = 0.0
        while not self._closed:
            begun, looked = self._begun, monotonic()
            self._late.wait(None if self._dozing else _GLANCE)
            passed = monotonic() - looked
            if begun != self._begun:
                late = quiet = 0
            elif not self._working and not self._waiting:
                quiet += passed
                self._dozing = quiet > _DOZE
            elif passed < 2 * _GLANCE:
                # Who wakes late cannot tell the disk from a busy interpreter.
                late += passed
            if late >= self._patience:
                self._slow_until = monotonic() + _SLOW
                self._call_threads(len(self._waiting))
                return

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
