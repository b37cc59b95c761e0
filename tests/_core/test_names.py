"""Names are refused, never rewritten."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from coatcheck._core.address import Address, check_stash_name
from coatcheck._core.names import (
    check_key,
    check_name,
    check_namespace,
    check_prefix,
    shown,
)
from coatcheck.errors import InvalidName

untimed = settings(deadline=None)

MD5 = "d41d8cd98f00b204e9800998ecf8427e"

CONTROLS = [
    *("a\x00b", "a\nb", "a\rb", "a\tb", "\x01", "a\x1b[0m", "a\x7f", "a\x85b"),
    *("a\u2028b", "a\u2029b"),
]
SURROGATES = ["\ud800", "a\udfffb", "\udcff.txt"]
NOT_NFC = ["e\u0301", "\u212b", "\u1100\u1161", "dir/e\u0301/x"]
BAD_SEGMENTS = [
    *(".", "..", "/", "//", "/a", "a/", "a//b", "./a", "a/.", "a/./b"),
    *("../a", "a/..", "a/../b", "//a"),
]
TOO_LONG = ["a" * 1025, "é" * 513, "\N{GRINNING FACE}" * 257, "a/" * 512 + "b"]
GOOD_KEYS = [
    *("a", "a/b/c", "sp ace", " a ", "a.", ".a", "...", "a/...", "..a", "~", "a\\b"),
    *("a+b", "a%2Fb", "%", "a;b", "a&b=c", "a:b", "a@b", "[a]", "'\"`$(x)", "*"),
    *("ünï", "漢字", "\N{GRINNING FACE}", "a\u200bb", "a\u00a0b", "-rf", "CON"),
    *("a" * 1024, "é" * 512, "\N{GRINNING FACE}" * 256, "a/" * 511 + "bb"),
]
BAD_KEYS = ["", *CONTROLS, *SURROGATES, *NOT_NFC, *BAD_SEGMENTS, *TOO_LONG]


def shortly(text):
    return ascii(text)[:24]


def refusal(check, given_, **options):
    with pytest.raises(InvalidName) as caught:
        check(given_, **options)
    return str(caught.value)


@pytest.mark.parametrize("key", GOOD_KEYS, ids=shortly)
def test_canonical_keys_pass(key):
    """Canonical keys are accepted as keys and, without ? and #, as names."""
    check_key(key)
    check_name(key)


@pytest.mark.parametrize("key", BAD_KEYS, ids=shortly)
def test_other_keys_are_refused(key):
    """What is not canonical is refused as a key and as a name."""
    for check, what in ((check_key, "key"), (check_name, "name")):
        message = refusal(check, key)
        assert message.startswith(what)
        assert message.isascii()
        assert message.isprintable()


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("", "is empty"),
        ("a\nb", "control character"),
        ("a\ud800", "lone surrogate"),
        ("e\u0301", "normal form C"),
        ("a//b", "segment between slashes"),
        ("a" * 1025, "longer than 1024 bytes"),
        ("é" * 513, "longer than 1024 bytes"),
    ],
)
def test_a_refusal_says_why(key, reason):
    """The message tells which rule the key breaks."""
    assert reason in refusal(check_key, key)


def test_a_refusal_calls_the_key_what_the_caller_calls_it():
    """The caller's word for the key stands in the message."""
    assert refusal(check_key, "", what="artifact id") == "artifact id is empty"


@pytest.mark.parametrize("name", NOT_NFC)
def test_other_normal_forms_pass_when_they_may(name):
    """What others stored outside normal form C can still be named for reading."""
    check_key(name, canonical=False)
    check_name(name, canonical=False)


@pytest.mark.parametrize(
    "key", [*CONTROLS, *SURROGATES, *BAD_SEGMENTS, *TOO_LONG], ids=shortly
)
def test_only_the_normal_form_is_waived(key):
    """Without the normal form every other rule still holds."""
    refusal(check_key, key, canonical=False)


@pytest.mark.parametrize("name", ["?", "#", "a?b", "a#b", "q?x=1", "h#frag", "d/?"])
def test_names_that_an_address_would_cut_are_refused(name):
    """A name has no ? and no #; a key may."""
    check_key(name)
    assert "in it" in refusal(check_name, name)


