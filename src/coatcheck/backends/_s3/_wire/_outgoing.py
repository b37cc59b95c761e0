"""What the SDK would be asked for, as a request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Mapping

_METHODS: Final = {
    "put_object": "PUT",
    "upload_part": "PUT",
    "get_object": "GET",
    "head_object": "HEAD",
}
_HEADERS: Final = {
    "CacheControl": "cache-control",
    "ChecksumSHA256": "x-amz-checksum-sha256",
    "ContentDisposition": "content-disposition",
    "ContentEncoding": "content-encoding",
    "ContentMD5": "content-md5",
    "ContentType": "content-type",
    "ExpectedBucketOwner": "x-amz-expected-bucket-owner",
    "IfMatch": "if-match",
    "IfNoneMatch": "if-none-match",
    "Range": "range",
    "SSEKMSKeyId": "x-amz-server-side-encryption-aws-kms-key-id",
    "ServerSideEncryption": "x-amz-server-side-encryption",
    "StorageClass": "x-amz-storage-class",
    "Tagging": "x-amz-tagging",
}
# In the order in which signatures need them.
_QUERY: Final = {"PartNumber": "partNumber", "UploadId": "uploadId"}
_KNOWN: Final = frozenset(
    {*_HEADERS, *_QUERY, "Bucket", "Key", "Body", "Metadata"},
)
METADATA: Final = "x-amz-meta-"


class Outgoing(NamedTuple):
    """A request that is not signed yet."""

    method: str
    path: str
    """The key as it is sent, without a slash before it."""
    query: str
    """Escaped and in order, as signatures need it."""
    headers: dict[str, str]
    """By lower-case name."""
    body: bytes | None


def outgoing_of(operation: str, parameters: Mapping[str, Any]) -> Outgoing | None:
    """Return the request of an operation; None when only the SDK knows how.

    Args:
        operation: The SDK's name of it.
        parameters: What the SDK would be given, the bucket's name excepted.
    """
    method = _METHODS.get(operation)
    if method is None or not parameters.keys() <= _KNOWN:
        return None
    headers = {
        _HEADERS[name]: text for name, text in parameters.items() if name in _HEADERS
    }
    for name, text in parameters.get("Metadata", {}).items():
        headers[METADATA + name.lower()] = text
    if not all(map(_is_plain, headers.values())):
        return None
    query = "&".join(
        f"{escaped}={quote(str(parameters[name]), safe='~')}"
        for name, escaped in _QUERY.items()
        if name in parameters
    )
    key = quote(parameters["Key"], safe="/~")
    return Outgoing(method, key, query, headers, parameters.get("Body"))


def _is_plain(text: str) -> bool:
    """Tell whether a header's value is signed and sent as it stands."""
    return text.isascii() and text.isprintable() and text == text.strip()
