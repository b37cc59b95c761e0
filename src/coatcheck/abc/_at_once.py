"""What a bucket that never waits can do without being awaited."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    from coatcheck._core.objects import ObjectInfo, PutInfo

    from ._backend import Bucket


class Held(Protocol):
    """An object whose bytes are at hand, as it was when it was asked for."""

    @property
    def body(self) -> bytes:
        """The stored bytes."""
        ...

    @property
    def created(self) -> datetime:
        """When the object was written, in UTC."""
        ...

    @property
    def info(self) -> PutInfo | ObjectInfo:
        """What is known of it, as far as anything was said; times in UTC.

        What a write said has no `created`, which stands beside.
        """
        ...


class AtOnce(Protocol):
    """The plain cases of creating and reading, each in one step.

    Whatever is not plain gives None and has changed nothing: then the verbs of the
    bucket decide, and fail as they do. Whoever calls these knows that the backend is
    open here, and lets others have their turn now and then.
    """

    def now(self) -> datetime:
        """Return the time by the clock that deadlines go by, in UTC."""
        ...

    def create(self, key: str, body: bytes, *, info: PutInfo) -> Held | None:
        """Store an object as `put` with CREATE does, if nothing is in its way.

        Args:
            key: A canonical key; it is not looked at again.
            body: The bytes.
            info: The metadata.

        Returns:
            The object, None when it takes a `put`.
        """
        ...

    def read(self, key: str) -> Held | None:
        """Return an object as `get` does, if nothing has to be done for it.

        Returns:
            The object, None when it takes a `get`.
        """
        ...


def at_once(bucket: Bucket) -> AtOnce | None:
    """Return what a bucket can do without being awaited; None when it is nothing.

    A bucket offers it by its attribute `at_once`. A wrapper offers it when it offers
    all of its own effects by it too, so one that does not know of it hides it.
    """
    offered: AtOnce | None = getattr(bucket, "at_once", None)
    return offered