GOOD_NAMESPACES = [
    *("a", "Ns", "my.dotted.bucket", "a b", "ünï", "漢字", "...", "a%2Fb", "a+b"),
    *("n" * 255, "é" * 127),
]
BAD_NAMESPACES = [
    *("", ".", "..", "a/b", "/", "a?b", "a#b", "u@h", "h:1", "[x]", "]", "a\\b"),
    *(" a", "a ", "\u00a0a", "a\u3000", "n" * 256, "é" * 128),
    *(*CONTROLS, *SURROGATES, "e\u0301"),
]


@pytest.mark.parametrize("namespace", GOOD_NAMESPACES, ids=shortly)
def test_plain_namespaces_pass(namespace):
    """A namespace is any short text that fits between // and / of an address."""
    check_namespace(namespace)


@pytest.mark.parametrize("namespace", BAD_NAMESPACES, ids=shortly)
def test_other_namespaces_are_refused(namespace):
    """A namespace that an address could not carry is refused."""
    assert refusal(check_namespace, namespace).startswith("namespace")


@pytest.mark.parametrize("prefix", ["", "a", "a/", "a//", "/", ".", "..", "a?", "ü"])
def test_any_beginning_is_a_prefix(prefix):
    """A prefix need not end where a segment ends."""
    check_prefix(prefix)


@pytest.mark.parametrize(
    "prefix", [*CONTROLS, *SURROGATES, *NOT_NFC, *TOO_LONG], ids=shortly
)
def test_prefixes_that_no_key_begins_with_are_refused(prefix):
    """A prefix is held to the rules for characters and length."""
    assert refusal(check_prefix, prefix).startswith("prefix")


@pytest.mark.parametrize("check", [check_key, check_name, check_namespace])
@pytest.mark.parametrize("given_", [None, 7, b"a", ["a"], 1.5, True])
def test_what_is_not_text_is_refused(check, given_):
    """Only text is a name; the refusal names the type."""
    assert type(given_).__name__ in refusal(check, given_)


@pytest.mark.parametrize("given_", [7, b"a", ["a"], True])
def test_a_prefix_is_text(given_):
    """Only text is a prefix."""
    assert type(given_).__name__ in refusal(check_prefix, given_)


@pytest.mark.parametrize("given_", [None, 0, b"", []])
def test_a_false_prefix_is_no_empty_prefix(given_):
    """What is not text is no prefix, even when it is empty."""
    with pytest.raises(InvalidName):
        check_prefix(given_)


@untimed
@given(st.text(max_size=40), st.text(max_size=40))
@example("ns", "a/../b")
@example("\u00a0", "n")
def test_accepted_names_make_addresses_that_parse_back(namespace, name):
    """Whatever create accepts, its address can carry."""
    try:
        check_stash_name(namespace, name, 32)
    except InvalidName:
        return
    for address in (
        Address(scheme="s3", namespace=namespace, name=name, digest=MD5),
        Address(scheme="inline", namespace=namespace, name=name, data=b"\xc0"),
    ):
        assert Address.parse(str(address)) == address


@untimed
@given(st.text(min_size=1, max_size=40))
def test_the_normal_form_of_an_accepted_key_is_itself(key):
    """Two accepted keys that look alike are equal."""
    try:
        check_key(key)
    except InvalidName:
        assume(condition=False)
    assert unicodedata.normalize("NFC", key) == key
    assert not {"", ".", ".."}.intersection(key.split("/"))
    assert 1 <= len(key.encode()) <= 1024


@untimed
@given(st.text())
def test_what_is_shown_is_printable(text):
    """Text in messages is printable ASCII, whatever it was."""
    assert shown(text).isascii()
    assert shown(text).isprintable()


def test_long_text_is_shown_cut():
    """Beyond 80 characters a text is cut and three dots say so."""
    assert shown("a" * 80) == repr("a" * 80)
    assert shown("a" * 10**6) == repr("a" * 80) + "..."
