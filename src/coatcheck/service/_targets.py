"""What a request is about, read from the path exactly as it was sent."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Final
from urllib.parse import unquote_to_bytes

from coatcheck._core.scopes import Location, Scope
from coatcheck.errors import InvalidName

_ROUTE: Final = re.compile(
    rb"/v1/objects(?::([a-z]+(?::[a-z]+)?))?(?:/(.*))?", re.DOTALL
)
_BROKEN_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")


class Kind(StrEnum):
    """The families of routes; each value is what stands behind the colon."""

    OBJECTS = ""
    BATCH = "batch"
    MULTIPART = "multipart"
    PARTS = "multipart:parts"
    COMPLETE = "multipart:complete"
    SCAN = "scan"


@dataclass(frozen=True)
class Target:
    """A kind of route, a usecase, a scope, and a key or none."""

    kind: Kind
    """The kind of route."""
    usecase: str
    """The usecase."""
    scope: Scope
    """The scope."""
    key: str
    """The key; `""` is the whole collection."""

    @cached_property
    def location(self) -> Location:
        """Where the object stands.

        Raises:
            InvalidName: The usecase or the key is none.
        """
        return Location(self.usecase, self.scope, self.key)

    def named(self, key: str) -> Target:
        """Return the target with a key."""
        return Target(self.kind, self.usecase, self.scope, key)


def kind_of(path: bytes) -> Kind | None:
    """Return the kind of route of an undecoded path; None is none of them."""
    found = _ROUTE.fullmatch(path)
    if found is None:
        return None
    try:
        return Kind((found[1] or b"").decode("ascii"))
    except ValueError:
        return None


def parse_target(path: bytes, kind: Kind) -> Target:
    """Return what a path of a known kind is about; it is decoded exactly once.

    Raises:
        InvalidName: The path is not UTF-8 in sound escapes, or the usecase, scope or
            key is none.
    """
    found = _ROUTE.fullmatch(path)
    rest = b"" if found is None else found[2] or b""
    if _BROKEN_ESCAPE.search(rest):
        raise InvalidName("the path has a '%' that begins no escape; send %25")
    try:
        text = unquote_to_bytes(rest).decode()
    except UnicodeDecodeError:
        raise InvalidName("the path is not UTF-8") from None
    usecase, _, rest_of_path = text.partition("/")
    scope, _, key = rest_of_path.partition("/")
    if not scope:
        raise InvalidName("the path names no usecase and scope: USECASE/SCOPE/KEY")
    target = Target(kind, usecase, Scope.parse(scope), key)
    # Looked at here, so that what is malformed goes no further.
    _ = target.location.stored_key
    return target
