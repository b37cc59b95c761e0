"""A body of S3 in chunks, also when the connection breaks half-way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from coatcheck._core.ranges import ByteSpan, range_header
from coatcheck.errors import (
    BackendUnavailable,
    IntegrityError,
    NotFound,
    PreconditionFailed,
)
from coatcheck.payloads._body import CHUNK

from ._errors import s3_errors
from ._metadata import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from ._requests import RequestingBucket

_RESUMES: Final = 3


class Chunks:
    """A body in chunks; one that breaks off is asked for again from there."""

    __slots__ = ("_body", "_bucket", "_etag", "_key", "_left", "_resumes")

    def __init__(self, bucket: RequestingBucket, key: str) -> None:
        self._bucket = bucket
        self._key = key
        self._body: Any = None
        self._left = range(0)
        self._etag = ""
        self._resumes = _RESUMES

    async def open(self, **parameters: Any) -> Mapping[str, Any]:
        """Ask for the object or a range of it, and keep the body."""
        bucket = self._bucket
        given = {"Bucket": bucket.name, "Key": self._key, **bucket.owner()}
        given |= parameters
        with s3_errors("read", bucket.name, self._key) as errors:
            response = await bucket.s3.clients.call("get_object", given)
            self._body = response["Body"]
            errors.check("get_object", response)
        bucket.s3.note_date(response)
        return response

    def expect(self, offsets: range, etag: str) -> None:
        """Say which bytes the body has."""
        self._left = offsets
        self._etag = etag

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while True:
            try:
                with s3_errors("read", self._bucket.name, self._key):
                    chunk: bytes = await self._body.read(CHUNK)
            except BackendUnavailable:
                await self._resume()
                continue
            if not chunk:
                if self._left:
                    await self._resume()
                    continue
                raise StopAsyncIteration
            self._left = self._left[len(chunk) :]
            return chunk

    async def _resume(self) -> None:
        """Go on where the body broke off, with the same generation.

        Raises:
            IntegrityError: Another object stands there now.
            BackendUnavailable: It broke off too often.
        """
        self.close()
        if not self._resumes:
            raise BackendUnavailable(
                f"the store broke off again and again with {len(self._left)} bytes of"
                f" object {self._key!a} to come",
                bucket=self._bucket.name,
                key=self._key,
                backend="s3",
            )
        self._resumes -= 1
        await self.go_on(self._left, self._etag)

    async def go_on(self, offsets: range, etag: str) -> None:
        """Ask for some bytes of a generation that was seen.

        Args:
            offsets: The bytes.
            etag: The generation.

        Raises:
            IntegrityError: Another object stands there now, or none.
            BackendUnavailable: The store does not answer.
        """
        self.expect(offsets, etag)
        span = range_header(ByteSpan(offsets.start, offsets.stop))
        try:
            await self.open(Range=span, IfMatch=quoted(etag))
        except (PreconditionFailed, NotFound) as error:
            raise IntegrityError(
                f"object {self._key!a} was replaced or deleted while it was read",
                bucket=self._bucket.name,
                key=self._key,
                backend="s3",
            ) from error

    def close(self) -> None:
        """Free the connection, whether the body was read or not."""
        if self._body is not None:
            self._body.close()
            self._body = None
