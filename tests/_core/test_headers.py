"""Metadata comes back from its headers, and headers stay printable ASCII."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from coatcheck._core import headers
from coatcheck._core.expiry import TimeToIdle, TimeToLive
from coatcheck._core.objects import PutInfo
from coatcheck.errors import InvalidInput

untimed = settings(deadline=None)

SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
INJECTION = "a\r\nx-sn-origin: evil"

moments = st.integers(0, 10**15).map(lambda us: EPOCH + timedelta(microseconds=us))
durations = st.integers(1, 10**9).map(lambda count: timedelta(seconds=count))
policies = st.builds(TimeToLive, durations) | st.builds(TimeToIdle, durations)
expirations = st.fixed_dictionaries({"expiry": policies, "deadline": moments})
texts = st.text(max_size=40) | st.text(" %\r\n\té/", max_size=10)
words = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)
customs = st.dictionaries(
    st.from_regex(r"[a-z0-9][a-z0-9._-]{0,63}", fullmatch=True), texts, max_size=4
)
described = st.fixed_dictionaries(
    {},
    optional={
        "created": moments,
        "origin": texts,
        "filename": texts,
        "codec": words,
        "write_id": words,
        "sha256": st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
        "custom": customs,
    },
)
put_infos = st.builds(
    lambda fields, expiration: PutInfo(**fields, **expiration),
    described,
    st.just({}) | expirations,
)


@untimed
@given(put_infos)
@example(PutInfo(filename=INJECTION, origin="  ", custom={"a": "", "b": "%41"}))
def test_metadata_comes_back(info):
    """What a write says is what its headers are read as."""
    assert headers.decode_metadata(headers.encode_metadata(info)) == info


@untimed
@given(put_infos)
@example(PutInfo(filename=INJECTION, custom={"a": INJECTION}))
def test_headers_are_printable_ascii(info):
    """No value can end a header, be cut at its ends, or leave ASCII."""
    encoded = headers.encode_metadata(info)
    for name, value in encoded.items():
        assert re.fullmatch(r"x-(sn|cc|snme)-[a-z0-9._-]+", name)
        assert re.fullmatch(r"[ -~]*", value)
        assert value == value.strip()


@untimed
@given(put_infos)
def test_the_size_is_that_of_names_and_values(info):
    """S3's bound on metadata counts the bytes of names and values."""
    encoded = headers.encode_metadata(info)
    wire = "".join(f"{name}{value}" for name, value in encoded.items()).encode()
    assert headers.metadata_size(encoded) == len(wire)


@untimed
@given(put_infos)
def test_other_headers_are_ignored(info):
    """Headers that are not the codec's change nothing."""
    encoded = headers.encode_metadata(info)
    foreign = {"content-length": "7", "x-sn-unknown": "\x00", "x-amz-meta-a": "é"}
    assert headers.decode_metadata({**foreign, **encoded}) == info


