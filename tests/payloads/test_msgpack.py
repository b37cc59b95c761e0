"""Payloads are encoded byte for byte as kstash encodes them, or refused."""

from __future__ import annotations

import enum
import hashlib
from collections import OrderedDict
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import msgpack
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from coatcheck.errors import PayloadError
from coatcheck.payloads import _msgpack
from coatcheck.payloads._msgpack import decode, encode

untimed = settings(deadline=None)

MIB = 1024 * 1024
SECRET = "hunter2-is-the-payload"

# What kstash 0.2.0 makes of each payload: its bytes, and their MD5.
KSTASH_VECTORS = [
    (None, "c0", "4843a4868714fa7589e8ef87756bcacf"),
    (True, "c3", "d78276f56f8ec8d4f8cca375e4534366"),
    (False, "c2", "6465dad1d31752be3f3283e8f70feef7"),
    (0, "00", "93b885adfe0da089cdf634904fd59f71"),
    (-1, "ff", "00594fd4f42ba43fc1ca0427a0576295"),
    (127, "7f", "83acb6e67e50e31db6ed341dd2de1595"),
    (128, "cc80", "d728844a6a8a2c886510f9fbb464306d"),
    (18446744073709551615, "cfffffffffffffffff", "43909dd23919473a9ca4677071417038"),
    (-9223372036854775808, "d38000000000000000", "db96fd8956bad6d9386f3edcedd78fc7"),
    (1.0, "cb3ff0000000000000", "e815f4c375c1f150bffc8b9157953e36"),
    ("", "a0", "9af7c117d9de9a06fba7a5f1ea5fcc2d"),
    ("a", "a161", "0cd7b1bb98bda103d775f05b7aeba4d3"),
    ("héllo", "a668c3a96c6c6f", "fa04aa12e056249e739801ba8f8a3c2d"),
    (b"", "c400", "ec389917de55cd6c07bcedd943251994"),
    (b"\x00\xff", "c40200ff", "f1a69fbcd4c1047a4523821cbd5de7dc"),
    ([], "90", "bc9abf1be59ffce180251d4cce755fe2"),
    ([1, "a", None], "9301a161c0", "d4dd6f704af29ce0a35639f370f0fa8e"),
    ({}, "80", "8d39dd7eef115ea6975446ef4082951f"),
    ({"b": 1, "a": [True, 2.5]}, "82a16201a16192c3cb4004000000000000", "295e0b86b19cdde7e922fdfe895822d5"),
    ((1, 2), "920102", "0923be3a103183df103cf4053f95f1c4"),
    ({"k": b"bin"}, "81a16bc40362696e", "a199e739e2cc979e1ba8bc9cb8ac2c21"),
]  # fmt: skip

KSTASH_DIGESTS = [
    ({"as_of": "today", "bin": b"0" * 524288}, "c6ab205fe81dcad3eec3ab48b96b0618"),
    ({"data": 123}, "34472d91b2f84052bf26d4eaa862ef86"),
    ("data", "266f01c5105567ba27fece1c0383227f"),
    ("v" * 200, "c384252d094702bb1c7823099c29fa9c"),
]

texts = st.text(max_size=30)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | texts
    | st.binary(max_size=30)
)
payloads = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(texts | st.binary(max_size=8), inner, max_size=5)
    ),
    max_leaves=25,
)
moments = st.integers(-(10**15), 10**15).map(
    lambda count: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(microseconds=count)
)


def encoded(data, max_bytes=MIB):
    return encode(data, max_bytes=max_bytes)


def refusal(data, max_bytes=MIB):
    with pytest.raises(PayloadError) as caught:
        encode(data, max_bytes=max_bytes)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return str(caught.value)


@pytest.mark.parametrize(("data", "wire", "md5"), KSTASH_VECTORS, ids=repr)
def test_kstash_vectors_hold(data, wire, md5):
    """Each payload becomes kstash's bytes, and kstash's bytes become the payload."""
    body = encoded(data)[0]
    assert body.hex() == wire
    assert hashlib.md5(body).hexdigest() == md5
    expected = list(data) if isinstance(data, tuple) else data
    assert decode(bytes.fromhex(wire), max_bytes=MIB) == expected


@pytest.mark.parametrize(
    ("data", "md5"), KSTASH_DIGESTS, ids=lambda part: str(part)[:9]
)
def test_kstash_digests_hold(data, md5):
    """The digests of kstash's README and tests come out."""
    assert hashlib.md5(encoded(data)[0]).hexdigest() == md5


@untimed
@given(payloads)
@example(-0.0)
@example({"": {b"": [[], {}]}})
def test_payloads_come_back(data):
    """A payload comes back equal, in the same order, with the types it had."""
    found = encoded(data)
    assert found[1] == data
    assert decode(found[0], max_bytes=MIB) == data
    assert repr(found[1]) == repr(data)


@untimed
@given(payloads)
def test_bytes_are_those_of_plain_msgpack(data):
    """Nothing is added to, or sorted in, what msgpack itself would write."""
    assert encoded(data)[0] == msgpack.packb(data)


def test_what_is_decoded_is_not_the_callers():
    """The data beside the body shares no container with what was given."""
    given_ = {"list": [1, [2]], "map": {"k": []}}
    found = encoded(given_)
    given_["list"][1].append(3)
    given_["map"]["k"].append(4)
    assert found[1] == {"list": [1, [2]], "map": {"k": []}}


