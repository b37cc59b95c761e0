"""The backend that is a service: its lifetime, its connections, its one bucket."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import anyio
from yarl import URL

from coatcheck._core.expiry import utc_now
from coatcheck._core.names import check_namespace
from coatcheck.abc import AsyncResource, ServiceAccess
from coatcheck.errors import BackendError, BackendUnavailable, InvalidInput
from coatcheck.wrappers import scoped

from ._bucket import ServiceBucket
from ._failures import BACKEND
from ._wire import Wire

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from coatcheck.abc import Backend, Bucket

_GREETING: Final = 2.0


class ServiceBackend(AsyncResource):
    """Objects in a service that speaks objectstore's wire; runs on asyncio only.

    Keys are those that the service's own bucket would have; see `Location`. Against
    coatcheck's service, writes and deletes take conditions, and reads that break off
    go on; objectstore's own offers no ETags, so there they do not.

    Args:
        url: The service's URL, a path before its routes included.
        access: How it is reached; None is without credentials.
        clock: Tells the time that links are signed by.

    Raises:
        InvalidInput: The URL is none of http or https.
    """

    scheme = BACKEND

    def __init__(
        self,
        url: str,
        *,
        access: ServiceAccess | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._access = access or ServiceAccess()
        self._wire = Wire(_base(url), self._access)
        self._clock = clock

    def bucket(self, name: str, prefix: str = "") -> Bucket:
        check_namespace(name)
        token = self._access.token
        bucket = ServiceBucket(
            name,
            backend=self,
            wire=self._wire,
            check_open=self._check_open,
            signer=None if isinstance(token, str) else token,
        )
        return scoped(bucket, prefix)

    def now(self) -> datetime:
        return self._clock()

    async def check(self) -> None:
        self._check_open()
        status = await self._wire.status_of("/ready")
        if status != HTTPStatus.OK:
            raise BackendUnavailable(
                f"the service is not ready ({status})", backend=BACKEND
            )

    async def _open(self) -> None:
        await self._wire.open()
        # Only to hear what it can do; one that is not there yet may come later.
        with anyio.move_on_after(_GREETING):
            try:
                await self._wire.status_of("/health")
            except BackendError:
                return

    async def _close(self) -> None:
        await self._wire.close()


def _base(url: str) -> URL:
    try:
        base = URL(url, encoded=True)
    except ValueError:
        base = URL()
    if base.scheme not in ("http", "https") or not base.host or base.query_string:
        raise InvalidInput("a service's URL is like http://localhost:8888/prefix")
    return base.with_fragment(None)


if TYPE_CHECKING:
    _conforms: type[Backend] = ServiceBackend
