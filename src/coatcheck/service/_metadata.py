"""Metadata between headers of the wire and objects."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from coatcheck._core.headers import (
    CODEC,
    CUSTOM,
    EXPIRATION,
    FILENAME,
    ORIGIN,
    SHA256,
    WRITE_ID,
    attachment,
    decode_metadata,
    encode_metadata,
    metadata_size,
)

from ._refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from coatcheck.abc import ObjectInfo, PutInfo, Receipt

    from ._exchange import Exchange, Headers

SIZE: Final = "x-sn-size"
CREATED: Final = "x-cc-created"
"""Tells of a write that its key was free before, as far as the storage knows."""
MAX_METADATA: Final = 2048
"""Bytes of encoded metadata, S3's own limit, so that all storages hold the same."""
_TAKEN: Final = (EXPIRATION, ORIGIN, FILENAME, SHA256, CODEC, WRITE_ID, CUSTOM)
_ENCODINGS: Final = frozenset({"zstd"})
_OCTETS: Final = "application/octet-stream"
_PRINTABLE: Final = re.compile(r"[\x20-\x7e]+")


def metadata_of(headers: Mapping[str, str], created: datetime) -> PutInfo:
    """Read what a write says about its object; expiry counts from its creation.

    Raises:
        InvalidInput: A value is malformed.
        Refusal: The encoding is unknown, or it is too much in all.
    """
    encoding = headers.get("content-encoding")
    if encoding is not None and encoding not in _ENCODINGS:
        raise Refusal(400, "client error: content-encoding may be zstd and no other")
    taken = {name: text for name, text in headers.items() if name.startswith(_TAKEN)}
    info = decode_metadata(
        taken,
        created=created,
        # Said outright, since some stores guess where nothing is said.
        content_type=headers.get("content-type", _OCTETS),
        encoding=encoding,
    )
    size = metadata_size(encode_metadata(info))
    if size > MAX_METADATA:
        raise Refusal(
            400, f"client error: {size} bytes of metadata, {MAX_METADATA} are possible"
        )
    return info


def written_metadata(exchange: Exchange, created: datetime) -> PutInfo:
    """Read the metadata headers of a request; see `metadata_of`."""
    headers = exchange.headers_from("x-sn", "x-cc-")
    for name in ("content-type", "content-encoding"):
        text = exchange.header(name)
        if text is not None:
            headers[name] = text
    return metadata_of(headers, created)


def metadata_headers(info: ObjectInfo) -> dict[str, str]:
    """Return what tells of an object: the metadata, its size, and its ETag."""
    headers = encode_metadata(info)
    headers["content-type"] = _sent(info.content_type) or _OCTETS
    encoding = _sent(info.encoding)
    if encoding:
        headers["content-encoding"] = encoding
    headers[SIZE] = str(info.size)
    headers["etag"] = quoted(info.etag)
    return headers


def object_headers(info: ObjectInfo, length: int) -> Headers:
    """Return the headers of an answer with an object's bytes.

    Args:
        info: The object.
        length: How many bytes are sent.
    """
    headers = metadata_headers(info)
    headers["accept-ranges"] = "bytes"
    headers["content-length"] = str(length)
    headers["content-disposition"] = attachment(info.filename)
    return [(name.encode(), text.encode()) for name, text in headers.items()]


def receipt_headers(receipt: Receipt) -> dict[str, str]:
    """Return what a write tells beyond its key."""
    headers = {"etag": quoted(receipt.etag), SIZE: str(receipt.size)}
    if receipt.write_id:
        headers[WRITE_ID] = receipt.write_id
    if receipt.sha256 is not None:
        headers[SHA256] = receipt.sha256
    if receipt.created:
        headers[CREATED] = "true"
    return headers


def quoted(etag: str) -> str:
    """Return an ETag as headers carry it."""
    return f'"{etag}"'


def _sent(text: str | None) -> str | None:
    """Return what a header can carry; others may have stored what none can."""
    return text if text and _PRINTABLE.fullmatch(text) else None