@untimed
@given(st.text())
@example(INJECTION)
@example(" ")
@example("\x00%\x7f")
def test_escaping_comes_back(text):
    """Any encodable text is what its escaped form is read as."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return
    escaped = headers.escape(text)
    assert re.fullmatch(r"[ -~]*", escaped)
    assert headers.unescape(escaped) == text


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("", ""),
        ("203.0.113.42", "203.0.113.42"),
        ("a b", "a b"),
        (" a ", "%20a%20"),
        ("   ", "%20%20%20"),
        ("100%", "100%25"),
        ("é", "%C3%A9"),
        ("a\r\nb", "a%0D%0Ab"),
        ('"<>:;,/?@[]~', '"<>:;,/?@[]~'),
    ],
)
def test_only_what_needs_it_is_escaped(text, escaped):
    """Printable ASCII stands as it is, save for % and spaces at the ends."""
    assert headers.escape(text) == escaped
    assert headers.unescape(escaped) == text


@pytest.mark.parametrize(
    "value",
    [
        *("\r", "\n", "a\r\nb", "\x00", "\t", "\x7f", "é", "\ud800", "\u2028"),
        *("%", "%4", "%zz", "100%", "%%41", "%u0041", "%C3", "%FF", "%ED%A0%80"),
    ],
    ids=ascii,
)
@pytest.mark.parametrize("name", ["x-sn-origin", "x-sn-filename", "x-snme-source"])
def test_what_escape_never_writes_is_refused(name, value):
    """Controls, raw Unicode and broken escapes are refused without being shown."""
    with pytest.raises(InvalidInput) as caught:
        headers.unescape(value)
    assert "metadata value" in str(caught.value)
    with pytest.raises(InvalidInput):
        headers.decode_metadata({name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-sn-expiration", "forever"),
        ("x-sn-expiration", "ttl:0s"),
        ("x-sn-expiration", "ttl:1h\r\n"),
        ("x-sn-expiration", "ttl:1h"),
        ("x-sn-time-created", "yesterday"),
        ("x-sn-time-created", "2026-01-01T00:00:00"),
        ("x-sn-time-expires", ""),
        ("x-cc-sha256", SHA256.upper()),
        ("x-cc-sha256", SHA256[:-1]),
        ("x-cc-sha256", ""),
        ("x-cc-codec", "a b"),
        ("x-cc-write-id", "w" * 65),
        ("x-cc-write-id", "a%0D%0Ab"),
        ("x-snme-", "v"),
        ("x-snme-a b", "v"),
        ("x-snme-" + "a" * 65, "v"),
        ("x-snme-é", "v"),
    ],
)
def test_malformed_metadata_is_refused(name, value):
    """A header of ours that we could not have written is refused."""
    with pytest.raises(InvalidInput):
        headers.decode_metadata({name: value})


def test_names_and_values_are_objectstores():
    """Every field stands under its published name in its published spelling."""
    info = PutInfo(
        expiry=TimeToIdle(timedelta(days=30)),
        deadline=EPOCH + timedelta(days=30),
        created=EPOCH,
        origin="203.0.113.42",
        filename="ü.txt",
        sha256=SHA256,
        codec="raw",
        write_id="w1",
        custom={"source": "upload"},
    )
    assert headers.encode_metadata(info) == {
        "x-sn-expiration": "tti:30d",
        "x-sn-time-expires": "2026-01-31T00:00:00Z",
        "x-sn-time-created": "2026-01-01T00:00:00Z",
        "x-sn-origin": "203.0.113.42",
        "x-sn-filename": "%C3%BC.txt",
        "x-cc-sha256": SHA256,
        "x-cc-codec": "raw",
        "x-cc-write-id": "w1",
        "x-snme-source": "upload",
    }


def test_what_has_headers_of_its_own_is_left_to_the_caller():
    """HTTP's own fields, and the store's, are not in the codec."""
    info = PutInfo(
        content_type="text/plain",
        encoding="zstd",
        cache_control="no-store",
        content_disposition="inline",
        storage_class="COLD",
        tags={"a": "b"},
        pinned=True,
    )
    assert headers.encode_metadata(info) == {}


def test_standard_fields_join_what_is_decoded():
    """Fields that the caller found elsewhere stand beside the decoded ones."""
    info = headers.decode_metadata({"x-sn-origin": "o"}, content_type="text/plain")
    assert info == PutInfo(content_type="text/plain", origin="o")


def test_a_policy_without_a_time_counts_from_creation():
    """An expiration policy alone gives a deadline from the time of creation."""
    policy = {"x-sn-expiration": "ttl:1h"}
    created = {"x-sn-time-created": "2026-01-01T00:00:00Z"}
    info = headers.decode_metadata({**policy, **created})
    assert info.deadline == EPOCH + timedelta(hours=1)
    assert headers.decode_metadata(policy, created=EPOCH) == info


@pytest.mark.parametrize("policy", [{}, {"x-sn-expiration": "manual"}])
def test_a_time_without_a_policy_is_no_deadline(policy):
    """Without a policy nothing expires, whatever time stands there."""
    times = {"x-sn-time-expires": "2026-01-01T00:00:00Z"}
    info = headers.decode_metadata({**policy, **times})
    assert (info.expiry, info.deadline) == (None, None)


def test_a_deadline_beyond_the_calendar_is_refused():
    """A policy whose deadline no calendar holds is refused as malformed."""
    written = {
        "x-sn-expiration": "ttl:36500d",
        "x-sn-time-created": "9999-12-31T00:00:00Z",
    }
    with pytest.raises(InvalidInput):
        headers.decode_metadata(written)


@untimed
@given(put_infos, st.data())
def test_foreign_values_are_read_or_refused(info, data):
    """Whatever somebody wrote into our headers, reading it gives info or a refusal."""
    encoded = headers.encode_metadata(replace(info, origin="o"))
    name = data.draw(st.sampled_from(sorted(encoded)))
    encoded[name] = data.draw(st.text(max_size=30))
    try:
        read = headers.decode_metadata(encoded)
    except InvalidInput:
        return
    assert headers.decode_metadata(headers.encode_metadata(read)) == read


@untimed
@given(moments, words, st.sampled_from(["text/plain", "application/msgpack", None]))
def test_what_says_little_is_read_as_the_rest(created, write_id, content_type):
    """The short way to metadata leads to what the long one does."""
    standard = {} if content_type is None else {"content_type": content_type}
    info = PutInfo(created=created, write_id=write_id, **standard)
    told = headers.encode_metadata(info)
    assert told.keys() == {headers.TIME_CREATED, headers.WRITE_ID}
    assert headers.decode_metadata(told, **standard) == info
    assert headers.decode_metadata({**told, "other": "x"}, **standard) == info


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x-cc-write-id", ""),
        ("x-cc-write-id", "a" * 65),
        ("x-cc-write-id", "a b"),
        ("x-cc-write-id", "%"),
        ("x-sn-time-created", "yesterday"),
        ("x-sn-time-created", "2026-01-01T00:00:00"),
    ],
)
def test_what_says_little_is_checked_as_the_rest(name, text):
    """A damaged time or write id is refused on the short way, too."""
    told = headers.encode_metadata(PutInfo(created=EPOCH, write_id="w")) | {name: text}
    with pytest.raises(InvalidInput):
        headers.decode_metadata(told)


@untimed
@given(put_infos, moments, words)
def test_valid_fields_are_replaced_as_any(info, created, write_id):
    """Replacing fields that need no checks gives what replacing any gives."""
    fields = {"created": created, "write_id": write_id}
    assert info.with_valid(**fields) == replace(info, **fields)
    assert info.with_valid() == info
