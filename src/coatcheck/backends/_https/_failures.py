"""What aiohttp's failures mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from coatcheck._core.address import LINK
from coatcheck.errors import (
    BackendError,
    BackendUnavailable,
    Closed,
    CoatcheckError,
    Outcome,
    Timeout,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from ._links import Link

FOREIGN: Final = (aiohttp.ClientError, HttpProcessingError, OSError)
"""What is not coatcheck's own and must not leave it."""

_T = TypeVar("_T")


async def mapped(call: Awaitable[_T], link: Link, session: aiohttp.ClientSession) -> _T:
    """Await a call, and let only coatcheck's errors out.

    These are raised after the handler: aiohttp's errors and responses show the whole
    URL, so not even the context of a traceback may lead to them.
    """
    try:
        return await call
    except FOREIGN as error:
        failure = _failure(error, link, closed=session.closed)
    raise failure


def _failure(error: Exception, link: Link, *, closed: bool) -> CoatcheckError:
    if closed:
        return Closed("LinkBackend was closed while a link was read")
    kind: type[CoatcheckError]
    match error:
        case TimeoutError():
            kind, words = Timeout, "does not answer in time"
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientSSLError():
            kind, words = BackendError, "cannot be trusted over TLS"
        case aiohttp.ClientConnectorDNSError():
            kind, words = BackendUnavailable, "has a host that does not resolve"
        case aiohttp.ClientResponseError() | HttpProcessingError():
            kind, words = BackendError, "answers with what is not readable as HTTP"
        case aiohttp.InvalidURL():
            kind, words = BackendError, "cannot be requested"
        case aiohttp.ClientConnectorError():
            kind, words = BackendUnavailable, "has a host that cannot be reached"
        case _:
            kind, words = BackendUnavailable, "lost its connection"
    return kind(
        f"share link {link.redacted} {words}",
        address=link.redacted,
        key=link.key,
        backend=LINK,
        outcome=Outcome.NOT_APPLIED,
    )
