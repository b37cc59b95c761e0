"""Deleting what has expired."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from coatcheck._core.objects import ObjectInfo
from coatcheck.abc import Capability, require
from coatcheck.errors import CoatcheckError
from coatcheck.payloads._parallel import in_parallel

from ._forwarding import closed_after

if TYPE_CHECKING:
    from ._expiring import ExpiringBucket

_AT_ONCE: Final = 8
_log = logging.getLogger("coatcheck.expiry")


@dataclass(frozen=True, kw_only=True, slots=True)
class Reaped:
    """What a reap did."""

    scanned: int = 0
    """Objects listed."""
    heads: int = 0
    """Requests that this took beside the listing, on stores that list no metadata."""
    deleted: int = 0
    """Expired ones that were deleted."""
    freed: int = 0
    """Stored bytes of these."""
    failed: int = 0
    """Expired ones that could not be deleted."""
    next_after: str | None = None
    """The last key that was looked at, when the limit ended the reap before the end."""


async def reap(
    bucket: ExpiringBucket,
    prefix: str = "",
    *,
    start_after: str | None = None,
    limit: int | None = None,
) -> Reaped:
    """Delete the expired objects of a bucket.

    One that is touched or replaced meanwhile stays: the deletion is conditional on
    what was seen. One that cannot be deleted stops none of the others.

    Args:
        bucket: The bucket.
        prefix: Only keys that begin with it.
        start_after: Only keys that come after it.
        limit: Stop after the page in which so many objects were looked at.

    Raises:
        UnsupportedOperation: The bucket cannot scan, or cannot delete atomically.
        BackendError: It could not be listed.
    """
    if Capability.GENERATION in bucket.capabilities:
        require(bucket, Capability.DELETE_IF)
    scanned, heads, freed, deleted, failed = 0, 0, 0, 0, 0

    async def delete(info: ObjectInfo) -> bool | None:
        """Return whether it was deleted; False is that it failed."""
        try:
            return await bucket.remove_expired(info) or None
        except CoatcheckError as error:
            _log.warning("could not reap %a: %s", info.key, error.kind)
            return False

    next_after = None
    scanner = require(bucket.inner, Capability.SCAN)
    pages = scanner.scan(prefix, start_after=start_after)
    async with closed_after(pages):
        async for page in pages:
            infos = await bucket.looked_at(page)
            over = [info for info in infos if bucket.is_reapable(info)]
            results = await in_parallel(over, delete, at_once=_AT_ONCE)
            scanned += len(page.entries)
            heads += sum(not isinstance(each, ObjectInfo) for each in page.entries)
            deleted += results.count(True)
            failed += results.count(False)
            freed += sum(
                info.size for info, gone in zip(over, results, strict=True) if gone
            )
            if limit is not None and scanned >= limit:
                next_after = page.entries[-1].key
                break
    return Reaped(
        scanned=scanned,
        heads=heads,
        deleted=deleted,
        freed=freed,
        failed=failed,
        next_after=next_after,
    )
