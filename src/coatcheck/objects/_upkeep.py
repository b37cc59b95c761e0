"""What is done to objects that stand: deleting, and letting them live on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coatcheck.abc import Capability, FromCreation, FromNow, Until, require
from coatcheck.errors import InvalidInput

from ._bound import BoundSession

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from coatcheck.abc import Extension


class SessionUpkeep(BoundSession):
    """The verbs of single objects that were put before."""

    async def delete(self, key: str) -> None:
        """Delete an object; one that is absent or expired is success.

        Raises:
            InvalidName: The key is not canonical.
            AccessDenied: The credentials do not permit it.
            BackendError: The storage failed.
            Closed: The client is not open.
        """
        stored, bucket = self._stored(key), self._bucket
        with self._told("delete", key=key):
            await bucket.delete(stored)

    async def extend_expiry(
        self,
        key: str,
        *,
        at: datetime | None = None,
        from_creation: timedelta | None = None,
        from_now: timedelta | None = None,
    ) -> datetime:
        """Let an object live longer; it never lives shorter.

        Exactly one target is given. One that is no later than the deadline changes
        nothing and is success. A TimeToLive becomes as long as the object now lives;
        a TimeToIdle keeps its duration. Atomic against a reap: either the object
        lives on, or it is not found.

        Args:
            key: The key.
            at: Until this time, which has a timezone.
            from_creation: So long after it was written.
            from_now: So long from now on.

        Returns:
            The deadline.

        Raises:
            ObjectNotFound: There is no such object, or it has expired.
            ExpiryNotExtendable: It never expires.
            InvalidInput: None or several targets, a time without a timezone, or a
                negative duration.
            InvalidName: The key is not canonical.
            AccessDenied: The credentials do not permit it.
            BackendError: The storage failed.
            Closed: The client is not open.
        """
        extension = _extension(at, from_creation, from_now)
        stored = self._stored(key)
        expiring = require(self._bucket, Capability.EXPIRES)
        with self._told("extend_expiry", key=key):
            return await expiring.extend_expiry(stored, extension)


def _extension(
    at: datetime | None, from_creation: timedelta | None, from_now: timedelta | None
) -> Extension:
    given: list[Extension] = []
    if at is not None:
        given.append(Until(at))
    if from_creation is not None:
        given.append(FromCreation(from_creation))
    if from_now is not None:
        given.append(FromNow(from_now))
    if len(given) != 1:
        raise InvalidInput("give exactly one of at, from_creation and from_now")
    return given[0]
