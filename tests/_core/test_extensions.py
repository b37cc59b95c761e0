"""Living on: never shorter, TimeToLive grows, TimeToIdle stays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coatcheck._core.expiry import TimeToIdle, TimeToLive, deadline_from
from coatcheck._core.extensions import FromCreation, FromNow, Until, extended
from coatcheck.errors import ExpiryNotExtendable, InvalidInput

untimed = settings(deadline=None)

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
CREATED = datetime(2026, 1, 1, 0, 0, 0, 250_000, tzinfo=UTC)
NOW = CREATED + HOUR / 2
durations = st.integers(1, 10**6).map(lambda count: timedelta(seconds=count))
policies = st.builds(TimeToLive, durations) | st.builds(TimeToIdle, durations)
spans = st.integers(0, 10**13).map(lambda us: timedelta(microseconds=us))
extensions = (
    st.builds(FromNow, spans)
    | st.builds(FromCreation, spans)
    | st.builds(Until, spans.map(lambda span: CREATED + span))
)


def extend(expiry, extension, deadline=None):
    if deadline is None:
        deadline = deadline_from(expiry, CREATED)
    return extended(expiry, deadline, extension, created=CREATED, now=NOW)


@untimed
@given(policies, extensions, spans)
def test_an_extension_never_shortens(expiry, extension, later):
    """Whatever is asked, the deadline is the same or a later one."""
    deadline = deadline_from(expiry, CREATED) + later
    kind, found = extend(expiry, extension, deadline)
    assert found >= deadline
    assert type(kind) is type(expiry)
    assert found == deadline or found - deadline < timedelta(days=150)


@untimed
@given(durations, extensions)
def test_a_time_to_live_grows_with_its_deadline(duration, extension):
    """The policy still counts from the creation, to the second."""
    expiry, deadline = extend(TimeToLive(duration), extension)
    assert deadline == CREATED + expiry.duration


@untimed
@given(durations, extensions)
def test_a_time_to_idle_stays(duration, extension):
    """Only the deadline moves, and the next renewals count as before."""
    assert extend(TimeToIdle(duration), extension)[0] == TimeToIdle(duration)


@pytest.mark.parametrize(
    ("extension", "deadline"),
    [
        (Until(NOW + HOUR), CREATED + HOUR * 1.5),
        (Until((NOW + HOUR).astimezone(timezone(HOUR * 9))), CREATED + HOUR * 1.5),
        (FromNow(HOUR), CREATED + HOUR * 1.5),
        (FromNow(HOUR + SECOND / 2), CREATED + HOUR * 1.5),
        (FromCreation(HOUR * 3), CREATED + HOUR * 3),
        (FromCreation(HOUR), CREATED + HOUR),
        (FromCreation(timedelta(0)), CREATED + HOUR),
        (FromNow(timedelta(0)), CREATED + HOUR),
        (Until(CREATED - HOUR), CREATED + HOUR),
    ],
)
def test_targets(extension, deadline):
    """What each kind of extension means for an hour's TimeToLive."""
    assert extend(TimeToLive(HOUR), extension) == (
        TimeToLive(deadline - CREATED),
        deadline,
    )


def test_an_idle_deadline_is_rounded_up():
    """A later deadline is a whole second that is not before what was asked."""
    _, deadline = extend(TimeToIdle(HOUR), FromNow(HOUR))
    assert deadline == (NOW + HOUR).replace(microsecond=0) + SECOND


def test_what_never_expires_cannot_be_extended():
    """Without a policy there is no deadline to move."""
    with pytest.raises(ExpiryNotExtendable):
        extend(None, FromNow(HOUR))


@pytest.mark.parametrize(
    "make",
    [
        lambda: FromNow(-SECOND),
        lambda: FromCreation(timedelta(microseconds=-1)),
        lambda: FromNow(3),
        lambda: Until(datetime(2026, 1, 1)),  # noqa: DTZ001
        lambda: Until("2026-01-01"),
        lambda: extend(TimeToLive(HOUR), FromNow(timedelta(days=40_000))),
        lambda: extend(TimeToIdle(HOUR), FromNow(timedelta.max)),
    ],
)
def test_bad_extensions(make):
    """Negative, naive and endless ones are refused."""
    with pytest.raises(InvalidInput):
        make()
