"""Abilities beyond the four verbs, asked of a bucket and then typed."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Literal, Protocol, cast, overload

from coatcheck._core.writes import DEFAULT_SWEEP_AGE, Write
from coatcheck.errors import UnsupportedOperation

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping
    from datetime import datetime, timedelta

    from coatcheck._core.extensions import Extension
    from coatcheck._core.objects import ObjectInfo, Page, PutInfo
    from coatcheck._core.signing import SignedRequest, SignGet, SignPut
    from coatcheck._core.writes import Receipt, Swept, WriteMode
    from coatcheck.errors import CoatcheckError

    from ._backend import Bucket
    from ._batches import CanBatch
    from ._uploads import CanMultipart, CanResume


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
    RESUME = "resume"
    """CanResume."""
    BATCH = "batch"
    """CanBatch."""
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
    """CanExpire: the bucket itself hides what has expired and renews what is idle."""
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


class CanExpire(Protocol):
    """Hides what has expired, and lets it live on before that."""

    async def extend_expiry(self, key: str, extension: Extension) -> datetime:
        """Let an object live longer, in one atomic step; it never lives shorter.

        A TimeToLive grows, so that it still counts from the creation. A TimeToIdle
        keeps its duration.

        Args:
            key: The key.
            extension: Until when; what is no later than the deadline changes nothing.

        Returns:
            The deadline.

        Raises:
            ObjectNotFound: Nothing stands under the key, or it has expired.
            ExpiryNotExtendable: The object never expires.
            InvalidInput: The extension is out of bounds.
            BackendError: The storage failed.
        """
        ...

    async def renew(self, info: ObjectInfo) -> None:
        """Count an access for the TimeToIdle of an object that `head` told of.

        Reads count by themselves. Never fails: that an object was not renewed is
        told to the observer.

        Args:
            info: What `head` returned.
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
def require(bucket: Bucket, capability: Literal[Capability.RESUME]) -> CanResume: ...
@overload
def require(bucket: Bucket, capability: Literal[Capability.BATCH]) -> CanBatch: ...
@overload
def require(bucket: Bucket, capability: Literal[Capability.SWEEP]) -> CanSweep: ...
@overload
def require(bucket: Bucket, capability: Literal[Capability.EXPIRES]) -> CanExpire: ...
@overload
def require(
    bucket: Bucket,
    capability: Literal[
        Capability.CREATE,
        Capability.REPLACE_IF,
        Capability.DELETE_IF,
        Capability.GENERATION,
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
