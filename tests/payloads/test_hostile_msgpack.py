"""Decoding trusts nothing: a value comes out, or a PayloadError."""

from __future__ import annotations

import struct
from contextlib import suppress

import msgpack
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from coatcheck.errors import PayloadError
from coatcheck.payloads import _msgpack
from coatcheck.payloads._msgpack import decode

untimed = settings(deadline=None)

MIB = 1024 * 1024
SECRET = b"hunter2-is-the-payload"


def refusal(body, max_bytes=MIB):
    with pytest.raises(PayloadError) as caught:
        decode(body, max_bytes=max_bytes)
    message = str(caught.value)
    assert caught.value.__cause__ is None
    assert SECRET.decode() not in message
    assert len(message) < 200
    return message


@pytest.mark.parametrize(
    "level",
    [b"\x91", b"\x81\xa1k", b"\xdc\x00\x01", b"\xdd\x00\x00\x00\x01", b"\xde\x00\x01\xa1k"],
)  # fmt: skip
@pytest.mark.parametrize("end", [b"\xc0", b""])
def test_endless_nesting_is_refused(level, end):
    """100 000 levels of lists or maps are refused, complete or not."""
    assert "nested too deeply" in refusal(level * 100_000 + end)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"\xd4\x05\x00", 5),
        (b"\xd5\x05\x00\x00", 5),
        (b"\xd8\x7f" + bytes(16), 127),
        (b"\xc7\x01\x00\x00", 0),
        (b"\xc8\x00\x01\xfe\x00", -2),
        (b"\xc9\x00\x00\x00\x01\x80\x00", -128),
    ],
)
@pytest.mark.parametrize("wrap", [b"", b"\x91", b"\x81\xa1k"])
def test_extension_types_are_refused(body, code, wrap):
    """No extension but the timestamp is decoded, at any place."""
    assert f"msgpack extension type {code}" in refusal(wrap + body)


@pytest.mark.parametrize(
    "body",
    [
        b"\xc7\x00\xff",
        b"\xc7\x05\xff" + bytes(5),
        b"\xc7\x0c\xff" + struct.pack(">Iq", 0, 2**63 - 1),
        b"\xc7\x0c\xff" + struct.pack(">Iq", 0, -(2**63)),
        b"\xc7\x0c\xff" + struct.pack(">Iq", 2**32 - 1, 0),
        b"\xd7\xff" + b"\xff" * 8,
    ],
)
def test_timestamps_that_are_none_are_refused(body):
    """A timestamp of a wrong length or beyond the calendar is malformed."""
    refusal(body)


@pytest.mark.parametrize(
    "body",
    [
        b"\x81\x01\x00",
        b"\x81\xc0\x00",
        b"\x81\x90\x00",
        b"\x81\x80\x00",
        b"\x81\xcb" + bytes(8) + b"\x00",
        b"\x81\xd6\xff" + bytes(4) + b"\x00",
    ],
)
def test_keys_of_other_types_are_refused(body):
    """Map keys that are neither text nor bytes are refused."""
    refusal(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        b"\xa5" + b"abcd",
        b"\xd9",
        b"\xdb\xff\xff\xff\xff" + SECRET,
        b"\xc6\xff\xff\xff\xff" + SECRET,
        b"\xc9\xff\xff\xff\xff\xff" + SECRET,
        b"\xdd\xff\xff\xff\xff" + SECRET,
        b"\xdf\xff\xff\xff\xff" + SECRET,
        b"\xa2\xff\xfe",
        b"\xa3\xed\xa0\x80",
        b"\xda\x00\x16" + b"\xff" + SECRET[1:],
    ],
)
def test_malformed_bytes_are_refused(body):
    """Bytes that are no msgpack, or promise more than there is, are refused."""
    refusal(body)


_WHOLE = msgpack.packb({"rows": [[1, 2.5, "three"], {b"k": SECRET}], "n": None})


@pytest.mark.parametrize("length", range(len(_WHOLE)))
def test_truncated_payloads_are_refused(length):
    """No beginning of a payload is a payload."""
    refusal(_WHOLE[:length])


@pytest.mark.parametrize("tail", [b"\x00", b"\xc0", b"\xc1", b"\xff" * 100, _WHOLE])
def test_trailing_bytes_are_refused(tail):
    """Something behind the value is refused and not shown."""
    assert "something follows the value" in refusal(_WHOLE + tail)


def test_size_is_bounded_before_decoding():
    """Too many bytes are refused whatever they are, and open() is named."""
    body = b"\xc1" * 101
    message = refusal(body, max_bytes=100)
    assert "has 101 bytes and max_payload_bytes is 100; use open()" in message


_MANY = 2_500_000


@pytest.mark.parametrize(
    "body",
    [
        b"\xdd" + struct.pack(">I", 2 * _MANY) + bytes(2 * _MANY),
        b"\x92" + (b"\xdd" + struct.pack(">I", _MANY) + bytes(_MANY)) * 2,
        b"\xdd" + struct.pack(">I", _MANY) + b"\x91\x00" * _MANY,
        b"\xdd" + struct.pack(">I", _MANY) + b"\x81\xa0\x00" * _MANY,
    ],
    ids=["one list", "two lists", "lists in a list", "maps in a list"],
)
def test_a_bomb_of_nodes_is_refused(body):
    """A few megabytes of tiny values are refused before they are too many objects."""
    refusal(body, max_bytes=64 * MIB)


@pytest.mark.parametrize("header", [b"\xdd\x00\x3d\x09\x00", b"\xdf\x00\x1e\x84\x80"])
def test_a_promise_of_many_elements_costs_nothing(header):
    """Containers that claim the most elements and hold none are refused."""
    refusal(header + b"\xa0" * (header[0] == 0xDF))
    refusal((header + b"\xa0" * (header[0] == 0xDF)) * 20)


def test_nodes_are_counted_to_the_last(monkeypatch):
    """As many elements as are allowed pass, one more is refused."""
    monkeypatch.setattr(_msgpack, "MAX_NODES", 100)
    half = [0] * 48
    assert decode(msgpack.packb([half, half, 0]), max_bytes=MIB) == [half, half, 0]
    message = refusal(msgpack.packb([half, half, [0, 0]]))
    assert "more than 100 elements" in message


@untimed
@given(st.binary(max_size=200))
@example(b"\xc1")
@example(_WHOLE[:-1])
def test_random_bytes_are_a_value_or_refused(body):
    """Whatever the bytes, the answer is a value or a PayloadError."""
    with suppress(PayloadError):
        decode(body, max_bytes=MIB)


@untimed
@given(st.integers(0, len(_WHOLE) - 1), st.integers(1, 255))
def test_a_damaged_payload_is_a_value_or_refused(place, change):
    """A byte changed anywhere gives another value or a PayloadError, no other error."""
    body = bytearray(_WHOLE)
    body[place] ^= change
    with suppress(PayloadError):
        decode(bytes(body), max_bytes=MIB)


_MARKERS = st.sampled_from([bytes([code]) for code in range(0x80, 0x100)])


@untimed
@given(st.lists(_MARKERS | st.binary(max_size=4), max_size=60).map(b"".join))
def test_random_structures_are_a_value_or_refused(body):
    """Bytes that are mostly headers of containers are survived too."""
    with suppress(PayloadError):
        decode(body, max_bytes=MIB)
