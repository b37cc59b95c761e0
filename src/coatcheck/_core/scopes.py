"""Whose an object is: its usecase, its ordered scope, and its key within both.

Grammar and layout are those of Sentry's objectstore.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from coatcheck.errors import InvalidName

from .names import check_key, shown

_USECASE: Final = re.compile(r"[A-Za-z0-9_-]{3,64}")
_WORD: Final = re.compile(r"[A-Za-z0-9\-_()$!+']+")
_NO_SCOPE: Final = "_"
_OBJECTS: Final = "objects"


@dataclass(frozen=True, slots=True)
class Scope:
    """An ordered tenant path: two scopes are equal when their order is, too."""

    pairs: tuple[tuple[str, str], ...] = ()
    """Names and values, outermost first."""

    def __post_init__(self) -> None:
        names = [name for name, _ in self.pairs]
        if len(set(names)) != len(names):
            raise InvalidName(f"scope {shown(str(self))} names one level twice")
        for name, value in self.pairs:
            _check_word(name, "scope name")
            _check_word(value, f"value of scope {shown(name)}")

    @classmethod
    def of(cls, **levels: str | int | bool) -> Scope:
        """Return the scope of keyword arguments, in their order.

        Raises:
            InvalidName: A name or value is empty or has other characters than
                letters, digits and `-_()$!+'`.
        """
        given = ((name, value) for name, value in levels.items())
        return cls(tuple((name, _text(value)) for name, value in given))

    @classmethod
    def parse(cls, text: str) -> Scope:
        """Return the scope of `name=value;name=value`, or of `_` for none.

        Raises:
            InvalidName: It is none.
        """
        if text == _NO_SCOPE:
            return cls()
        return cls(_pairs(text, text.split(";"), "="))

    def __str__(self) -> str:
        return ";".join(f"{name}={value}" for name, value in self.pairs) or _NO_SCOPE

    @property
    def folder(self) -> str:
        """The scope as a part of a stored key: `name.value/name.value`, or `_`."""
        return "/".join(f"{name}.{value}" for name, value in self.pairs) or _NO_SCOPE


@dataclass(frozen=True, slots=True)
class Location:
    """Where an object of a usecase and scope stands in a bucket."""

    usecase: str
    """The usecase's name."""
    scope: Scope
    """The scope."""
    key: str
    """The key within both; `""` names all of them."""

    def __post_init__(self) -> None:
        check_usecase(self.usecase)
        if self.key:
            check_key(self.key)

    @property
    def stored_key(self) -> str:
        """The key in the bucket: `{usecase}/{name.value/...}/objects/{key}`."""
        return f"{self.usecase}/{self.scope.folder}/{_OBJECTS}/{self.key}"

    @classmethod
    def parse(cls, stored_key: str) -> Location:
        """Return the location of a stored key.

        Raises:
            InvalidName: No usecase and scope keeps an object there.
        """
        before, found, key = stored_key.partition(f"/{_OBJECTS}/")
        usecase, _, folder = before.partition("/")
        if not found or not folder:
            raise InvalidName(f"key {shown(stored_key)} is in no usecase and scope")
        if folder == _NO_SCOPE:
            return cls(usecase, Scope(), key)
        return cls(usecase, Scope(_pairs(folder, folder.split("/"), ".")), key)


def check_usecase(name: object) -> None:
    """Refuse a usecase name that is not 3 to 64 of `A-Z a-z 0-9 _ -`.

    Raises:
        InvalidName: It is not.
    """
    if not isinstance(name, str) or not _USECASE.fullmatch(name):
        raise InvalidName(
            f"usecase {shown(str(name))} is not 3 to 64 letters, digits, '_' and '-'"
        )


def _pairs(text: str, levels: list[str], between: str) -> tuple[tuple[str, str], ...]:
    split = [level.partition(between) for level in levels]
    if not all(separator for _, separator, _ in split):
        raise InvalidName(f"scope {shown(text)} is not name{between}value ...")
    return tuple((name, value) for name, _, value in split)


def _text(value: object) -> str:
    if not isinstance(value, str | int):
        raise InvalidName(f"a scope's value is text, int or bool, not {value!r:.80}")
    return str(value)


def _check_word(word: str, what: str) -> None:
    if not word:
        raise InvalidName(f"{what} is empty")
    if not _WORD.fullmatch(word):
        raise InvalidName(
            f"{what} {shown(word)} has other characters than letters, digits and"
            " -_()$!+'"
        )
