"""How long an object shall live on, and what that makes of its policy."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from coatcheck.errors import ExpiryNotExtendable, InvalidInput

from .expiry import Expiry, TimeToIdle, TimeToLive, check_aware


@dataclass(frozen=True, slots=True)
class Until:
    """Until a time.

    Raises:
        InvalidInput: The time has no timezone.
    """

    at: datetime

    def __post_init__(self) -> None:
        if not isinstance(self.at, datetime):
            raise InvalidInput(f"a time is a datetime, not {type(self.at).__name__}")
        check_aware(self.at, what="the time of an extension")


@dataclass(frozen=True, slots=True)
class FromCreation:
    """So long after the object's creation; parts of seconds are dropped.

    Raises:
        InvalidInput: The duration is negative.
    """

    duration: timedelta

    def __post_init__(self) -> None:
        _check_not_negative(self.duration)


@dataclass(frozen=True, slots=True)
class FromNow:
    """So long from now on; parts of seconds are dropped.

    Raises:
        InvalidInput: The duration is negative.
    """

    duration: timedelta

    def __post_init__(self) -> None:
        _check_not_negative(self.duration)


Extension: TypeAlias = Until | FromCreation | FromNow


def extended(
    expiry: Expiry | None,
    deadline: datetime | None,
    extension: Extension,
    *,
    created: datetime,
    now: datetime,
) -> tuple[Expiry, datetime]:
    """Return the policy and deadline of an object that shall live on.

    The deadline is never an earlier one. A TimeToLive grows with it, since it counts
    from the creation; a TimeToIdle stays, and counts again from the next renewal.

    Args:
        expiry: The object's policy.
        deadline: Its deadline.
        extension: Until when it shall live.
        created: When it was written.
        now: The time.

    Raises:
        ExpiryNotExtendable: The object never expires.
        InvalidInput: That is too far away.
    """
    if expiry is None or deadline is None:
        raise ExpiryNotExtendable("it never expires, so there is nothing to extend")
    try:
        asked = _target(extension, created, now)
        if asked <= deadline:
            return expiry, deadline
        if isinstance(expiry, TimeToIdle):
            return expiry, asked + timedelta(microseconds=-asked.microsecond % 10**6)
        lifetime = asked - created
        lifetime += -lifetime % timedelta(seconds=1)
        return TimeToLive(lifetime), created + lifetime
    except OverflowError:
        raise InvalidInput("the deadline is after the year 9999") from None


def _target(extension: Extension, created: datetime, now: datetime) -> datetime:
    match extension:
        case Until(at):
            return at.astimezone(UTC)
        case FromCreation(duration):
            return created + _whole_seconds(duration)
        case FromNow(duration):
            return now + _whole_seconds(duration)


def _whole_seconds(duration: timedelta) -> timedelta:
    return timedelta(days=duration.days, seconds=duration.seconds)


def _check_not_negative(duration: object) -> None:
    if not isinstance(duration, timedelta):
        raise InvalidInput(
            f"a duration must be a timedelta, not {type(duration).__name__}"
        )
    if duration < timedelta(0):
        raise InvalidInput(
            f"an object is not extended by less than nothing: {duration}"
        )
