"""The backend that reads share links."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final

import aiohttp
from anyio import to_thread

from coatcheck._core.address import LINK
from coatcheck._core.expiry import utc_now
from coatcheck.abc import AsyncResource
from coatcheck.errors import UnsupportedOperation

from ._bucket import LinkBucket
from ._reads import OPENING, LinkRead
from ._resolver import PublicResolver

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime

    from aiohttp.abc import AbstractResolver
    from anyio import CancelScope

    from coatcheck._core.ranges import ByteRange
    from coatcheck.abc import Backend, Bucket, Reader

    from ._trust import Origins

_KIB: Final = 1024
_CONNECTING: Final = 10.0
_READING: Final = 30.0


class LinkBackend(AsyncResource):
    """Reads share links, and only from origins that the configuration trusts.

    There are no redirects, proxies, cookies or credentials, and no connection to an
    address that is not public, unless a configured URL leads there. The environment
    and `.netrc` are not looked at.

    Args:
        origins: What is trusted.
        max_header: The most bytes of an answer's headers.
        connections: The most connections at once.
        ca_bundle: Path of certificates that are trusted beside the system's.
        clock: Tells the time where an answer does not.
        resolver: Resolves names; None is the operating system.
    """

    scheme = LINK

    def __init__(
        self,
        origins: Origins,
        *,
        max_header: int = 64 * _KIB,
        connections: int = 50,
        ca_bundle: str | None = None,
        clock: Callable[[], datetime] = utc_now,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._origins = origins
        self._max_header = max_header
        self._connections = connections
        self._ca_bundle = ca_bundle
        self._clock = clock
        self._resolver = resolver
        self._openings: set[CancelScope] = set()
        self._session: aiohttp.ClientSession | None = None

    def get(
        self,
        url: str,
        *,
        byte_range: ByteRange | None = None,
        known_size: int | None = None,
    ) -> AbstractAsyncContextManager[Reader]:
        """Open the object behind a link for reading.

        Nothing is sent before entering, and nothing at all when the link is not
        trusted. Leaving frees the connection, read or not.

        Args:
            url: The link, without a fragment.
            byte_range: What to read; None is the whole.
            known_size: Bytes of the whole object when they are known from elsewhere;
                needed where the answer does not tell.

        Returns:
            An async context manager of the reader.

        Raises:
            Closed: The backend is not open.
            InvalidAddress: On entering: the link is not a plain http or https URL.
            AccessDenied: On entering: the link does not lead to a trusted origin, to
                a public address, or leads elsewhere by a redirect.
            ObjectNotFound: On entering: the link expired, was changed, or its object
                is not there; the message tells which.
            InvalidRange: On entering: no byte of the object lies in the range.
            IntegrityError: On entering: the answer does not tell its length, or not
                the known one.
            BackendError: On entering: the host cannot be reached, asks to slow down
                or fails.
        """
        self._check_open()
        assert self._session is not None  # noqa: S101  # open implies it
        return LinkRead(
            self._session,
            self._origins,
            url,
            byte_range=byte_range,
            known_size=known_size,
            max_header=self._max_header,
            clock=self._clock,
            openings=self._openings,
        )

    def bucket(self, name: str, prefix: str = "") -> Bucket:
        if prefix:
            raise UnsupportedOperation("share links have no prefix in common")
        return LinkBucket(self, name)

    def now(self) -> datetime:
        return self._clock()

    async def check(self) -> None:
        self._check_open()

    async def _open(self) -> None:
        certificates = None
        if self._ca_bundle is not None:
            certificates = await to_thread.run_sync(_trusting, self._ca_bundle)
        inner = self._resolver or aiohttp.ThreadedResolver()
        connector = aiohttp.TCPConnector(
            resolver=PublicResolver(self._origins, inner),
            # Cached answers would be shared between tasks, their errors too.
            use_dns_cache=False,
            limit=self._connections,
            ssl=True if certificates is None else certificates,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"user-agent": "coatcheck"},
            timeout=aiohttp.ClientTimeout(
                total=None,
                connect=OPENING,
                sock_connect=_CONNECTING,
                sock_read=_READING,
            ),
            response_class=_QuietResponse,
            auto_decompress=False,
            trust_env=False,
            max_line_size=self._max_header,
            max_field_size=self._max_header,
        )

    async def _close(self) -> None:
        # The connector would cancel those who wait for it, not tell them why.
        for scope in tuple(self._openings):
            scope.cancel()
        if self._session is not None:
            await self._session.close()


class _QuietResponse(aiohttp.ClientResponse):
    """A response that does not show its URL, which event loops would log."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} [{self.status}]>"


def _trusting(ca_bundle: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.load_verify_locations(ca_bundle)
    return context


if TYPE_CHECKING:
    _conforms: type[Backend] = LinkBackend
