"""What a service's refusals and aiohttp's failures mean."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from coatcheck._core.headers import retry_after
from coatcheck._core.names import shown
from coatcheck.errors import (
    AccessDenied,
    AtCapacity,
    BackendError,
    BackendUnavailable,
    CoatcheckError,
    Conflict,
    ErrorKind,
    IntegrityError,
    InvalidInput,
    InvalidRange,
    ObjectNotFound,
    Outcome,
    PreconditionFailed,
    RateLimited,
    Timeout,
    Unauthenticated,
    UnsupportedOperation,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

FOREIGN: Final = (aiohttp.ClientError, HttpProcessingError, OSError)
"""What is not coatcheck's own and must not leave the driver."""
BACKEND: Final = "service"
_SHOWN: Final = 300
_STATUSES: Final[Mapping[int, tuple[type[CoatcheckError], str]]] = {
    400: (InvalidInput, "takes it for malformed"),
    401: (Unauthenticated, "takes no such credentials"),
    403: (AccessDenied, "does not permit it"),
    404: (ObjectNotFound, "has no such object"),
    405: (UnsupportedOperation, "cannot do it"),
    409: (Conflict, "has it in another state"),
    410: (ObjectNotFound, "has it no more"),
    412: (PreconditionFailed, "has it in another state"),
    413: (InvalidInput, "takes nothing so large"),
    416: (InvalidRange, "has no byte in this range"),
    422: (InvalidInput, "takes it for malformed"),
    429: (RateLimited, "asks to slow down"),
    501: (UnsupportedOperation, "cannot do it"),
    502: (BackendUnavailable, "is not there for now"),
    503: (BackendUnavailable, "is not there for now"),
    504: (BackendUnavailable, "is not there for now"),
    507: (AtCapacity, "is full"),
}
_AUTH: Final = "auth error"
PASSING: Final = frozenset({408, 429, 502, 503, 504})
"""Statuses after which the same request may succeed soon."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Doing:
    """What a request is for, as errors tell it."""

    what: str
    """For instance `put of 'key'`."""
    key: str
    """The key in the bucket."""
    writes: bool = False
    """Whether it may change the service."""


def refusal_of(
    doing: Doing, status: int, headers: Mapping[str, str], body: bytes
) -> CoatcheckError:
    """Return the error that an answer means.

    Args:
        doing: What was asked.
        status: The answer's status.
        headers: Its headers, names in lower case.
        body: The beginning of its body.
    """
    detail, causes = _told(body)
    kind, words = _STATUSES.get(status, (BackendError, "fails"))
    if ErrorKind.INTEGRITY in causes:
        kind, words = IntegrityError, "has it damaged"
    if status == HTTPStatus.BAD_REQUEST and detail.startswith(_AUTH):
        kind, words = _STATUSES[HTTPStatus.UNAUTHORIZED]
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        words = "leads elsewhere, and redirects are not followed"
    told = f": {shown(detail)}" if detail else ""
    unclear = doing.writes and status >= HTTPStatus.INTERNAL_SERVER_ERROR
    error = kind(
        f"{doing.what}: the service {words} ({status}){told}",
        key=doing.key,
        backend=BACKEND,
        outcome=Outcome.UNKNOWN if unclear else Outcome.NOT_APPLIED,
    )
    if isinstance(error, RateLimited):
        error.retry_after = retry_after(headers)
    return error


def failure_of(doing: Doing, error: Exception) -> CoatcheckError:
    """Return the error that a failure of the connection means."""
    kind: type[CoatcheckError] = BackendUnavailable
    match error:
        case TimeoutError():
            kind, words = Timeout, "the service does not answer in time"
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientSSLError():
            kind, words = BackendError, "the service cannot be trusted over TLS"
        case aiohttp.ClientConnectorDNSError():
            words = "the service's host does not resolve"
        case aiohttp.ClientConnectorError():
            words = "the service cannot be reached"
        case aiohttp.ClientResponseError() | HttpProcessingError():
            kind, words = BackendError, "the service does not speak HTTP"
        case _:
            words = "the connection to the service was lost"
    unclear = doing.writes and was_sent(error)
    return kind(
        f"{doing.what}: {words}",
        key=doing.key,
        backend=BACKEND,
        outcome=Outcome.UNKNOWN if unclear else Outcome.NOT_APPLIED,
    )


def was_sent(error: Exception) -> bool:
    """Tell whether a request may have reached the service."""
    return not isinstance(
        error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError
    )


def _told(body: bytes) -> tuple[str, tuple[str, ...]]:
    """Return what an error document says, and what it names as causes."""
    try:
        document = json.loads(body)
        detail, causes = str(document["detail"]), document.get("causes", ())
        return detail[:_SHOWN], tuple(str(cause) for cause in causes)
    except (ValueError, KeyError, TypeError, AttributeError):
        return "", ()
