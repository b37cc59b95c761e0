"""Metadata between objects and the headers of the wire."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final

from coatcheck._core.headers import (
    SHA256,
    TIME_CREATED,
    TIME_EXPIRES,
    decode_metadata,
    encode_metadata,
)
from coatcheck._core.objects import ObjectInfo, PutInfo
from coatcheck._core.writes import Receipt
from coatcheck.errors import (
    BackendError,
    BackendUnavailable,
    InvalidInput,
    UnsupportedOperation,
)

from ._failures import BACKEND

if TYPE_CHECKING:
    from collections.abc import Mapping

_SIZE: Final = "x-sn-size"
_OURS: Final = ("x-sn-", "x-snme-", "x-cc-")
_STANDARD: Final = {"content_type": "content-type", "encoding": "content-encoding"}
_CREATED: Final = "x-cc-created"
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_DIGITS: Final = re.compile(r"[0-9]{1,18}")
_ETAG: Final = re.compile(r'(?:W/)?"([\x21\x23-\x7e]{1,256})"')


def sent_headers(info: PutInfo) -> dict[str, str]:
    """Return the headers that tell the service of an object that is written.

    When it was created, and from that when it expires, is up to the service's clock.

    Raises:
        UnsupportedOperation: Something is given that no service keeps.
    """
    for name in ("cache_control", "content_disposition", "storage_class"):
        if getattr(info, name) is not None:
            raise UnsupportedOperation(f"a service keeps no {name}", backend=BACKEND)
    if info.tags:
        raise UnsupportedOperation("a service keeps no tags", backend=BACKEND)
    headers = encode_metadata(replace(info, created=None))
    headers.pop(TIME_EXPIRES, None)
    if info.content_type is not None:
        headers["content-type"] = info.content_type
    if info.encoding is not None:
        headers["content-encoding"] = info.encoding
    return headers


def check_ours(headers: Mapping[str, str], key: str) -> None:
    """Refuse an answer that tells of an object and not when it was created.

    Every service tells that; a page of a proxy that answers 200 to anything does not.

    Raises:
        BackendUnavailable: Something that is no service answered.
    """
    if TIME_CREATED not in headers:
        raise BackendUnavailable(
            f"something that is no service answered for object {key!a}; see the URL",
            key=key,
            backend=BACKEND,
        )


def info_of(
    key: str, headers: Mapping[str, str], *, size: int, now: datetime
) -> ObjectInfo:
    """Return what an answer's headers tell about an object.

    What cannot be read is left out, so that a spelling that is new, or old, hides no
    object.

    Args:
        key: The object's key.
        headers: Names in lower case.
        size: Stored bytes of the whole object.
        now: Stands in for a time of creation that is not told.
    """
    told = {name: text for name, text in headers.items() if name.startswith(_OURS)}
    standard: dict[str, str | datetime] = {
        field: headers[name] for field, name in _STANDARD.items() if name in headers
    }
    if TIME_CREATED not in told:
        standard["created"] = now
    info = _decoded(told, standard) or _salvaged(told, standard, now)
    return ObjectInfo.of(
        info,
        key=key,
        size=size,
        etag=etag_of(headers),
        modified=_time(headers.get("last-modified", "")) or info.created or now,
    )


def _decoded(
    told: Mapping[str, str], standard: Mapping[str, str | datetime]
) -> PutInfo | None:
    try:
        return decode_metadata(told, **standard)
    except InvalidInput:
        return None


def _salvaged(
    told: Mapping[str, str], standard: Mapping[str, str | datetime], now: datetime
) -> PutInfo:
    """Decode one field after the other, and leave out what cannot be read."""
    fields: dict[str, str | datetime] = {"created": now}
    fields |= {
        name: given
        for name, given in standard.items()
        if _decoded({}, {name: given}) is not None
    }
    kept: dict[str, str] = {}
    # The time of creation first, for policies are counted from it.
    for name in sorted(told, key=lambda name: name != TIME_CREATED):
        trial = kept | {name: told[name]}
        if _decoded(trial, fields) is not None:
            kept = trial
    return _decoded(kept, fields) or PutInfo(created=now)


def receipt_of(headers: Mapping[str, str], write_id: str, *, size: int) -> Receipt:
    """Return the receipt of a write from the headers of its answer.

    Args:
        headers: Names in lower case.
        write_id: The write.
        size: How many bytes it stored.
    """
    sha256 = headers.get(SHA256, "")
    return Receipt(
        etag=etag_of(headers),
        size=size,
        write_id=write_id,
        sha256=sha256 if _SHA256.fullmatch(sha256) else None,
        created=headers.get(_CREATED) == "true",
    )


def document_of(body: bytes) -> dict[str, Any]:
    """Return the JSON object that an answer is.

    Raises:
        BackendError: It is none.
    """
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise BackendError(
            "the service answers with what is no document", backend=BACKEND
        )
    return document


def etag_of(headers: Mapping[str, str]) -> str:
    """Return the ETag of an answer; `""` where the service offers none."""
    found = _ETAG.fullmatch(headers.get("etag", ""))
    return "" if found is None else found[1]


def size_of(headers: Mapping[str, str]) -> int | None:
    """Return the stored bytes of the whole object, None when they are not told."""
    for name in (_SIZE, "content-length"):
        if _DIGITS.fullmatch(headers.get(name, "")):
            return int(headers[name])
    return None


def _time(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
        return found.replace(tzinfo=found.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
