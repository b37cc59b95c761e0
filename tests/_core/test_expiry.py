"""Deadlines, debounced renewal, and how policies, durations and times are spelled."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from coatcheck._core import expiry as expiries
from coatcheck._core.expiry import TimeToIdle, TimeToLive
from coatcheck.errors import InvalidInput

untimed = settings(deadline=None)

SECOND = timedelta(seconds=1)
LONGEST = timedelta(days=36_500)
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)

durations = st.integers(1, 36_500 * 86_400).map(lambda count: timedelta(seconds=count))
policies = st.builds(TimeToLive, durations) | st.builds(TimeToIdle, durations)
moments = st.integers(0, 10**16).map(lambda us: EPOCH + timedelta(microseconds=us))
offsets = st.integers(-1439, 1439).map(lambda count: timezone(timedelta(minutes=count)))
deadlines = st.none() | moments


@untimed
@given(policies, moments)
def test_a_deadline_is_the_first_moment_of_absence(expiry, since):
    """From its deadline on an object is expired, and not a microsecond before."""
    deadline = expiries.deadline_from(expiry, since)
    assert deadline == since + expiry.duration
    assert not expiries.is_expired(deadline, since)
    assert not expiries.is_expired(deadline, deadline - timedelta(microseconds=1))
    assert expiries.is_expired(deadline, deadline)
    assert expiries.is_expired(deadline, deadline + timedelta(days=1))


@untimed
@given(moments)
def test_without_a_policy_nothing_expires(now):
    """No policy gives no deadline, and no deadline never comes."""
    assert expiries.deadline_from(None, now) is None
    assert not expiries.is_expired(None, now)


@untimed
@given(deadlines, deadlines, deadlines)
def test_later_is_a_maximum(one, other, third):
    """The later deadline is one of the two, in any order and grouping."""
    later = expiries.later
    assert later(one, other) in (one, other)
    assert later(one, other) == later(other, one)
    assert later(one, one) == one
    assert later(later(one, other), third) == later(one, later(other, third))
    assert later(one, None) is None


@untimed
@given(deadlines, deadlines, moments)
def test_the_later_deadline_outlives_both(one, other, now):
    """What has the later deadline is expired only when both would be."""
    both = expiries.is_expired(one, now) and expiries.is_expired(other, now)
    assert expiries.is_expired(expiries.later(one, other), now) == both


@untimed
@given(deadlines, deadlines)
@example(None, None)
@example(EPOCH, None)
@example(EPOCH, EPOCH)
def test_is_later_is_a_strict_order(one, other):
    """Of two different deadlines exactly one is later; equal ones are not."""
    is_later = expiries.is_later
    assert not (is_later(one, other) and is_later(other, one))
    assert is_later(one, other) or is_later(other, one) or one == other
    assert not is_later(one, one)
    assert is_later(one, other) == (one != other and expiries.later(one, other) == one)


@pytest.mark.parametrize(
    ("one", "other", "answer"),
    [
        (None, EPOCH, True),
        (EPOCH, None, False),
        (EPOCH + SECOND, EPOCH, True),
        (EPOCH, EPOCH + SECOND, False),
        (EPOCH, EPOCH.astimezone(timezone(timedelta(hours=2))), False),
    ],
)
def test_none_is_later_than_any_deadline(one, other, answer):
    """No deadline at all is the latest, and zones do not matter."""
    assert expiries.is_later(one, other) is answer


@untimed
@given(st.builds(TimeToIdle, durations), moments, st.floats(0, 1))
def test_renewal_is_debounced(expiry, now, share):
    """A read renews when a quarter of the idle time, at most a day, has gone."""
    gone = expiry.duration * share
    deadline = now - gone + expiry.duration
    debounce = min(expiry.duration / 4, timedelta(days=1))
    renewed = expiries.renewed(expiry, deadline, now)
    assert (renewed is not None) == (gone > debounce)
    assert renewed in (None, now + expiry.duration)


@pytest.mark.parametrize(
    ("idle", "debounce"),
    [(4, 1), (4 * 3600, 3600), (4 * 86_400, 86_400), (30 * 86_400, 86_400)],
)
def test_the_debounce_is_exact(idle, debounce):
    """Renewal begins behind a quarter of the idle time, and behind a whole day."""
    expiry, tick = TimeToIdle(idle * SECOND), timedelta(microseconds=1)
    now = EPOCH + debounce * SECOND
    assert expiries.renewed(expiry, EPOCH + expiry.duration, now) is None
    assert expiries.renewed(expiry, EPOCH + expiry.duration, now + tick) is not None


@untimed
@given(policies, deadlines, moments)
def test_renewal_only_ever_extends(expiry, deadline, now):
    """No read makes an object expire earlier than it would have."""
    renewed = expiries.renewed(expiry, deadline, now)
    if renewed is not None:
        assert expiries.is_later(renewed, deadline)
        assert expiries.renewed(expiry, renewed, now) is None


@untimed
@given(st.builds(TimeToLive, durations) | st.none(), deadlines, moments)
def test_only_time_to_idle_renews(expiry, deadline, now):
    """Reads leave the deadline of a TimeToLive, and no deadline, alone."""
    assert expiries.renewed(expiry, deadline, now) is None


@untimed
@given(st.builds(TimeToIdle, durations), moments)
def test_an_object_without_a_deadline_gets_none_by_reading(expiry, now):
    """A missing deadline is not invented by a read."""
    assert expiries.renewed(expiry, None, now) is None


@untimed
@given(durations)
def test_durations_come_back(duration):
    """A duration is what its text parses to."""
    assert expiries.parse_duration(expiries.format_duration(duration)) == duration


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("1d 2h 3m 4s", timedelta(days=1, hours=2, minutes=3, seconds=4)),
        ("30d", timedelta(days=30)),
        ("1m 30s", timedelta(seconds=90)),
        ("0s", timedelta(0)),
        ("36500d", LONGEST),
    ],
)
def test_durations_are_spelled_as_objectstore_spells_them(text, duration):
    """Days, hours, minutes and seconds, without the parts that are zero."""
    assert expiries.format_duration(duration) == text
    assert expiries.parse_duration(text) == duration


@pytest.mark.parametrize(
    ("text", "duration"), [("90s", 90), ("1h30m", 5400), (" 5s ", 5), ("24h 60m", 90_000)]
)  # fmt: skip
def test_other_spellings_of_a_duration_are_read(text, duration):
    """Parts may be large or stand together."""
    assert expiries.parse_duration(text) == timedelta(seconds=duration)


_BAD_DURATIONS = [
    *("", " ", "5", "s", "-1s", "+1s", "1.5s", "1s 1d", "1d 1d", "1w", "1ms", "1 d"),
    *("1d,2h", "1D", "P1D", "1s\x00", "36501d", "999999999d", "9" * 10 + "s"),
    *("9" * 10_000 + "s", "1s" + " " * 10_000 + "x"),
]


@pytest.mark.parametrize("text", _BAD_DURATIONS, ids=lambda text: ascii(text)[:20])
def test_bad_durations_are_refused(text):
    """What is no duration, or longer than 100 years, is refused shortly."""
    with pytest.raises(InvalidInput) as caught:
        expiries.parse_duration(text)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("policy", [TimeToLive, TimeToIdle])
@pytest.mark.parametrize(
    "duration",
    [
        timedelta(0),
        -SECOND,
        timedelta(milliseconds=999),
        timedelta(seconds=1, microseconds=1),
        LONGEST + SECOND,
        timedelta.max,
        5,
        5.0,
        "5s",
        None,
    ],
)
def test_a_policy_has_whole_seconds_in_bounds(policy, duration):
    """A policy is made of one second to 100 years, in whole seconds, or not at all."""
    with pytest.raises(InvalidInput, match="duration"):
        policy(duration)


@pytest.mark.parametrize("policy", [TimeToLive, TimeToIdle])
def test_the_bounds_themselves_are_allowed(policy):
    """One second and 36 500 days are durations."""
    assert policy(SECOND).duration == SECOND
    assert policy(LONGEST).duration == LONGEST


@untimed
@given(policies)
def test_policies_come_back(expiry):
    """A policy is what its text parses to, and the two kinds are never equal."""
    text = expiries.format_expiry(expiry)
    assert expiries.parse_expiry(text) == expiry
    other = TimeToIdle if isinstance(expiry, TimeToLive) else TimeToLive
    assert expiries.parse_expiry(text) != other(expiry.duration)


def test_policies_are_spelled_as_objectstore_spells_them():
    """Policies are `ttl:` or `tti:` with a duration, and `manual` is none."""
    assert expiries.format_expiry(TimeToLive(timedelta(hours=1))) == "ttl:1h"
    assert expiries.format_expiry(TimeToIdle(timedelta(days=30))) == "tti:30d"
    assert expiries.parse_expiry("manual") is None


@pytest.mark.parametrize(
    "text", ["", "ttl", "ttl:", "ttl:0s", "tti:x", "TTL:1s", "manual:1s", "x:1s", ":1s"]
)
def test_bad_policies_are_refused(text):
    """What is no policy is refused."""
    with pytest.raises(InvalidInput):
        expiries.parse_expiry(text)


@untimed
@given(moments, offsets)
def test_times_come_back(moment, offset):
    """A time is what its text parses to, whatever its zone, to the microsecond."""
    text = expiries.format_time(moment.astimezone(offset))
    assert text.endswith("Z")
    parsed = expiries.parse_time(text)
    assert parsed == moment
    assert parsed.tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "2026-01-01", "2026-01-01T00:00:00", "2026-13-01T00:00:00Z", "0"],
)
def test_bad_times_are_refused(text):
    """What is no time with an offset is refused."""
    with pytest.raises(InvalidInput):
        expiries.parse_time(text)


@pytest.mark.parametrize(
    "text", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"]
)
def test_times_beyond_the_calendar_are_refused(text):
    """A time that UTC cannot hold is refused like any other bad time."""
    with pytest.raises(InvalidInput):
        expiries.parse_time(text)


@untimed
@given(
    st.sampled_from(["parse_duration", "parse_expiry", "parse_time"]),
    st.text(max_size=40) | st.text("0123456789dhmstiTZ:+-. ", max_size=40),
)
def test_any_text_is_read_or_refused(parser, text):
    """Whatever stands in somebody's header, reading it gives a value or a refusal."""
    with suppress(InvalidInput):
        getattr(expiries, parser)(text)


def test_the_default_clock_is_aware():
    """The machine's clock is told in UTC."""
    assert expiries.utc_now().tzinfo is UTC


def test_a_naive_time_is_refused_by_name():
    """A time without a timezone is refused under its own name."""
    with pytest.raises(InvalidInput, match="deadline must have a timezone"):
        expiries.check_aware(datetime(2026, 1, 1), what="deadline")  # noqa: DTZ001
