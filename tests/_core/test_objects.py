"""What a write may say, and what is kept of it."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coatcheck._core.expiry import TimeToLive
from coatcheck._core.objects import ObjectInfo, PutInfo
from coatcheck.errors import InvalidInput

untimed = settings(deadline=None)

SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
FULL = PutInfo(
    content_type="text/plain; charset=utf-8",
    encoding="zstd",
    expiry=TimeToLive(HOUR),
    deadline=EPOCH + HOUR,
    origin="203.0.113.42",
    filename="ü\r\n.txt",
    codec="msgpack",
    sha256=SHA256,
    pinned=True,
    cache_control="max-age=60",
    content_disposition='attachment; filename="a.txt"',
    storage_class="STANDARD_IA",
    tags={"team": "data"},
    custom={"source": "upload"},
    created=EPOCH - HOUR,
    write_id="w-1",
)


def joined(info, **fields):
    known = {"key": "k", "size": 7, "etag": "e", "modified": EPOCH, **fields}
    return ObjectInfo.of(info, **known)


def test_an_info_says_what_the_write_said():
    """Every field that a write describes stands in the object's info."""
    info = joined(FULL, version="v1")
    assert (info.key, info.size, info.etag, info.version) == ("k", 7, "e", "v1")
    for each in fields(PutInfo):
        if each.name not in ("pinned", "md5"):
            assert getattr(info, each.name) == getattr(FULL, each.name)


def test_a_copy_says_the_same_but_is_another_write():
    """put_info gives what was said, without the name of the write."""
    again = joined(FULL).put_info()
    for each in fields(PutInfo):
        if each.name not in ("pinned", "md5", "write_id"):
            assert getattr(again, each.name) == getattr(FULL, each.name)
    assert again.write_id is None
    assert not again.pinned


@untimed
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "content_type": st.sampled_from(["text/plain", "a/b;c=d"]),
            "filename": st.text(st.characters(exclude_categories=["Cs"])),
            "custom": st.dictionaries(st.text("abc", min_size=1), st.just("v")),
            "created": st.just(EPOCH - HOUR),
            "sha256": st.just(SHA256),
        },
    )
)
def test_copying_a_copy_changes_nothing(said):
    """An info survives any number of copies."""
    once = joined(PutInfo(**said))
    assert joined(once.put_info()) == once


def test_an_object_was_created_when_it_was_written():
    """Without a time of creation the time of the write stands in."""
    assert joined(PutInfo()).created == EPOCH
    assert joined(FULL).created == EPOCH - HOUR


def test_values_are_frozen_and_keep_no_mapping_of_the_caller():
    """Neither an info nor its mappings change after they are made."""
    custom, tags = {"a": "1"}, {"t": "1"}
    info = PutInfo(custom=custom, tags=tags)
    custom["b"] = tags["u"] = "2"
    assert (dict(info.custom), dict(info.tags)) == ({"a": "1"}, {"t": "1"})
    with pytest.raises(TypeError):
        info.custom["b"] = "2"
    with pytest.raises(FrozenInstanceError):
        info.origin = "other"


def test_an_empty_mapping_is_nothing():
    """No metadata is the same however it is said."""
    assert PutInfo(custom={}, tags={}) == PutInfo()
    assert PutInfo().custom == {}


@pytest.mark.parametrize(
    ("field", "given_"),
    [
        ("content_type", "text/plain"),
        ("content_type", 'multipart/x; boundary="a b"'),
        ("content_type", "application/vnd.a+json;v=1"),
        ("encoding", "gzip, zstd"),
        ("cache_control", ""),
        ("content_disposition", "inline"),
        ("storage_class", "GLACIER_IR"),
        ("origin", ""),
        ("filename", "\x00\r\n\t/../é\N{GRINNING FACE}"),
        ("custom", {"a.b_c-9": "\x00 é", "0": ""}),
        ("custom", {"a" * 64: "v" * 10_000}),
        ("tags", {f"t{number}": "" for number in range(10)}),
        ("tags", {"n" * 128: "v" * 256}),
        ("created", EPOCH),
    ],
)
def test_what_can_be_stored_is_kept_as_it_is(field, given_):
    """A legal value of a field stands unchanged."""
    assert getattr(PutInfo(**{field: given_}), field) == given_


