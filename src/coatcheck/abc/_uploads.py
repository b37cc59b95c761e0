"""Abilities of buckets that take large bodies piece by piece."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from coatcheck._core.writes import Write

from ._backend import NO_INFO

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from datetime import timedelta

    from coatcheck._core.objects import PutInfo
    from coatcheck._core.writes import Part, Receipt, Upload, WriteMode

    from ._backend import Body


class CanMultipart(Protocol):
    """Writes one object from parts that arrive separately and in any order."""

    async def initiate(
        self, key: str, *, info: PutInfo = NO_INFO, mode: WriteMode = Write.OVERWRITE
    ) -> Upload:
        """Begin an upload; nothing is visible before `complete`.

        Args:
            key: A canonical key.
            info: The metadata of the object to come; without `created`, that is now.
            mode: When `complete` may write it.

        Raises:
            InvalidInput: The key or metadata cannot be stored faithfully.
            BackendError: The storage failed.
        """
        ...

    async def put_part(
        self,
        upload: Upload,
        number: int,
        body: Body,
        *,
        size: int,
        content_md5: bytes | None = None,
    ) -> Part:
        """Store one part; a part with the same number is replaced.

        Args:
            upload: The upload.
            number: From 1 to `limits.max_parts`.
            body: The bytes.
            size: Their number; a body of another length is refused.
            content_md5: The 16 bytes of their MD5, when it is known.

        Raises:
            InvalidInput: The number or size is outside the limits.
            ObjectNotFound: There is no such upload (any more).
            IntegrityError: The body has another length or MD5 than declared.
            BackendError: The storage failed.
        """
        ...

    def list_parts(self, upload: Upload) -> AsyncIterator[Part]:
        """Iterate over the parts that the store holds, by number.

        Raises:
            ObjectNotFound: There is no such upload (any more).
        """
        ...

    async def complete(self, upload: Upload, parts: Sequence[Part]) -> Receipt:
        """Join the parts into the object, atomically as `put` does.

        Repeatable: when the answer was lost, completing again gives the same
        receipt as long as the object stands, save that `created` is not known then.

        Args:
            upload: The upload.
            parts: All of them, in ascending order of their numbers.

        Raises:
            InvalidInput: No parts, wrong order, a wrong ETag, or a part that is too
                small and not the last.
            ObjectNotFound: There is no such upload, and no object made by it.
            AlreadyExists: Initiated with CREATE, and an object stands there.
            PreconditionFailed: Initiated with Update, and another one stands there.
            BackendError: The storage failed.
        """
        ...

    async def abort(self, upload: Upload) -> None:
        """Drop an upload and its parts; an absent one is success."""
        ...

    def list_uploads(
        self, prefix: str = "", *, older_than: timedelta | None = None
    ) -> AsyncIterator[Upload]:
        """Iterate over uploads in progress, by key.

        Args:
            prefix: Only keys that begin with it.
            older_than: Only uploads initiated at least so long ago.
        """
        ...


class CanResume(Protocol):
    """Writes one body in pieces, and goes on where a lost connection left it."""

    async def put_resumable(
        self, key: str, body: Body, *, info: PutInfo = NO_INFO, size: int
    ) -> Receipt:
        """Store an object as `put` with OVERWRITE does, through broken connections.

        A body that flows is read once; what the store does not confirm is held in
        memory, which is bounded.

        Args:
            key: A canonical key.
            body: The bytes.
            info: The metadata.
            size: Their number; a body of another length is refused.

        Raises:
            InvalidInput: The key, metadata or body cannot be stored faithfully.
            IntegrityError: The body has another length than declared.
            AtCapacity: The store is full.
            OutcomeUnknown: It cannot be told whether the write happened.
            BackendError: The storage failed again and again without a byte more.
        """
        ...
