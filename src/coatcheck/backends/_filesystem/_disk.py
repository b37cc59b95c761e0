"""One root folder: its layout, its descriptor and its locks.

    {root}/{bucket}/{folder+}/.../{name}         objects
    {root}/.coatcheck/locks/{slot}               lock files
    {root}/.coatcheck/buckets/{bucket}/drafts    files of writes that have not ended
    {root}/.coatcheck/buckets/{bucket}/uploads   multipart uploads, a folder each

Every path is walked folder by folder from the root's descriptor, and no step goes
through a symlink, so nothing outside the root is ever reached.
"""

from __future__ import annotations

import errno
from contextlib import suppress
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from coatcheck.errors import Closed

from ._errors import FULL, storage_errors
from ._locks import SlotLocks
from ._names import encode_segment
from ._record import to_micros

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from types import TracebackType

    from ._calls import Calls

    Path = tuple[str, ...]

CONTROL: Final = ".coatcheck"
_ATTEMPTS: Final = 8
_MAX_SYNCED: Final = 10_000
_PROBE: Final = "probe"
_NO_TMPFILE: Final = frozenset(
    {errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL, errno.EXDEV}
)
_READ_ONLY: Final = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})


class Disk:
    """The root folder while it is open; all methods block and run in threads.

    Args:
        root: Path of the root folder; made when it is missing.
        calls: The system calls.
        durable: Whether a finished write has reached the disk.
        now: The clock.
        lock_timeout: Seconds that a call waits for the lock of a key.
    """

    def __init__(
        self,
        root: str,
        *,
        calls: Calls,
        durable: bool,
        now: Callable[[], datetime],
        lock_timeout: float,
    ) -> None:
        self.calls = calls
        self.durable = durable
        self.now = now
        self.nameless = True
        self._root = root
        self._descriptor = -1
        # The inodes of folders whose names have reached the disk.
        self._synced: dict[Path, int] = {}
        self.locks = SlotLocks(
            calls, lambda: self.open_folder((CONTROL, "locks")), timeout=lock_timeout
        )

    def open(self) -> None:
        """Open the root, and make it and its control folders when they are missing.

        A root on a read-only file system opens too, for reading.
        """
        with storage_errors("open the root for", "", self._root):
            self.calls.make_root(self._root)
            self._descriptor = self.calls.open_root(self._root)
        try:
            with storage_errors("prepare the root for", "", self._root):
                self._prepare()
        except BaseException:
            self.close()
            raise

    def _prepare(self) -> None:
        try:
            for name in ("locks", "buckets"):
                with self.folder((CONTROL, name), make=True):
                    pass
            with self.folder((CONTROL,)) as control:
                self.nameless = self._can_link_nameless(control)
        except OSError as error:
            # A full disk must open too, or nothing on it could be deleted.
            if error.errno not in _READ_ONLY | FULL:
                raise
            self.nameless = False

    def _can_link_nameless(self, folder: int) -> bool:
        """Try O_TMPFILE and linking through /proc, which some systems lack."""
        try:
            descriptor = self.calls.nameless_file(folder)
        except OSError as error:
            if error.errno in _NO_TMPFILE:
                return False
            raise
        try:
            with suppress(FileNotFoundError):
                self.calls.unlink(folder, _PROBE)
            with suppress(FileExistsError):
                self.calls.link_nameless(descriptor, folder, _PROBE)
            with suppress(FileNotFoundError):
                self.calls.unlink(folder, _PROBE)
        except OSError as error:
            if error.errno in _NO_TMPFILE:
                return False
            raise
        finally:
            self.calls.close(descriptor)
        return True

    def close(self) -> None:
        """Close all descriptors."""
        self.locks.close()
        if self._descriptor >= 0:
            self.calls.close(self._descriptor)
            self._descriptor = -1

    def open_folder(self, path: Path, *, make: bool = False) -> int:
        """Open a folder below the root, for the caller to close.

        Args:
            path: Names from the root downwards.
            make: Make what is missing.

        Raises:
            FileNotFoundError: The folder is missing, or was removed while it was
                being made.
        """
        if self._descriptor < 0:
            raise Closed("the filesystem backend is closed")
        folder = self._descriptor
        try:
            for depth, name in enumerate(path, 1):
                below = self._step(folder, name, make=make)
                if make and self.durable:
                    self._sync_entry(folder, path[:depth], below)
                if folder != self._descriptor:
                    self.calls.close(folder)
                folder = below
        except BaseException:
            if folder != self._descriptor:
                self.calls.close(folder)
            raise
        return folder

    def nameless_file(self) -> int:
        """Make a file of the root's file system that has no name yet.

        Raises:
            FileNotFoundError: The root folder was removed.
        """
        if self._descriptor < 0:
            raise Closed("the filesystem backend is closed")
        try:
            return self.calls.nameless_file(self._descriptor)
        except OSError:
            self.check_not_gone()
            raise

    def _step(self, folder: int, name: str, *, make: bool) -> int:
        for _ in range(_ATTEMPTS if make else 1):
            try:
                return self.calls.open_folder(folder, name)
            except FileNotFoundError:
                if not make:
                    raise
            with suppress(FileExistsError):
                self.calls.make_folder(folder, name)
        raise FileNotFoundError(errno.ENOENT, "the folder vanishes again and again")

    def _sync_entry(self, folder: int, path: Path, below: int) -> None:
        """Bring a folder's name to the disk once, whoever made the folder."""
        try:
            made = self.calls.stat(below).st_ino
            if self._synced.get(path) != made:
                self.calls.sync(folder)
                if len(self._synced) >= _MAX_SYNCED:
                    self._synced.clear()
                self._synced[path] = made
        except BaseException:
            self.calls.close(below)
            raise

    def folder(self, path: Path, *, make: bool = False) -> _OpenFolder:
        """Open a folder below the root for the length of a with statement."""
        return _OpenFolder(self, path, make=make)

    def retried(self, attempt: Callable[[], None]) -> None:
        """Try again while sweeps remove empty folders under the attempt's feet.

        Raises:
            FileNotFoundError: They do it again and again, or the root is gone.
        """
        for _ in range(_ATTEMPTS - 1):
            with suppress(FileNotFoundError):
                return attempt()
            if self.is_gone():
                break
        return attempt()

    def is_gone(self) -> bool:
        """Tell whether the root folder was removed."""
        return self.calls.stat(self._descriptor).st_nlink == 0

    def check_not_gone(self) -> None:
        """Raise FileNotFoundError when the root folder was removed."""
        if self.is_gone():
            raise FileNotFoundError(errno.ENOENT, "the root folder is gone")

    def draft_name(self) -> str:
        """Return a new name for a draft, which tells when it was begun."""
        return f"{to_micros(self.now()):016x}-{uuid4().hex}"


class _OpenFolder:
    __slots__ = ("_descriptor", "_disk", "_make", "_path")

    def __init__(self, disk: Disk, path: Path, *, make: bool) -> None:
        self._disk = disk
        self._path = path
        self._make = make

    def __enter__(self) -> int:
        self._descriptor = self._disk.open_folder(self._path, make=self._make)
        return self._descriptor

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._disk.calls.close(self._descriptor)


def bucket_path(bucket: str) -> Path:
    """Return where a bucket's objects are."""
    return (encode_segment(bucket),)


def drafts_path(bucket: str) -> Path:
    """Return where a bucket's unfinished writes are."""
    return (CONTROL, "buckets", encode_segment(bucket), "drafts")


def uploads_path(bucket: str) -> Path:
    """Return where a bucket's multipart uploads are."""
    return (CONTROL, "buckets", encode_segment(bucket), "uploads")
