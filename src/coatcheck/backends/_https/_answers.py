"""What the answers to a fetched link mean."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, NamedTuple

from coatcheck._core.address import LINK
from coatcheck._core.headers import decode_metadata, retry_after
from coatcheck._core.objects import ObjectInfo, PutInfo
from coatcheck._core.signing import LinkRefusal
from coatcheck.errors import (
    AccessDenied,
    BackendError,
    BackendUnavailable,
    CoatcheckError,
    IntegrityError,
    InvalidInput,
    InvalidRange,
    ObjectNotFound,
    RateLimited,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._links import Link

MAX_REFUSAL: Final = 8 * 1024
"""The most bytes of an error document that are read."""
_META: Final = "x-amz-meta-"
# S3 sends metadata behind its prefix, coatcheck's own service as it is.
_TELLING: Final = (_META, "x-sn-", "x-snme-", "x-cc-")
_CODE = re.compile(rb"<Code>\s*([A-Za-z0-9.]{1,64})\s*</Code>")
_OWN_CODE = re.compile(rb'"code"\s*:\s*"([a-z_]{1,64})"')
_MESSAGE = re.compile(rb"<Message>([^<]{0,1024})</Message>")
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)")
_DIGITS = re.compile(r"[0-9]{1,18}")
_ETAG = re.compile(r"[\x21-\x7e]{1,256}")
_GONE: Final = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)
_REFUSED: Final = (HTTPStatus.FORBIDDEN, *_GONE)


class Extent(NamedTuple):
    """The size of an object, and what of it an answer brings."""

    size: int
    """Bytes of the whole object."""
    span: range
    """The offsets that the answer's body has."""


def extent_of(
    status: int, headers: Mapping[str, str], link: Link, known_size: int | None
) -> Extent:
    """Read from an answer's headers how much comes, and of how much.

    Args:
        status: 200 or 206.
        headers: Names in lower case.
        link: What was fetched.
        known_size: The size of the whole as the caller knows it.

    Raises:
        IntegrityError: The headers do not tell, or contradict what is known.
    """
    length = _length_of(headers, link)
    if status == HTTPStatus.PARTIAL_CONTENT:
        extent = _partial(headers, link, known_size)
        if length is not None and length != len(extent.span):
            raise _contradiction(link, "a length that is not its range's")
    else:
        size = known_size if length is None else length
        if size is None:
            raise _contradiction(link, "no length")
        extent = Extent(size, range(size))
    if known_size not in (None, extent.size):
        raise _contradiction(link, f"{extent.size} bytes and not {known_size}")
    return extent


def _length_of(headers: Mapping[str, str], link: Link) -> int | None:
    text = headers.get("content-length")
    if text is None:
        return None
    if _DIGITS.fullmatch(text) is None:
        raise _contradiction(link, "a length that is no number")
    return int(text)


def _partial(headers: Mapping[str, str], link: Link, known_size: int | None) -> Extent:
    found = _CONTENT_RANGE.fullmatch(headers.get("content-range", ""))
    if found is None:
        raise _contradiction(link, "a range without its offsets")
    first, last = int(found[1]), int(found[2])
    size = known_size if found[3] == "*" else int(found[3])
    if size is None:
        raise _contradiction(link, "no length")
    if not first <= last < size:
        raise _contradiction(link, "a range that lies outside the object")
    return Extent(size, range(first, last + 1))


def _contradiction(link: Link, what: str) -> IntegrityError:
    return IntegrityError(
        f"share link {link.redacted} answers with {what}; nothing of it was read",
        address=link.redacted,
        key=link.key,
        backend=LINK,
    )


def info_of(
    headers: Mapping[str, str], link: Link, *, size: int, now: datetime
) -> ObjectInfo:
    """Return what an answer's headers tell about the object.

    Args:
        headers: Names in lower case.
        link: What was fetched.
        size: Bytes of the whole object.
        now: Stands in for a missing time of modification.
    """
    modified = _time_of(headers.get("last-modified", "")) or now
    etag = headers.get("etag", "")
    return ObjectInfo.of(
        _described(headers, modified),
        key=link.key,
        size=size,
        etag=etag if _ETAG.fullmatch(etag) else "",
        modified=modified,
    )


