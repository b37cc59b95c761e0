"""The bucket that the service keeps everything in, and its upkeep."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import anyio
from anyio import to_thread

from coatcheck._core.writes import Write
from coatcheck.abc import Capability, require
from coatcheck.backends import open_backend
from coatcheck.config import Config
from coatcheck.errors import AlreadyExists, CoatcheckError, NotFound
from coatcheck.wrappers import ExpiringBucket, Guard, expiring, reap

from ._config import StoragePlace

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable
    from datetime import datetime, timedelta

    from coatcheck.abc import Bucket, Observer

    from ._config import ServiceConfig
    from ._metrics import Metrics


@dataclass(frozen=True, kw_only=True, slots=True)
class Storage:
    """An open storage."""

    bucket: ExpiringBucket
    """Where the objects are."""
    beside: Callable[[str], ExpiringBucket]
    """Returns another bucket of the same backend, within the same bounds."""


OWN: Final = ".coatcheck/service/"
"""What the service itself keeps; no usecase begins with a dot."""
_KEY: Final = f"{OWN}signing-key"
_KEY_BYTES: Final = 32
_log = logging.getLogger("coatcheck.service")


@asynccontextmanager
async def opened_storage(
    config: ServiceConfig,
    *,
    clock: Callable[[], datetime] | None = None,
    observer: Observer | None = None,
) -> AsyncGenerator[Storage]:
    """Open the storage that a configuration names.

    Args:
        config: The configuration.
        clock: Tells the time that deadlines go by; None is this machine's clock.
        observer: Called for every operation on the storage.

    Raises:
        BackendError: The storage does not answer.
    """
    place = StoragePlace.parse(config.storage)
    # In a thread, because the first one of its kind imports its driver.
    backend = await to_thread.run_sync(
        lambda: open_backend(
            place.backend,
            durable=config.durable,
            clock=clock,
            config=Config(s3=config.s3),
        )
    )
    guard = Guard(
        total_timeout=config.total_timeout,
        concurrency=config.concurrency,
        observer=observer,
    )

    def around(bucket: Bucket) -> ExpiringBucket:
        within = guard.around(bucket)
        return expiring(within, observer=observer, grace=config.grace)

    async with backend:
        yield Storage(
            bucket=around(backend.bucket(place.bucket, place.prefix)),
            beside=lambda name: around(backend.bucket(name)),
        )


async def signing_key(config: ServiceConfig, bucket: ExpiringBucket) -> str:
    """Return what upload sessions are signed with.

    One that is not configured lies in the storage itself, so that it outlives the
    process and is the same for all that serve the storage.
    """
    if config.signing_key is not None:
        return config.signing_key.get_secret_value()
    made = secrets.token_hex(_KEY_BYTES)
    try:
        return await _kept_key(bucket)
    except NotFound:
        # Neither the key nor, on a new store, the bucket that may be made for it.
        pass
    create = Capability.CREATE in bucket.capabilities
    try:
        mode = Write.CREATE if create else Write.OVERWRITE
        await bucket.put(_KEY, made.encode(), mode=mode)
    except AlreadyExists:
        return await _kept_key(bucket)
    return made


async def _kept_key(bucket: ExpiringBucket) -> str:
    async with bucket.get(_KEY) as reader:
        return (await reader.read()).decode("ascii")


async def keep_up(
    bucket: ExpiringBucket, config: ServiceConfig, metrics: Metrics
) -> None:
    """Delete what has expired and the litter of broken uploads, for ever."""
    async with anyio.create_task_group() as tasks:

        async def reap_once() -> None:
            reaped = await reap(bucket)
            metrics.reaped(reaped.deleted)

        async def sweep_once() -> None:
            sweeping = require(bucket, Capability.SWEEP)
            swept = await sweeping.sweep(older_than=config.upload_age)
            metrics.swept(swept.uploads + swept.files)

        tasks.start_soon(_again_and_again, "reap", config.reap_every, reap_once)
        if Capability.SWEEP in bucket.capabilities:
            tasks.start_soon(_again_and_again, "sweep", config.sweep_every, sweep_once)


async def _again_and_again(
    what: str, every: timedelta, act: Callable[[], Awaitable[None]]
) -> None:
    """Act at intervals; what fails is logged and tried again at the next."""
    seconds = every.total_seconds()
    while seconds:
        # Not all instances at the same moment, and none while it starts.
        await anyio.sleep(seconds * (0.75 + secrets.randbelow(500) / 1000))
        try:
            await act()
        except CoatcheckError as error:
            _log.warning("could not %s: %s", what, error)
