"""Deleting in the background what has expired."""

from __future__ import annotations

import logging
import random
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import anyio

from coatcheck.abc import Capability, Event, require
from coatcheck.errors import CoatcheckError, Unsupported
from coatcheck.wrappers import emit, reap

if TYPE_CHECKING:
    from coatcheck.abc import Observer
    from coatcheck.wrappers import ExpiringBucket, Reaped

AT_ONE_GO: Final = 10_000
"""The most objects, up to the end of a page, that are looked at in one go."""
_LONGEST: Final = timedelta(minutes=10)
_log = logging.getLogger("coatcheck.objects")


class Reaper:
    """Goes through a bucket bit by bit, for ever; failures end nothing.

    Any number of them may go through the same bucket, from any number of processes.

    Args:
        bucket: The bucket.
        every: The time between two goes, on average.
        observer: Told of goes that failed, as `reap_failed`.
    """

    def __init__(
        self, bucket: ExpiringBucket, every: timedelta, observer: Observer | None
    ) -> None:
        self._bucket = bucket
        self._every = every
        self._observer = observer
        self._next_after: str | None = None

    async def run(self) -> None:
        """Reap until cancelled, or until the bucket says that it cannot be."""
        while True:
            # Not all at the same time, when many processes begin together.
            pause = self._every.total_seconds() * random.uniform(0.5, 1.5)  # noqa: S311
            await anyio.sleep(pause)
            try:
                with anyio.move_on_after(_LONGEST.total_seconds()):
                    await self.go_on()
            except Unsupported as error:
                _log.info("nothing is reaped here: %s", error.message)
                return
            except CoatcheckError as error:
                self._tell(error)

    async def go_on(self) -> Reaped:
        """Look at the next objects, and at the bucket's end remove its litter.

        Raises:
            CoatcheckError: As `reap` and `sweep`.
        """
        reaped = await reap(self._bucket, start_after=self._next_after, limit=AT_ONE_GO)
        self._next_after = reaped.next_after
        at_end = reaped.next_after is None
        if at_end and Capability.SWEEP in self._bucket.capabilities:
            await require(self._bucket, Capability.SWEEP).sweep()
        return reaped

    def _tell(self, error: CoatcheckError) -> None:
        _log.warning("could not reap bucket %a: %s", self._bucket.name, error.kind)
        event = Event(
            name="reap_failed",
            backend=self._bucket.backend.scheme,
            bucket=self._bucket.name,
            key="",
            error=error.kind,
        )
        emit(self._observer, event)
