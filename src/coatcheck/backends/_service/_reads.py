"""Reading an object of a service, also when the connection breaks half-way."""

from __future__ import annotations

import re
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from coatcheck._core.ranges import ByteSpan, range_header, resolve_range
from coatcheck.errors import (
    BackendError,
    BackendUnavailable,
    Closed,
    CoatcheckError,
    IntegrityError,
    PreconditionFailed,
)
from coatcheck.payloads._integrity import VerifiedReader

from ._failures import BACKEND, FOREIGN
from ._metadata import check_ours, info_of, size_of
from ._wire import lowered

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

    import aiohttp

    from coatcheck.abc import ByteRange, ObjectInfo, Reader

    from ._messages import Passing, Request
    from ._place import ServicePlace

_RESUMES: Final = 3
_CONTENT_RANGE: Final = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})")


class ServiceRead:
    """What `get` returns: opens on entering, frees the connection on leaving.

    Args:
        place: The bucket.
        request: The request for all of the object.
        byte_range: Only these bytes.
        if_match: Only the object with this ETag.
        if_none_match: Only an object with another ETag.
    """

    __slots__ = (
        "_byte_range",
        "_chunks",
        "_if_match",
        "_if_none_match",
        "_place",
        "_request",
    )

    def __init__(
        self,
        place: ServicePlace,
        request: Request,
        *,
        byte_range: ByteRange | None,
        if_match: str | None,
        if_none_match: str | None,
    ) -> None:
        headers: dict[str, str] = {}
        if byte_range is not None:
            headers["range"] = range_header(byte_range)
        if if_match is not None:
            headers["if-match"] = f'"{if_match}"'
        if if_none_match is not None:
            headers["if-none-match"] = f'"{if_none_match}"'
        self._place = place
        self._request = replace(request, headers=headers)
        self._byte_range = byte_range
        self._if_match = if_match
        self._if_none_match = if_none_match
        self._chunks: _Chunks | None = None

    async def __aenter__(self) -> Reader:
        if self._chunks is not None:
            raise Closed("a read is entered once; call get again")
        self._chunks = _Chunks(self._place, self._request)
        try:
            response = await self._chunks.open()
            return self._reader(response)
        except BaseException:
            self._chunks.end()
            raise

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._chunks is not None:
            self._chunks.end()

    def _reader(self, response: aiohttp.ClientResponse) -> Reader:
        chunks = self._chunks
        assert chunks is not None  # noqa: S101  # set on entering
        headers = lowered(response)
        key = self._request.doing.key
        if response.status == HTTPStatus.NOT_MODIFIED:
            raise self._unmet()
        check_ours(headers, key)
        found = _extent(headers) if self._byte_range is not None else size_of(headers)
        if found is None:
            raise BackendError(
                f"the service does not tell how much of object {key!a} it sends",
                key=key,
                backend=BACKEND,
            )
        size, span = (found, None) if isinstance(found, int) else found
        info = info_of(key, headers, size=size, now=self._place.now())
        self._check_conditions(info)
        if span is not None and self._byte_range is not None:
            asked = resolve_range(self._byte_range, size)
            if asked != span:
                raise IntegrityError(
                    f"the service answered bytes of object {key!a} that were not asked"
                    " for",
                    key=key,
                    backend=BACKEND,
                )
        chunks.expect(range(size) if span is None else span, info.etag)
        return VerifiedReader(info, chunks, span=span)

    def _check_conditions(self, info: ObjectInfo) -> None:
        """Hold an answer to the conditions, which a service may not know."""
        if self._if_match not in (None, info.etag):
            raise self._unmet()
        if self._if_none_match is not None and self._if_none_match == info.etag:
            raise self._unmet()

    def _unmet(self) -> PreconditionFailed:
        key = self._request.doing.key
        return PreconditionFailed(
            f"object {key!a} does not meet the conditions of the read",
            key=key,
            backend=BACKEND,
        )


def _extent(headers: Mapping[str, str]) -> tuple[int, range] | None:
    """Return an object's size, and which of its bytes an answer brings."""
    found = _CONTENT_RANGE.fullmatch(headers.get("content-range", ""))
    if found is None:
        return None
    first, last, size = (int(each) for each in found.groups())
    return size, range(first, last + 1)


class _Chunks:
    """A body in chunks; one that breaks off is asked for again from there."""

    __slots__ = (
        "_ended",
        "_etag",
        "_left",
        "_place",
        "_request",
        "_response",
        "_tries",
    )

    def __init__(self, place: ServicePlace, request: Request) -> None:
        self._place = place
        self._request = request
        self._response: aiohttp.ClientResponse | None = None
        self._left = range(0)
        self._etag = ""
        self._tries = _RESUMES
        self._ended = False

    async def open(self) -> aiohttp.ClientResponse:
        """Send the request, and keep the body of its answer."""
        wire, request = self._place.wire, self._request
        good = (
            *(HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT),
            *((HTTPStatus.NOT_MODIFIED,) if "if-none-match" in request.headers else ()),
        )

        async def once() -> aiohttp.ClientResponse:
            response = self._response = await wire.sent(request)
            if response.status not in good:
                try:
                    raise await wire.refused(request, response)
                finally:
                    response.close()
            return response

        return await wire.attempted(request, once)

    def expect(self, offsets: range, etag: str) -> None:
        """Say which bytes the body has."""
        self._left = offsets
        self._etag = etag

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while True:
            if self._ended or self._response is None:
                raise Closed("the read has ended; read within 'async with'")
            failure: Passing | None = None
            try:
                chunk = await self._response.content.readany()
            except FOREIGN as error:
                chunk, failure = b"", self._place.wire.failed(self._request, error)
            self._left = self._left[len(chunk) :]
            if chunk:
                return chunk
            if not self._left:
                # All is there, whatever else was announced.
                raise StopAsyncIteration
            await self._go_on(failure)

    async def _go_on(self, failure: Passing | None) -> None:
        """Ask for what is left of a body that broke off, of the same generation.

        Raises:
            IntegrityError: Another object stands there now.
            BackendError: It broke off too often, or nothing tells generations apart.
        """
        key = self._request.doing.key
        if failure is not None and not failure.failure.retryable:
            raise failure.failure
        if not self._tries or not self._etag:
            raise BackendUnavailable(
                f"the service broke off with {len(self._left)} bytes of object {key!a}"
                " to come",
                key=key,
                backend=BACKEND,
            )
        self._tries -= 1
        self.close()
        span = ByteSpan(self._left.start, self._left.stop)
        headers = {"range": range_header(span), "if-match": f'"{self._etag}"'}
        self._request = replace(self._request, headers=headers)
        try:
            response = await self.open()
            extent = _extent(lowered(response))
        except BackendUnavailable:
            raise
        except CoatcheckError as error:
            raise self._replaced() from error
        if extent is None or extent[1] != self._left:
            raise self._replaced()

    def _replaced(self) -> IntegrityError:
        key = self._request.doing.key
        return IntegrityError(
            f"object {key!a} was replaced or deleted while it was read",
            key=key,
            backend=BACKEND,
        )

    def close(self) -> None:
        """Free the connection, whether the body was read or not."""
        if self._response is not None:
            self._response.close()
            self._response = None

    def end(self) -> None:
        """Free the connection, and let later reads say that the read is over."""
        self._ended = True
        self.close()
