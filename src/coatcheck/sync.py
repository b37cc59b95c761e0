"""The blocking API: `from coatcheck import sync as coatcheck`.

The same names as `coatcheck`, without `await`. It works in scripts, in any number of
threads at once, and in a thread that runs an event loop of its own (which it blocks).
All of it runs on one event loop in one thread that lives until the interpreter ends.
Callbacks, such as `progress`, are called in that thread.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar, overload

from coatcheck import _app, _default, errors
from coatcheck._core.address import Address
from coatcheck._core.expiry import TimeToIdle, TimeToLive
from coatcheck._core.ranges import ByteOffset, ByteSpan, ByteSuffix
from coatcheck._portal import call, entered
from coatcheck.config import Config, S3Config
from coatcheck.stashes import ReapReport, StashEntry, StashValue
from coatcheck.stashes import Stash as AsyncStash

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator
    from datetime import datetime
    from types import TracebackType
    from typing import Self

    from coatcheck._core.digests import DigestAlgorithm
    from coatcheck._core.expiry import Expiry
    from coatcheck.abc import Body, ByteRange, ObjectInfo, Observer, Verified
    from coatcheck.abc import Reader as AsyncReader

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
_ENTRIES_A_CALL = 256


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Stash(StashValue[_T]):
    """A stash of the blocking API; see `coatcheck.Stash`."""

    _origin: AsyncStash[_T] | None = field(default=None)

    def share(self, ttl_sec: int | None = None) -> Address:
        """Make a link that opens the stash; see `coatcheck.Stash.share`."""
        return call(self._acting().share, ttl_sec)

    def delete(self) -> None:
        """Delete the stash; see `coatcheck.Stash.delete`."""
        call(self._acting().delete)

    def _acting(self) -> AsyncStash[_T]:
        return self._origin or AsyncStash(**_values(self))

    def __getstate__(self) -> dict[str, object]:
        return _values(self)

    def __setstate__(self, state: dict[str, object]) -> None:
        for name, held in {**state, "_origin": None}.items():
            object.__setattr__(self, name, held)


def _values(stash: StashValue[Any]) -> dict[str, Any]:
    return {each.name: getattr(stash, each.name) for each in fields(StashValue)}


def _blocking(stash: AsyncStash[_T]) -> Stash[_T]:
    return Stash(**_values(stash), _origin=stash)


class Reader:
    """A `Reader` whose reads block; see `coatcheck.abc.Reader`."""

    def __init__(self, reader: AsyncReader) -> None:
        self._reader = reader

    @property
    def info(self) -> ObjectInfo:
        """The object, as it was when the read began."""
        return self._reader.info

    @property
    def range(self) -> range:
        """The offsets that are read."""
        return self._reader.range

    @property
    def verified(self) -> Verified:
        """What the bytes are held against."""
        return self._reader.verified

    def pin(
        self, algorithm: DigestAlgorithm, digest: str, *, size: int | None = None
    ) -> None:
        """Hold the bytes against a digest known from elsewhere."""
        self._reader.pin(algorithm, digest, size=size)

    def __iter__(self) -> Iterator[bytes]:
        while chunk := call(_next_chunk, self._reader):
            yield chunk

    def read(self, size: int = -1) -> bytes:
        """Read up to `size` bytes, all that is left when it is negative."""
        return call(self._reader.read, size)


async def _next_chunk(reader: AsyncReader) -> bytes:
    return await anext(aiter(reader), b"")


@contextmanager
def _opened(context: Any) -> Generator[Reader]:
    with entered(context) as reader:
        yield Reader(reader)


def _entries(scan: AsyncIterator[StashEntry]) -> Iterator[StashEntry]:
    try:
        while entries := call(_take, scan):
            yield from entries
    finally:
        call(_finish, scan)


async def _take(scan: AsyncIterator[StashEntry]) -> list[StashEntry]:
    """Take several at once: every call crosses from thread to thread."""
    entries: list[StashEntry] = []
    for _ in count():
        entry = await anext(scan, None)
        if entry is None:
            break
        entries.append(entry)
        if len(entries) == _ENTRIES_A_CALL:
            break
    return entries


async def _finish(scan: Any) -> None:
    await scan.aclose()


class Coatcheck:
    """Stashes by one configuration: `with Coatcheck(config) as cc`.

    Takes what `coatcheck.Coatcheck` takes. Any number of threads may share one.
    """

    def __init__(
        self,
        config: Config | None = None,
        *,
        clock: Callable[[], datetime] | None = None,
        observer: Observer | None = None,
    ) -> None:
        self._inner = _app.Coatcheck(
            config, clock=clock, observer=observer, memory=_app.process_memory()
        )

    @property
    def config(self) -> Config:
        """The configuration."""
        return self._inner.config

    def __enter__(self) -> Self:
        """Open it; see `coatcheck.Coatcheck`."""
        call(self._inner.__aenter__)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close it; closing again does nothing."""
        call(self._inner.aclose)

    def check(self) -> None:
        """Prove that every configured backend answers."""
        call(self._inner.check)

    def create(
        self,
        name: str,
        data: _T,
        namespace: str = "default",
        *,
        expires: Expiry | None = None,
    ) -> Stash[_T]:
        """Store a payload; see `coatcheck.Coatcheck.create`."""
        return _blocking(
            call(self._inner.create, name, data, namespace, expires=expires)
        )

    def create_many(
        self,
        items: Iterable[tuple[str, Any]],
        namespace: str = "default",
        *,
        expires: Expiry | None = None,
    ) -> list[Stash[Any]]:
        """Store many payloads; see `coatcheck.Coatcheck.create_many`."""
        stashes = call(self._inner.create_many, items, namespace, expires=expires)
        return [_blocking(stash) for stash in stashes]

    def create_stream(
        self,
        name: str,
        source: Body,
        namespace: str = "default",
        *,
        content_type: str = "application/octet-stream",
        expires: Expiry | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> Stash[None]:
        """Store bytes of any length; see `coatcheck.Coatcheck.create_stream`."""
        return _blocking(
            call(
                self._inner.create_stream,
                name,
                source,
                namespace,
                content_type=content_type,
                expires=expires,
                progress=progress,
            )
        )

    @overload
    def retrieve(self, address: str | Address) -> Stash[Any]: ...
    @overload
    def retrieve(self, address: str | Address, *, as_type: type[_T]) -> Stash[_T]: ...
    def retrieve(
        self, address: str | Address, *, as_type: type[_T] | None = None
    ) -> Stash[Any]:
        """Claim a payload; see `coatcheck.Coatcheck.retrieve`."""
        return _blocking(call(self._inner.retrieve, address, as_type=as_type))

    def retrieve_many(
        self,
        addresses: Iterable[str | Address],
        *,
        as_type: type[Any] | None = None,
    ) -> list[Stash[Any]]:
        """Claim many payloads; see `coatcheck.Coatcheck.retrieve_many`."""
        stashes = call(self._inner.retrieve_many, addresses, as_type=as_type)
        return [_blocking(stash) for stash in stashes]

    @contextmanager
    def open(
        self, address: str | Address, *, byte_range: ByteRange | None = None
    ) -> Generator[Reader]:
        """Read a stash's bytes as a stream; see `coatcheck.Coatcheck.open`."""
        with _opened(self._inner.open(address, byte_range=byte_range)) as reader:
            yield reader

    def download(
        self,
        address: str | Address,
        path: str | os.PathLike[str],
        *,
        progress: Callable[[int], object] | None = None,
    ) -> None:
        """Write a stash's bytes to a file; see `coatcheck.Coatcheck.download`."""
        call(self._inner.download, address, path, progress=progress)

    def exists(self, address: str | Address) -> bool:
        """Tell whether a stash can be claimed."""
        return call(self._inner.exists, address)

    def scan(
        self, namespace: str = "default", *, prefix: str = ""
    ) -> Iterator[StashEntry]:
        """Iterate over the stashes of a namespace; see `coatcheck.Coatcheck.scan`."""
        return _entries(call(_started, self._inner.scan, namespace, prefix=prefix))

    def share(self, address: str | Address, *, ttl_sec: int | None = None) -> Address:
        """Make a link that opens a stash; see `coatcheck.Coatcheck.share`."""
        return call(self._inner.share, address, ttl_sec=ttl_sec)

    def touch(self, address: str | Address) -> datetime | None:
        """Renew a stash's TimeToIdle; see `coatcheck.Coatcheck.touch`."""
        return call(self._inner.touch, address)

    def delete(self, address: str | Address) -> None:
        """Delete a stash; see `coatcheck.Coatcheck.delete`."""
        call(self._inner.delete, address)

    def reap(self, namespace: str = "default", *, prefix: str = "") -> ReapReport:
        """Delete what has expired, and litter; see `coatcheck.Coatcheck.reap`."""
        return call(self._inner.reap, namespace, prefix=prefix)


async def _started(
    scan: Callable[..., AsyncIterator[StashEntry]], /, *args: Any, **keywords: Any
) -> AsyncIterator[StashEntry]:
    """Begin a scan in the event loop's thread, where it checks its loop."""
    return scan(*args, **keywords)


def create(
    name: str,
    data: _T,
    namespace: str = "default",
    *,
    expires: Expiry | None = None,
    config: Config | None = None,
) -> Stash[_T]:
    """Store a payload; see `coatcheck.Coatcheck.create`."""
    return _blocking(
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
    return [_blocking(stash) for stash in stashes]


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
    return _blocking(
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
def retrieve(
    address: str | Address, *, config: Config | None = None
) -> Stash[Any]: ...
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
    return _blocking(call(_default.retrieve, address, as_type=as_type, config=config))


def retrieve_many(
    addresses: Iterable[str | Address],
    *,
    as_type: type[Any] | None = None,
    config: Config | None = None,
) -> list[Stash[Any]]:
    """Claim many payloads; see `coatcheck.Coatcheck.retrieve_many`."""
    stashes = call(_default.retrieve_many, addresses, as_type=as_type, config=config)
    return [_blocking(stash) for stash in stashes]


@contextmanager
def open(  # noqa: A001  # the facade's word
    address: str | Address,
    *,
    byte_range: ByteRange | None = None,
    config: Config | None = None,
) -> Generator[Reader]:
    """Read a stash's bytes as a stream; see `coatcheck.Coatcheck.open`."""
    context = _default.open(address, byte_range=byte_range, config=config)
    with _opened(context) as reader:
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
    namespace: str = "default", *, prefix: str = "", config: Config | None = None
) -> Iterator[StashEntry]:
    """Iterate over the stashes of a namespace; see `coatcheck.Coatcheck.scan`."""
    return _entries(
        call(_started, _default.scan, namespace, prefix=prefix, config=config)
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
