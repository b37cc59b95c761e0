"""The module-level functions, on one Coatcheck per event loop and configuration.

This module imports nothing heavy: the rest of the library is loaded in a thread at
the first call, so that a running event loop does not stand still for it.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import aclosing, asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, overload

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable
    from datetime import datetime

    from coatcheck import (
        Address,
        Coatcheck,
        Config,
        ReapReport,
        Stash,
        StashEntry,
        TimeToIdle,
        TimeToLive,
    )
    from coatcheck.abc import Body, ByteRange, Reader

    Expiry: TypeAlias = TimeToLive | TimeToIdle

_T = TypeVar("_T")
_APP = "coatcheck._app"


class _LoopInstances:
    """The open Coatchecks of one event loop."""

    def __init__(self) -> None:
        self.opening = asyncio.Lock()
        self.open: dict[Config, Coatcheck] = {}
        self.holders: list[AsyncGenerator[Coatcheck]] = []


_loops: dict[asyncio.AbstractEventLoop, _LoopInstances] = {}


async def _instance(config: Config | None) -> Coatcheck:
    """Return this loop's Coatcheck for a configuration, opened on first use."""
    loop = asyncio.get_running_loop()
    instances = _loops.get(loop)
    if instances is None:
        # A loop that was closed without shutdown_asyncgens has left its entry.
        for other in [other for other in _loops if other.is_closed()]:
            del _loops[other]
        instances = _loops[loop] = _LoopInstances()
    async with instances.opening:
        app = sys.modules.get(_APP)
        if app is None:
            app = await loop.run_in_executor(None, import_module, _APP)
        wanted: Config = app.Config.from_env() if config is None else config
        if wanted not in instances.open:
            instance = app.Coatcheck(wanted, memory=app.process_memory())
            holder = _holding(loop, instance)
            instances.open[wanted] = await anext(holder)
            instances.holders.append(holder)
        return instances.open[wanted]


async def _holding(
    loop: asyncio.AbstractEventLoop, instance: Coatcheck
) -> AsyncGenerator[Coatcheck]:
    """Hold an instance open until the loop finalises its generators.

    `asyncio.run` and `asyncio.Runner` do so when they end, which is the one hook
    that an event loop offers for closing what belongs to it.
    """
    try:
        async with instance:
            yield instance
    finally:
        _loops.pop(loop, None)


async def create(
    name: str,
    data: _T,
    namespace: str = "default",
    *,
    expires: Expiry | None = None,
    config: Config | None = None,
) -> Stash[_T]:
    """Store a payload and return its stash; see `Coatcheck.create`.

    Args:
        name: The stash's name.
        data: The payload.
        namespace: The stash's namespace.
        expires: When the stash shall cease to exist; None is never.
        config: The configuration; None is `Config.from_env()`.

    Raises:
        CoatcheckError: As `Coatcheck.create`.
    """
    app = await _instance(config)
    return await app.create(name, data, namespace, expires=expires)


async def create_many(
    items: Iterable[tuple[str, Any]] | AsyncIterable[tuple[str, Any]],
    namespace: str = "default",
    *,
    expires: Expiry | None = None,
    config: Config | None = None,
) -> list[Stash[Any]]:
    """Store many payloads at once; see `Coatcheck.create_many`."""
    app = await _instance(config)
    return await app.create_many(items, namespace, expires=expires)


async def create_stream(
    name: str,
    source: Body,
    namespace: str = "default",
    *,
    content_type: str = "application/octet-stream",
    expires: Expiry | None = None,
    progress: Callable[[int], object] | None = None,
    config: Config | None = None,
) -> Stash[None]:
    """Store bytes of any length in constant memory; see `Coatcheck.create_stream`."""
    app = await _instance(config)
    return await app.create_stream(
        name,
        source,
        namespace,
        content_type=content_type,
        expires=expires,
        progress=progress,
    )


@overload
async def retrieve(
    address: str | Address, *, as_type: None = None, config: Config | None = None
) -> Stash[Any]: ...
@overload
async def retrieve(
    address: str | Address, *, as_type: type[_T], config: Config | None = None
) -> Stash[_T]: ...
async def retrieve(
    address: str | Address,
    *,
    as_type: type[_T] | None = None,
    config: Config | None = None,
) -> Stash[Any]:
    """Claim a payload; see `Coatcheck.retrieve`.

    Args:
        address: What `create` returned, or its text.
        as_type: Validate the payload into this type with pydantic.
        config: The configuration; None is `Config.from_env()`.

    Raises:
        CoatcheckError: As `Coatcheck.retrieve`.
    """
    app = await _instance(config)
    return await app.retrieve(address, as_type=as_type)


async def retrieve_many(
    addresses: Iterable[str | Address] | AsyncIterable[str | Address],
    *,
    as_type: type[Any] | None = None,
    config: Config | None = None,
) -> list[Stash[Any]]:
    """Claim many payloads at once; see `Coatcheck.retrieve_many`."""
    app = await _instance(config)
    return await app.retrieve_many(addresses, as_type=as_type)


@asynccontextmanager
async def open(  # noqa: A001  # the facade's word
    address: str | Address,
    *,
    byte_range: ByteRange | None = None,
    config: Config | None = None,
) -> AsyncGenerator[Reader]:
    """Read a stash's bytes as a stream; see `Coatcheck.open`."""
    app = await _instance(config)
    async with app.open(address, byte_range=byte_range) as reader:
        yield reader


async def download(
    address: str | Address,
    path: str | os.PathLike[str],
    *,
    progress: Callable[[int], object] | None = None,
    config: Config | None = None,
) -> None:
    """Write a stash's bytes to a file, atomically; see `Coatcheck.download`."""
    app = await _instance(config)
    await app.download(address, path, progress=progress)


async def exists(address: str | Address, *, config: Config | None = None) -> bool:
    """Tell whether a stash can be claimed; see `Coatcheck.exists`."""
    app = await _instance(config)
    return await app.exists(address)


async def scan(
    namespace: str = "default",
    *,
    prefix: str = "",
    as_listed: bool = False,
    config: Config | None = None,
) -> AsyncGenerator[StashEntry]:
    """Iterate over the stashes of a namespace; see `Coatcheck.scan`."""
    app = await _instance(config)
    scanned = app.scan(namespace, prefix=prefix, as_listed=as_listed)
    async with aclosing(scanned) as entries:
        async for entry in entries:
            yield entry


async def share(
    address: str | Address,
    *,
    ttl_sec: int | None = None,
    config: Config | None = None,
) -> Address:
    """Make a link that opens a stash; see `Coatcheck.share`."""
    app = await _instance(config)
    return await app.share(address, ttl_sec=ttl_sec)


async def touch(
    address: str | Address, *, config: Config | None = None
) -> datetime | None:
    """Renew a stash's TimeToIdle; see `Coatcheck.touch`."""
    app = await _instance(config)
    return await app.touch(address)


async def delete(address: str | Address, *, config: Config | None = None) -> None:
    """Delete a stash; see `Coatcheck.delete`."""
    app = await _instance(config)
    await app.delete(address)


async def reap(
    namespace: str = "default", *, prefix: str = "", config: Config | None = None
) -> ReapReport:
    """Delete what has expired, and litter; see `Coatcheck.reap`."""
    app = await _instance(config)
    return await app.reap(namespace, prefix=prefix)


async def check(*, config: Config | None = None) -> None:
    """Prove that every configured backend answers; see `Coatcheck.check`."""
    app = await _instance(config)
    await app.check()
