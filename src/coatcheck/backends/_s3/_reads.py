"""Reading an object of S3, also when the connection breaks half-way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from coatcheck._core.ranges import ByteSpan, range_header, resolve_range
from coatcheck.errors import BackendUnavailable, Closed, CoatcheckError, IntegrityError
from coatcheck.payloads._body import CHUNK
from coatcheck.payloads._integrity import VerifiedReader

from ._errors import s3_errors
from ._metadata import info_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

    from coatcheck.abc import ByteRange, Reader

    from ._requests import RequestingBucket

_RESUMES: Final = 3


class S3Read:
    """What `get` returns: opens on entering, frees the connection on leaving.

    Args:
        bucket: The bucket.
        key: The key.
        byte_range: Only these bytes.
        if_match: Only the object with this ETag.
        if_none_match: Only an object with another ETag.
    """

    __slots__ = ("_bucket", "_byte_range", "_chunks", "_entered", "_key", "_parameters")

    def __init__(
        self,
        bucket: RequestingBucket,
        key: str,
        *,
        byte_range: ByteRange | None,
        if_match: str | None,
        if_none_match: str | None,
    ) -> None:
        self._bucket = bucket
        self._key = key
        self._byte_range = byte_range
        self._parameters: dict[str, str] = {}
        if byte_range is not None:
            self._parameters["Range"] = range_header(byte_range)
        if if_match is not None:
            self._parameters["IfMatch"] = f'"{if_match}"'
        if if_none_match is not None:
            self._parameters["IfNoneMatch"] = f'"{if_none_match}"'
        self._entered = False
        self._chunks: _Chunks | None = None

    async def __aenter__(self) -> Reader:
        if self._entered:
            raise Closed("a read is entered once; call get again")
        self._entered = True
        bucket = self._bucket
        bucket.s3.check_open()
        bucket.check_present(self._key)
        self._chunks = _Chunks(bucket, self._key)
        await bucket.s3.take_slot()
        try:
            response = await self._chunks.open(**self._parameters)
            return await self._reader(response)
        except BaseException:
            await self.__aexit__(None, None, None)
            raise

    async def _reader(self, response: Mapping[str, Any]) -> Reader:
        chunks = self._chunks
        assert chunks is not None  # noqa: S101  # set on entering
        length = int(response["ContentLength"])
        if self._byte_range is None:
            info = info_of(self._key, response, size=length)
            chunks.expect(range(length), info.etag)
            return VerifiedReader(info, chunks)
        total = _total_of(response)
        if total is None:
            # Some stores answer a range with 200 and without saying of how much.
            total = (await self._bucket.look_at(self._key)).size
        info = info_of(self._key, response, size=total)
        span = resolve_range(self._byte_range, total)
        if length != len(span):
            raise IntegrityError(
                f"the store answered {length} bytes of object {self._key!a} to a range"
                f" of {len(span)}",
                key=self._key,
                backend="s3",
            )
        chunks.expect(span, info.etag)
        return VerifiedReader(info, chunks, span=span)

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._chunks is not None:
            self._chunks.close()
            self._chunks = None
            self._bucket.s3.give_slot()


class _Chunks:
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
        span = range_header(ByteSpan(self._left.start, self._left.stop))
        try:
            await self.open(Range=span, IfMatch=f'"{self._etag}"')
        except BackendUnavailable:
            raise
        except CoatcheckError as error:
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


def _total_of(response: Mapping[str, Any]) -> int | None:
    """Return the object's size from `Content-Range: bytes 0-9/100`."""
    total = str(response.get("ContentRange", "")).rpartition("/")[2]
    return int(total) if total.isdecimal() else None
