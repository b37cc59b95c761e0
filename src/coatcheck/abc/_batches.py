"""Many operations of a store in one request."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from coatcheck._core.objects import ObjectInfo, PutInfo
from coatcheck._core.writes import Receipt
from coatcheck.errors import CoatcheckError

from ._backend import NO_INFO

if TYPE_CHECKING:
    from collections.abc import Sequence


class BatchVerb(StrEnum):
    """What one step of a batch does."""

    PUT = "put"
    """As `Bucket.put` with OVERWRITE."""
    GET = "get"
    """As `Bucket.get`, read to its end."""
    HEAD = "head"
    """As `Bucket.head`; counts as an access."""
    DELETE = "delete"
    """As `Bucket.delete`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchStep:
    """One operation on one object."""

    verb: BatchVerb
    """What to do."""
    key: str
    """The object's key."""
    body: bytes = b""
    """The bytes of a put."""
    info: PutInfo = NO_INFO
    """The metadata of a put."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchOutcome:
    """What became of one step."""

    receipt: Receipt | None = None
    """Of a put."""
    info: ObjectInfo | None = None
    """Of a get and a head."""
    body: bytes | None = None
    """The stored bytes, of a get."""
    error: CoatcheckError | None = None
    """Why the step failed."""


class CanBatch(Protocol):
    """Carries out many steps at the price of few requests."""

    async def batch(self, steps: Sequence[BatchStep]) -> list[BatchOutcome]:
        """Do many things, in no order among each other.

        Each step stands for itself: one that fails stops none of the others.

        Args:
            steps: At most `limits.max_batch` of them, bodies of at most
                `limits.max_batch_body` bytes.

        Returns:
            What became of each, in the order of the steps.

        Raises:
            InvalidInput: More steps or bytes than the limits admit.
            OutcomeUnknown: Nothing is known of some of the steps.
            BackendError: The storage failed before any of them was done.
        """
        ...
