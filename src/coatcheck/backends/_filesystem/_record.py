"""The format of an object's file: body, footer, trailer.

    body      the stored bytes, from offset 0, so that ranges are plain offsets
    footer    JSON: key, body size and all metadata
    trailer   16 bytes: footer length and CRC-32 (big-endian), magic `coatchk1`

The file's mtime is the time of the last write or touch; with an expiration policy
the deadline is always mtime plus the policy's duration, so that a touch is one
atomic change of the mtime and copies nothing.
"""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, NamedTuple

from coatcheck._core.expiry import parse_time
from coatcheck._core.headers import (
    TIME_CREATED,
    WRITE_ID,
    decode_metadata,
    encode_metadata,
    metadata_size,
)
from coatcheck._core.objects import ObjectInfo, PutInfo
from coatcheck.errors import IntegrityError, InvalidInput

TRAILER_SIZE: Final = 16
MAX_METADATA: Final = 32 * 1024
MAX_TAIL: Final = 256 * 1024
"""More bytes than any footer with its trailer has."""
_MAGIC: Final = b"coatchk1"
_TRAILER = struct.Struct(">II8s")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STANDARD = (
    "content_type",
    "encoding",
    "cache_control",
    "content_disposition",
    "storage_class",
)
_PLAIN_FIELDS = {"key", "size", "headers", "content_type"}
_PLAIN_HEADERS = {TIME_CREATED, WRITE_ID}
_to_json = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """What a file says about its object."""

    key: str
    """The object's key."""
    size: int
    """Bytes of the body."""
    info: PutInfo
    """The metadata, with `created` and `write_id` set."""


class PlainRecord(NamedTuple):
    """What a file says about an object of which little was said."""

    key: str
    """The object's key."""
    size: int
    """Bytes of the body."""
    created: datetime
    """When the object was written."""
    info: PutInfo
    """The content type and nothing else, `created` and `write_id` neither."""


def to_micros(moment: datetime) -> int:
    """Return microseconds since 1970."""
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def from_micros(micros: int) -> datetime:
    """Return the time so many microseconds after 1970."""
    return _EPOCH + timedelta(microseconds=micros)


def touched_at(info: PutInfo, now: datetime) -> int:
    """Return the mtime in microseconds that gives an object its deadline."""
    if info.expiry is None or info.deadline is None:
        return to_micros(now)
    return to_micros(info.deadline - info.expiry.duration)


def etag_of(write_id: str, micros: int) -> str:
    """Return the ETag, which changes with every write and every touch."""
    return f"{write_id}-{micros:x}"


def pack_tail(record: Record) -> bytes:
    """Return footer and trailer.

    Raises:
        InvalidInput: There is more metadata than a record holds.
    """
    headers = encode_metadata(record.info)
    if metadata_size(headers) > MAX_METADATA:
        raise InvalidInput(
            f"metadata of {metadata_size(headers)} bytes exceeds {MAX_METADATA}"
        )
    fields: dict[str, Any] = {
        "key": record.key,
        "size": record.size,
        "headers": headers,
    }
    for name in _STANDARD:
        text = getattr(record.info, name)
        if text is not None:
            fields[name] = text
    if record.info.tags:
        fields["tags"] = dict(record.info.tags)
    footer = _to_json(fields).encode()
    return footer + _TRAILER.pack(len(footer), zlib.crc32(footer), _MAGIC)


def footer_length(trailer: bytes, file_size: int) -> int:
    """Return how long the footer before a trailer is.

    Raises:
        IntegrityError: It is no trailer, or leaves no room for the footer.
    """
    if len(trailer) != TRAILER_SIZE:
        raise IntegrityError("the file is too short for a record")
    length, _, magic = _TRAILER.unpack(trailer)
    if magic != _MAGIC or length + TRAILER_SIZE > min(file_size, MAX_TAIL):
        raise IntegrityError("the file does not end in a record")
    return int(length)


def unpack_tail(tail: bytes, file_size: int) -> Record:
    """Read footer and trailer, and hold them against the file's size.

    Raises:
        IntegrityError: The record is damaged or of another file.
    """
    fields, body_size = _checked_footer(tail, file_size)
    try:
        record = _parse_footer(fields)
    except _MALFORMED as error:
        raise IntegrityError("the file's record is malformed") from error
    if record.size != body_size:
        raise _cut(body_size, record.size)
    return record


def unpack_plain_tail(tail: bytes, file_size: int) -> PlainRecord | None:
    """Do as `unpack_tail` where that is short work; None is for the others.

    Raises:
        IntegrityError: The record is damaged or of another file.
    """
    fields, body_size = _checked_footer(tail, file_size)
    try:
        headers = fields["headers"]
        if fields.keys() != _PLAIN_FIELDS or headers.keys() != _PLAIN_HEADERS:
            return None
        created, info = (
            parse_time(headers[TIME_CREATED]),
            _plain(fields["content_type"]),
        )
        key, size = fields["key"], fields["size"]
    except _MALFORMED:
        return None
    if size != body_size:
        return None
    return PlainRecord(key, size, created, info)


def _checked_footer(tail: bytes, file_size: int) -> tuple[Any, int]:
    """Return what the footer holds, and how many bytes stand before it."""
    length, crc, _ = _TRAILER.unpack(tail[-TRAILER_SIZE:])
    footer = tail[-TRAILER_SIZE - length : -TRAILER_SIZE]
    if len(footer) != length or zlib.crc32(footer) != crc:
        raise IntegrityError("the file's record is damaged")
    try:
        fields = json.loads(footer)
    except (ValueError, RecursionError) as error:
        raise IntegrityError("the file's record is malformed") from error
    return fields, file_size - length - TRAILER_SIZE


_MALFORMED = (ValueError, KeyError, TypeError, AttributeError)


def _cut(held: int, stored: int) -> IntegrityError:
    return IntegrityError(
        f"the file holds {held} bytes of the {stored} that were stored"
    )


@lru_cache(maxsize=64)
def _plain(content_type: str) -> PutInfo:
    return PutInfo(content_type=content_type)


def _parse_footer(fields: dict[str, Any]) -> Record:
    standard = {name: fields[name] for name in _STANDARD if name in fields}
    if "tags" in fields:
        standard["tags"] = dict(fields["tags"])
    info = decode_metadata(dict(fields["headers"]), **standard)
    key, size = fields["key"], fields["size"]
    if not isinstance(key, str) or type(size) is not int:
        raise TypeError("key and size have other types")
    if info.created is None or info.write_id is None:
        raise InvalidInput("a record names its write and its time")
    return Record(key=key, size=size, info=info)


def object_info(record: Record, mtime_ns: int) -> ObjectInfo:
    """Return what a record and the time of its last touch say together.

    Raises:
        IntegrityError: The file's mtime, or the deadline, is after the year 9999.
    """
    micros = mtime_ns // 1000
    try:
        info, modified = record.info, from_micros(micros)
        if info.expiry is not None:
            info = replace(info, deadline=modified + info.expiry.duration)
    except OverflowError as error:
        raise IntegrityError("the file's mtime is in no calendar") from error
    return ObjectInfo.of(
        info,
        key=record.key,
        size=record.size,
        etag=etag_of(info.write_id or "", micros),
        modified=modified,
    )
