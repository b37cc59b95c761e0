"""Answers, in the form in which the SDK gives them."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from ._outgoing import METADATA

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    import aiohttp

_TEXTS: Final = {
    "cache-control": "CacheControl",
    "content-disposition": "ContentDisposition",
    "content-encoding": "ContentEncoding",
    "content-range": "ContentRange",
    "content-type": "ContentType",
    "etag": "ETag",
    "x-amz-storage-class": "StorageClass",
    "x-amz-version-id": "VersionId",
}


def headers_of(response: aiohttp.ClientResponse) -> dict[str, str]:
    """Return an answer's headers by lower-case name."""
    return {name.lower(): text for name, text in response.headers.items()}


def answer_of(status: int, headers: Mapping[str, str]) -> dict[str, Any] | None:
    """Return a success; None when it does not say what S3 says in every one.

    Args:
        status: The status.
        headers: The headers by lower-case name.
    """
    length = headers.get("content-length", "0")
    if not headers.get("etag") or not length.isdecimal():
        return None
    metadata: dict[str, str] = {}
    answer: dict[str, Any] = {
        "ContentLength": int(length),
        "Metadata": metadata,
        "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": headers},
    }
    for name, text in headers.items():
        if name in _TEXTS:
            answer[_TEXTS[name]] = text
        elif name.startswith(METADATA):
            metadata[name.removeprefix(METADATA)] = text
    if "last-modified" in headers:
        modified = _date(headers["last-modified"])
        if modified is None:
            return None
        answer["LastModified"] = modified
    return answer


@lru_cache(maxsize=1024)
def _date(text: str) -> datetime | None:
    try:
        return parsedate_to_datetime(text)
    except ValueError:
        return None


class Body:
    """The bytes of an answer as they arrive; closing frees the connection."""

    __slots__ = ("_response",)

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def read(self, size: int) -> bytes:
        """Return at most so many bytes, `b""` at the end."""
        return await self._response.content.read(size)

    def close(self) -> None:
        """Free the connection; one that was not read to its end is not used again."""
        self._response.close()
