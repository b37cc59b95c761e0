"""Paths on the wire are encoded once, as objectstore's clients do."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coatcheck._core.scopes import Location, Scope
from coatcheck._core.wire import object_path

SCOPE = Scope.of(org=42, project=1337)


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("key", "/key"),
        ("a/b", "/a/b"),
        ("a b", "/a%20b"),
        ("looks%20encoded", "/looks%2520encoded"),
        ('?#[]{|}^`\\"<>', "/%3F%23%5B%5D%7B%7C%7D%5E%60%5C%22%3C%3E"),
        ("/:@!$&'()*+,;=~._-"[1:], "/:@!$&'()*+,;=~._-"),
        ("caf\u00e9", "/caf%C3%A9"),
        ("", "/"),
    ],
)
def test_keys_in_paths(key, path):
    """What a path cannot carry is escaped, and nothing else."""
    found = object_path(Location("attachments", SCOPE, key))
    assert found == f"/v1/objects/attachments/org=42;project=1337{path}"


def test_routes_and_no_scope():
    """Other routes stand behind the colon, and no scope is an underscore."""
    location = Location("attachments", Scope(), "k")
    assert object_path(location, "objects:multipart") == (
        "/v1/objects:multipart/attachments/_/k"
    )


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=40))
def test_paths_can_be_read_back(text):
    """Decoding the path once gives the key."""
    from coatcheck.errors import InvalidName

    try:
        location = Location("attachments", SCOPE, text)
    except InvalidName:
        return
    path = object_path(location)
    assert path.isascii()
    assert unquote(path).endswith(f"/org=42;project=1337/{text}")
