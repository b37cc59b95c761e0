"""Deadlines of objects: seen, moved, and lost to others, one atomic step each."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Final, cast

from coatcheck._core.expiry import (
    Expiry,
    TimeToLive,
    deadline_from,
    is_expired,
    later,
    renewed,
)
from coatcheck._core.extensions import extended
from coatcheck.abc import Capability, Event
from coatcheck.errors import (
    BackendUnavailable,
    CoatcheckError,
    ExpiryNotExtendable,
    ObjectNotFound,
    PreconditionFailed,
)

from ._bounds import emit
from ._forwarding import ForwardingBucket
from ._guarded import within_slot

if TYPE_CHECKING:
    from datetime import datetime

    from coatcheck.abc import Bucket, Extension, ObjectInfo, Observer

    from ._forwarding import AnyBucket

ATTEMPTS: Final = 8
"""How often a change is tried again when others are faster."""
_log = logging.getLogger("coatcheck.expiry")


class DeadlinesBucket(ForwardingBucket):
    """A bucket that knows which objects are over and can move deadlines.

    Args:
        inner: The bucket that is wrapped.
        observer: Told of renewals that failed, as `touch_failed`.
    """

    def __init__(self, inner: Bucket, observer: Observer | None) -> None:
        super().__init__(inner)
        self.is_immediate = Capability.IMMEDIATE in inner.capabilities
        """Whether calls never wait, so that nothing is gained by joining them."""
        self._renewing = cast("AnyBucket", within_slot(inner))
        self._observer = observer

    def now(self) -> datetime:
        """Return the time that deadlines go by."""
        return self.backend.now()

    def is_over(self, info: ObjectInfo) -> bool:
        """Tell whether an object's deadline has come."""
        return info.deadline is not None and is_expired(info.deadline, self.now())

    async def head(self, key: str) -> ObjectInfo:
        info = await self._inner.head(key)
        self.refuse_expired(info)
        return info

    def refuse_expired(self, info: ObjectInfo) -> None:
        """Raise ObjectNotFound when an object's deadline has come."""
        if self.is_over(info):
            raise self.expired(info.key)

    async def touch(self, key: str) -> datetime | None:
        """Let an object's TimeToIdle count from now.

        Returns:
            Its deadline, None when it never expires.

        Raises:
            ObjectNotFound: Nothing stands under the key, or it has expired.
            ExpiryNotExtendable: It has a TimeToLive.
        """
        for _ in range(ATTEMPTS):
            info = await self.head(key)
            if info.expiry is None:
                return None
            if isinstance(info.expiry, TimeToLive):
                raise ExpiryNotExtendable(
                    f"object {key!a} has a TimeToLive, which no touch extends",
                    bucket=self.name,
                    key=key,
                )
            deadline = later(info.deadline, deadline_from(info.expiry, self.now()))
            if deadline == info.deadline:
                return deadline
            if await self.move_deadline(info, info.expiry, deadline) is not None:
                return deadline
        raise self.contended(key)

    async def extend_expiry(self, key: str, extension: Extension) -> datetime:
        for _ in range(ATTEMPTS):
            info = await self.head(key)
            try:
                expiry, deadline = extended(
                    info.expiry,
                    info.deadline,
                    extension,
                    created=info.created,
                    now=self.now(),
                )
            except ExpiryNotExtendable as error:
                raise ExpiryNotExtendable(
                    f"object {key!a} cannot be extended: {error.message}",
                    bucket=self.name,
                    key=key,
                ) from None
            if deadline == info.deadline:
                return deadline
            if await self.move_deadline(info, expiry, deadline) is not None:
                return deadline
        raise self.contended(key)

    async def move_deadline(
        self,
        standing: ObjectInfo,
        expiry: Expiry | None,
        deadline: datetime | None,
        *,
        within_read: bool = False,
    ) -> ObjectInfo | None:
        """Give the object that was seen another deadline, before its own has come.

        Args:
            standing: The object as it was seen.
            expiry: Its new policy.
            deadline: Its new deadline.
            within_read: The caller is a read, which holds a slot.

        Returns:
            The object as it is now, None when another change was faster.

        Raises:
            ObjectNotFound: Its deadline came meanwhile.
        """
        info = replace(standing.put_info(), expiry=expiry, deadline=deadline)
        key = standing.key
        bucket = self._renewing if within_read else self._inner
        try:
            receipt = await bucket.update_info(key, info, if_match=standing.etag)
        except (PreconditionFailed, ObjectNotFound):
            return None
        moved = replace(standing, etag=receipt.etag, expiry=expiry, deadline=deadline)
        if self.is_over(standing):
            # Too late: somebody may have seen it gone, so it must not come back.
            await self._take_back(bucket, moved)
            raise self.expired(key)
        return moved

    async def _take_back(self, bucket: Bucket, moved: ObjectInfo) -> None:
        """Undo a deadline that was moved too late."""
        try:
            await bucket.delete(moved.key, if_match=moved.etag)
        except PreconditionFailed:
            _log.debug("somebody else replaced an object that was touched too late")

    async def renew(self, info: ObjectInfo) -> None:
        """Count a read for an object's TimeToIdle; never fails the read."""
        if info.expiry is None:
            return
        deadline = renewed(info.expiry, info.deadline, self.now())
        if deadline is None:
            return
        try:
            await self.move_deadline(info, info.expiry, deadline, within_read=True)
        except ObjectNotFound:
            _log.debug("an object expired while it was being read")
        except CoatcheckError as error:
            _log.warning("could not renew %a: %s", info.key, error.kind)
            emit(
                self._observer,
                Event(
                    name="touch_failed",
                    backend=self.backend.scheme,
                    bucket=self.name,
                    key=info.key,
                    error=error.kind,
                ),
            )

    def expired(self, key: str) -> ObjectNotFound:
        """Return the error that says that an object has expired."""
        return ObjectNotFound(
            f"object {key!a} in bucket {self.name!a} has expired",
            bucket=self.name,
            key=key,
            backend=self.backend.scheme,
        )

    def contended(self, key: str) -> BackendUnavailable:
        """Return the error that says that others were faster too often."""
        return BackendUnavailable(
            f"object {key!a} in bucket {self.name!a} is changed by others"
            " faster than by this call; try again",
            bucket=self.name,
            key=key,
            backend=self.backend.scheme,
        )
