"""Where objects stand on the wire of objectstore's service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote

if TYPE_CHECKING:
    from .scopes import Location

_SAFE: Final = "/:@!$&'()*+,;="


def object_path(location: Location, route: str = "objects") -> str:
    """Return the path of an object, or of a whole scope, percent-encoded.

    Args:
        location: What is meant; without a key it is the scope.
        route: The family of routes, `objects:multipart` for instance.
    """
    scope = str(location.scope)
    return quote(f"/v1/{route}/{location.usecase}/{scope}/{location.key}", safe=_SAFE)
