"""Storage technologies behind one contract, opened by URL."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from coatcheck.config import ON_FILES, Config
from coatcheck.errors import UnsupportedBackend

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from coatcheck.abc import Backend, ServiceAccess

    from ._memory import MemoryStore

__all__ = ("open_backend",)


def open_backend(
    url: str,
    *,
    durable: bool = True,
    clock: Callable[[], datetime] | None = None,
    memory: MemoryStore | None = None,
    config: Config | None = None,
    access: ServiceAccess | None = None,
) -> Backend:
    """Return the backend that a URL names, for the caller to enter.

    Drivers are imported here and nowhere else, when they are first needed.

    Args:
        url: `mem:`, `s3:`, `https:` for share links, `file:` and the path of the root
            folder, or the URL of a service, for which `service:` may stand before it.
        durable: Files only: wait until the disk confirms every write.
        clock: Tells the time that deadlines go by; None is this machine's clock.
        memory: Memory only: the store to share; None is a new one.
        config: S3 and share links only: how S3 is reached, and whom to trust; None
            is the default.
        access: Services only: how they are reached, and with which credentials.

    Raises:
        UnsupportedBackend: No driver answers to the URL.
    """
    scheme, _, rest = url.partition(":")
    if scheme in ("http", "https") and rest.startswith("//"):
        scheme, rest = "service", url
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

            return S3Backend(None if config is None else config.s3, clock=clock)
        case "https":
            from ._https import LinkBackend
            from ._https._trust import origins_of

            config = config or Config()
            return LinkBackend(
                origins_of(config, os.environ), ca_bundle=config.s3.ca_bundle
            )
        case "service":
            from ._service import ServiceBackend

            if clock is None:
                return ServiceBackend(rest, access=access)
            return ServiceBackend(rest, access=access, clock=clock)
        case _:
            raise UnsupportedBackend(
                f"no driver answers to {scheme[:20]!r}; use 'mem:', 's3:' or"
                f" 'file:PATH', for instance {ON_FILES}"
            )
