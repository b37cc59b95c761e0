"""Abilities beyond the four verbs, asked of a bucket and then typed."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Literal, Protocol, cast, overload

from coatcheck._core.writes import DEFAULT_SWEEP_AGE, Write
from coatcheck.errors import UnsupportedOperation

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
    from datetime import timedelta

    from coatcheck._core.objects import Page, PutInfo
    from coatcheck._core.signing import SignedRequest, SignGet, SignPut
    from coatcheck._core.writes import Part, Receipt, Swept, Upload, WriteMode
    from coatcheck.errors import CoatcheckError

    from ._backend import Body, Bucket

from ._backend import NO_INFO


class Capability(StrEnum):
    """What a bucket can do; members are only ever added."""

    SCAN = "scan"
    """CanScan."""
    UPDATE = "update"
    """CanUpdate."""
    COPY = "copy"
    """CanCopy."""
    SIGN = "sign"
    """CanSign."""
    MULTIPART = "multipart"
    """CanMultipart."""
    SWEEP = "sweep"
    """CanSweep."""
    CREATE = "create"
    """`put` takes Write.CREATE."""
    REPLACE_IF = "replace_if"
    """`put` takes Update."""
    DELETE_IF = "delete_if"
    """`delete` takes `if_match`."""
    GENERATION = "generation"
    """The ETag changes with every mutation, equal bytes and metadata included, so
    that a condition on it is a compare-and-set."""
    EXPIRES = "expires"
    """The bucket itself hides what has expired and renews what is idle."""
    IMMEDIATE = "immediate"
    """No call ever waits, so none needs a deadline or a limit."""


class CanScan(Protocol):
    """Lists objects."""

    def scan(
        self,
        prefix: str = "",
        *,
        start_after: str | None = None,
        delimiter: str | None = None,
    ) -> AsyncIterator[Page]:
        """Iterate over the keys in UTF-8 order, page by page.

        Bodies are not read. A key that stands there from before the scan until
        after it is listed exactly once; what comes or goes meanwhile may or may
        not be. Close the iterator with `aclosing` when you leave it early.

        Args:
            prefix: Only keys that begin with it.
            start_after: Only keys, and common prefixes, that come after this text.
            delimiter: `"/"` folds what follows the first slash after the prefix
                into one common prefix.

        Returns:
            Pages of bounded size, none of them empty.

        Raises:
            InvalidInput: A delimiter other than `"/"`, or a malformed prefix.
            BackendError: The storage failed.
        """
        ...

    async def delete_many(
        self, keys: Iterable[str]
    ) -> Mapping[str, CoatcheckError | None]:
        """Remove many objects.

        Each deletion stands for itself: one that fails stops none of the others.

        Returns:
            For each key None, or why it could not be removed.
        """
        ...


class CanUpdate(Protocol):
    """Changes metadata and leaves the bytes alone."""

    async def update_info(self, key: str, info: PutInfo, *, if_match: str) -> Receipt:
        """Replace an object's metadata in one atomic step.

        `created` and `sha256` are kept when `info` does not give them.

        Args:
            key: The key.
            info: All of the new metadata.
            if_match: The ETag of the object that it is meant for.

        Returns:
            The receipt with the new ETag; its `write_id` is that of this update.

        Raises:
            ObjectNotFound: Nothing stands under the key.
            PreconditionFailed: The object has another ETag.
            BackendError: The storage failed.
        """
        ...


class CanCopy(Protocol):
    """Copies inside the storage, without the bytes passing through here."""

    def can_copy_from(self, source: Bucket) -> bool:
        """Tell whether `copy_from` takes this source."""
        ...

    async def copy_from(
        self,
        source: Bucket,
        source_key: str,
        key: str,
        *,
        info: PutInfo | None = None,
        mode: WriteMode = Write.OVERWRITE,
        if_match: str | None = None,
    ) -> Receipt:
        """Copy an object from a bucket of the same storage.

        Atomic as `put` is. Copying an object onto itself is allowed.

        Args:
            source: A bucket that `can_copy_from` accepts.
            source_key: The key to copy.
            key: The canonical key to write.
            info: New metadata; None takes the source's over, its creation time
                excepted.
            mode: When the write may happen.
            if_match: The ETag that the source must have.

        Raises:
            ObjectNotFound: The source is absent.
            PreconditionFailed: `if_match` or `mode` does not hold.
            AlreadyExists: CREATE, and an object stands under `key`.
            UnsupportedOperation: The source belongs to another storage.
            IntegrityError: The source is damaged.
            BackendError: The storage failed.
        """
        ...


class CanSign(Protocol):
    """Makes links that need no credentials."""

    async def sign(
        self, what: SignGet | SignPut, key: str, *, expires_in: timedelta
    ) -> SignedRequest:
        """Sign one request for one object; nothing is looked up.

        Args:
            what: What the link may do.
            key: The key.
            expires_in: How long the link shall work.

        Raises:
            InvalidInput: The storage cannot sign for so short or so long a time.
            Unauthenticated: There is nothing to sign with.
        """
        ...


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


class CanSweep(Protocol):
    """Removes litter that killed processes left."""

    async def sweep(self, *, older_than: timedelta = DEFAULT_SWEEP_AGE) -> Swept:
        """Remove temporary files, stale uploads and empty folders of this bucket.

        Objects are never touched. Several sweeps may run at once.

        Args:
            older_than: Younger litter may belong to a write in progress and stays.

        Returns:
            What was removed.

        Raises:
            BackendError: The storage failed.
        """
        ...


@overload
def require(bucket: Bucket, capability: Literal[Capability.SCAN]) -> CanScan: ...
@overload
def require(bucket: Bucket, capability: Literal[Capability.UPDATE]) -> CanUpdate: ...
@overload
def require(bucket: Bucket, capability: Literal[Capability.COPY]) -> CanCopy: ...
@overload
def require(bucket: Bucket, capability: Literal[Capability.SIGN]) -> CanSign: ...
@overload
def require(
    bucket: Bucket, capability: Literal[Capability.MULTIPART]
) -> CanMultipart: ...
@overload
def require(bucket: Bucket, capability: Literal[Capability.SWEEP]) -> CanSweep: ...
@overload
def require(
    bucket: Bucket,
    capability: Literal[
        Capability.CREATE,
        Capability.REPLACE_IF,
        Capability.DELETE_IF,
        Capability.GENERATION,
        Capability.EXPIRES,
        Capability.IMMEDIATE,
    ],
) -> Bucket: ...
def require(bucket: Bucket, capability: Capability) -> object:
    """Return the bucket typed by one of its abilities.

    Args:
        bucket: The bucket.
        capability: What is needed of it.

    Returns:
        The same bucket.

    Raises:
        UnsupportedOperation: The bucket cannot do it.
    """
    if capability in bucket.capabilities:
        return cast("object", bucket)
    raise UnsupportedOperation(
        f"bucket {bucket.name!r} on {bucket.backend.scheme!r} cannot"
        f" {capability.value.replace('_', ' ')}",
        bucket=bucket.name,
        backend=bucket.backend.scheme,
    )


def innermost(bucket: Bucket, key: str) -> tuple[Bucket, str]:
    """Return the driver's bucket under all wrappers, and the key as it knows it.

    A wrapper has `inner`, the bucket it wraps, and `inner_key(key)`.
    """
    while hasattr(bucket, "inner"):
        wrapper = cast("_Wrapper", bucket)
        bucket, key = wrapper.inner, wrapper.inner_key(key)
    return bucket, key


class _Wrapper(Protocol):
    @property
    def inner(self) -> Bucket: ...

    def inner_key(self, key: str) -> str: ...
