"""The contract of storage: a backend opens buckets, a bucket holds objects.

What holds for every method:

* Atomicity: a reader at any time sees no object or one whole object with its
  metadata, never a torn, mixed or short one. A failed write leaves what was there.
* Cancellation: a cancelled call leaves no task, descriptor, lock or temporary file.
  A write that was already on its way may have happened, wholly.
* Keys: writes require canonical keys (`_core/names.py`); the other methods take any
  key, and one that the store cannot hold is simply absent.
* Closed state: every method raises Closed when the backend is not open here.
* Errors: whatever fails is a CoatcheckError whose `outcome` tells whether the store
  changed; the foreign cause is chained.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterable
from typing import TYPE_CHECKING, BinaryIO, Protocol, TypeAlias

from coatcheck._core.objects import PutInfo
from coatcheck._core.writes import Write

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime
    from types import TracebackType
    from typing import Self

    from coatcheck._core.objects import ObjectInfo
    from coatcheck._core.ranges import ByteRange
    from coatcheck._core.writes import Limits, Receipt, WriteMode

    from ._capabilities import Capability
    from ._reader import Reader

NO_INFO = PutInfo()
"""Metadata of an object about which nothing is said."""


class AsyncReadable(Protocol):
    """An object with an async `read`, such as an open anyio file."""

    async def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, `b""` at the end."""
        ...


Body: TypeAlias = (
    bytes
    | bytearray
    | memoryview
    | os.PathLike[str]
    | BinaryIO
    | AsyncReadable
    | AsyncIterable[bytes]
)
"""What can be stored. Files are read from where they stand to their end and are not
closed; a path is opened and closed."""


class Bucket(Protocol):
    """A flat namespace of objects."""

    @property
    def name(self) -> str:
        """The bucket's name in its backend."""
        ...

    @property
    def backend(self) -> Backend:
        """The backend that opened the bucket."""
        ...

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What the bucket can do beyond these four verbs; see `require`."""
        ...

    @property
    def limits(self) -> Limits:
        """What the bucket can hold."""
        ...

    async def put(
        self,
        key: str,
        body: Body,
        *,
        info: PutInfo = NO_INFO,
        mode: WriteMode = Write.OVERWRITE,
        size: int | None = None,
    ) -> Receipt:
        """Store an object under the key.

        The caller's buffer is not kept. Idempotence: OVERWRITE may be repeated;
        CREATE and Update recognise their own earlier success by `info.write_id`.

        Args:
            key: A canonical key.
            body: The bytes.
            info: The metadata. Without `sha256` the driver computes it while the
                bytes flow, unless `pinned` is set.
            mode: When the write may happen.
            size: The body's length in bytes, when it is known; a body of another
                length is refused.

        Returns:
            The receipt of what now stands under the key.

        Raises:
            InvalidInput: The key, metadata or body cannot be stored faithfully.
            AlreadyExists: CREATE, and an object stands there.
            PreconditionFailed: Update, and another object or none stands there.
            UnsupportedOperation: The bucket lacks CREATE or REPLACE_IF.
            IntegrityError: The body has another length than declared, or another
                SHA-256 where the store checks it.
            AtCapacity: The store is full.
            OutcomeUnknown: It cannot be told whether the write happened.
            BackendError: The storage failed.
        """
        ...

    def get(
        self,
        key: str,
        *,
        byte_range: ByteRange | None = None,
        if_match: str | None = None,
        if_none_match: str | None = None,
    ) -> AbstractAsyncContextManager[Reader]:
        """Read an object: `async with bucket.get(key) as reader`.

        Nothing happens before the context is entered; leaving it frees what the
        read holds, whether the bytes were read or not.

        Args:
            key: The key.
            byte_range: Only these bytes.
            if_match: Only the object with this ETag.
            if_none_match: Only an object with another ETag.

        Returns:
            A context manager that is entered once.

        Raises:
            ObjectNotFound: On entering: nothing stands under the key.
            InvalidRange: On entering: the range lies outside the object.
            PreconditionFailed: On entering: an ETag condition does not hold.
            IntegrityError: The stored record is damaged.
            BackendError: The storage failed.
        """
        ...

    async def head(self, key: str) -> ObjectInfo:
        """Return what is known about an object.

        Raises:
            ObjectNotFound: Nothing stands under the key.
            IntegrityError: The stored record is damaged.
            BackendError: The storage failed.
        """
        ...

    async def delete(self, key: str, *, if_match: str | None = None) -> None:
        """Remove an object; an absent one is success, whatever `if_match` says.

        Args:
            key: The key.
            if_match: Only the object with this ETag.

        Raises:
            PreconditionFailed: The object has another ETag.
            UnsupportedOperation: `if_match` without DELETE_IF.
            BackendError: The storage failed.
        """
        ...


class Backend(Protocol):
    """A storage technology with a lifetime; an async context manager."""

    @property
    def scheme(self) -> str:
        """`mem`, `file`, `s3` or `service`."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    async def aclose(self) -> None:
        """Release everything; see AsyncResource."""
        ...

    def bucket(self, name: str, prefix: str = "") -> Bucket:
        """Return a bucket without any I/O; it appears with its first object.

        Args:
            name: The bucket's name.
            prefix: What stands before every key, slash included; the bucket shows
                only what lies behind it.

        Raises:
            InvalidName: The name or prefix cannot be stored faithfully.
        """
        ...

    def now(self) -> datetime:
        """Return the time by the clock that deadlines go by, in UTC."""
        ...

    async def check(self) -> None:
        """Prove that the storage answers and can be written to.

        Raises:
            BackendError: It does not; the message says what to do.
        """
        ...
