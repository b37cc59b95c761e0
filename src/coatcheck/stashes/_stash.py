"""Stashes as values."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Generic, Protocol, TypeVar
from weakref import ref

from coatcheck._core.address import Address

_T = TypeVar("_T")


class StashOwner(Protocol):
    """Who can act for a stash: a Coatcheck."""

    async def share(
        self, address: str | Address, *, ttl_sec: int | None = None
    ) -> Address:
        """Make a link."""
        ...

    async def delete(self, address: str | Address) -> None:
        """Delete a stash."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class StashValue(Generic[_T]):
    """A named, immutable payload and where it is claimed.

    Two stashes are equal when namespace, name and digest are. The payload is a
    decoded copy of what was stored, never the object handed to `create`.
    """

    namespace: str
    """The namespace."""
    name: str
    """The name."""
    digest: str
    """Of the encoded payload, in hex; of a streamed stash, its uuid4."""
    address: Address
    """What `retrieve` takes; `str()` of it is the text to pass on."""
    data: _T
    """The payload; None for a stash that was streamed in and not read back."""
    size: int
    """Bytes of the encoded payload."""
    content_type: str | None = None
    """Media type of the encoded payload."""
    created: datetime | None = None
    """When it was stored, in UTC; None when inline."""
    deadline: datetime | None = None
    """From when on it does not exist, in UTC; None for ever."""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, StashValue):
            return NotImplemented
        return self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def _identity(self) -> tuple[str, str, str]:
        return self.namespace, self.name, self.digest

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(namespace={self.namespace!r}, name={self.name!r},"
            f" address={self.address!r}, size={self.size})"
        )


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Stash(StashValue[_T]):
    """A stash of the asynchronous API."""

    _owner: ref[StashOwner] | None = field(default=None)

    async def share(self, ttl_sec: int | None = None) -> Address:
        """Make a link that opens the stash without credentials.

        Args:
            ttl_sec: Seconds that the link works; None is the configured time.

        Returns:
            The link as an address; `str()` of it is the URL.

        Raises:
            UnsupportedOperation: The stash's backend makes no links.
            StashNotFound: The stash is gone.
        """
        return await self._acting().share(self.address, ttl_sec=ttl_sec)

    async def delete(self) -> None:
        """Delete the stash; one that is gone already is success.

        Raises:
            UnsupportedOperation: The stash is inline: its address is its content.
        """
        await self._acting().delete(self.address)

    def _acting(self) -> StashOwner:
        owner = None if self._owner is None else self._owner()
        if owner is not None:
            return owner
        # Unpickled, or its Coatcheck is gone: the default instance acts for it. It
        # is reached by its public name, since it is built on top of this module.
        import coatcheck  # noqa: PLC0415

        return coatcheck

    def __getstate__(self) -> dict[str, object]:
        return {each.name: getattr(self, each.name) for each in fields(StashValue)}

    def __setstate__(self, state: dict[str, object]) -> None:
        for name, held in state.items():
            object.__setattr__(self, name, held)
        object.__setattr__(self, "_owner", None)


def made_stash(
    address: Address,
    digest: str,
    data: _T,
    size: int,
    content_type: str | None,
    created: datetime | None,
    deadline: datetime | None,
    owner: ref[StashOwner],
) -> Stash[_T]:
    """Return what the constructor makes, cheaper; see `made_address`."""
    stash: Stash[_T] = object.__new__(Stash)
    fields = stash.__dict__
    fields["namespace"] = address.namespace
    fields["name"] = address.name
    fields["digest"] = digest
    fields["address"] = address
    fields["data"] = data
    fields["size"] = size
    fields["content_type"] = content_type
    fields["created"] = created
    fields["deadline"] = deadline
    fields["_owner"] = owner
    return stash
