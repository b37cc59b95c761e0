"""The S3 backend: its lifetime, its client, its clock, its buckets."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final

import anyio

from coatcheck._core.expiry import utc_now
from coatcheck._core.names import check_namespace
from coatcheck.abc import AsyncResource
from coatcheck.config import S3Config
from coatcheck.errors import AccessDenied, AtCapacity, UnsupportedOperation
from coatcheck.wrappers import scoped

from ._bucket import S3Bucket
from ._client import Clients
from ._errors import s3_errors
from ._redaction import redact_sdk_logs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from coatcheck.abc import Backend, Bucket

_SLOT_SECONDS: Final = 60
# The Date header counts whole seconds, and an answer takes its time.
_LEAST_SKEW: Final = timedelta(seconds=2)


class S3Backend(AsyncResource):
    """Objects in S3, and in stores that speak it; runs on asyncio only.

    Credentials are found, refreshed and kept by the SDK. Opening puts a filter on the
    SDK's loggers, which at DEBUG would log session tokens and signatures.

    Args:
        config: How the store is reached; None is AWS, by the SDK's own settings.
        session: An aioboto3 session to take credentials from.
        client: An open client of aioboto3's or aiobotocore's; it is not closed here.
        clock: Tells the time that deadlines go by; None is this machine's clock,
            set right by the store's.
    """

    scheme = "s3"

    def __init__(
        self,
        config: S3Config | None = None,
        *,
        session: Any = None,
        client: Any = None,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        self.config = config or S3Config()
        self.clients = Clients(self.config, session=session, client=client)
        self.made: set[str] = set()
        self.keeps_conditions: bool | None = None
        self._clock = clock
        self._offset = timedelta(0)
        self._last_date = ""
        self._slots = anyio.Semaphore(self.config.max_pool_connections)

    def bucket(self, name: str, prefix: str = "") -> Bucket:
        check_namespace(name)
        return scoped(S3Bucket(name, self), prefix)

    def now(self) -> datetime:
        return utc_now() + self._offset if self._clock is None else self._clock()

    async def check(self) -> None:
        self._check_open()
        await self.take_slot()
        try:
            with s3_errors("list the buckets for", "", ""):
                await self.clients.talking.list_buckets()
        except AccessDenied:
            # The credentials are good, though not for this.
            return
        finally:
            self.give_slot()

    def check_open(self) -> None:
        """Raise Closed when the backend is not open here."""
        self._check_open()

    async def take_slot(self) -> None:
        """Take one of the pool's connections, which is given back with `give_slot`.

        The client's own pool would wait for one without an end.

        Raises:
            AtCapacity: None came free in time.
        """
        if not self.take_free_slot():
            await self._wait_for_slot()

    def take_free_slot(self) -> bool:
        """Take a connection if one is free; return whether it was."""
        try:
            self._slots.acquire_nowait()
        except anyio.WouldBlock:
            return False
        return True

    async def _wait_for_slot(self) -> None:
        with anyio.move_on_after(_SLOT_SECONDS):
            await self._slots.acquire()
            return
        raise AtCapacity(
            f"all {self.config.max_pool_connections} connections to the store were in"
            f" use for {_SLOT_SECONDS} s; leave readers that you are done with, or"
            " raise S3Config.max_pool_connections",
            backend="s3",
        )

    def give_slot(self) -> None:
        """Give a connection back."""
        self._slots.release()

    def note_date(self, response: Mapping[str, Any]) -> None:
        """Set the clock by the Date header of an answer."""
        text = response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
        if text is None or text == self._last_date:
            return
        self._last_date = text
        try:
            offset = parsedate_to_datetime(text) - utc_now()
        except (TypeError, ValueError):
            return
        self._offset = offset if abs(offset) > _LEAST_SKEW else timedelta(0)

    async def _open(self) -> None:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            raise UnsupportedOperation(
                "the S3 client needs asyncio; under trio use memory or files",
                backend="s3",
            ) from None
        redact_sdk_logs()
        with s3_errors("make a client for", "", ""):
            await self.clients.open()

    async def _close(self) -> None:
        await self.clients.close()


if TYPE_CHECKING:
    _conforms: type[Backend] = S3Backend
