"""What a bucket of small objects can do in one step of a thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    from coatcheck._core.digests import DigestAlgorithm
    from coatcheck._core.objects import PutInfo

    from ._at_once import Held
    from ._backend import Bucket


class Named(NamedTuple):
    """What became of a body that was to be stored under its own digest."""

    digest: str
    """The digest, in lower-case hex."""
    created: datetime | None
    """When the object was written, in UTC; None when something stands there."""


class OneStep(Protocol):
    """The plain cases of creating and reading where each call goes to a thread.

    Going there and back costs more than what is done there. So the bytes are written
    or read, and held against their digest, all in one visit.
    """

    @property
    def most(self) -> int:
        """The bytes of the largest body that is taken."""
        ...

    async def create(
        self, stem: str, body: bytes, *, algorithm: DigestAlgorithm, info: PutInfo
    ) -> Named:
        """Store a body under `{stem}.{digest}`, as `put` with CREATE does.

        Atomic, and when it is cancelled the object is whole or absent.

        Args:
            stem: What the key begins with; the key is canonical.
            body: At most `most` bytes.
            algorithm: What the digest is made with.
            info: The metadata.

        Raises:
            CoatcheckError: As `put`, save for AlreadyExists.
        """
        ...

    async def read(self, key: str, digest: str) -> Held | None:
        """Return an object whose bytes have a digest, if nothing else is to be done.

        Args:
            key: The key.
            digest: The MD5 or SHA-256 that the bytes have, in lower-case hex.

        Returns:
            The object; None when it takes a `get`, which then tells what is wrong.

        Raises:
            CoatcheckError: As `get`.
        """
        ...


def in_one_step(bucket: Bucket) -> OneStep | None:
    """Return what a bucket can do in one step; None when it is nothing.

    A bucket offers it by its attribute `in_one_step`, as `at_once` does its own.
    """
    offered: OneStep | None = getattr(bucket, "in_one_step", None)
    return offered
