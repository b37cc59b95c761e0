"""What a link may do, and the signed request that it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from .objects import nothing


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
