"""Stashes, readers and Coatchecks whose methods block; `coatcheck.sync` names them."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, TypeVar, overload

from coatcheck import _app
from coatcheck._portal import call, entered
from coatcheck.stashes import Stash as AsyncStash
from coatcheck.stashes import StashValue

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator
    from datetime import datetime
    from types import TracebackType
    from typing import Self

    from coatcheck._core.address import Address
    from coatcheck._core.digests import DigestAlgorithm
    from coatcheck._core.expiry import Expiry
    from coatcheck.abc import Body, ByteRange, ObjectInfo, Observer, Verified
    from coatcheck.abc import Reader as AsyncReader
    from coatcheck.config import Config
    from coatcheck.stashes import ReapReport, StashEntry

_T = TypeVar("_T")
_ENTRIES_A_CALL = 256


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class BlockingStash(StashValue[_T]):
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


def blocking(stash: AsyncStash[_T]) -> BlockingStash[_T]:
    return BlockingStash(**_values(stash), _origin=stash)


class BlockingReader:
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
def opened(context: Any) -> Generator[BlockingReader]:
    with entered(context) as reader:
        yield BlockingReader(reader)


def entries_of(scan: AsyncIterator[StashEntry]) -> Iterator[StashEntry]:
    try:
        while entries := call(_take, scan):
            yield from entries
    finally:
        call(_finish, scan)


async def _take(scan: AsyncIterator[StashEntry]) -> list[StashEntry]:
    """Take several at once: every call crosses from thread to thread."""
    entries: list[StashEntry] = []
    while len(entries) < _ENTRIES_A_CALL:
        entry = await anext(scan, None)
        if entry is None:
            break
        entries.append(entry)
    return entries


async def _finish(scan: Any) -> None:
    await scan.aclose()


class BlockingCoatcheck:
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
    ) -> BlockingStash[_T]:
        """Store a payload; see `coatcheck.Coatcheck.create`."""
        return blocking(
            call(self._inner.create, name, data, namespace, expires=expires)
        )

    def create_many(
        self,
        items: Iterable[tuple[str, Any]],
        namespace: str = "default",
        *,
        expires: Expiry | None = None,
    ) -> list[BlockingStash[Any]]:
        """Store many payloads; see `coatcheck.Coatcheck.create_many`."""
        stashes = call(self._inner.create_many, items, namespace, expires=expires)
        return [blocking(stash) for stash in stashes]

    def create_stream(
        self,
        name: str,
        source: Body,
        namespace: str = "default",
        *,
        content_type: str = "application/octet-stream",
        expires: Expiry | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> BlockingStash[None]:
        """Store bytes of any length; see `coatcheck.Coatcheck.create_stream`."""
        return blocking(
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
    def retrieve(
        self, address: str | Address, *, as_type: None = None
    ) -> BlockingStash[Any]: ...
    @overload
    def retrieve(
        self, address: str | Address, *, as_type: type[_T]
    ) -> BlockingStash[_T]: ...
    def retrieve(
        self, address: str | Address, *, as_type: type[_T] | None = None
    ) -> BlockingStash[Any]:
        """Claim a payload; see `coatcheck.Coatcheck.retrieve`."""
        return blocking(call(self._inner.retrieve, address, as_type=as_type))

    def retrieve_many(
        self,
        addresses: Iterable[str | Address],
        *,
        as_type: type[Any] | None = None,
    ) -> list[BlockingStash[Any]]:
        """Claim many payloads; see `coatcheck.Coatcheck.retrieve_many`."""
        stashes = call(self._inner.retrieve_many, addresses, as_type=as_type)
        return [blocking(stash) for stash in stashes]

    @contextmanager
    def open(
        self, address: str | Address, *, byte_range: ByteRange | None = None
    ) -> Generator[BlockingReader]:
        """Read a stash's bytes as a stream; see `coatcheck.Coatcheck.open`."""
        with opened(self._inner.open(address, byte_range=byte_range)) as reader:
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
        self, namespace: str = "default", *, prefix: str = "", as_listed: bool = False
    ) -> Iterator[StashEntry]:
        """Iterate over the stashes of a namespace; see `coatcheck.Coatcheck.scan`."""
        scan = self._inner.scan
        return entries_of(
            call(started, scan, namespace, prefix=prefix, as_listed=as_listed)
        )

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


async def started(
    scan: Callable[..., AsyncIterator[StashEntry]], /, *args: Any, **keywords: Any
) -> AsyncIterator[StashEntry]:
    """Begin a scan in the event loop's thread, where it checks its loop."""
    return scan(*args, **keywords)
