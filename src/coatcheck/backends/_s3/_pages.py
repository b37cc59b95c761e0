"""Listings, page by page, to their end or until they come back to where they were."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from coatcheck.errors import BackendError, BucketNotFound

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from ._requests import RequestingBucket


class Circle:
    """Notices a listing that comes back to a page that it has shown.

    This is Brent's way: one marker is remembered, and another one after twice as
    many pages. So any circle is met, and a listing of any length costs one marker.
    """

    def __init__(self) -> None:
        self._remembered: object = None
        self._pages = 0
        self._renewed_at = 1

    def meets(self, marker: object) -> bool:
        """Tell whether the page behind a marker, which is equal by value, was shown."""
        if marker == self._remembered:
            return True
        self._pages += 1
        if self._pages == self._renewed_at:
            self._remembered = marker
            self._renewed_at *= 2
        return False


async def listed(
    bucket: RequestingBucket,
    operation: str,
    doing: str,
    where: str,
    markers: Mapping[str, str],
    **parameters: Any,
) -> AsyncGenerator[Mapping[str, Any]]:
    """Yield the answers to a listing.

    Args:
        bucket: The bucket.
        operation: The SDK's name of the listing.
        doing: What errors call it.
        where: The key or prefix that errors name.
        markers: What the next page is asked for with, by the answer's name of it; the
            first one stands in every answer that is not the last.
        parameters: What the SDK is given for every page.

    Raises:
        BackendError: The store shows the same pages again and again.
    """
    circle = Circle()
    following: dict[str, Any] = {}
    while True:
        response = await bucket.request(
            operation, doing, where, **{**parameters, **following}
        )
        yield response
        following = {
            parameter: response[told]
            for told, parameter in markers.items()
            if response.get(told)
        }
        if not response.get("IsTruncated") or not following:
            return
        if circle.meets(following):
            raise BackendError(
                f"cannot {doing} {where!a} in bucket {bucket.name!a}: the store shows"
                " the same page again and again",
                bucket=bucket.name,
                key=where,
                backend="s3",
            )


async def listed_if_there(
    bucket: RequestingBucket,
    operation: str,
    doing: str,
    where: str,
    markers: Mapping[str, str],
    **parameters: Any,
) -> AsyncGenerator[Mapping[str, Any]]:
    """Yield what `listed` does; nothing when the bucket is made with its first object.

    Raises:
        BackendError: The store shows the same pages again and again.
    """
    pages = listed(bucket, operation, doing, where, markers, **parameters)
    try:
        async with aclosing(pages):
            async for each in pages:
                yield each
    except BucketNotFound:
        if not bucket.s3.config.create_buckets:
            raise
