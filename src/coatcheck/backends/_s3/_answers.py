"""Whether a success is S3's own: what lies between us may answer 200 to anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

# What S3 says in every success of an operation; a page of a proxy says none of it.
_TOLD: Final[dict[str, tuple[str, ...]]] = {
    "put_object": ("ETag",),
    "get_object": ("ETag",),
    "head_object": ("ETag",),
    "upload_part": ("ETag",),
    "complete_multipart_upload": ("ETag",),
    "copy_object": ("CopyObjectResult", "ETag"),
    "upload_part_copy": ("CopyPartResult", "ETag"),
    "create_multipart_upload": ("UploadId",),
    "list_parts": ("UploadId",),
    "list_objects_v2": ("Name",),
    "list_multipart_uploads": ("Bucket",),
}
_NO_CONTENT: Final = 204
_SIZED: Final = frozenset({"get_object", "head_object"})
_EMPTY: Final = frozenset({"delete_object", "abort_multipart_upload"})


def is_answer(operation: str, response: Mapping[str, Any]) -> bool:
    """Tell whether a success says what S3 says in every one.

    Args:
        operation: The SDK's name of what was asked for.
        response: What the SDK made of the answer.
    """
    if operation in _EMPTY:
        metadata = response.get("ResponseMetadata", {})
        length = metadata.get("HTTPHeaders", {}).get("content-length", "0")
        return bool(metadata.get("HTTPStatusCode") == _NO_CONTENT or length == "0")
    if operation in _SIZED and "ContentLength" not in response:
        return False
    found: Any = response
    for name in _TOLD.get(operation, ()):
        found = found.get(name) if hasattr(found, "get") else None
    return bool(found) or operation not in _TOLD