_NAIVE = EPOCH.replace(tzinfo=None)
BAD_FIELDS = [
    *(("content_type", bad) for bad in ("", "text", "a/b\r\n", "a/é", "a/b; c", "/", 7)),
    ("content_type", "a/" + "b" * 1024),
    *(("encoding", bad) for bad in ("", "a b", "zstd\n", "é", ",", b"zstd")),
    *(("cache_control", bad) for bad in ("a\r\nb", "é", "\x00", "c" * 1025, 60)),
    *(("content_disposition", bad) for bad in ("a\nb", "ü", "\x7f", 1)),
    *(("storage_class", bad) for bad in ("", "a b", "é", "S" * 65, "a\n", 1)),
    *(("codec", bad) for bad in ("", "msg pack", "c" * 65, None.__class__)),
    *(("write_id", bad) for bad in ("", "a/b", "w" * 65, "w\n", 1)),
    *(("origin", bad) for bad in ("\ud800", b"o", 1)),
    *(("filename", bad) for bad in ("a\udfff", b"f", 1)),
    *(("sha256", bad) for bad in ("", SHA256.upper(), SHA256[:32], SHA256 + "0", 1)),
    ("sha256", bytes.fromhex(SHA256)),
    ("created", _NAIVE),
    *(("custom", {bad: "v"}) for bad in ("", "A", "a b", "é", "-a", "a\n", "a" * 65)),
    *(("custom", {bad: "v"}) for bad in (1, "\ud800")),
    *(("custom", {"a": bad}) for bad in ("\ud800", 1, b"v", None)),
    ("tags", {f"t{number}": "" for number in range(11)}),
    *(("tags", {bad: "v"}) for bad in ("", "n" * 129, 1, "\ud800")),
    *(("tags", {"n": bad}) for bad in ("v" * 257, 1, "\ud800")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("field", "given_"), BAD_FIELDS, ids=lambda part: ascii(part)[:30]
)
def test_what_cannot_be_stored_is_refused_by_name(field, given_):
    """A value that would not come back is refused, and the message names the field."""
    with pytest.raises(InvalidInput) as caught:
        PutInfo(**{field: given_})
    message = str(caught.value)
    assert field.removesuffix("s") in message
    assert message.isascii()
    assert len(message) < 300


@pytest.mark.parametrize("bad", [{"expiry": TimeToLive(HOUR)}, {"deadline": EPOCH}])
def test_policy_and_deadline_stand_together(bad):
    """A policy without its deadline, or the reverse, is refused."""
    with pytest.raises(InvalidInput, match="expiry and deadline stand together"):
        PutInfo(**bad)


def test_a_naive_deadline_is_refused():
    """A deadline must have a timezone."""
    with pytest.raises(InvalidInput, match="deadline must have a timezone"):
        PutInfo(expiry=TimeToLive(HOUR), deadline=_NAIVE)


@pytest.mark.parametrize(
    ("field", "given_"),
    [
        ("custom", {None: "v"}),
        ("custom", 5),
        ("custom", "source"),
        ("tags", {"n": None}),
        ("tags", {None: "v"}),
        ("tags", 5),
        ("created", "2026-01-01T00:00:00Z"),
    ],
)
def test_what_has_another_type_is_refused_by_name(field, given_):
    """A value of a wrong type is refused like any other that cannot be stored."""
    with pytest.raises(InvalidInput) as caught:
        PutInfo(**{field: given_})
    assert field.removesuffix("s") in str(caught.value)
