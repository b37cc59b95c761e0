"""Reading the object behind a share link."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import aiohttp
from anyio import fail_after, move_on_after
from yarl import URL

from coatcheck._core.address import LINK
from coatcheck._core.ranges import range_header, resolve_range
from coatcheck.errors import BackendError, Closed, IntegrityError
from coatcheck.payloads._integrity import VerifiedReader

from ._answers import MAX_REFUSAL, extent_of, info_of, refusal_of
from ._failures import FOREIGN, mapped

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from types import TracebackType
    from typing import Self

    from anyio import CancelScope

    from coatcheck.abc import ByteRange, Reader

    from ._links import Link
    from ._trust import Origins

OPENING: Final = 60.0
"""Seconds until the answer's headers must be there."""
_REFUSING: Final = 5.0
_GOOD: Final = (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT)


class LinkRead:
    """The context manager that `get` of a backend for links returns.

    Args:
        session: Sends the request.
        origins: What is trusted.
        url: The link.
        byte_range: What to read; None is the whole.
        known_size: The size of the whole as the caller knows it.
        max_header: The most bytes of an answer's headers.
        clock: Tells the time.
        openings: Where the scopes of reads that are being opened are kept, for the
            backend to cancel when it closes.
    """

    __slots__ = (
        "_byte_range",
        "_clock",
        "_known_size",
        "_max_header",
        "_openings",
        "_origins",
        "_response",
        "_session",
        "_source",
        "_url",
    )

    def __init__(
        self,
        session: aiohttp.ClientSession,
        origins: Origins,
        url: str,
        *,
        byte_range: ByteRange | None,
        known_size: int | None,
        max_header: int,
        clock: Callable[[], datetime],
        openings: set[CancelScope],
    ) -> None:
        self._session = session
        self._openings = openings
        self._origins = origins
        self._url: str | None = url
        self._byte_range = byte_range
        self._known_size = known_size
        self._max_header = max_header
        self._clock = clock
        self._response: aiohttp.ClientResponse | None = None
        self._source: _Chunks | None = None

    async def __aenter__(self) -> Reader:
        if self._url is None:
            raise Closed("a read is entered once; call get again")
        if self._session.closed:
            raise Closed("LinkBackend is closed")
        link = self._origins.admit(self._url)
        self._url = None
        try:
            return await mapped(self._open(link), link, self._session)
        except BaseException:
            self._release()
            raise

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._release()

    def _release(self) -> None:
        """Free the connection: for others after the last byte, else by closing it."""
        if self._source is not None:
            self._source.end()
        if self._response is not None:
            self._response.close()

    async def _open(self, link: Link) -> Reader:
        with fail_after(OPENING) as scope:
            self._openings.add(scope)
            try:
                return await self._begin(link)
            finally:
                self._openings.discard(scope)
        raise Closed("LinkBackend was closed while a link was opened")

    async def _begin(self, link: Link) -> Reader:
        # Encoded means verbatim: a signature covers the text as it stands.
        response = await self._session.get(
            _url_of(link), headers=_asked(self._byte_range), allow_redirects=False
        )
        self._response = response
        self._check_headers(response, link)
        headers = {name.lower(): text for name, text in response.headers.items()}
        if not self._is_good(response.status):
            body = await _beginning(response.content)
            raise refusal_of(response.status, headers, body, link)
        return self._reader(response, headers, link)

    def _is_good(self, status: int) -> bool:
        if status == HTTPStatus.PARTIAL_CONTENT:
            return self._byte_range is not None
        return status in _GOOD

    def _check_headers(self, response: aiohttp.ClientResponse, link: Link) -> None:
        size = sum(len(name) + len(text) for name, text in response.raw_headers)
        if size > self._max_header:
            raise BackendError(
                f"share link {link.redacted} answers with more than"
                f" {self._max_header} bytes of headers",
                address=link.redacted,
                backend=LINK,
            )

    def _reader(
        self, response: aiohttp.ClientResponse, headers: Mapping[str, str], link: Link
    ) -> Reader:
        extent = extent_of(response.status, headers, link, self._known_size)
        info = info_of(headers, link, size=extent.size, now=self._clock())
        span = None
        if self._byte_range is not None:
            span = resolve_range(self._byte_range, extent.size)
        whole = len(extent.span) == extent.size
        if span is not None and span != extent.span and not whole:
            raise IntegrityError(
                f"share link {link.redacted} answers with another range than was asked",
                address=link.redacted,
                key=link.key,
                backend=LINK,
            )
        # A server may ignore the range; what lies around it is then passed over.
        cut = span if span != extent.span else None
        self._source = _Chunks(response, link, self._session, cut)
        return VerifiedReader(info, self._source, span=span)


class _Chunks:
    """The chunks of an answer's body, or of a span of it."""

    __slots__ = ("_ended", "_left", "_link", "_protocol", "_response", "_session")

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        link: Link,
        session: aiohttp.ClientSession,
        cut: range | None,
    ) -> None:
        self._response = response
        self._link = link
        self._session = session
        self._left = cut
        self._ended = False
        # Only the protocol knows afterwards whether the peer hung up or was lost.
        connection = response.connection
        self._protocol = None if connection is None else connection.protocol

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while self._left is None or self._left:
            chunk = await mapped(self._read(), self._link, self._session)
            if not chunk:
                break
            chunk = self._wanted(chunk)
            if chunk:
                return chunk
        raise StopAsyncIteration

    def end(self) -> None:
        """Let later reads say that the read is over."""
        self._ended = True

    async def _read(self) -> bytes:
        if self._ended:
            raise Closed("the read has ended; read within 'async with'")
        try:
            return await self._response.content.readany()
        except aiohttp.ClientPayloadError:
            lost = None if self._protocol is None else self._protocol.exception()
            if isinstance(lost, aiohttp.ClientOSError) or self._session.closed:
                raise
        # The peer has said all it will; the reader knows that more was promised.
        return b""

    def _wanted(self, chunk: bytes) -> bytes:
        """Return what of the next chunk lies in the span."""
        if self._left is None:
            return chunk
        skipped = min(self._left.start, len(chunk))
        found = chunk[skipped : skipped + len(self._left)]
        start = self._left.start - skipped
        # What was passed over or returned no longer counts.
        self._left = range(start, start + len(self._left) - len(found))
        return found


async def _beginning(content: aiohttp.StreamReader) -> bytes:
    """Read what fits of an error document; what is missing only costs words."""
    body = b""
    with move_on_after(_REFUSING):
        try:
            while len(body) < MAX_REFUSAL:
                chunk = await content.read(MAX_REFUSAL - len(body))
                if not chunk:
                    break
                body += chunk
        except FOREIGN:
            return body
    return body


def _url_of(link: Link) -> URL:
    return URL.build(
        scheme=link.origin.scheme,
        host=link.origin.host,
        port=link.origin.port,
        path=link.path,
        query_string=link.query,
        encoded=True,
    )


def _asked(byte_range: ByteRange | None) -> dict[str, str]:
    # Compressed on the way, the length would not be that of the object.
    headers = {"accept-encoding": "identity"}
    if byte_range is not None:
        headers["range"] = range_header(byte_range)
    return headers
