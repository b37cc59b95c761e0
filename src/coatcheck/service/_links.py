"""The routes that answer links to memory and files."""

from __future__ import annotations

import re
from datetime import timedelta
from http import HTTPMethod
from typing import TYPE_CHECKING, Final, Protocol

from fastapi import APIRouter, Request, Response
from starlette.requests import ClientDisconnect

from coatcheck._core.expiry import is_expired
from coatcheck._core.ranges import parse_range
from coatcheck._core.signing import LINKS_PATH
from coatcheck.errors import (
    AccessDenied,
    CoatcheckError,
    InvalidRange,
    UnsupportedBackend,
)

from ._link_answers import ObjectAnswer, headers_of
from ._link_refusals import (
    BAD_RANGE,
    CHANGED,
    EXPIRED,
    GONE,
    OTHER,
    WRONG_METHOD,
    RefusedError,
    refusal_of,
)
from ._link_uploads import Incoming, upload

if TYPE_CHECKING:
    from coatcheck._core.signing import LinkGrant
    from coatcheck.abc import Bucket, ByteRange
    from coatcheck.wrappers import LinkSigner

_IDLE: Final = timedelta(seconds=60)
_METHODS: Final = (HTTPMethod.GET, HTTPMethod.HEAD, HTTPMethod.PUT)
_QUERY: Final = re.compile(rb"t=([A-Za-z0-9_.-]+)")


class BucketFinder(Protocol):
    """Finds the buckets that links lead to."""

    async def __call__(self, scheme: str, name: str) -> Bucket:
        """Return an open bucket.

        Args:
            scheme: The scheme of its backend.
            name: Its name there.

        Raises:
            CoatcheckError: Links to there are not answered here.
        """
        ...


def links_router(
    find: BucketFinder, signer: LinkSigner, *, idle: timedelta = _IDLE
) -> APIRouter:
    """Return the routes that answer links: GET, HEAD, one range, and PUT once.

    Links are made by `linked` buckets whose signer has a key that this one knows.
    What an object's deadline means is its bucket's matter: pass expiring ones.

    Args:
        find: Finds the bucket of a link whose token is sound.
        signer: Reads the tokens.
        idle: How long a client may take for each chunk that it sends or reads.
    """
    links = _Links(find, signer, idle.total_seconds())
    router = APIRouter()

    # One route for all, because what is allowed is said by the link.
    @router.api_route(
        LINKS_PATH + "{place:path}",
        methods=[*HTTPMethod],
        include_in_schema=False,
        response_model=None,
    )
    async def answer(request: Request) -> Response:
        return await links.answer(request)

    return router


class _Links:
    def __init__(self, find: BucketFinder, signer: LinkSigner, seconds: float) -> None:
        self._find = find
        self._signer = signer
        self._seconds = seconds

    async def answer(self, request: Request) -> Response:
        """Answer a request to a link, whatever it is like."""
        incoming = Incoming(request, self._seconds)
        try:
            return await self._answer(request, incoming)
        except RefusedError as error:
            refusal = error.refusal
        except ClientDisconnect:
            # Nobody reads this.
            return Response(status_code=400)
        except CoatcheckError as error:
            refusal = refusal_of(error)
        response = refusal.answer()
        if request.method == HTTPMethod.PUT and not await incoming.drained():
            # Else the server would go on reading what nobody wants.
            response.headers["connection"] = "close"
        return response

    async def _answer(self, request: Request, incoming: Incoming) -> Response:
        grant = self._grant(request)
        try:
            bucket = await self._find(grant.backend, grant.bucket)
        except UnsupportedBackend:
            raise RefusedError(GONE) from None
        if is_expired(grant.expires_at, bucket.backend.now()):
            raise RefusedError(EXPIRED)
        match request.method:
            case HTTPMethod.PUT:
                return await upload(request, incoming, bucket, grant)
            case HTTPMethod.HEAD:
                info = await bucket.head(grant.key)
                headers = {**headers_of(info, grant), "content-length": str(info.size)}
                return Response(headers=headers)
            case _:
                return ObjectAnswer(
                    bucket,
                    grant,
                    request,
                    byte_range=_byte_range_of(request),
                    seconds=self._seconds,
                )

    def _grant(self, request: Request) -> LinkGrant:
        """Return what the request's token allows, if it allows the request."""
        query: bytes = request.scope["query_string"]
        # Servers log requests with their queries when they are answered.
        request.scope["query_string"] = b""
        # To the byte, as the rest of the link: what was added was not signed.
        found = _QUERY.fullmatch(query)
        if found is None:
            raise RefusedError(CHANGED)
        try:
            grant = self._signer.read(found[1].decode())
        except AccessDenied:
            raise RefusedError(CHANGED) from None
        # Refused here and not by the router, so that its token is not logged.
        if request.method not in _METHODS:
            raise RefusedError(WRONG_METHOD)
        is_put = request.method == HTTPMethod.PUT
        method = HTTPMethod.PUT if is_put else HTTPMethod.GET
        if grant.method != method or grant.place != request.path_params["place"]:
            raise RefusedError(OTHER)
        return grant


def _byte_range_of(request: Request) -> ByteRange | None:
    asked = request.headers.get("range")
    try:
        return None if asked is None else parse_range(asked)
    except InvalidRange:
        raise RefusedError(BAD_RANGE) from None
