"""What an address pins, and what was read and held against it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from coatcheck._core.digests import DigestAlgorithm, algorithm_of
from coatcheck._core.objects import ObjectInfo, PutInfo
from coatcheck.errors import IntegrityError

if TYPE_CHECKING:
    from datetime import datetime

    from coatcheck._core.address import Address
    from coatcheck.abc import Reader

RAW: Final = "raw"
"""The codec of streamed stashes."""

Pins: TypeAlias = tuple[str | None, str | None, int | None]
"""The digest, and a streamed stash's SHA-256 and size."""


class VerifiedBody(NamedTuple):
    """A stash's whole body, held against its address."""

    body: bytes
    """The encoded payload."""
    info: PutInfo | ObjectInfo
    """What is known of it: at least its type and its expiry."""
    created: datetime | None
    """When it was written, in UTC."""

    def dated(self) -> PutInfo | ObjectInfo:
        """Return what is known of it together with when it was written."""
        if isinstance(self.info, ObjectInfo):
            return self.info
        return self.info.with_valid(created=self.created)


def pins_of(address: Address) -> Pins:
    """Return what whoever reads by an address holds the bytes against."""
    return address.digest, address.sha256, address.size


def check_pinned(address: Address, info: ObjectInfo) -> None:
    """Refuse to read a stream by an address that does not say what it holds.

    Raises:
        IntegrityError: The object is a stream, and its address lacks the pins.
    """
    if info.codec == RAW and not address.streamed:
        raise IntegrityError(
            f"{address.redacted!r} is a stream, and without the sha256 and size in the"
            " address that create_stream returned nothing of it can be verified"
        )


def pin_to(reader: Reader, address: Address) -> None:
    """Hold what a reader reads against the digest that an address names."""
    if address.sha256 is not None:
        reader.pin(DigestAlgorithm.SHA256, address.sha256, size=address.size)
    else:
        digest = address.digest or ""
        reader.pin(algorithm_of(digest), digest)
