"""A file that appears whole under its name, or not at all."""

from __future__ import annotations

import errno
import os
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from coatcheck.errors import AtCapacity, BackendError, CoatcheckError, InvalidInput
from coatcheck.payloads._threads import in_thread, to_its_end

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_MODE: Final = 0o666


class PartFile:
    """A hidden file beside its target, which it replaces when it is finished.

    Its methods block, and their errors are OSErrors.
    """

    def __init__(self, target: str, *, durable: bool) -> None:
        folder, name = os.path.split(target)
        self._target = target
        self._folder = folder or "."
        # Cut, so that the hidden name is not longer than file systems allow.
        part_name = f".{name[:40]}.{uuid4().hex}.part"
        self._path = os.path.join(self._folder, part_name)  # noqa: PTH118  # a str
        self._durable = durable
        self._descriptor = os.open(self._path, _NEW, _MODE)
        self._finished = False

    def write(self, chunk: bytes) -> None:
        """Append a chunk, all of it."""
        left = memoryview(chunk)
        while left:
            left = left[os.write(self._descriptor, left) :]

    def finish(self) -> None:
        """Replace the target."""
        if self._durable:
            os.fsync(self._descriptor)
        os.replace(self._path, self._target)  # noqa: PTH105  # paths are str here
        self._finished = True
        if self._durable:
            self._sync_folder()

    def _sync_folder(self) -> None:
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def close(self) -> None:
        """Free the file; unless it was finished, nothing of it stays."""
        os.close(self._descriptor)
        if not self._finished:
            with suppress(OSError):
                os.unlink(self._path)  # noqa: PTH108  # paths are str here


@asynccontextmanager
async def part_file(
    path: str | os.PathLike[str], *, durable: bool
) -> AsyncGenerator[PartFile]:
    """Open a file that is finished or vanishes.

    Raises:
        InvalidInput: Nothing can be written to the path.
        AtCapacity: The disk is full.
        BackendError: The disk failed.
    """
    target = os.fspath(path)
    try:
        part = await in_thread(
            lambda: PartFile(target, durable=durable), discard=PartFile.close
        )
        try:
            yield part
        finally:
            await to_its_end(part.close)
    except CoatcheckError:
        # Timeout is an OSError too.
        raise
    except OSError as error:
        raise _mapped(error, target) from error
    except ValueError as error:
        raise InvalidInput(f"cannot write to {target!a}: {error}") from error


def _mapped(error: OSError, target: str) -> CoatcheckError:
    message = f"cannot write to {target!a}: {error.strerror}"
    if error.errno in _FULL:
        return AtCapacity(message)
    return BackendError(message) if error.errno == errno.EIO else InvalidInput(message)
