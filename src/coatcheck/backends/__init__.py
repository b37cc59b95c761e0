"""Storage technologies behind one contract, opened by URL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coatcheck.errors import UnsupportedBackend

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from coatcheck.abc import Backend
    from coatcheck.config import S3Config

    from ._memory import MemoryStore

__all__ = ("open_backend",)

_ON_FILES = 'coatcheck.Config(backends=("inline", "file"), filesystem_root="./coats")'


def open_backend(
    url: str,
    *,
    durable: bool = True,
    clock: Callable[[], datetime] | None = None,
    memory: MemoryStore | None = None,
    s3: S3Config | None = None,
) -> Backend:
    """Return the backend that a URL names, for the caller to enter.

    Drivers are imported here and nowhere else, when they are first needed.

    Args:
        url: `mem:`, `s3:`, or `file:` and the path of the root folder.
        durable: Files only: wait until the disk confirms every write.
        clock: Tells the time that deadlines go by; None is this machine's clock.
        memory: Memory only: the store to share; None is a new one.
        s3: S3 only: how it is reached.

    Raises:
        UnsupportedBackend: No driver answers to the URL.
    """
    scheme, _, rest = url.partition(":")
    match scheme:
        case "mem":
            from ._memory import MemoryBackend

            if memory is not None:
                return MemoryBackend(memory)
            return MemoryBackend() if clock is None else MemoryBackend(clock=clock)
        case "file":
            from ._filesystem import FilesystemBackend

            if clock is None:
                return FilesystemBackend(rest, durable=durable)
            return FilesystemBackend(rest, durable=durable, clock=clock)
        case "s3":
            from ._s3 import S3Backend

            return S3Backend(s3, clock=clock)
        case _:
            raise UnsupportedBackend(
                f"no driver answers to {scheme[:20]!r}; use 'mem:', 's3:' or"
                f" 'file:PATH', for instance {_ON_FILES}"
            )