class Word(str):
    """A subclass of a built-in type."""

    __slots__ = ()


class Colour(enum.IntEnum):
    """An enumeration of integers."""

    RED = 1


@pytest.mark.parametrize(
    ("given_", "back"),
    [
        ((1, (2,)), [1, [2]]),
        (bytearray(b"a"), b"a"),
        (memoryview(b"a"), b"a"),
        (Word("a"), "a"),
        (Colour.RED, 1),
        (OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_relatives_come_back_as_built_in_types(given_, back):
    """Tuples become lists, buffers bytes, and subclasses their built-in type."""
    data = encoded(given_)[1]
    assert data == back
    assert type(data) is type(back)


@untimed
@given(moments, st.integers(-1439, 1439))
@example(datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), 0)
def test_aware_datetimes_come_back_in_utc(moment, offset):
    """An aware datetime is a timestamp, exact to the microsecond, read in UTC."""
    data = encoded({"at": moment.astimezone(timezone(timedelta(minutes=offset)))})[1]
    assert data["at"] == moment
    assert data["at"].utcoffset() == timedelta(0)


@pytest.mark.parametrize("data", [float("inf"), float("-inf"), float("nan")])
def test_odd_floats_come_back(data):
    """Infinities and NaN are floats like others."""
    assert repr(encoded(data)[1]) == repr(data)


@pytest.mark.parametrize(
    ("key", "kind"),
    [(1, "int"), (None, "NoneType"), (True, "bool"), (1.5, "float"), ((1,), "tuple")],
)
def test_keys_are_text_or_bytes(key, kind):
    """Other map keys are refused, with their type and place."""
    message = refusal({"a": [{"b": 0, key: SECRET}]})
    assert f"key #1 of data[key #0][0] is of type {kind}" in message
    assert SECRET not in message


@pytest.mark.parametrize("key", [datetime(2026, 1, 1, tzinfo=UTC), Decimal(1)])
def test_keys_of_other_types_are_refused(key):
    """What is encodable as a value, or not at all, is no key."""
    assert "map keys are str or bytes" in refusal({key: SECRET})


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**400])
def test_integers_beyond_64_bits_are_refused(number):
    """Integers that msgpack cannot carry are refused without being shown."""
    message = refusal([SECRET, number])
    assert "data[1] is an integer outside -2**63 to 2**64-1" in message
    assert str(number % 10**40) not in message


@pytest.mark.parametrize("part", [f"{SECRET}\ud800", {f"{SECRET}\udfff": 1}])
def test_lone_surrogates_are_refused(part):
    """Text that is no Unicode is refused, as value and as key, without being shown."""
    message = refusal({"a": part})
    assert "lone surrogate" in message
    assert SECRET not in message


@pytest.mark.parametrize(
    ("part", "kind"),
    [
        ({SECRET}, "set"),
        (Decimal(1), "Decimal"),
        (object(), "object"),
        (1j, "complex"),
        (timedelta(1), "timedelta"),
        (datetime(2026, 1, 1, tzinfo=UTC).date(), "date"),
        (Exception(SECRET), "Exception"),
        (lambda: SECRET, "function"),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_other_types_are_refused(part, kind):
    """A type that would not come back is refused with its name and place."""
    message = refusal([SECRET, {"k": part}])
    assert f"data[1][key #0] is of type {kind}; convert it first" in message
    assert SECRET not in message


def test_naive_datetimes_are_refused():
    """A datetime without a timezone means nothing elsewhere."""
    naive = datetime(2026, 1, 1)  # noqa: DTZ001
    assert "data[0] is a datetime without a timezone" in refusal([naive])


@pytest.mark.parametrize("nest", [lambda inner: [inner], lambda inner: {"k": inner}])
def test_depth_is_bounded(nest):
    """500 levels come back, 5 000 are refused."""
    deep = SECRET
    for _ in range(500):
        deep = nest(deep)
    assert encoded(deep)[1] == deep
    for _ in range(4500):
        deep = nest(deep)
    message = refusal(deep)
    assert "nested too deeply" in message
    assert SECRET not in message


def test_a_list_in_itself_is_refused():
    """A list that holds itself has no end and is refused."""
    endless = [SECRET]
    endless.append(endless)
    assert "nested too deeply" in refusal(endless)


def test_a_refusal_stays_short_at_any_depth():
    """The place of a fault is told in a bounded path."""
    deep = {SECRET}
    for _ in range(3000):
        deep = {"k": deep}
    assert len(refusal(deep)) < 1000


def test_size_is_bounded_to_the_byte():
    """A payload of the limit passes, one byte more is refused and the limit named."""
    data = "x" * 1000
    size = len(msgpack.packb(data))
    assert encoded(data, max_bytes=size)[1] == data
    message = refusal(data, max_bytes=size - 1)
    assert f"has {size} bytes encoded and max_payload_bytes is {size - 1}" in message
    assert "create_stream()" in message
    assert "xxx" not in message


def test_what_would_not_come_back_is_not_encoded(monkeypatch):
    """The bound on elements holds for encoding as for decoding."""
    monkeypatch.setattr(_msgpack, "MAX_NODES", 100)
    assert len(encoded([0] * 100)[1]) == 100
    assert "would not come back" in refusal([0] * 101)
    assert "more than 100 elements" in refusal([[0] * 60, [0] * 60])
