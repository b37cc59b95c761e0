"""What a token can allow."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Permission(StrEnum):
    """One thing that may be done to the objects of a usecase and scope."""

    OBJECT_READ = "object.read"
    """Get, head, scan."""
    OBJECT_WRITE = "object.write"
    """Put, upload, extend."""
    OBJECT_DELETE = "object.delete"
    """Delete."""

    @classmethod
    def max(cls) -> list[Permission]:
        """Return all of them."""
        return list(cls)


ADMIN_USAGE: Final = "admin.usage"
"""See what all usecases and scopes hold: an operator's, and none of an object's."""
