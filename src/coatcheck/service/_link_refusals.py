"""What requests to links are refused with: a status, a code, and words for people.

The words are fixed ones: who has a link learns what to do about it, and nothing of
where and how the object is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from fastapi.responses import JSONResponse

from coatcheck import errors
from coatcheck._core.objects import nothing
from coatcheck._core.signing import LinkRefusal

if TYPE_CHECKING:
    from fastapi import Response

SAFE: Final = {
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; sandbox",
    # The link stands in the address bar, and is a secret.
    "referrer-policy": "no-referrer",
}
"""Headers of every answer: whoever uploaded an object chose its type and content, and
no browser shall run it here."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request to a link is refused."""

    status: HTTPStatus
    """The answer's status."""
    code: str
    """The reason for programs, coatcheck's own reader of links among them."""
    detail: str
    """The reason for people."""
    headers: Mapping[str, str] = field(default_factory=nothing)
    """Further headers of the answer."""

    def answer(self) -> Response:
        """Return the answer."""
        headers = {**SAFE, "cache-control": "no-store", **self.headers}
        body = {"detail": self.detail, "code": self.code}
        return JSONResponse(body, self.status, headers)


class RefusedError(Exception):
    """A request to a link is refused.

    Args:
        refusal: Why.
    """

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.detail)
        self.refusal = refusal


EXPIRED: Final = Refusal(
    HTTPStatus.FORBIDDEN,
    LinkRefusal.EXPIRED,
    "this link has expired; ask for a new one",
)
CHANGED: Final = Refusal(
    HTTPStatus.FORBIDDEN,
    LinkRefusal.CHANGED,
    "this link is not as it was signed; ask for a new one",
)
OTHER: Final = Refusal(
    HTTPStatus.FORBIDDEN,
    LinkRefusal.OTHER,
    "this link was signed for another object or method",
)
WRONG_METHOD: Final = Refusal(
    HTTPStatus.METHOD_NOT_ALLOWED,
    "wrong_method",
    "links are read by GET and HEAD, and written to by PUT",
    {"allow": "GET, HEAD, PUT"},
)
GONE: Final = Refusal(
    HTTPStatus.NOT_FOUND, "object_not_found", "the object of this link is not there"
)
USED: Final = Refusal(
    HTTPStatus.CONFLICT,
    LinkRefusal.USED,
    "this link writes once, and an object stands there",
)
MALFORMED: Final = Refusal(
    HTTPStatus.BAD_REQUEST,
    "invalid_input",
    "the request's headers say what cannot be kept",
)
BAD_RANGE: Final = Refusal(
    HTTPStatus.BAD_REQUEST,
    "invalid_range",
    "a range has the form bytes=0-499, bytes=500- or bytes=-500",
)
TOO_LARGE: Final = Refusal(
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "too_large",
    "the upload is larger than this link allows",
)
WRONG_TYPE: Final = Refusal(
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "wrong_type",
    "the upload has another content type than this link demands",
)
STALLED: Final = Refusal(
    HTTPStatus.REQUEST_TIMEOUT, "timeout", "the upload did not go on"
)
FULL: Final = Refusal(
    HTTPStatus.INSUFFICIENT_STORAGE, "at_capacity", "the storage is full"
)
BUSY: Final = Refusal(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "backend_unavailable",
    "the storage cannot answer now; try again",
    {"retry-after": "5"},
)
DAMAGED: Final = Refusal(
    HTTPStatus.INTERNAL_SERVER_ERROR,
    LinkRefusal.DAMAGED,
    "the object of this link is damaged",
)
BROKEN: Final = Refusal(
    HTTPStatus.INTERNAL_SERVER_ERROR, "backend", "the storage failed"
)
_MEANINGS: Final[tuple[tuple[type[BaseException], Refusal], ...]] = (
    (errors.NotFound, GONE),
    (errors.Conflict, USED),
    (errors.InvalidInput, MALFORMED),
    (errors.IntegrityError, DAMAGED),
    (errors.AtCapacity, FULL),
    (errors.BackendUnavailable, BUSY),
    (errors.RateLimited, BUSY),
    (errors.Timeout, BUSY),
    (errors.Closed, BUSY),
)


def refusal_of(error: errors.CoatcheckError) -> Refusal:
    """Return what an error of the storage is answered with."""
    found = (refusal for kind, refusal in _MEANINGS if isinstance(error, kind))
    return next(found, BROKEN)


def out_of_range(size: int) -> Refusal:
    """Return the refusal of a range that lies outside an object of some bytes."""
    return Refusal(
        HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
        "invalid_range",
        f"the range lies outside the object of {size} bytes",
        {"content-range": f"bytes */{size}"},
    )
