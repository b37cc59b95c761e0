"""The one door through which the operating system's errors become ours."""

from __future__ import annotations

import errno
from contextlib import contextmanager
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
    from collections.abc import Generator

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


@contextmanager
def storage_errors(doing: str, bucket: str, key: str) -> Generator[None]:
    """Turn an OSError into the CoatcheckError that tells what to do.

    Args:
        doing: What was tried, for instance `write`.
        bucket: The bucket.
        key: The key, or the prefix of a scan.
    """
    try:
        yield
    except CoatcheckError as error:
        # Timeout is an OSError too; and records do not know what they belong to.
        error.bucket = error.bucket or bucket
        error.key = error.key or key
        error.backend = "file"
        raise
    except OSError as error:
        raise _mapped(error, doing, bucket, key) from error


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
