"""Reading objects: get, head, exists, scan."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from coatcheck._core.names import check_prefix
from coatcheck.abc import Capability, require
from coatcheck.errors import ObjectNotFound, PayloadError
from coatcheck.wrappers import closed_after

from ._bound import BoundSession
from ._metadata import Metadata
from ._opening import Accepted, Opening

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from coatcheck.abc import ByteRange, ObjectEntry

    from ._payload import GetResponse

MAX_BYTES: Final = 64 * 1024 * 1024
"""The most bytes that `get_bytes` returns unless it is told otherwise."""


class SessionReading(BoundSession):
    """The verbs that read."""

    @asynccontextmanager
    async def get(
        self,
        key: str,
        *,
        decompress: bool = True,
        accept_encoding: Sequence[str] | None = None,
        byte_range: ByteRange | None = None,
    ) -> AsyncGenerator[GetResponse]:
        """Read an object: `async with session.get(key) as result`.

        `await result.payload.read()` gives its bytes, iterating over
        `result.payload` gives them in chunks; leaving the context frees the
        connection, read or not. What was read to its end is verified. Reading counts
        for a TimeToIdle.

        Args:
            key: The key.
            decompress: Undo a compression that is not accepted.
            accept_encoding: Encodings in which the bytes may come as they are
                stored; `*` is any. `result.metadata.compression` tells.
            byte_range: Only these bytes of the payload. Of one that is decompressed,
                everything up to their end is read and decompressed to get there, for
                the last bytes of it all of it twice.

        Raises:
            ObjectNotFound: There is no such object, or it has expired.
            InvalidRange: The range lies outside the payload.
            UnsupportedOperation: It has an encoding that is neither zstd nor accepted.
            IntegrityError: The stored bytes are not what was stored; while reading,
                instead of the last chunk.
            InvalidName: The key is not canonical.
            AccessDenied: The credentials do not permit it.
            BackendError: The storage failed.
            Closed: The client is not open.
        """
        stored, bucket = self._stored(key), self._bucket
        accepted = Accepted(decompress=decompress, names=accept_encoding or ())
        async with AsyncExitStack() as stack:
            with self._told("get", key=key) as told:
                opening = Opening(bucket, stored, accepted, stack)
                if byte_range is None:
                    response = await opening.whole()
                else:
                    response = await opening.part(byte_range)
                told.note(found=True)
            stack.callback(response.payload.end)
            yield response

    async def get_bytes(
        self,
        key: str,
        *,
        byte_range: ByteRange | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> bytes:
        """Return an object's payload, decompressed.

        Args:
            key: The key.
            byte_range: As in `get`.
            max_bytes: The most bytes that may come.

        Raises:
            PayloadError: More would come; use `get`.
            CoatcheckError: As `get`.
        """
        async with self.get(key, byte_range=byte_range) as result:
            body = await result.payload.read(max_bytes)
            if await result.payload.read(1):
                raise PayloadError(
                    f"object {key!a} has more than {max_bytes} bytes; use get()",
                    key=key,
                )
        return body

    async def head(self, key: str) -> Metadata:
        """Return what is known of an object; this counts for a TimeToIdle.

        Raises:
            ObjectNotFound: There is no such object, or it has expired.
            InvalidName: The key is not canonical.
            AccessDenied: The credentials do not permit it.
            BackendError: The storage failed.
            Closed: The client is not open.
        """
        stored, bucket = self._stored(key), self._bucket
        with self._told("head", key=key):
            info = await bucket.head(stored)
            await require(bucket, Capability.EXPIRES).renew(info)
        return Metadata.of(info)

    async def exists(self, key: str) -> bool:
        """Tell whether there is an object; this counts for a TimeToIdle.

        Raises:
            CoatcheckError: As `head`, but for ObjectNotFound.
        """
        try:
            await self.head(key)
        except ObjectNotFound:
            return False
        return True

    async def scan(
        self, prefix: str = "", *, start_after: str | None = None
    ) -> AsyncGenerator[ObjectEntry]:
        """Iterate over the session's objects in the order of their keys.

        Objects of scopes below this one are not among them, nor what has expired.
        Close the iterator with `contextlib.aclosing` when you leave it early.

        Args:
            prefix: Only keys that begin with it.
            start_after: Only keys that come after it.

        Yields:
            The objects, their keys as this session knows them.

        Raises:
            InvalidName: The prefix begins no key.
            UnsupportedOperation: The storage cannot list.
            AccessDenied: The credentials do not permit it.
            BackendError: The storage failed.
            Closed: The client is not open.
        """
        check_prefix(prefix)
        after = None if start_after is None else self._prefix + start_after
        scanner = require(self._bucket, Capability.SCAN)
        pages = scanner.scan(self._prefix + prefix, start_after=after)
        async with closed_after(pages):
            async for page in pages:
                for entry in page.entries:
                    yield replace(entry, key=entry.key.removeprefix(self._prefix))
