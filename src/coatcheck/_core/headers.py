"""The one codec between an object's metadata and header strings.

The names are objectstore's (`x-sn-*` for what it knows, `x-snme-*` for the user's
own) with `x-cc-*` for what coatcheck adds. The service sends them as they are, S3
keeps them behind `x-amz-meta-`, the filesystem in its record. Values are percent-
escaped UTF-8, so that nothing in them can end a header or be altered on its way.
"""

from __future__ import annotations

import re
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, quote_from_bytes, unquote_to_bytes

from coatcheck.errors import InvalidInput

from .expiry import deadline_from, format_expiry, format_time, parse_expiry, parse_time
from .objects import NOTHING, ObjectInfo, PutInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

EXPIRATION: Final = "x-sn-expiration"
TIME_CREATED: Final = "x-sn-time-created"
TIME_EXPIRES: Final = "x-sn-time-expires"
ORIGIN: Final = "x-sn-origin"
FILENAME: Final = "x-sn-filename"
CUSTOM: Final = "x-snme-"
SHA256: Final = "x-cc-sha256"
CODEC: Final = "x-cc-codec"
WRITE_ID: Final = "x-cc-write-id"

# quote never escapes letters, digits and `_.-~`; `%` is the one it must not spare.
_UNESCAPED = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")
_SECONDS = re.compile(r"[0-9]{1,5}")
_PLAIN = re.compile(r"[!-$&-~]+")
_ESCAPED = re.compile(r"(?:[\x20-\x24\x26-\x7e]|%[0-9A-Fa-f]{2})*")


def escape(text: str) -> str:
    """Return the text as a header value.

    Everything outside printable ASCII and `%` itself is percent-encoded as UTF-8,
    as objectstore's clients do; so are spaces at either end, which HTTP would drop.
    """
    if _PLAIN.fullmatch(text):
        return text
    escaped = quote_from_bytes(text.encode(), safe=_UNESCAPED)
    body = escaped.strip(" ")
    lead = len(escaped) - len(escaped.lstrip(" "))
    if not body:
        return "%20" * len(escaped)
    return "%20" * lead + body + "%20" * (len(escaped) - lead - len(body))


def unescape(value: str) -> str:
    """Read a header value that `escape` made.

    Raises:
        InvalidInput: The value has a control or non-ASCII character, a broken
            escape, or is not UTF-8.
    """
    if _ESCAPED.fullmatch(value) is None:
        raise InvalidInput("a metadata value is not percent-escaped printable ASCII")
    try:
        return unquote_to_bytes(value).decode()
    except UnicodeDecodeError:
        raise InvalidInput("a metadata value is not UTF-8") from None


def encode_metadata(info: PutInfo | ObjectInfo) -> dict[str, str]:
    """Return the headers of what an object's metadata holds beyond HTTP's own.

    `content_type`, `encoding`, `cache_control` and `content_disposition` have
    standard headers, `storage_class` and `tags` belong to the store: the caller
    places these.
    """
    headers: dict[str, str] = {}
    if info.expiry is not None and info.deadline is not None:
        headers[EXPIRATION] = format_expiry(info.expiry)
        headers[TIME_EXPIRES] = format_time(info.deadline)
    if info.created is not None:
        headers[TIME_CREATED] = format_time(info.created)
    for name, text in (
        (ORIGIN, info.origin),
        (FILENAME, info.filename),
        (SHA256, info.sha256),
        (CODEC, info.codec),
        (WRITE_ID, info.write_id),
    ):
        if text is not None:
            headers[name] = escape(text)
    for name, text in info.custom.items():
        headers[CUSTOM + name] = escape(text)
    return headers


_PARSERS: Mapping[str, tuple[str, Callable[[str], object]]] = {
    EXPIRATION: ("expiry", parse_expiry),
    TIME_EXPIRES: ("deadline", parse_time),
    TIME_CREATED: ("created", parse_time),
    ORIGIN: ("origin", unescape),
    FILENAME: ("filename", unescape),
    SHA256: ("sha256", unescape),
    CODEC: ("codec", unescape),
    WRITE_ID: ("write_id", unescape),
}


def decode_metadata(headers: Mapping[str, str], **standard: Any) -> PutInfo:
    """Read what `encode_metadata` wrote; other headers are ignored.

    A policy without a time is counted from the time of creation, as objectstore's
    server does.

    Args:
        headers: Names in lower case.
        standard: Fields of PutInfo that the caller found elsewhere.

    Raises:
        InvalidInput: A value is malformed; the message does not show it.
    """
    if headers.keys() == _STAMP:
        stamped = _stamped(headers, standard)
        if stamped is not None:
            return stamped
    found: dict[str, Any] = dict(standard)
    custom: dict[str, str] = {}
    for name, value in headers.items():
        if name in _PARSERS:
            field, parse = _PARSERS[name]
            found[field] = parse(value)
        elif name.startswith(CUSTOM):
            custom[name.removeprefix(CUSTOM)] = unescape(value)
    expiry, created = found.get("expiry"), found.get("created")
    if expiry is None:
        found.pop("deadline", None)
    elif found.get("deadline") is None:
        if created is None:
            raise InvalidInput("an expiration policy has no time to count from")
        found["deadline"] = deadline_from(expiry, created)
    return PutInfo(custom=custom or NOTHING, **found)


_STAMP: Final = {TIME_CREATED, WRITE_ID}
_PLAIN_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


def _stamped(headers: Mapping[str, str], standard: dict[str, Any]) -> PutInfo | None:
    """Read the metadata of which nothing was said but who wrote it and when."""
    write_id = headers[WRITE_ID]
    if "tags" in standard or _PLAIN_ID.fullmatch(write_id) is None:
        return None
    created = parse_time(headers[TIME_CREATED])
    return _said(tuple(standard.items())).with_valid(created=created, write_id=write_id)


@lru_cache(maxsize=256)
def _said(standard: tuple[tuple[str, Any], ...]) -> PutInfo:
    return PutInfo(**dict(standard))


def attachment(filename: str | None) -> str:
    """Return the Content-Disposition of a download, with its name if it has one."""
    if filename is None:
        return "attachment"
    name = filename.replace("/", "-").replace("\\", "-")
    if not name.strip("."):
        name = "-" * len(name)
    plain = "".join(char if " " <= char <= "~" else "_" for char in name)
    escaped = plain.replace('"', '\\"')
    disposition = f'attachment; filename="{escaped}"'
    if not name.isascii():
        disposition += f"; filename*=UTF-8''{quote(name, safe='')}"
    return disposition


def retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """Return how long a server asks to wait; None when it names no seconds."""
    text = headers.get("retry-after", "")
    return timedelta(seconds=int(text)) if _SECONDS.fullmatch(text) else None


def metadata_size(headers: Mapping[str, str]) -> int:
    """Return the bytes that S3 counts: names and values."""
    return sum(len(name) + len(value) for name, value in headers.items())
