"""How a write may happen, what it tells, and what buckets can hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

from coatcheck.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Sequence


class Write(StrEnum):
    """When a write may happen."""

    OVERWRITE = "overwrite"
    """Whatever stands under the key."""
    CREATE = "create"
    """Only when nothing stands under the key, else AlreadyExists."""


@dataclass(frozen=True, slots=True)
class Update:
    """Write only over the object that has this ETag, else PreconditionFailed."""

    etag: str


WriteMode: TypeAlias = Write | Update


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """What a finished write tells."""

    etag: str
    """The ETag of what now stands under the key."""
    size: int
    """Stored bytes."""
    write_id: str
    """Names this write; it stands in the object's info."""
    sha256: str | None = None
    """SHA-256 of the stored bytes, when it is known."""
    version: str | None = None
    """The store's version id, where buckets are versioned."""
    created: bool = False
    """Whether the key was free before, as far as the store tells."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Upload:
    """A multipart upload in progress."""

    key: str
    """The key that completion writes."""
    upload_id: str
    """Names the upload in its bucket."""
    started: datetime = field(compare=False)
    """When it was initiated, in UTC."""
    mode: WriteMode = field(default=Write.OVERWRITE, compare=False)
    """When completion may write the object; a listing may not know it."""
    write_id: str | None = field(default=None, compare=False)
    """The write id that the object will have, for who initiated the upload."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One part that the store holds."""

    number: int
    """From 1; parts are joined in the order of their numbers."""
    etag: str
    """Tells this content of the part from another."""
    size: int
    """Bytes."""
    modified: datetime | None = field(default=None, compare=False)
    """When it was stored, in UTC; None where the store was not asked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What a bucket can hold; sizes in bytes, None is without a limit."""

    max_key: int = 1024
    """UTF-8 bytes of a key."""
    max_metadata: int | None = None
    """Bytes of encoded metadata, names and values."""
    max_single_put: int | None = None
    """Bytes of one put."""
    min_part: int = 1
    """Bytes of every part but the last."""
    max_part: int | None = None
    """Bytes of one part."""
    max_parts: int = 10_000
    """Parts of one upload, and the highest part number."""
    max_copy: int | None = None
    """Bytes of one server-side copy."""
    max_batch: int = 1
    """Steps of one batch."""
    max_batch_body: int = 0
    """Bytes of the body of one step."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Swept:
    """What a sweep removed."""

    files: int = 0
    """Temporary files of writes that never ended."""
    uploads: int = 0
    """Multipart uploads that were never completed."""
    folders: int = 0
    """Empty folders."""

    def __add__(self, other: Swept) -> Swept:
        return Swept(
            files=self.files + other.files,
            uploads=self.uploads + other.uploads,
            folders=self.folders + other.folders,
        )


DEFAULT_SWEEP_AGE = timedelta(hours=24)
"""Litter younger than this may belong to a write in progress."""


def check_part_order(parts: Sequence[Part]) -> None:
    """Refuse parts that no upload can be completed with.

    Raises:
        InvalidInput: There are none, or they are not in the order of their numbers.
    """
    if not parts:
        raise InvalidInput("an upload is completed with at least one part")
    if any(after.number <= before.number for before, after in pairwise(parts)):
        raise InvalidInput("parts are given in ascending order of their numbers")
