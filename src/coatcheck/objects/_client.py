"""A client: the lifetime of a connection to a service, or a way into a bucket."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, cast

import anyio
from anyio import to_thread

from coatcheck._core.scopes import Scope
from coatcheck.abc import AsyncResource, Capability, ServiceAccess
from coatcheck.backends import open_backend
from coatcheck.errors import InvalidInput
from coatcheck.payloads._threads import one_after_another
from coatcheck.wrappers import ExpiringBucket, Guard, expiring

from ._reaper import Reaper
from ._session import Session
from ._telemetry import NoOpMetricsBackend, Telemetry, trace_headers

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from anyio.abc import TaskGroup

    from coatcheck.abc import Backend, Bucket, Credentials, Observer
    from coatcheck.wrappers import AnyBucket

    from ._telemetry import MetricsBackend
    from ._usecase import Usecase

_TOTAL: Final = timedelta(seconds=60)
_AT_ONCE: Final = 64
_RETRIES: Final = 3
_NAME: Final = "objects"
_REAP_EVERY: Final = timedelta(minutes=10)
_NOTHING: Final[Mapping[str, Any]] = {}


class Client(AsyncResource):
    """Objects in a service, or straight in a bucket: `async with Client(...)`.

    Many tasks of the event loop that entered it may use it at once. Enter and leave
    it in the same task.

    Over a bucket it owns a task that deletes, bit by bit, what has expired in it; any
    number of clients may do so in the same bucket.

    Args:
        base_url: The URL of a service, a path before its routes included, or an open
            bucket.
        token: A SecretKey that signs tokens, or one token as it is; for a service.
        retries: How often a request is tried again that did not reach the service, or
            that may be repeated; None is the default.
        timeout_ms: The longest wait for the next bytes of an answer, and the longest
            that a call to a bucket may take.
        connection_kwargs: Arguments of `aiohttp.ClientSession`.
        propagate_traces: Send the headers that continue a trace of Sentry's SDK.
        metrics_backend: Told how long operations took and how large bodies were.
        spool_dir: The folder of temporary files for compressed resumable uploads;
            None is the system's.
        reap_every: The time between two goes of the reaper, on average; None is never.
        observer: Called for every operation on the bucket, and for goes of the reaper
            that failed.

    Raises:
        InvalidInput: An argument is out of bounds.
    """

    def __init__(
        self,
        base_url: str | Bucket,
        *,
        token: Credentials | str | None = None,
        retries: int | None = None,
        timeout_ms: float | None = None,
        connection_kwargs: Mapping[str, Any] | None = None,
        propagate_traces: bool = False,
        metrics_backend: MetricsBackend | None = None,
        spool_dir: str | os.PathLike[str] | None = None,
        reap_every: timedelta | None = _REAP_EVERY,
        observer: Observer | None = None,
    ) -> None:
        _check(retries, timeout_ms, reap_every)
        self.telemetry = Telemetry(metrics_backend or NoOpMetricsBackend())
        self.spool_dir = spool_dir
        self.token = token
        self._given = base_url
        self._timeout = timedelta(milliseconds=timeout_ms) if timeout_ms else None
        self._access = ServiceAccess(
            token=token,
            retries=_RETRIES if retries is None else retries,
            timeout=self._timeout,
            connection=connection_kwargs or _NOTHING,
            headers=trace_headers if propagate_traces else dict,
            meter=self.telemetry.step,
        )
        self._reap_every = reap_every
        self._observer = observer
        self._backend: Backend | None = None
        self._bucket: Bucket | None = None
        self._tasks: TaskGroup | None = None

    def session(self, usecase: Usecase, **scopes: str | int | bool) -> Session:
        """Return a session; nothing is sent.

        Args:
            usecase: The usecase.
            scopes: The levels of the scope, whose order counts: `org=42, project=7`
                is another scope than `project=7, org=42`.

        Raises:
            InvalidName: A level breaks the grammar of scopes.
        """
        return Session(self, usecase, Scope.of(**scopes))

    @property
    def bucket(self) -> AnyBucket:
        """The bucket that keeps the objects.

        Raises:
            Closed: The client is not open.
        """
        self._check_open()
        return cast("AnyBucket", self._bucket)

    @property
    def service_url(self) -> str | None:
        """The service's URL without a slash at its end; None over a bucket."""
        given = self._given
        return given.rstrip("/") if isinstance(given, str) else None

    async def check(self) -> None:
        """Prove that the storage answers and can be written to.

        Raises:
            BackendError: It does not; the message says what to do.
            Closed: The client is not open.
        """
        await self.bucket.backend.check()

    async def _open(self) -> None:
        given = self._given
        if isinstance(given, str):
            backend = await self._open_backend(given)
            # The driver has its own patience; what it waits for ends here at last.
            longest = max(self._timeout or _TOTAL, _TOTAL)
            self._bucket = self._guarded(backend.bucket(_NAME), longest)
        elif isinstance(given, ExpiringBucket):
            await self._reap(given)
        elif Capability.EXPIRES in given.capabilities:
            self._bucket = self._guarded(given, self._timeout or _TOTAL)
        else:
            guarded = self._guarded(given, self._timeout or _TOTAL)
            await self._reap(expiring(guarded, observer=self._observer))

    def _guarded(self, bucket: Bucket, longest: timedelta) -> Bucket:
        guard = Guard(
            total_timeout=longest, concurrency=_AT_ONCE, observer=self._observer
        )
        return guard.around(bucket)

    async def _reap(self, bucket: ExpiringBucket) -> None:
        """Keep the bucket, and delete from now on what expires in it."""
        self._bucket = bucket
        if self._reap_every is None:
            return
        reaper = Reaper(bucket, self._reap_every, self._observer)
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        self._tasks.start_soon(reaper.run)

    async def _open_backend(self, url: str) -> Backend:
        # In a thread, because the first one imports its driver.
        backend = await to_thread.run_sync(
            lambda: open_backend(url, access=self._access)
        )
        await backend.__aenter__()
        self._backend = backend
        return backend

    async def _close(self) -> None:
        await one_after_another(self._end_tasks, self._close_backend)

    async def _end_tasks(self) -> None:
        tasks, self._tasks = self._tasks, None
        if tasks is not None:
            tasks.cancel_scope.cancel()
            await tasks.__aexit__(None, None, None)

    async def _close_backend(self) -> None:
        if self._backend is not None:
            await self._backend.aclose()


def _check(
    retries: int | None, timeout_ms: float | None, reap_every: timedelta | None
) -> None:
    if retries is not None and retries < 0:
        raise InvalidInput(f"retries is 0 or more, not {retries}")
    if timeout_ms is not None and timeout_ms < 0:
        raise InvalidInput(f"timeout_ms is not negative: {timeout_ms}")
    if reap_every is not None and reap_every <= timedelta(0):
        raise InvalidInput("reap_every is longer than nothing; None is never")
