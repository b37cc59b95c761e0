"""What all verbs of a filesystem bucket share: threads, errors, drafts."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from coatcheck._core.writes import Limits
from coatcheck.errors import OutcomeUnknown

from ._draft import Draft
from ._errors import storage_errors
from ._objects import ObjectFiles
from ._record import MAX_METADATA

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from coatcheck.abc import Backend
    from coatcheck.errors import Outcome

    from ._disk import Disk
    from ._outcomes import Judge
    from ._pool import BatchPool

_T = TypeVar("_T")


class ThreadedBucket:
    """A bucket whose work is handed to the backend's threads.

    Args:
        name: The bucket's name.
        backend: The backend.
        disk: Its root.
        readers: Threads for what only reads.
        writers: Threads for what writes.
        check_open: Raises Closed when the backend is not open here.
    """

    def __init__(
        self,
        name: str,
        *,
        backend: Backend,
        disk: Disk,
        readers: BatchPool,
        writers: BatchPool,
        check_open: Callable[[], None],
    ) -> None:
        self._name = name
        self._backend = backend
        self._readers = readers
        self._writers = writers
        self._check_open = check_open
        self.disk = disk
        self.files = ObjectFiles(disk, name)

    @property
    def name(self) -> str:
        return self._name

    @property
    def backend(self) -> Backend:
        return self._backend

    @property
    def limits(self) -> Limits:
        return Limits(max_metadata=MAX_METADATA)

    async def read_in_thread(
        self,
        doing: str,
        key: str,
        call: Callable[[], _T],
        *,
        discard: Callable[[_T], None] | None = None,
    ) -> _T:
        return await self._run(self._readers, doing, key, call, discard)

    async def write_in_thread(
        self,
        doing: str,
        key: str,
        call: Callable[[], _T],
        *,
        discard: Callable[[_T], None] | None = None,
    ) -> _T:
        return await self._run(self._writers, doing, key, call, discard)

    async def _run(
        self,
        pool: BatchPool,
        doing: str,
        key: str,
        call: Callable[[], _T],
        discard: Callable[[_T], None] | None,
    ) -> _T:
        self._check_open()

        def guarded() -> _T:
            with storage_errors(doing, self._name, key):
                return call()

        return await pool.run(guarded, discard=discard)

    async def _publish(
        self, key: str, call: Callable[[], _T], *, shows: Judge, doing: str = "write"
    ) -> _T:
        """Run a write whose outcome can be asked for when it is not known.

        Args:
            key: The key.
            call: The write.
            shows: Tells from what stands under the key whether it was applied.
            doing: What errors call it.
        """
        try:
            return await self.write_in_thread(doing, key, call)
        except OutcomeUnknown as error:
            error.probe = self.probe(key, shows)
            raise

    def probe(self, key: str, shows: Judge) -> Callable[[], Awaitable[Outcome]]:
        """Return what tells what became of a write; see `_publish`."""
        return lambda: self.read_in_thread(
            "ask for", key, lambda: self.files.outcome(key, shows)
        )

    @asynccontextmanager
    async def _draft(self, key: str) -> AsyncGenerator[Draft]:
        """Open a draft that leaves nothing behind unless it is published."""
        draft = await self.write_in_thread(
            "write", key, lambda: Draft(self.disk, self._name), discard=Draft.close
        )
        try:
            yield draft
        finally:
            await self._writers.run_last(draft.close)
