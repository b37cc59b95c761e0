"""The one door through which the operating system's errors become ours."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

from coatcheck.errors import (
    AccessDenied,
    AtCapacity,
    BackendError,
    BackendUnavailable,
    CoatcheckError,
    IntegrityError,
)

if TYPE_CHECKING:
    from types import TracebackType

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_BUSY: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
_DENIED: Final = frozenset({errno.EACCES, errno.EPERM})
# What opening or replacing meets when something stands there that we did not make.
FOREIGN: Final = frozenset(
    {errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENXIO, errno.EOPNOTSUPP}
)
_UNAVAILABLE: Final = frozenset(
    {errno.EIO, errno.EROFS, errno.ESTALE, errno.ETIMEDOUT, errno.ENOENT, errno.EBUSY}
)


class storage_errors:  # noqa: N801  # a context manager, read as a noun
    """Turns an OSError into the CoatcheckError that tells what to do.

    Args:
        doing: What was tried, for instance `write`.
        bucket: The bucket.
        key: The key, or the prefix of a scan.
    """

    __slots__ = ("_bucket", "_doing", "_key")

    def __init__(self, doing: str, bucket: str, key: str) -> None:
        self._doing = doing
        self._bucket = bucket
        self._key = key

    def __enter__(self) -> None:
        """Do nothing: what counts is how the block ends."""

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Timeout is an OSError too; and records do not know what they belong to.
        if isinstance(exc, CoatcheckError):
            exc.bucket = exc.bucket or self._bucket
            exc.key = exc.key or self._key
            exc.backend = "file"
        elif isinstance(exc, OSError):
            raise _mapped(exc, self._doing, self._bucket, self._key) from exc


def _mapped(error: OSError, doing: str, bucket: str, key: str) -> CoatcheckError:
    what = f"cannot {doing} {key!a} in bucket {bucket!a}"
    kind, advice = _explained(error)
    return kind(f"{what}: {advice}", bucket=bucket, key=key, backend="file")


def _explained(error: OSError) -> tuple[type[CoatcheckError], str]:
    code = error.errno or 0
    reason = error.strerror or type(error).__name__
    if code in FULL:
        return AtCapacity, f"the disk is full ({reason}); free space or reap"
    if code in _BUSY:
        return AtCapacity, f"this machine is at a limit ({reason})"
    if code in _DENIED:
        return AccessDenied, f"{reason}; give this user the right to the root folder"
    if code in FOREIGN:
        return (
            IntegrityError,
            f"something that coatcheck did not make is in its way ({reason})",
        )
    if code == errno.ENOENT:
        return (
            BackendUnavailable,
            "its root, folder or draft was removed by somebody else",
        )
    if code in _UNAVAILABLE:
        return BackendUnavailable, f"the file system answers: {reason}"
    return BackendError, reason
