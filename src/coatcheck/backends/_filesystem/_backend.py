"""The filesystem backend: its lifetime, its threads, its buckets."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from coatcheck._core.expiry import utc_now
from coatcheck._core.names import check_namespace
from coatcheck.abc import AsyncResource
from coatcheck.errors import InvalidInput
from coatcheck.payloads._threads import one_after_another, to_its_end
from coatcheck.wrappers import scoped

from ._bucket import FilesystemBucket
from ._calls import Calls
from ._disk import CONTROL, Disk
from ._errors import storage_errors
from ._pool import BatchPool

if TYPE_CHECKING:
    from collections.abc import Callable

    from coatcheck.abc import Backend, Bucket


class FilesystemBackend(AsyncResource):
    """Objects as files under one folder, shared by any number of processes.

    Args:
        root: The folder; made when it is missing, with what is missing above it.
        durable: Wait until the disk confirms every write. Without it a crash of the
            machine, not of the process, may lose the last ones.
        clock: Tells the time that deadlines go by.
        lock_timeout: How long a call waits for another process that changes the
            same object.
        calls: The system calls, for tests that let them fail.

    Raises:
        InvalidInput: The root is empty or has a NUL character.
    """

    scheme = "file"

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        durable: bool = True,
        clock: Callable[[], datetime] = utc_now,
        lock_timeout: timedelta = timedelta(seconds=10),
        calls: Calls | None = None,
    ) -> None:
        path = os.fspath(root)
        if not path or "\0" in path:
            raise InvalidInput("the root folder is an empty path or has a NUL in it")
        self._disk = Disk(
            path,
            calls=calls or Calls(),
            durable=durable,
            now=clock,
            lock_timeout=lock_timeout.total_seconds(),
        )
        # Reading is short and gains from batches; waiting for the disk does not.
        self._readers = _pool_for_short_work("coatcheck-read")
        self._writers = (
            BatchPool("coatcheck-write", threads=6, batch=1)
            if durable
            else _pool_for_short_work("coatcheck-write")
        )

    def bucket(self, name: str, prefix: str = "") -> Bucket:
        check_namespace(name)
        return scoped(
            FilesystemBucket(
                name,
                backend=self,
                disk=self._disk,
                readers=self._readers,
                writers=self._writers,
                check_open=self._check_open,
            ),
            prefix,
        )

    def now(self) -> datetime:
        return self._disk.now()

    async def check(self) -> None:
        self._check_open()
        await self._writers.run(self._probe)

    def _probe(self) -> None:
        disk = self._disk
        with storage_errors("write a probe for", "", "readiness"):
            disk.check_not_gone()
            with disk.folder((CONTROL,), make=True) as control:
                name = disk.draft_name()
                descriptor = disk.calls.new_file(control, name)
                try:
                    disk.calls.write(descriptor, [b"probe"])
                    disk.calls.sync(descriptor)
                finally:
                    disk.calls.close(descriptor)
                    disk.calls.unlink(control, name)

    async def _open(self) -> None:
        try:
            await self._writers.run(
                self._disk.open, discard=lambda _: self._disk.close()
            )
        except BaseException:
            await self._writers.aclose()
            raise

    async def _close(self) -> None:
        await one_after_another(
            self._readers.aclose, self._writers.aclose, self._close_disk
        )

    async def _close_disk(self) -> None:
        # A thread that hangs may still use the descriptors.
        if self._readers.has_ended and self._writers.has_ended:
            await to_its_end(self._disk.close)


def _pool_for_short_work(name: str) -> BatchPool:
    return BatchPool(name, threads=6, batch=16, patience=0.006)


if TYPE_CHECKING:
    _conforms: type[Backend] = FilesystemBackend
