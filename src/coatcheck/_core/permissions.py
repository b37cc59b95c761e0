"""What a token can allow."""

from __future__ import annotations

from enum import StrEnum


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
