"""Opening an object so that its payload comes out, whole or a range of it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from coatcheck._core.ranges import ByteRange, ByteSuffix
from coatcheck.errors import BackendUnavailable, InvalidRange, UnsupportedOperation
from coatcheck.payloads._compression import decompressed

from ._metadata import Metadata
from ._payload import GetResponse, Payload, Span
from ._usecase import ZSTD

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from coatcheck.abc import Bucket, ObjectInfo, Reader

_ATTEMPTS: Final = 3
_ANY: Final = "*"


@dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    """In which encodings bytes may come as they are stored."""

    decompress: bool
    """Whether any other encoding is undone."""
    names: Sequence[str]
    """The encodings; `*` is any."""

    def undoes(self, info: ObjectInfo) -> bool:
        """Tell whether an object's encoding must be undone.

        Raises:
            UnsupportedOperation: It must, and cannot be.
        """
        encoding = info.encoding
        if encoding is None or not self.decompress:
            return False
        if encoding in self.names or _ANY in self.names:
            return False
        if encoding != ZSTD:
            raise UnsupportedOperation(
                f"object {info.key!a} has the encoding {encoding!a}, which only"
                " accept_encoding lets pass",
                key=info.key,
            )
        return True


EVERYTHING: Final = Accepted(decompress=True, names=())
"""What decompresses whatever is compressed."""


class Opening:
    """One object on its way to be read.

    Args:
        bucket: The bucket.
        stored: The key in it.
        accepted: In which encodings the bytes may come.
        stack: Ends what is begun here.
    """

    def __init__(
        self, bucket: Bucket, stored: str, accepted: Accepted, stack: AsyncExitStack
    ) -> None:
        self._bucket = bucket
        self._stored = stored
        self._accepted = accepted
        self._stack = stack

    async def whole(self) -> GetResponse:
        """Open all of it."""
        reader = await self._stack.enter_async_context(self._bucket.get(self._stored))
        chunks = await self._payload(reader, self._stack)
        return self._response(reader.info, chunks)

    async def part(self, byte_range: ByteRange) -> GetResponse:
        """Open a range of the payload."""
        reader = await self._part_as_stored(byte_range)
        if reader is not None:
            return self._response(reader.info, aiter(reader))
        for _ in range(_ATTEMPTS):
            response = await self._part_undone(byte_range)
            if response is not None:
                return response
        raise BackendUnavailable(
            f"object {self._stored!a} is replaced faster than it can be read",
            key=self._stored,
        )

    async def _part_as_stored(self, byte_range: ByteRange) -> Reader | None:
        """Open a range of the stored bytes; None when they are not the payload."""
        try:
            async with AsyncExitStack() as trial:
                read = self._bucket.get(self._stored, byte_range=byte_range)
                reader = await trial.enter_async_context(read)
                if self._accepted.undoes(reader.info):
                    return None
                self._stack.push_async_exit(trial.pop_all())
                return reader
        except InvalidRange:
            # A payload may be longer than what is stored of it.
            if not self._accepted.undoes(await self._bucket.head(self._stored)):
                raise
        return None

    async def _part_undone(self, byte_range: ByteRange) -> GetResponse | None:
        """Open a range of the decompressed bytes; None when they were replaced."""
        total, etag = None, None
        if isinstance(byte_range, ByteSuffix):
            total, etag = await self._measured()
        async with AsyncExitStack() as trial:
            read = self._bucket.get(self._stored)
            reader = await trial.enter_async_context(read)
            if etag not in (None, reader.info.etag):
                return None
            chunks = await self._payload(reader, trial)
            span = Span(chunks, byte_range, total)
            await span.begin()
            self._stack.push_async_exit(trial.pop_all())
        return self._response(reader.info, span)

    async def _measured(self) -> tuple[int, str]:
        """Return how long the payload is, and of which generation."""
        async with AsyncExitStack() as stack:
            read = self._bucket.get(self._stored)
            reader = await stack.enter_async_context(read)
            chunks = await self._payload(reader, stack)
            return sum([len(chunk) async for chunk in chunks]), reader.info.etag

    async def _payload(
        self, reader: Reader, stack: AsyncExitStack
    ) -> AsyncIterator[bytes]:
        if not self._accepted.undoes(reader.info):
            return aiter(reader)
        return await stack.enter_async_context(aclosing(decompressed(aiter(reader))))

    def _response(self, info: ObjectInfo, chunks: AsyncIterator[bytes]) -> GetResponse:
        metadata = Metadata.of(info)
        if self._accepted.undoes(info):
            metadata = metadata.decoded()
        return GetResponse(metadata, Payload(chunks))
