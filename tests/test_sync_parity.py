"""The blocking API has what the async one has, under the same names."""

from __future__ import annotations

import inspect

import pytest

import coatcheck
from coatcheck import sync


def parameters(found) -> list[tuple[str, object, object]]:
    return [
        (each.name, each.kind, each.default)
        for each in inspect.signature(found).parameters.values()
    ]


def public(cls) -> set[str]:
    return {name for name in dir(cls) if not name.startswith("_")}


def test_the_names_are_the_same():
    """Whatever `coatcheck` offers, `coatcheck.sync` offers."""
    assert sync.__all__ == coatcheck.__all__


@pytest.mark.parametrize(
    "name",
    [name for name in coatcheck.__all__ if name[0].islower() and name != "errors"],
)
def test_functions_take_the_same_arguments(name):
    """Names, kinds and defaults of the parameters agree."""
    assert parameters(getattr(sync, name)) == parameters(getattr(coatcheck, name))
    assert not inspect.iscoroutinefunction(getattr(sync, name))


def test_the_class_has_the_same_verbs():
    """Coatcheck's methods are there, with `close` for `aclose`."""
    theirs = public(coatcheck.Coatcheck) - {"aclose", "is_open"}
    assert public(sync.Coatcheck) - {"close"} == theirs
    for name in theirs - {"config"}:
        mine, other = getattr(sync.Coatcheck, name), getattr(coatcheck.Coatcheck, name)
        assert parameters(mine) == parameters(other), name


def test_stashes_and_readers_have_the_same_members():
    """A stash is a stash, whichever way it was made."""
    assert public(sync.Stash) == public(coatcheck.Stash)
    from coatcheck._blocking import BlockingReader
    from coatcheck.abc import Reader

    assert public(BlockingReader) == public(Reader)
