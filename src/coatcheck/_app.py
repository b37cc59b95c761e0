"""The composition root: configuration in, stashes over open backends out."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import TYPE_CHECKING, Final

import anyio
from anyio import to_thread
from anyio.lowlevel import current_token

from coatcheck._core.address import INLINE, LINK
from coatcheck.abc import AsyncResource, Capability
from coatcheck.backends import open_backend
from coatcheck.config import Config
from coatcheck.errors import Closed, Outcome, Timeout, UnsupportedBackend
from coatcheck.payloads._threads import one_after_another
from coatcheck.stashes import Flights, Stashes, Traffic
from coatcheck.wrappers import Guard, LinkSigner, expiring, linked

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from coatcheck.abc import AtOnce, Backend, Bucket, Observer
    from coatcheck.backends._memory import MemoryStore
    from coatcheck.config import Place
    from coatcheck.wrappers import ExpiringBucket

__all__ = ("Coatcheck",)

_MAX_BUCKETS: Final = 1024
"""The most buckets that are kept ready; namespaces come without a bound."""


class Coatcheck(AsyncResource, Stashes):
    """Stashes by one configuration: `async with Coatcheck(config) as cc`.

    Backends are opened when they are first needed, and closed together. It has no
    background work. Many tasks of the event loop that entered it may use it at
    once; other event loops, threads and forked processes open their own.

    Args:
        config: The configuration; None is `Config.from_env()`.
        clock: Tells the time that deadlines go by; None is this machine's clock.
        observer: Called for every operation on a stored stash, and for every call that
            needed none of its own.
        memory: The store behind `mem:`; None is one of its own.

    Raises:
        InvalidConfig: The environment holds a configuration that cannot be used.
    """

    def __init__(
        self,
        config: Config | None = None,
        *,
        clock: Callable[[], datetime] | None = None,
        observer: Observer | None = None,
        memory: MemoryStore | None = None,
    ) -> None:
        self._config = Config.from_env() if config is None else config
        self._clock = clock
        self._observer = observer
        self._memory = memory
        self._signer = link_signer(self._config)
        self._loop: object = None
        self._opening: Flights[Backend] = Flights()
        self._backends: dict[str, Backend] = {}
        self._buckets: dict[Place, ExpiringBucket] = {}
        self._at_once: dict[Place, AtOnce] = {}
        self._guards: dict[str, Guard] = {}
        self._traffic = Traffic(self._config, observer)

    @property
    def config(self) -> Config:
        """The configuration."""
        return self._config

    async def check(self) -> None:
        """Prove that every configured backend answers and can be written to.

        Raises:
            UnsupportedBackend: One of them cannot be opened here.
            BackendError: One of them does not answer; the message says what to do.
            Closed: Not open here.
        """
        self._check_usable()
        for scheme in self._config.backends:
            if scheme not in (INLINE, LINK):
                await (await self._backend(scheme)).check()

    async def _bucket(self, place: Place) -> ExpiringBucket:
        known = self._buckets.get(place)
        if known is not None:
            return known
        backend = await self._backend(place.scheme)
        bucket = expiring(
            self._guards[place.scheme].around(
                self._shareable(backend.bucket(place.bucket, place.prefix))
            ),
            observer=self._observer,
            grace=self._config.grace,
        )
        if len(self._buckets) >= _MAX_BUCKETS:
            self._buckets.clear()
            self._at_once.clear()
        self._buckets[place] = bucket
        if bucket.at_once is not None:
            self._at_once[place] = bucket.at_once
        return bucket

    def _shareable(self, bucket: Bucket) -> Bucket:
        """Give SIGN to a bucket without it, if the configuration says how."""
        url, signer = self._config.public_url, self._signer
        if url is None or signer is None or Capability.SIGN in bucket.capabilities:
            return bucket
        return linked(bucket, public_url=url, signer=signer)

    async def _links(self) -> Bucket:
        backend = await self._backend(LINK)
        return self._guards[LINK].around(backend.bucket("links"))

    async def _backend(self, scheme: str) -> Backend:
        backend = self._backends.get(scheme)
        if backend is not None:
            return backend
        # All who wait for it go on at the same moment, so that their calls are joined.
        opened = await self._opening.join(
            (scheme, "", ""),
            None,
            lambda: self._open_backend(scheme),
            suits=lambda _: True,
        )
        return opened.result

    async def _open_backend(self, scheme: str) -> Backend:
        config = self._config
        root = config.filesystem_root if scheme == "file" else ""
        # In a thread, because the first one of its kind imports its driver.
        backend = await to_thread.run_sync(
            lambda: open_backend(
                f"{scheme}:{root}",
                durable=config.durable,
                clock=self._clock,
                memory=self._memory,
                config=config,
            )
        )
        with anyio.move_on_after(config.total_timeout.total_seconds()) as deadline:
            await backend.__aenter__()
        if deadline.cancelled_caught:
            raise Timeout(
                f"the backend {scheme!r} did not open within {config.total_timeout}",
                backend=scheme,
                outcome=Outcome.NOT_APPLIED,
            )
        self._guards[scheme] = Guard(
            total_timeout=config.total_timeout,
            concurrency=config.concurrency,
            observer=self._observer,
        )
        self._backends[scheme] = backend
        return backend

    async def _open(self) -> None:
        self._loop = _running_loop()

    async def _close(self) -> None:
        backends = list(self._backends.values())
        self._backends.clear()
        self._traffic.clear()
        self._buckets.clear()
        self._at_once.clear()
        await one_after_another(*(backend.aclose for backend in backends))

    def _check_usable(self) -> None:
        self._check_open()
        if _running_loop() is not self._loop:
            raise Closed(
                "this Coatcheck was opened in another event loop; open one in each, or"
                " use coatcheck.sync, which serves all threads"
            )


def link_signer(config: Config) -> LinkSigner | None:
    """Return what signs and reads a configuration's links; None without a key."""
    if config.signing_key is None:
        return None
    retired = [key.get_secret_value() for key in config.retired_signing_keys]
    return LinkSigner(config.signing_key.get_secret_value(), retired=retired)


async def backend_of(coats: Coatcheck, scheme: str) -> Backend:
    """Return a backend of an open Coatcheck, for a service that answers its links.

    Raises:
        UnsupportedBackend: The configuration does not name it.
        Closed: The Coatcheck is not open here.
    """
    coats._check_usable()  # noqa: SLF001  # what a service needs is nobody's verb
    if scheme not in coats.config.backends or scheme in (INLINE, LINK):
        raise UnsupportedBackend(f"no backend {scheme[:20]!r} is configured here")
    return await coats._backend(scheme)  # noqa: SLF001


def _running_loop() -> object:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return current_token().native_token


@cache
def process_memory() -> MemoryStore:
    """Return the one store that `mem:` means for all module-level functions."""
    from coatcheck.backends._memory import MemoryStore

    return MemoryStore()
