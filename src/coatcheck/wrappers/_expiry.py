"""The way to make things expire in any bucket."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from coatcheck.abc import Capability

from ._claims import ClaimingBucket
from ._expiring import ExpiringBucket

if TYPE_CHECKING:
    from coatcheck.abc import Bucket, Observer

DEFAULT_GRACE: Final = timedelta(minutes=15)


def expiring(
    bucket: Bucket,
    *,
    observer: Observer | None = None,
    grace: timedelta = DEFAULT_GRACE,
) -> ExpiringBucket:
    """Return a bucket that hides what has expired and renews what is idle.

    One that does so already is returned as it is.

    Args:
        bucket: The bucket. With GENERATION every step is atomic; with CREATE and
            UPDATE alone it is as `_claims` says; without them nothing may expire.
        observer: Told of renewals that failed, as `touch_failed`.
        grace: Without GENERATION: how long after its deadline an object is left to
            the reaper; at least four times what a call may take.
    """
    if isinstance(bucket, ExpiringBucket):
        return bucket
    if Capability.GENERATION in bucket.capabilities:
        return ExpiringBucket(bucket, observer)
    return ClaimingBucket(bucket, observer, grace)
