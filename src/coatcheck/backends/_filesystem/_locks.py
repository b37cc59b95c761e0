"""Mutual exclusion between processes, by key.

Whoever changes what stands under a key holds the slot of that key: a file under the
root that is locked with flock, which the kernel releases when a process dies.
"""

from __future__ import annotations

import random
import threading
import zlib
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Final

from coatcheck.errors import Outcome, Timeout

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from ._calls import Calls

SLOTS: Final = 64
_FIRST_PAUSE: Final = 0.000_2
_LONGEST_PAUSE: Final = 0.02


class SlotLocks:
    """The lock files of one root; used from the pool's threads.

    Args:
        calls: The system calls.
        folder: Opens the folder of the lock files, for the caller to close.
        timeout: Seconds after which waiting for a slot is given up.
    """

    def __init__(
        self, calls: Calls, folder: Callable[[], int], *, timeout: float
    ) -> None:
        self._calls = calls
        self._folder = folder
        self._timeout = timeout
        self._threads = tuple(threading.Lock() for _ in range(SLOTS))
        self._files: dict[int, int] = {}

    @contextmanager
    def held(self, bucket: str, key: str) -> Generator[None]:
        """Hold the slot of a key.

        Raises:
            Timeout: Another thread or process held it for too long.
        """
        slot = zlib.crc32(f"{bucket}/{key}".encode()) % SLOTS
        # flock is held by the open file, which this process's threads share.
        if not self._threads[slot].acquire(timeout=self._timeout):
            raise self._timed_out(bucket, key)
        try:
            descriptor = self._files.get(slot)
            if descriptor is None:
                descriptor = self._files[slot] = self._open(slot)
            self._lock(descriptor, bucket, key)
            try:
                yield
            finally:
                self._calls.unlock(descriptor)
        finally:
            self._threads[slot].release()

    def _open(self, slot: int) -> int:
        folder = self._folder()
        try:
            return self._calls.lock_file(folder, f"{slot:02d}")
        finally:
            self._calls.close(folder)

    def _lock(self, descriptor: int, bucket: str, key: str) -> None:
        give_up = monotonic() + self._timeout
        pause = _FIRST_PAUSE
        while not self._calls.try_lock(descriptor):
            if monotonic() >= give_up:
                raise self._timed_out(bucket, key)
            # Random, so that waiting processes do not march in step.
            self._calls.pause(pause * random.uniform(0.5, 1.5))  # noqa: S311
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _timed_out(self, bucket: str, key: str) -> Timeout:
        return Timeout(
            f"object {key!a} in bucket {bucket!a} is locked by somebody else"
            f" for more than {self._timeout:g} s; is a process stopped?",
            bucket=bucket,
            key=key,
            backend="file",
            outcome=Outcome.NOT_APPLIED,
        )

    def close(self) -> None:
        """Close the lock files; nobody may hold a slot."""
        while self._files:
            self._calls.close(self._files.popitem()[1])
