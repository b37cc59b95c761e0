"""The blocking API: `from coatcheck import sync as coatcheck`.

The same names as `coatcheck`, without `await`. It works in scripts, in any number of
threads at once, and in a thread that runs an event loop of its own (which it blocks).
All of it runs on one event loop in one thread that lives until the interpreter ends.
Callbacks, such as `progress`, are called in that thread.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar, overload

from coatcheck import _default, errors
from coatcheck._blocking import BlockingCoatcheck as Coatcheck
from coatcheck._blocking import BlockingStash as Stash
from coatcheck._blocking import blocking, entries_of, opened, started
from coatcheck._core.address import Address
from coatcheck._core.expiry import TimeToIdle, TimeToLive
from coatcheck._core.ranges import ByteOffset, ByteSpan, ByteSuffix
from coatcheck._portal import call
from coatcheck.config import Config, S3Config
from coatcheck.stashes import ReapReport, StashEntry

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Generator, Iterable, Iterator
    from datetime import datetime

    from coatcheck._blocking import BlockingReader
    from coatcheck._core.expiry import Expiry
    from coatcheck.abc import Body, ByteRange

__all__ = (
    "Address",
    "ByteOffset",
    "ByteSpan",
    "ByteSuffix",
    "Coatcheck",
    "Config",
    "ReapReport",
    "S3Config",
    "Stash",
    "StashEntry",
    "TimeToIdle",
    "TimeToLive",
    "check",
    "create",
    "create_many",
    "create_stream",
    "delete",
    "download",
    "errors",
    "exists",
    "open",
    "reap",
    "retrieve",
    "retrieve_many",
    "scan",
    "share",
    "touch",
)

_T = TypeVar("_T")


def create(
    name: str,
    data: _T,
    namespace: str = "default",
    *,
    expires: Expiry | None = None,
    config: Config | None = None,
) -> Stash[_T]:
    """Store a payload; see `coatcheck.Coatcheck.create`."""
    return blocking(
        call(_default.create, name, data, namespace, expires=expires, config=config)
    )


def create_many(
    items: Iterable[tuple[str, Any]],
    namespace: str = "default",
    *,
    expires: Expiry | None = None,
    config: Config | None = None,
) -> list[Stash[Any]]:
    """Store many payloads; see `coatcheck.Coatcheck.create_many`."""
    stashes = call(
        _default.create_many, items, namespace, expires=expires, config=config
    )
    return [blocking(stash) for stash in stashes]


def create_stream(
    name: str,
    source: Body,
    namespace: str = "default",
    *,
    content_type: str = "application/octet-stream",
    expires: Expiry | None = None,
    progress: Callable[[int], object] | None = None,
    config: Config | None = None,
) -> Stash[None]:
    """Store bytes of any length; see `coatcheck.Coatcheck.create_stream`."""
    return blocking(
        call(
            _default.create_stream,
            name,
            source,
            namespace,
            content_type=content_type,
            expires=expires,
            progress=progress,
            config=config,
        )
    )


@overload
def retrieve(address: str | Address, *, config: Config | None = None) -> Stash[Any]: ...
@overload
def retrieve(
    address: str | Address, *, as_type: type[_T], config: Config | None = None
) -> Stash[_T]: ...
def retrieve(
    address: str | Address,
    *,
    as_type: type[_T] | None = None,
    config: Config | None = None,
) -> Stash[Any]:
    """Claim a payload; see `coatcheck.Coatcheck.retrieve`."""
    return blocking(call(_default.retrieve, address, as_type=as_type, config=config))


def retrieve_many(
    addresses: Iterable[str | Address],
    *,
    as_type: type[Any] | None = None,
    config: Config | None = None,
) -> list[Stash[Any]]:
    """Claim many payloads; see `coatcheck.Coatcheck.retrieve_many`."""
    stashes = call(_default.retrieve_many, addresses, as_type=as_type, config=config)
    return [blocking(stash) for stash in stashes]


@contextmanager
def open(  # noqa: A001  # the facade's word
    address: str | Address,
    *,
    byte_range: ByteRange | None = None,
    config: Config | None = None,
) -> Generator[BlockingReader]:
    """Read a stash's bytes as a stream; see `coatcheck.Coatcheck.open`."""
    context = _default.open(address, byte_range=byte_range, config=config)
    with opened(context) as reader:
        yield reader


def download(
    address: str | Address,
    path: str | os.PathLike[str],
    *,
    progress: Callable[[int], object] | None = None,
    config: Config | None = None,
) -> None:
    """Write a stash's bytes to a file; see `coatcheck.Coatcheck.download`."""
    call(_default.download, address, path, progress=progress, config=config)


def exists(address: str | Address, *, config: Config | None = None) -> bool:
    """Tell whether a stash can be claimed."""
    return call(_default.exists, address, config=config)


def scan(
    namespace: str = "default",
    *,
    prefix: str = "",
    as_listed: bool = False,
    config: Config | None = None,
) -> Iterator[StashEntry]:
    """Iterate over the stashes of a namespace; see `coatcheck.Coatcheck.scan`."""
    return entries_of(
        call(
            started,
            _default.scan,
            namespace,
            prefix=prefix,
            as_listed=as_listed,
            config=config,
        )
    )


def share(
    address: str | Address,
    *,
    ttl_sec: int | None = None,
    config: Config | None = None,
) -> Address:
    """Make a link that opens a stash; see `coatcheck.Coatcheck.share`."""
    return call(_default.share, address, ttl_sec=ttl_sec, config=config)


def touch(address: str | Address, *, config: Config | None = None) -> datetime | None:
    """Renew a stash's TimeToIdle; see `coatcheck.Coatcheck.touch`."""
    return call(_default.touch, address, config=config)


def delete(address: str | Address, *, config: Config | None = None) -> None:
    """Delete a stash; see `coatcheck.Coatcheck.delete`."""
    call(_default.delete, address, config=config)


def reap(
    namespace: str = "default", *, prefix: str = "", config: Config | None = None
) -> ReapReport:
    """Delete what has expired, and litter; see `coatcheck.Coatcheck.reap`."""
    return call(_default.reap, namespace, prefix=prefix, config=config)


def check(*, config: Config | None = None) -> None:
    """Prove that every configured backend answers."""
    call(_default.check, config=config)
