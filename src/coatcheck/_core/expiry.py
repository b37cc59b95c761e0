"""Expiration policies and the arithmetic of deadlines.

From its deadline on an object does not exist for readers. `None` stands for "no
policy" and "no deadline" everywhere, and is later than any deadline.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from coatcheck.errors import InvalidInput

_MAX_DURATION = timedelta(days=36_500)
_LONGEST_DEBOUNCE = timedelta(hours=24)
_SAME_TIME = timedelta(seconds=1)


def _check_duration(duration: object) -> None:
    if not isinstance(duration, timedelta):
        raise InvalidInput(
            f"a duration must be a timedelta, not {type(duration).__name__}"
        )
    if not timedelta(seconds=1) <= duration <= _MAX_DURATION:
        raise InvalidInput(
            f"duration {duration} is not between 1 second and {_MAX_DURATION.days} days"
        )
    if duration.microseconds:
        raise InvalidInput(f"duration {duration} is not a whole number of seconds")


@dataclass(frozen=True, slots=True)
class TimeToLive:
    """Expire a fixed time after the write.

    Args:
        duration: Whole seconds, from one second to 36 500 days.

    Raises:
        InvalidInput: The duration is outside these bounds.
    """

    duration: timedelta

    def __post_init__(self) -> None:
        _check_duration(self.duration)


@dataclass(frozen=True, slots=True)
class TimeToIdle:
    """Expire a fixed time after the last read or touch.

    Args:
        duration: Whole seconds, from one second to 36 500 days.

    Raises:
        InvalidInput: The duration is outside these bounds.
    """

    duration: timedelta

    def __post_init__(self) -> None:
        _check_duration(self.duration)


Expiry: TypeAlias = TimeToLive | TimeToIdle


def utc_now() -> datetime:
    """Return the time of this machine's clock, the default of every backend."""
    return datetime.now(UTC)


def check_aware(moment: datetime, *, what: str) -> None:
    """Refuse a time without a timezone.

    Raises:
        InvalidInput: The time is naive.
    """
    if moment.utcoffset() is None:
        raise InvalidInput(f"{what} must have a timezone")


def deadline_from(expiry: Expiry | None, since: datetime) -> datetime | None:
    """Return when an object written or touched at `since` expires.

    Raises:
        InvalidInput: It is no policy, or that is after the year 9999.
    """
    if expiry is None:
        return None
    if not isinstance(expiry, TimeToLive | TimeToIdle):
        raise InvalidInput(
            "an expiration policy is TimeToLive or TimeToIdle,"
            f" not {type(expiry).__name__}"
        )
    try:
        return since + expiry.duration
    except OverflowError:
        raise InvalidInput("the deadline is after the year 9999") from None


def is_expired(deadline: datetime | None, now: datetime) -> bool:
    """Tell whether the deadline has come."""
    return deadline is not None and now >= deadline


def later(one: datetime | None, other: datetime | None) -> datetime | None:
    """Return the later deadline; none at all is the latest."""
    return None if one is None or other is None else max(one, other)


def is_later(one: datetime | None, other: datetime | None) -> bool:
    """Tell whether `one` is strictly later than `other`."""
    return one != other and later(one, other) == one


def satisfies(
    expiry: Expiry | None, deadline: datetime | None, since: datetime
) -> bool:
    """Tell whether a deadline is as late as a write at `since` would set it.

    It may be up to a second earlier, and at most a tenth of the duration: so much
    lies between equal writes at one time, of which one stands for all.
    """
    wanted = deadline_from(expiry, since)
    if deadline is None or expiry is None or wanted is None:
        return deadline is None
    return wanted - deadline < min(_SAME_TIME, expiry.duration / 10)


def renewed(
    expiry: Expiry | None, deadline: datetime | None, now: datetime
) -> datetime | None:
    """Return the deadline that a read at `now` earns, or None to leave it alone.

    Only TimeToIdle renews, and only when at least a quarter of the idle time (at
    most a day) has gone since the last renewal: reading often costs few writes.
    """
    if not isinstance(expiry, TimeToIdle) or deadline is None:
        return None
    debounce = min(expiry.duration / 4, _LONGEST_DEBOUNCE)
    fresh = now + expiry.duration
    return fresh if deadline < fresh - debounce else None


def is_as_read(expiry: Expiry | None, deadline: datetime | None, now: datetime) -> bool:
    """Tell whether a read at `now` would neither refuse an object nor renew it."""
    if deadline is None:
        return True
    return not is_expired(deadline, now) and renewed(expiry, deadline, now) is None


_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
_DURATION = re.compile(
    r"(?:(\d{1,9})d)? ?(?:(\d{1,9})h)? ?(?:(\d{1,9})m)? ?(?:(\d{1,9})s)?"
)


def format_duration(duration: timedelta) -> str:
    """Return the duration as `1d 2h 3m 4s`, without its zero parts.

    This is the only spelling that objectstore's published clients read.
    """
    rest = int(duration.total_seconds())
    parts: list[str] = []
    for unit, seconds in _UNITS:
        count, rest = divmod(rest, seconds)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts) or "0s"


def parse_duration(text: str) -> timedelta:
    """Read a duration of days, hours, minutes and seconds.

    Raises:
        InvalidInput: The text is no such duration.
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None or not any(found.groups()):
        raise InvalidInput(f"not a duration such as '1d 2h 3m 4s': {text[:80]!r}")
    counts = [int(part or 0) for part in found.groups()]
    seconds = sum(count * unit for count, (_, unit) in zip(counts, _UNITS, strict=True))
    if seconds > _MAX_DURATION.total_seconds():
        raise InvalidInput(f"duration {text[:80]!r} is longer than 36 500 days")
    return timedelta(seconds=seconds)


def format_expiry(expiry: Expiry) -> str:
    """Return the policy as `ttl:<duration>` or `tti:<duration>`."""
    kind = "ttl" if isinstance(expiry, TimeToLive) else "tti"
    return f"{kind}:{format_duration(expiry.duration)}"


def parse_expiry(text: str) -> Expiry | None:
    """Read a policy; `manual` is None.

    Raises:
        InvalidInput: The text is no such policy.
    """
    if text == "manual":
        return None
    kind, _, duration = text.partition(":")
    match kind:
        case "ttl":
            return TimeToLive(parse_duration(duration))
        case "tti":
            return TimeToIdle(parse_duration(duration))
        case _:
            raise InvalidInput(f"not an expiration policy: {text[:80]!r}")


def format_time(moment: datetime) -> str:
    """Return an aware time as RFC 3339 in UTC, exact to the microsecond."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def parse_time(text: str) -> datetime:
    """Read an RFC 3339 time into UTC.

    Raises:
        InvalidInput: The text is no such time, or has no offset.
    """
    try:
        moment = datetime.fromisoformat(text)
        check_aware(moment, what="an RFC 3339 time")
        return moment.astimezone(UTC)
    except InvalidInput:
        raise
    except (ValueError, OverflowError):
        raise InvalidInput(f"not an RFC 3339 time: {text[:80]!r}") from None
