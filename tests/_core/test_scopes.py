"""Usecases, ordered scopes, and where they keep objects."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck._core.scopes import Location, Scope, check_usecase
from coatcheck.errors import InvalidName

words = st.text("abzAZ09-_()$!+'", min_size=1, max_size=8)
scopes = st.dictionaries(words, words, max_size=4).map(
    lambda levels: Scope(tuple(levels.items()))
)
keys = st.lists(st.text("ab.%é objects", min_size=3, max_size=9), min_size=1).map(
    "/".join
)


def test_the_layout_is_objectstores():
    """The vectors of the format: text, folder and stored key."""
    scope = Scope.of(org=42, project=1337)
    assert str(scope) == "org=42;project=1337"
    there = Location("attachments", scope, "a/b")
    assert there.stored_key == "attachments/org.42/project.1337/objects/a/b"
    assert Location("attachments", Scope(), "k").stored_key == "attachments/_/objects/k"
    assert str(Scope.of(flag=True, off=False, zero=0)) == "flag=True;off=False;zero=0"


@given(scopes, keys)
def test_every_location_comes_back(scope, key):
    """What is laid out is read back, also when a key looks like the layout."""
    there = Location("use-case_1", scope, f"objects/{key}")
    assert Location.parse(there.stored_key) == there
    assert Scope.parse(str(scope)) == scope


def test_order_is_identity():
    """The same levels in another order are another tenant."""
    assert Scope.of(a=1, b=2) != Scope.of(b=2, a=1)
    assert len({Scope.of(a=1, b=2), Scope.of(b=2, a=1), Scope.of(a="1", b="2")}) == 2


@pytest.mark.parametrize(
    "text", ["", "a", "a=", "=1", "a=1;", "a=1;a=2", "a=é", "a=1/b=2", "a=b=c", "a.b=1"]
)
def test_what_is_no_scope_is_refused(text):
    """Each malformed scope is an InvalidName."""
    with pytest.raises(InvalidName):
        Scope.parse(text)


@pytest.mark.parametrize(
    "name", ["", "ab", "a" * 65, "a b c", "abc/", "a.b.c", "äbc", None, 123]
)
def test_what_is_no_usecase_is_refused(name):
    """Each malformed usecase is an InvalidName."""
    with pytest.raises(InvalidName):
        check_usecase(name)


@pytest.mark.parametrize("value", [None, "", 1.5, b"x", "a;b", "a.b"])
def test_what_is_no_value_is_refused(value):
    """Values are text, whole numbers and booleans of the allowed characters."""
    with pytest.raises(InvalidName):
        Scope.of(org=value)


@pytest.mark.parametrize(
    "key",
    [
        "abc",
        "abc/_",
        "abc/objects/x",
        "ab/_/objects/x",
        "abc/org/objects/x",
        "abc/_/objects/../x",
    ],
)
def test_what_is_kept_for_nobody_is_refused(key):
    """A stored key outside the layout has no location."""
    with pytest.raises(InvalidName):
        Location.parse(key)
