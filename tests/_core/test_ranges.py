"""Byte ranges mean what RFC 9110 says."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coatcheck._core.ranges import (
    ByteOffset,
    ByteSpan,
    ByteSuffix,
    parse_range,
    range_header,
    resolve_range,
)
from coatcheck.errors import InvalidRange

untimed = settings(deadline=None)

counts = st.integers(0, 30)
ranges = (
    st.tuples(counts, st.integers(1, 30)).map(lambda two: ByteSpan(two[0], sum(two)))
    | st.builds(ByteOffset, counts)
    | st.builds(ByteSuffix, st.integers(1, 30))
)


def sliced(body, byte_range):
    """What Python's slices make of the range."""
    match byte_range:
        case ByteSpan(start, stop):
            return body[start:stop]
        case ByteOffset(start):
            return body[start:]
        case ByteSuffix(length):
            return body[-length:]


@untimed
@given(ranges, counts)
def test_a_range_is_a_slice_or_an_error(byte_range, size):
    """A range gives the bytes of the slice, and an error where the slice is empty."""
    body = bytes(range(size))
    expected = sliced(body, byte_range)
    if not expected:
        with pytest.raises(InvalidRange):
            resolve_range(byte_range, size)
        return
    found = resolve_range(byte_range, size)
    assert body[found.start : found.stop] == expected
    assert (len(found), found.step) == (len(expected), 1)


@untimed
@given(ranges)
def test_no_range_fits_an_empty_object(byte_range):
    """An empty object has no bytes to ask for."""
    with pytest.raises(InvalidRange, match="an object of 0 bytes"):
        resolve_range(byte_range, 0)


@pytest.mark.parametrize(
    ("byte_range", "found"),
    [
        (ByteSpan(0, 1), range(1)),
        (ByteSpan(0, 10), range(10)),
        (ByteSpan(9, 11), range(9, 10)),
        (ByteSpan(3, 2**63), range(3, 10)),
        (ByteOffset(0), range(10)),
        (ByteOffset(9), range(9, 10)),
        (ByteSuffix(1), range(9, 10)),
        (ByteSuffix(10), range(10)),
        (ByteSuffix(11), range(10)),
    ],
)
def test_a_range_is_cut_at_the_end(byte_range, found):
    """A stop beyond the end, or a suffix beyond the start, is cut."""
    assert resolve_range(byte_range, 10) == found


@pytest.mark.parametrize("byte_range", [ByteSpan(10, 11), ByteOffset(10)])
def test_a_start_at_the_end_is_refused(byte_range):
    """A range that begins behind the last byte has no bytes."""
    with pytest.raises(InvalidRange, match="lies outside an object of 10 bytes"):
        resolve_range(byte_range, 10)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ByteSpan(-1, 1),
        lambda: ByteSpan(1, 1),
        lambda: ByteSpan(2, 1),
        lambda: ByteOffset(-1),
        lambda: ByteSuffix(0),
        lambda: ByteSuffix(-1),
    ],
)
def test_a_range_without_bytes_cannot_be_made(make):
    """Negative and empty ranges are refused where they are made."""
    with pytest.raises(InvalidRange):
        make()


@untimed
@given(ranges)
def test_headers_are_read_as_they_were_written(byte_range):
    """A Range header means the range that it was made of, in whatever case."""
    assert parse_range(range_header(byte_range)) == byte_range
    assert parse_range(f" {range_header(byte_range).upper()} ") == byte_range


@pytest.mark.parametrize("header", ["bytes=0-1,2-3", "bytes=0-1, -5", "BYTES=-1,-2"])
def test_several_ranges_are_the_whole(header):
    """What asks for several ranges is answered with all."""
    assert parse_range(header) is None


@pytest.mark.parametrize(
    "header",
    [
        *(
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "=0-1",
            "0-1",
            "lines=0-1",
            "lines=0-1,2-3",
        ),
        *("bytes=5-4", "bytes=-0", "bytes=a-b", "bytes=1-2-3", "bytes=+1-2", "bytes=1"),
        *(
            "bytes=0x1-2",
            "bytes=1 -2",
            "bytes=\u0661-",
            f"bytes={'9' * 40}-",
            "bytes==1-2",
        ),
    ],
)
def test_headers_that_are_no_ranges(header):
    """Anything else is refused."""
    with pytest.raises(InvalidRange):
        parse_range(header)
