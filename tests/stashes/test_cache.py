"""What is kept of stashes that were read: how much, how long, and for whom."""

from __future__ import annotations

import gc
import tracemalloc
from dataclasses import replace
from datetime import timedelta

import pytest

from coatcheck import TimeToIdle, TimeToLive
from coatcheck._core.objects import ObjectInfo
from coatcheck.stashes import _cache
from coatcheck.stashes._cache import LARGEST_SHARE, OVERHEAD, Claimed, StashCache

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
PINS = ("0" * 32, None, None)


class Ticks:
    """A clock that is never set back, in the hands of a test."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(_cache, "monotonic", lambda: self.now)


@pytest.fixture
def ticks(monkeypatch):
    """What the cache takes for the monotonic clock."""
    return Ticks(monkeypatch)


def spot(name="n"):
    return "s3", "bucket", f"{name}.{'0' * 32}"


def claimed(clock, ticks, *, body=b"x" * 100, expiry=None, deadline=None, **fields):
    info = ObjectInfo(
        key="key",
        size=len(body),
        etag="etag",
        modified=clock(),
        created=clock(),
        content_type="application/msgpack",
        expiry=expiry,
        deadline=deadline,
        **fields,
    )
    return Claimed(body, info, clock(), ticks.now)


def test_what_was_read_is_served(clock, ticks):
    """With all that a stash tells about itself."""
    cache = StashCache(100_000, MINUTE)
    read = claimed(clock, ticks, custom={"a": "b"}, origin="o", filename="f")
    cache.keep(spot(), PINS, read, clock())
    found = cache.find(spot(), PINS, clock())
    assert found.body is read.body
    told = ("content_type", "created", "deadline", "expiry")
    for name in told:
        assert getattr(found.info, name) == getattr(read.info, name)
    assert cache.find(spot("other"), PINS, clock()) is None


@pytest.mark.parametrize(
    "pins", [("1" * 32, None, None), ("0" * 32, "a" * 64, 100), ("0" * 32, None, 1)]
)
def test_other_pins_are_not_served(clock, ticks, pins):
    """Bytes were held against the pins of the address that was read, and no other."""
    cache = StashCache(100_000, MINUTE)
    cache.keep(spot(), PINS, claimed(clock, ticks), clock())
    assert cache.find(spot(), pins, clock()) is None
    assert cache.find(spot(), PINS, clock()) is not None


def test_nothing_is_served_at_its_deadline(clock, ticks):
    """The deadline is the first moment of absence, here as in the store."""
    cache = StashCache(100_000, HOUR)
    live = TimeToLive(MINUTE)
    deadline = clock() + MINUTE
    read = claimed(clock, ticks, expiry=live, deadline=deadline)
    cache.keep(spot(), PINS, read, clock())
    clock.advance(MINUTE - timedelta(microseconds=1))
    assert cache.find(spot(), PINS, clock()) is not None
    clock.advance(timedelta(microseconds=1))
    assert cache.find(spot(), PINS, clock()) is None


def test_a_read_that_would_renew_is_not_served(clock, ticks):
    """From a quarter of the idle time on the store is asked, which renews."""
    cache = StashCache(100_000, 2 * HOUR)
    idle = TimeToIdle(HOUR)
    read = claimed(clock, ticks, expiry=idle, deadline=clock() + HOUR)
    cache.keep(spot(), PINS, read, clock())
    clock.advance(HOUR / 4)
    assert cache.find(spot(), PINS, clock()) is not None
    clock.advance(1)
    assert cache.find(spot(), PINS, clock()) is None
    # What was read just now has its old deadline: it has been renewed since.
    cache.keep(spot(), PINS, replace_times(read, clock, ticks), clock())
    assert len(cache) == 0


def replace_times(read, clock, ticks):
    return read._replace(asked=clock(), ticks=ticks.now)


def test_nothing_is_served_longer_than_the_ttl(clock, ticks):
    """It counts from the moment when the read began, by both clocks."""
    cache = StashCache(100_000, MINUTE)
    read = claimed(clock, ticks)
    clock.advance(20)
    cache.keep(spot(), PINS, read, clock())
    clock.advance(39.999)
    assert cache.find(spot(), PINS, clock()) is not None
    clock.advance(0.001)
    assert cache.find(spot(), PINS, clock()) is None
    assert (len(cache), cache.used) == (0, 0)


def test_a_clock_that_is_set_back_does_not_stretch_the_ttl(clock, ticks):
    """The clock of deadlines may jump; the other one goes on."""
    cache = StashCache(100_000, MINUTE)
    cache.keep(spot(), PINS, claimed(clock, ticks), clock())
    clock.advance(-HOUR)
    ticks.now += 59.9
    assert cache.find(spot(), PINS, clock()) is not None
    ticks.now += 0.1
    assert cache.find(spot(), PINS, clock()) is None


def test_a_read_that_took_too_long_is_not_kept(clock, ticks):
    """It would be stale at once."""
    cache = StashCache(100_000, MINUTE)
    read = claimed(clock, ticks)
    clock.advance(MINUTE)
    cache.keep(spot(), PINS, read, clock())
    assert len(cache) == 0


def test_the_one_not_used_for_longest_goes_first(clock, ticks):
    """The bound is kept at all times, and use counts, not age."""
    room = 10
    cache = StashCache(room * 4000, MINUTE)
    body = b"x" * 1000
    for number in range(room):
        read = claimed(clock, ticks, body=body)
        cache.keep(spot(f"n{number}"), PINS, read, clock())
    assert len(cache) >= room
    kept = len(cache)
    assert cache.find(spot("n0"), PINS, clock()) is not None
    for number in range(room, 3 * kept):
        read = claimed(clock, ticks, body=body)
        cache.keep(spot(f"n{number}"), PINS, read, clock())
        assert cache.used <= room * 4000
        cache.find(spot("n0"), PINS, clock())
    assert cache.find(spot("n0"), PINS, clock()) is not None
    assert cache.find(spot("n1"), PINS, clock()) is None
    assert cache.find(spot(f"n{3 * kept - 1}"), PINS, clock()) is not None


def test_what_is_large_is_not_kept(clock, ticks):
    """An entry takes no more than its share, overhead included."""
    cache = StashCache(LARGEST_SHARE * 10_000, MINUTE)
    fits = claimed(clock, ticks, body=b"x" * (10_000 - OVERHEAD - 500))
    cache.keep(spot("a"), PINS, fits, clock())
    assert len(cache) == 1
    large = claimed(clock, ticks, body=b"x" * (10_000 - OVERHEAD + 1))
    cache.keep(spot("b"), PINS, large, clock())
    assert len(cache) == 1
    # It takes the place of nothing, not even of its own former self.
    cache.keep(spot("a"), PINS, large, clock())
    assert (len(cache), cache.used) == (0, 0)


def test_keeping_again_replaces(clock, ticks):
    """One entry a spot, counted once."""
    cache = StashCache(100_000, MINUTE)
    cache.keep(spot(), PINS, claimed(clock, ticks), clock())
    used = cache.used
    clock.advance(30)
    cache.keep(spot(), PINS, claimed(clock, ticks), clock())
    assert (len(cache), cache.used) == (1, used)
    clock.advance(40)
    assert cache.find(spot(), PINS, clock()) is not None


def test_forgetting(clock, ticks):
    """One, all of a prefix, or everything; the rest stays, and the sum is right."""
    cache = StashCache(100_000, MINUTE)
    names = ("a/1", "a/2", "ab", "b")
    for name in names:
        cache.keep(spot(name), PINS, claimed(clock, ticks), clock())
    for other in (("file", "bucket", "a/3"), ("s3", "other", "a/3")):
        cache.keep(other, PINS, claimed(clock, ticks), clock())
    cache.forget(spot("b"))
    cache.forget(spot("never"))
    assert len(cache) == 5
    cache.forget_all(("s3", "bucket", "a/"))
    assert len(cache) == 3
    assert cache.find(spot("ab"), PINS, clock()) is not None
    cache.clear()
    assert (len(cache), cache.used) == (0, 0)


@pytest.mark.parametrize("text", ["", "ü" * 200, "\N{COAT}" * 200])
def test_the_sum_counts_what_is_really_taken(clock, ticks, text):
    """Small bodies and long texts take no more memory than the sum tells."""
    cache = StashCache(100_000_000, MINUTE)
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(2000):
            key = f"{number}{text}"
            read = claimed(
                clock,
                ticks,
                body=number.to_bytes(8),
                deadline=clock() + HOUR * (1 + number),
                expiry=TimeToLive(HOUR),
                custom={f"k{number}": "v" * 500},
                filename=f"{number}" * 100,
            )
            read = read._replace(info=replace(read.info, key=key, etag=key * 3))
            place = ("s3", "bucket" * 3, key)
            cache.keep(place, (f"{number:032x}", None, None), read, clock())
            del read, key, place
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(cache) == 2000
    assert after - before <= cache.used
