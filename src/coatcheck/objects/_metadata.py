"""What is known of an object, as objectstore's clients show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Final

from coatcheck._core.expiry import Expiry
from coatcheck._core.headers import decode_metadata
from coatcheck._core.objects import nothing
from coatcheck.errors import InvalidInput

if TYPE_CHECKING:
    from coatcheck.abc import ObjectInfo

OCTETS: Final = "application/octet-stream"
_SIZE: Final = "x-sn-size"


@dataclass(frozen=True, slots=True)
class Metadata:
    """What is known of an object."""

    content_type: str = OCTETS
    """Media type of the payload."""
    compression: str | None = None
    """Encoding of the bytes that were read: `zstd`, or None for plain ones."""
    expiration_policy: Expiry | None = None
    """When it expires; None is never."""
    time_created: datetime | None = None
    """When it was written, in UTC."""
    time_expires: datetime | None = None
    """From when on it does not exist, in UTC, as it stood before this access."""
    origin: str | None = None
    """Where it came from."""
    filename: str | None = None
    """The name that a download should have."""
    size: int | None = None
    """Stored bytes, which are compressed ones where a read decodes."""
    custom: Mapping[str, str] = field(default_factory=nothing)
    """The user's own metadata."""

    @classmethod
    def from_headers(cls, headers: Mapping[str, str]) -> Metadata:
        """Read an answer's headers, in whatever case their names are.

        Raises:
            InvalidInput: A value is malformed.
        """
        lowered = {name.lower(): text for name, text in headers.items()}
        info = decode_metadata(lowered)
        size = lowered.get(_SIZE)
        if size is not None and not size.isdecimal():
            raise InvalidInput(f"{_SIZE} is no number of bytes")
        return cls(
            content_type=lowered.get("content-type", OCTETS),
            compression=lowered.get("content-encoding"),
            expiration_policy=info.expiry,
            time_created=info.created,
            time_expires=info.deadline,
            origin=info.origin,
            filename=info.filename,
            size=None if size is None else int(size),
            custom=info.custom,
        )

    @classmethod
    def of(cls, info: ObjectInfo) -> Metadata:
        """Return the metadata of an object as it is stored."""
        return cls(
            content_type=info.content_type or OCTETS,
            compression=info.encoding,
            expiration_policy=info.expiry,
            time_created=info.created,
            time_expires=info.deadline,
            origin=info.origin,
            filename=info.filename,
            size=info.size,
            custom=info.custom,
        )

    def decoded(self) -> Metadata:
        """Return the metadata of the payload when its compression was undone."""
        return replace(self, compression=None)
