"""Hashing a stream in a thread while it goes on flowing."""

from __future__ import annotations

import os
import threading
from collections import deque
from contextlib import suppress
from typing import Final

from coatcheck._core.digests import DigestAlgorithm, hasher

from ._threads import in_thread

_TOGETHER: Final = 1024 * 1024
"""Bytes that are hashed together: going to a thread costs as much as 64 KiB."""
_MOST_BEHIND: Final = 4 * _TOGETHER
"""Bytes that may have flowed on before they are hashed."""
_ON_LOOP: Final = 64 * 1024
_MOST_THREADS: Final = 2
_LINGER: Final = 0.1
"""Seconds without work after which a thread ends."""


class _Threads:
    """The threads that hash, of this process: there while there is work."""

    def __init__(self) -> None:
        self._begin()
        os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        # A child of a fork has none of its parent's threads.
        self._waiting: deque[StreamDigest] = deque()
        self._changed = threading.Condition()
        self._alive = 0
        self._idle = 0

    def start(self, digest: StreamDigest) -> None:
        """Let a thread hash; when none can be had, who asks for the digest will."""
        with self._changed:
            if self._idle:
                self._waiting.append(digest)
                self._changed.notify()
            elif self._alive < _MOST_THREADS:
                thread = threading.Thread(
                    target=self._work,
                    args=(digest,),
                    name="coatcheck-hash",
                    daemon=True,
                )
                with suppress(RuntimeError):
                    thread.start()
                    self._alive += 1

    def _work(self, digest: StreamDigest | None) -> None:
        while digest is not None:
            digest.hash_waiting()
            digest = self._next()

    def _next(self) -> StreamDigest | None:
        with self._changed:
            if not self._waiting:
                self._idle += 1
                self._changed.wait(_LINGER)
                self._idle -= 1
            if self._waiting:
                return self._waiting.popleft()
            self._alive -= 1
            return None


_threads = _Threads()


class StreamDigest:
    """The digest of chunks that follow one another, a little behind them.

    Args:
        algorithm: What it is made with.
        expected: What it shall be, in lower-case hex.
    """

    __slots__ = (
        "_expected",
        "_hashed",
        "_hasher",
        "_lock",
        "_started",
        "_taken",
        "_waiting",
    )

    def __init__(self, algorithm: DigestAlgorithm, expected: str) -> None:
        self._hasher = hasher(algorithm)
        self._expected = expected
        self._waiting: deque[bytes] = deque()
        self._lock = threading.Lock()
        self._taken = self._started = self._hashed = 0

    async def take(self, chunk: bytes) -> None:
        """Take the next chunk, and wait while too much waits to be hashed.

        Cancellation: the chunk was taken.
        """
        self._waiting.append(chunk)
        self._taken += len(chunk)
        if self._taken - self._started >= _TOGETHER:
            self._started = self._taken
            _threads.start(self)
        if self._taken - self._hashed > _MOST_BEHIND:
            await in_thread(lambda: self.hash_waiting(_MOST_BEHIND // 2))

    def hash_waiting(self, down_to: int = 0) -> None:
        """Hash until no more bytes than these wait; threads may share the work."""
        while self._taken - self._hashed > down_to:
            with self._lock:
                if not self._waiting:
                    return
                chunk = self._waiting.popleft()
                self._hasher.update(chunk)
                self._hashed += len(chunk)

    async def is_as_expected(self) -> bool:
        """Tell whether all that was taken has the digest."""
        if self._taken - self._hashed <= _ON_LOOP:
            self.hash_waiting()
        else:
            await in_thread(self.hash_waiting)
        return self._hasher.hexdigest() == self._expected
