"""Reading an object of S3: what `get` returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coatcheck._core.ranges import range_header, resolve_range
from coatcheck.errors import Closed, IntegrityError
from coatcheck.payloads._integrity import VerifiedReader

from ._ahead import LARGE, Ahead
from ._chunks import Chunks
from ._metadata import info_of, quoted
from ._shield import to_completion

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from coatcheck.abc import ByteRange, Reader

    from ._requests import RequestingBucket


class S3Read:
    """What `get` returns: opens on entering, frees the connection on leaving.

    Args:
        bucket: The bucket.
        key: The key.
        byte_range: Only these bytes.
        if_match: Only the object with this ETag.
        if_none_match: Only an object with another ETag.
    """

    __slots__ = (
        "_ahead",
        "_bucket",
        "_byte_range",
        "_chunks",
        "_entered",
        "_key",
        "_parameters",
    )

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
            self._parameters["IfMatch"] = quoted(if_match)
        if if_none_match is not None:
            self._parameters["IfNoneMatch"] = quoted(if_none_match)
        self._entered = False
        self._chunks: Chunks | None = None
        self._ahead: Ahead | None = None

    async def __aenter__(self) -> Reader:
        if self._entered:
            raise Closed("a read is entered once; call get again")
        self._entered = True
        bucket = self._bucket
        bucket.s3.check_open()
        bucket.check_present(self._key)
        self._chunks = Chunks(bucket, self._key)
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
            if length < LARGE:
                return VerifiedReader(info, chunks)
            self._ahead = Ahead(self._bucket, self._key, chunks, info)
            return VerifiedReader(info, self._ahead)
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
        if self._chunks is None:
            return
        self._chunks.close()
        self._chunks = None
        try:
            if self._ahead is not None:
                await to_completion(self._ahead.stop())
        finally:
            self._bucket.s3.give_slot()


def _total_of(response: Mapping[str, Any]) -> int | None:
    """Return the object's size from `Content-Range: bytes 0-9/100`."""
    total = str(response.get("ContentRange", "")).rpartition("/")[2]
    return int(total) if total.isdecimal() else None
