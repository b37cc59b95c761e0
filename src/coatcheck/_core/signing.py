"""What a link may do, and the signed request that it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from urllib.parse import quote

from .objects import nothing

LONGEST_LINK: Final = timedelta(days=7)
"""How long a link may work at most."""
LINKS_PATH: Final = "/v1/links/"
"""What stands before bucket and key in the links that coatcheck answers itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SignGet:
    """A link that reads one object."""

    content_type: str | None = None
    """The media type that the answer shall claim."""
    content_disposition: str | None = None
    """The disposition that the answer shall claim."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SignPut:
    """A link that writes one object once."""

    content_type: str | None = None
    """The media type that the upload must have."""
    max_size: int | None = None
    """The most bytes that the upload may have."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SignedRequest:
    """A request that needs no credentials until it expires."""

    method: str
    """The HTTP method."""
    url: str
    """The URL, signature included."""
    headers: Mapping[str, str] = field(default_factory=nothing)
    """Headers that must be sent with it."""
    expires_at: datetime
    """From when on the store refuses it, in UTC."""

    def __repr__(self) -> str:
        bare = self.url.partition("?")[0]
        return f"SignedRequest({self.method} {bare}?..., expires {self.expires_at})"


class LinkRefusal(StrEnum):
    """Why a link that coatcheck answers itself is refused, as its answers say it."""

    EXPIRED = "link_expired"
    """Its time is over."""
    CHANGED = "link_changed"
    """It is not as it was signed, or was signed with another key."""
    OTHER = "link_of_something_else"
    """It is sound, and opens something else than was asked for."""
    USED = "link_used"
    """It writes once, and an object stands there."""
    DAMAGED = "object_damaged"
    """The stored object is not what was stored."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LinkGrant:
    """What one link that coatcheck answers itself allows."""

    method: str
    """`GET`, which stands for HEAD too, or `PUT`."""
    backend: str
    """The scheme of the object's backend."""
    bucket: str
    """The object's bucket, as the backend knows it."""
    key: str
    """The object's key in that bucket."""
    expires_at: datetime
    """From when on it allows nothing, in UTC."""
    content_type: str | None = None
    """The media type that the answer claims, or that the upload must have."""
    content_disposition: str | None = None
    """The disposition that the answer claims; None is an attachment."""
    max_size: int | None = None
    """The most bytes that the upload may have."""

    @property
    def place(self) -> str:
        """Bucket and key as the link's path has them, decoded."""
        return f"{self.bucket}/{self.key}"

    @property
    def path(self) -> str:
        """The link's path."""
        return LINKS_PATH + quote(self.place, safe="/")
