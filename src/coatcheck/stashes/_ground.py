"""What the verbs of stashes stand on: configuration, buckets, what is under way."""

from __future__ import annotations

import weakref
from abc import ABC, abstractmethod
from functools import cached_property
from itertools import count
from typing import TYPE_CHECKING, Final, TypeVar, cast

from coatcheck._core.digests import DigestAlgorithm, digest_of
from coatcheck._core.objects import ObjectInfo, PutInfo

from ._places import Places
from ._stash import made_stash

if TYPE_CHECKING:
    from datetime import datetime

    from coatcheck._core.address import Address
    from coatcheck.abc import AtOnce, Bucket
    from coatcheck.config import Config, Place
    from coatcheck.wrappers import ExpiringBucket

    from ._stash import Stash, StashOwner
    from ._traffic import Traffic

_T = TypeVar("_T")

MSGPACK_TYPE: Final = "application/msgpack"
PLAIN: Final = PutInfo(content_type=MSGPACK_TYPE, pinned=True)
"""What is said of a payload that never expires and is stored as it is."""


class StashGround(ABC):
    """Buckets and configuration, which who composes gives."""

    _traffic: Traffic
    """What is under way, and what is kept; who composes sets it."""
    _at_once: dict[Place, AtOnce]
    """What the buckets that were asked for can do at once; `_bucket` fills it."""

    @cached_property
    def _calls(self) -> count[int]:
        return count(1)

    @cached_property
    def _algorithm(self) -> DigestAlgorithm:
        return DigestAlgorithm(self.config.digest)

    @cached_property
    def _digest_length(self) -> int:
        return self._algorithm.hex_length

    @cached_property
    def _places(self) -> Places:
        return Places(self.config)

    @cached_property
    def _owner(self) -> weakref.ref[StashOwner]:
        return weakref.ref(cast("StashOwner", self))

    @property
    @abstractmethod
    def config(self) -> Config:
        """The configuration."""

    @abstractmethod
    async def _bucket(self, place: Place) -> ExpiringBucket:
        """Return the bucket of a place, open.

        Raises:
            UnsupportedBackend: The place's backend cannot be opened here.
        """

    @abstractmethod
    async def _links(self) -> Bucket:
        """Return the bucket in which share links are keys, open."""

    @abstractmethod
    def _check_usable(self) -> None:
        """Raise Closed when the store is not open here."""

    def _stash(
        self,
        address: Address,
        data: _T,
        body: bytes,
        info: PutInfo | ObjectInfo | None,
        created: datetime | None = None,
    ) -> Stash[_T]:
        digest = address.digest
        if digest is None:
            digest = digest_of(body, self._algorithm)
        info = PLAIN if info is None else info
        return made_stash(
            address,
            digest,
            data,
            len(body),
            info.content_type,
            created,
            info.deadline,
            self._owner,
        )
