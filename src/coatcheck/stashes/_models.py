"""What listing and reaping stashes tell."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from coatcheck._core.address import Address
from coatcheck._core.writes import Swept


@dataclass(frozen=True, kw_only=True, slots=True)
class StashEntry:
    """One stash of a listing."""

    address: Address
    """What `retrieve` takes."""
    size: int
    """Stored bytes, compressed where compression is on."""
    modified: datetime
    """When it was stored or last touched, in UTC."""
    content_type: str | None = None
    """Media type, where the listing tells it."""
    deadline: datetime | None = None
    """From when on it does not exist, in UTC; None for ever."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReapReport:
    """What a reap did."""

    scanned: int
    """Objects listed."""
    heads: int
    """Requests that this took beside the listing, on stores that list no metadata."""
    deleted: int
    """Expired ones that were deleted."""
    freed: int
    """Stored bytes of these."""
    failed: int
    """Expired ones that could not be deleted; the log says why."""
    swept: Swept
    """Litter of killed processes that was removed."""
