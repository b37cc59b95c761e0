"""Every system call that the filesystem backend makes.

They stand in one class so that tests can put another in its place which kills the
process at the n-th call, fails it, or delays it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_FOLDER_MODE: Final = 0o700
_FILE_MODE: Final = 0o600
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LOCK: Final = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_COPY_UNAVAILABLE: Final = frozenset(
    {errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM}
)
_COPY_CHUNK: Final = 1024 * 1024


class Calls:
    """The system calls; names relative to an open folder, never through a symlink."""

    def open_root(self, path: str) -> int:
        """Open the root folder, which itself may be behind a symlink."""
        return os.open(path, _FOLDER & ~os.O_NOFOLLOW)

    def make_root(self, path: str) -> None:
        """Make the root folder and what is missing above it."""
        Path(path).mkdir(_FOLDER_MODE, parents=True, exist_ok=True)

    def open_folder(self, folder: int, name: str) -> int:
        """Open a folder in a folder."""
        return os.open(name, _FOLDER, dir_fd=folder)

    def make_folder(self, folder: int, name: str) -> None:
        """Make a folder in a folder."""
        os.mkdir(name, _FOLDER_MODE, dir_fd=folder)

    def remove_folder(self, folder: int, name: str) -> None:
        """Remove an empty folder."""
        os.rmdir(name, dir_fd=folder)

    def list_folder(self, folder: int) -> list[str]:
        """Return the names in a folder, in no order."""
        return os.listdir(folder)

    def open_file(self, folder: int, name: str) -> int:
        """Open a file for reading; a FIFO does not make it wait."""
        return os.open(name, _READ, dir_fd=folder)

    def new_file(self, folder: int, name: str) -> int:
        """Make a file that did not exist and open it for writing."""
        return os.open(name, _NEW, _FILE_MODE, dir_fd=folder)

    def nameless_file(self, folder: int) -> int:
        """Make a file without a name, which vanishes unless it is linked.

        Raises:
            OSError: The platform or file system has no O_TMPFILE.
        """
        flags = getattr(os, "O_TMPFILE", None)
        if flags is None:
            raise OSError(errno.EOPNOTSUPP, "no O_TMPFILE on this platform")
        return os.open(".", flags | os.O_RDWR | os.O_CLOEXEC, _FILE_MODE, dir_fd=folder)

    def lock_file(self, folder: int, name: str) -> int:
        """Open a lock file, made if need be."""
        return os.open(name, _LOCK, _FILE_MODE, dir_fd=folder)

    def try_lock(self, descriptor: int) -> bool:
        """Lock a lock file against other processes, or return False at once."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def unlock(self, descriptor: int) -> None:
        """Release a lock file."""
        fcntl.flock(descriptor, fcntl.LOCK_UN)

    def close(self, descriptor: int) -> None:
        """Close a descriptor."""
        os.close(descriptor)

    def stat(self, descriptor: int) -> os.stat_result:
        """Return what the file system knows about an open file."""
        return os.fstat(descriptor)

    def read_at(self, descriptor: int, count: int, offset: int) -> bytes:
        """Read up to `count` bytes from an offset."""
        return os.pread(descriptor, count, offset)

    def write(self, descriptor: int, buffers: Sequence[bytes | memoryview]) -> int:
        """Write some or all of the buffers; return how many bytes were written."""
        return os.writev(descriptor, buffers)

    def copy(self, source: int, offset: int, count: int, target: int) -> int:
        """Append bytes of one open file to another without bringing them up here.

        Returns:
            How many bytes were copied, 0 at the end of the source.
        """
        if hasattr(os, "copy_file_range"):
            try:
                return os.copy_file_range(source, target, count, offset_src=offset)
            except OSError as error:
                if error.errno not in _COPY_UNAVAILABLE:
                    raise
        chunk = os.pread(source, min(count, _COPY_CHUNK), offset)
        return os.write(target, chunk) if chunk else 0

    def set_time(self, descriptor: int, nanoseconds: int) -> None:
        """Set a file's times, in nanoseconds since 1970, in one atomic step."""
        os.utime(descriptor, ns=(nanoseconds, nanoseconds))

    def sync(self, descriptor: int) -> None:
        """Wait until a file or folder is on the disk."""
        os.fsync(descriptor)

    def link_nameless(self, descriptor: int, folder: int, name: str) -> None:
        """Give a nameless file a name that must be free."""
        os.link(
            f"/proc/self/fd/{descriptor}",
            name,
            dst_dir_fd=folder,
            follow_symlinks=True,
        )

    def link(self, folder: int, name: str, to_folder: int, to_name: str) -> None:
        """Give a file a second name that must be free."""
        os.link(
            name,
            to_name,
            src_dir_fd=folder,
            dst_dir_fd=to_folder,
            follow_symlinks=False,
        )

    def rename(self, folder: int, name: str, to_folder: int, to_name: str) -> None:
        """Move a file over whatever file stands there."""
        os.replace(name, to_name, src_dir_fd=folder, dst_dir_fd=to_folder)

    def unlink(self, folder: int, name: str) -> None:
        """Remove a file."""
        os.unlink(name, dir_fd=folder)

    def pause(self, seconds: float) -> None:
        """Let a lock's holder go on."""
        time.sleep(seconds)
