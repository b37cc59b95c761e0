"""What never waits: payloads that are stored in memory, and found there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from coatcheck._core.digests import algorithm_of, digest_of
from coatcheck._core.expiry import deadline_from
from coatcheck._core.objects import PutInfo
from coatcheck.payloads._integrity import OFF_LOOP

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from coatcheck._core.address import Address
    from coatcheck._core.expiry import Expiry
    from coatcheck.abc import AtOnce, Held
    from coatcheck.wrappers import ExpiringBucket

MSGPACK_TYPE: Final = "application/msgpack"
_PLAIN: Final = PutInfo(content_type=MSGPACK_TYPE, pinned=True)
"""What is said of a payload that never expires and is stored as it is."""


class Standing(Protocol):
    """What is known of a stored stash."""

    @property
    def content_type(self) -> str | None:
        """Media type of the encoded payload."""
        ...

    @property
    def created(self) -> datetime | None:
        """When it was stored."""
        ...

    @property
    def deadline(self) -> datetime | None:
        """From when on it does not exist."""
        ...


def new_info(
    expires: Expiry | None, now: datetime, known: Mapping[str, Any]
) -> PutInfo:
    """Return the metadata of a payload that is stored now.

    Args:
        expires: Its policy.
        now: The store's time.
        known: Other fields: its encoding, and digests of what is stored.
    """
    return PutInfo(
        content_type=MSGPACK_TYPE,
        pinned=True,
        created=now,
        expiry=expires,
        deadline=deadline_from(expires, now),
        **known,
    )


def create_at_once(
    bucket: ExpiringBucket,
    key: str,
    stored: bytes,
    expires: Expiry | None,
    known: Mapping[str, Any],
) -> Held | None:
    """Store a payload where that takes no waiting; None when it does after all."""
    if bucket.at_once is None:
        return None
    info = _PLAIN
    if expires is not None or known:
        info = new_info(expires, bucket.backend.now(), known)
    return bucket.at_once.create(key, stored, info=info)


def at_hand(bucket: AtOnce, address: Address, *, limit: int) -> Held | None:
    """Return a payload that is in memory, plain, small, and the right one.

    None for every other: how that is read, or what is wrong with it, is seen by
    reading it.

    Args:
        bucket: The bucket.
        address: The payload's address.
        limit: The most bytes that a payload may have.
    """
    held = None if address.streamed else bucket.read(address.key)
    if held is None or held.codec is not None or held.encoding is not None:
        return None
    if len(held.body) > min(OFF_LOOP, limit):
        return None
    digest = address.digest or ""
    right = digest_of(held.body, algorithm_of(digest)) == digest
    return held if right else None
