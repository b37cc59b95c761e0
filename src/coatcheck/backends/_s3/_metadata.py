"""Metadata on its way to S3's parameters and back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from coatcheck._core.headers import decode_metadata, encode_metadata, metadata_size
from coatcheck._core.objects import ObjectInfo, PutInfo
from coatcheck.errors import IntegrityError, InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_METADATA: Final = 2048
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_STANDARD: Final = {
    "content_type": "ContentType",
    "encoding": "ContentEncoding",
    "cache_control": "CacheControl",
    "content_disposition": "ContentDisposition",
    "storage_class": "StorageClass",
}


def put_parameters(info: PutInfo) -> dict[str, Any]:
    """Return what a write tells the SDK.

    Raises:
        InvalidInput: The user metadata has more than 2 KiB, S3's limit.
    """
    headers = encode_metadata(info)
    if metadata_size(headers) > MAX_METADATA:
        raise InvalidInput(
            f"metadata of {metadata_size(headers)} bytes exceeds S3's {MAX_METADATA};"
            " keep it in an object or a row"
        )
    parameters: dict[str, Any] = {"Metadata": headers}
    for name, parameter in _STANDARD.items():
        text = getattr(info, name)
        if text is not None:
            parameters[parameter] = text
    if info.tags:
        parameters["Tagging"] = urlencode(dict(info.tags))
    return parameters


def info_of(key: str, response: Mapping[str, Any], *, size: int) -> ObjectInfo:
    """Return what an answer to head or get tells.

    Raises:
        IntegrityError: It has metadata of ours that is malformed.
    """
    modified: datetime = response.get("LastModified") or _EPOCH
    try:
        info = decode_metadata(
            {name.lower(): text for name, text in response.get("Metadata", {}).items()},
            **_standard_of(response),
        )
    except InvalidInput as error:
        raise IntegrityError(
            f"object {key!a} has metadata that coatcheck did not write: {error}",
            key=key,
            backend="s3",
        ) from error
    return ObjectInfo.of(
        info,
        key=key,
        size=size,
        etag=etag_of(response),
        modified=modified,
        version=response.get("VersionId"),
    )


def _standard_of(response: Mapping[str, Any]) -> dict[str, str]:
    """Return the standard headers that we could have written; others are dropped."""
    found: dict[str, str] = {}
    for name, parameter in _STANDARD.items():
        text = response.get(parameter)
        if name == "encoding" and isinstance(text, str):
            # Some stores keep the transfer's own encoding beside the object's.
            kept = [part for part in text.replace(" ", "").split(",") if part]
            text = ",".join(part for part in kept if part != "aws-chunked") or None
        if text and _is_storable(name, text):
            found[name] = text
    return found


@lru_cache(maxsize=1024)
def _is_storable(name: str, text: str) -> bool:
    given: dict[str, Any] = {name: text}
    try:
        PutInfo(**given)
    except InvalidInput:
        return False
    return True


def etag_of(response: Mapping[str, Any]) -> str:
    """Return an answer's ETag without its quotes."""
    return str(response.get("ETag", "")).strip('"')


def quoted(etag: str) -> str:
    """Return an ETag as requests carry it."""
    return f'"{etag}"'


def kept_by_update(standing: ObjectInfo, info: PutInfo) -> PutInfo:
    """Return an update's metadata, with what an update leaves as it was."""
    return replace(
        info,
        created=info.created or standing.created,
        sha256=info.sha256 or standing.sha256,
        storage_class=info.storage_class or standing.storage_class,
    )
