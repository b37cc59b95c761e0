"""An object's file while it is written, invisible until it is published."""

from __future__ import annotations

import errno
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from coatcheck.errors import Closed

from ._disk import drafts_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._disk import Disk

_COPY_STEP: Final = 16 * 1024 * 1024


class Draft:
    """One file that has no name, or a name among the drafts, until it is whole.

    With O_TMPFILE a killed process leaves nothing behind; elsewhere it leaves a
    draft, which a sweep removes.

    Args:
        disk: The root.
        bucket: The bucket that the object belongs to.
    """

    __slots__ = ("_descriptor", "_disk", "_drafts", "_name", "size")

    def __init__(self, disk: Disk, bucket: str) -> None:
        self._disk = disk
        self._drafts = drafts_path(bucket)
        self._name: str | None = None
        self.size = 0
        self._descriptor = self._open()

    def _open(self) -> int:
        if self._disk.nameless:
            return self._disk.nameless_file()
        with self._disk.folder(self._drafts, make=True) as drafts:
            self._name = self._disk.draft_name()
            return self._disk.calls.new_file(drafts, self._name)

    def write(self, *buffers: bytes | memoryview) -> None:
        """Append the buffers, all of them."""
        left: Sequence[bytes | memoryview] = buffers
        while left:
            written = self._disk.calls.write(self._descriptor, left)
            self.size += written
            left = _unwritten(left, written)

    def copy(self, source: int, offset: int, count: int) -> None:
        """Append `count` bytes of another open file.

        Raises:
            OSError: The other file ends before that.
        """
        end = offset + count
        while offset < end:
            step = min(end - offset, _COPY_STEP)
            copied = self._disk.calls.copy(source, offset, step, self._descriptor)
            if copied == 0:
                raise OSError(errno.EIO, "a file ended before its recorded size")
            offset += copied
            self.size += copied

    def seal(self, rest: bytes, tail: bytes, micros: int) -> None:
        """Write what is left, set the time, and bring it all to the disk if durable."""
        self.write(rest, tail)
        self._disk.calls.set_time(self._descriptor, micros * 1000)
        if self._disk.durable:
            self._disk.calls.sync(self._descriptor)

    def link(self, folder: int, name: str) -> None:
        """Publish under a free name.

        Raises:
            FileExistsError: The name is taken; the draft can still be published.
            FileNotFoundError: The folder was removed.
        """
        calls = self._disk.calls
        if self._name is None:
            calls.link_nameless(self._descriptor, folder, name)
            return
        with self._disk.folder(self._drafts) as drafts:
            calls.link(drafts, self._name, folder, name)
            # From here on the object stands; its second name is a sweep's if need be.
            draft_name, self._name = self._name, None
            with suppress(OSError):
                calls.unlink(drafts, draft_name)

    def replace(self, folder: int, name: str) -> None:
        """Publish over whatever object stands under the name.

        Raises:
            FileNotFoundError: The folder was removed.
        """
        with self._disk.folder(self._drafts, make=self._name is None) as drafts:
            if self._name is None:
                draft_name = self._disk.draft_name()
                self._disk.calls.link_nameless(self._descriptor, drafts, draft_name)
                self._name = draft_name
            self._disk.calls.rename(drafts, self._name, folder, name)
        self._name = None

    def close(self) -> None:
        """Free the file; unless it was published, nothing of it stays."""
        if self._name is not None:
            with (
                suppress(OSError, Closed),
                self._disk.folder(self._drafts) as drafts,
            ):
                self._disk.calls.unlink(drafts, self._name)
        self._disk.calls.close(self._descriptor)


def _unwritten(
    buffers: Sequence[bytes | memoryview], written: int
) -> Sequence[bytes | memoryview]:
    """Return what is left of buffers after their first bytes were written."""
    if written == sum(map(len, buffers)):
        return ()
    left = [memoryview(buffer) for buffer in buffers]
    while written >= len(left[0]):
        written -= len(left.pop(0))
    left[0] = left[0][written:]
    return left
