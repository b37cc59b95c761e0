"""What all requests share: the storage, and who and what is admitted."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio

from coatcheck.errors import Closed, UnsupportedBackend

from ._auth import Auth
from ._limits import Rates, Slots
from ._metrics import Metrics
from ._policies import Policies
from ._seals import Seal
from ._storage import keep_up, opened_storage, signing_key

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from datetime import datetime

    from coatcheck.abc import Bucket
    from coatcheck.wrappers import ExpiringBucket

    from ._config import ServiceConfig
    from ._storage import Storage


class Service:
    """One service, from its start to its end.

    Args:
        config: The configuration.
        clock: Tells the time that deadlines go by; None is this machine's clock.

    Raises:
        InvalidConfig: A key cannot be used.
    """

    def __init__(
        self, config: ServiceConfig, *, clock: Callable[[], datetime] | None = None
    ) -> None:
        self.config = config
        self.auth = Auth(config)
        self.rates = Rates(config.rates)
        self.slots = Slots(config)
        self.policies = Policies(config)
        self.metrics = Metrics(config)
        self._emptied: anyio.Event | None = None
        self.draining = False
        """Whether nothing new is admitted any more."""
        self._clock = clock
        self._storage: Storage | None = None
        self._signing_key = ""

    def enter(self) -> None:
        """Count a request in."""
        self.metrics.begun()

    @property
    def in_flight(self) -> int:
        """Requests that are being answered."""
        return self.metrics.in_flight

    def leave(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a request out.

        Args:
            route: The kind of its route.
            method: Its method.
            status: What it was answered with.
            seconds: How long that took.
        """
        self.metrics.ended(route, method, status, seconds)
        if not self.in_flight and self._emptied is not None:
            self._emptied.set()

    @property
    def bucket(self) -> ExpiringBucket:
        """The bucket.

        Raises:
            Closed: The service is not running.
        """
        return self._open.bucket

    async def find(self, scheme: str, name: str) -> Bucket:
        """Return a bucket that a link leads to.

        Raises:
            UnsupportedBackend: It is of another storage than the service's.
            Closed: The service is not running.
        """
        if scheme != self.bucket.backend.scheme:
            raise UnsupportedBackend(f"no backend {scheme[:20]!a} is served here")
        return self._open.beside(name)

    @property
    def _open(self) -> Storage:
        if self._storage is None:
            raise Closed("the service is not running")
        return self._storage

    def seal(self, purpose: str) -> Seal:
        """Return what seals texts for one purpose."""
        return Seal(self._signing_key, purpose)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Hold the storage open, and keep it up, while the block runs."""
        async with opened_storage(self.config, clock=self._clock) as storage:
            self._signing_key = await signing_key(self.config, storage.bucket)
            self._storage = storage
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(keep_up, storage.bucket, self.config, self.metrics)
                try:
                    yield
                finally:
                    await self._idle()
                    self._storage = None
                    tasks.cancel_scope.cancel()

    async def _idle(self) -> None:
        """Wait until the last requests have let go of the storage, but not for ever."""
        self.draining = True
        self._emptied = anyio.Event()
        with anyio.move_on_after(self.config.drain_timeout.total_seconds()):
            if self.in_flight:
                await self._emptied.wait()