def _described(headers: Mapping[str, str], modified: datetime) -> PutInfo:
    """Read the metadata, and leave out what is malformed or makes it so."""
    standard: dict[str, str | datetime] = {"created": modified}
    given = {"content_type": headers.get("content-type"), "encoding": _zstd(headers)}
    standard |= {
        name: text
        for name, text in given.items()
        if text is not None and _holds({}, **{name: text})
    }
    kept: dict[str, str] = {}
    # The time of creation first, for policies are counted from it.
    for name in sorted(headers, key=lambda name: (not name.endswith("created"), name)):
        if not name.startswith(_TELLING):
            continue
        trial = kept | {name.removeprefix(_META): headers[name]}
        if _holds(trial, **standard):
            kept = trial
    return decode_metadata(kept, **standard)


def _holds(headers: Mapping[str, str], **standard: str | datetime) -> bool:
    try:
        decode_metadata(headers, **standard)
    except InvalidInput:
        return False
    return True


def _zstd(headers: Mapping[str, str]) -> str | None:
    # "aws-chunked" speaks of how the object was sent once.
    codings = [
        each.strip().lower() for each in headers.get("content-encoding", "").split(",")
    ]
    left = [each for each in codings if each not in ("", "aws-chunked")]
    return "zstd" if left == ["zstd"] else None


def _time_of(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
        return found.replace(tzinfo=found.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def refusal_of(
    status: int, headers: Mapping[str, str], body: bytes, link: Link
) -> CoatcheckError:
    """Return the error that an answer other than 200 and 206 means.

    The server's words are read and never shown: S3 repeats signatures in them.

    Args:
        status: The answer's status.
        headers: Names in lower case.
        body: The beginning of the error document.
        link: What was fetched.
    """
    kind, words = _meaning(status, body)
    error = kind(
        f"{words} ({status}): {link.redacted}",
        address=link.redacted,
        key=link.key,
        backend=LINK,
    )
    if isinstance(error, RateLimited):
        error.retry_after = retry_after(headers)
    return error


def _meaning(status: int, body: bytes) -> tuple[type[CoatcheckError], str]:
    code = _first(_CODE, body) or _first(_OWN_CODE, body)
    # Those of a session of credentials end with it, and are answered with 400.
    if code == "ExpiredToken":
        return ObjectNotFound, "share link expired with the credentials that signed it"
    if code == LinkRefusal.DAMAGED:
        return IntegrityError, "the object of the share link is damaged"
    if status in _REFUSED:
        return ObjectNotFound, _reason(status, code, _first(_MESSAGE, body))
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return AccessDenied, "redirects are not followed, and the share link is one"
    if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        return InvalidRange, "the range lies outside the object of the share link"
    if status == HTTPStatus.TOO_MANY_REQUESTS or code == "SlowDown":
        return RateLimited, "the host of the share link asks to slow down"
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return BackendUnavailable, "the host of the share link fails for now"
    return BackendError, "the host of the share link answers with what is no object"


def _reason(status: int, code: str, message: str) -> str:
    denied = code == "AccessDenied" and "expired" in message.lower()
    if denied or code == LinkRefusal.EXPIRED:
        return "share link expired; ask for a new one"
    if code in ("SignatureDoesNotMatch", LinkRefusal.CHANGED, LinkRefusal.OTHER):
        return "share link was changed since it was signed; ask for a new one"
    if status in _GONE:
        return "share link is not accepted, its object is not there"
    return "share link is not accepted"


def _first(pattern: re.Pattern[bytes], body: bytes) -> str:
    found = pattern.search(body)
    return "" if found is None else found[1].decode("ascii", "replace")
