"""Many stashes at once: in parallel, listed, reaped."""

from __future__ import annotations

from abc import ABC
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from coatcheck._core.names import check_namespace
from coatcheck._core.objects import ObjectInfo
from coatcheck._core.writes import Swept
from coatcheck.abc import Capability, require
from coatcheck.wrappers import in_parallel, reap

from ._models import ReapReport, StashEntry
from ._places import address_of_key, place_of_new
from ._store import RAW, StashStore

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        Awaitable,
        Callable,
        Iterable,
    )

    from coatcheck._core.address import Address
    from coatcheck._core.expiry import Expiry
    from coatcheck._core.objects import ObjectEntry

    from ._stash import Stash

_T = TypeVar("_T")
_R = TypeVar("_R")


class StashBatches(StashStore, ABC):
    """The verbs of many stashes."""

    async def create_many(
        self,
        items: Iterable[tuple[str, Any]],
        namespace: str = "default",
        *,
        expires: Expiry | None = None,
    ) -> list[Stash[Any]]:
        """Create stashes, at most `Config.concurrency` at once.

        The first failure cancels the rest and is raised. What was stored before
        stays; creating all of them again is safe.

        Args:
            items: Names and payloads; taken one by one, so it may be a generator.
            namespace: As in `create`.
            expires: As in `create`, for each of them.

        Returns:
            The stashes in the order of the items.

        Raises:
            CoatcheckError: As `create`.
        """
        return await self._all_of(
            items,
            lambda item: self.create(item[0], item[1], namespace, expires=expires),
        )

    async def retrieve_many(
        self,
        addresses: Iterable[str | Address],
        *,
        as_type: type[Any] | None = None,
    ) -> list[Stash[Any]]:
        """Claim stashes, at most `Config.concurrency` at once.

        The first failure cancels the rest and is raised.

        Args:
            addresses: What `create` returned, or their texts.
            as_type: As in `retrieve`, for each of them.

        Returns:
            The stashes in the order of the addresses.

        Raises:
            CoatcheckError: As `retrieve`.
        """
        if as_type is None:
            return await self._all_of(addresses, self.retrieve)
        return await self._all_of(
            addresses, lambda address: self.retrieve(address, as_type=as_type)
        )

    async def _all_of(
        self, items: Iterable[_T], call: Callable[[_T], Awaitable[_R]]
    ) -> list[_R]:
        self._check_usable()
        return await in_parallel(items, call, at_once=self.config.concurrency)

    def scan(
        self, namespace: str = "default", *, prefix: str = ""
    ) -> AsyncGenerator[StashEntry]:
        """Iterate over the stashes of a namespace that exist now, in order of keys.

        On S3 a stream that was stored in parts does not carry its digest, so its
        entry's address can be deleted and looked for, and not claimed: that takes the
        address that `create_stream` returned.

        Close the iterator with `contextlib.aclosing` when you leave it early.

        Args:
            namespace: As in `create`.
            prefix: Only names that begin with it.

        Raises:
            InvalidName: The namespace or prefix is malformed.
            UnsupportedOperation: The backend cannot list.
            BackendError: The storage failed.
            Closed: Not open here.
        """
        self._check_usable()
        check_namespace(namespace)
        return self._entries(namespace, prefix)

    async def _entries(self, namespace: str, prefix: str) -> AsyncGenerator[StashEntry]:
        place = place_of_new(self.config, namespace)
        bucket = await self._bucket(place)
        async with aclosing(bucket.scan(prefix)) as pages:
            async for page in pages:
                for entry in page.entries:
                    stash = _stash_entry(place.scheme, namespace, entry)
                    if stash is not None:
                        yield stash

    async def reap(self, namespace: str = "default", *, prefix: str = "") -> ReapReport:
        """Delete the namespace's expired stashes and the litter of killed processes.

        Nothing else in the library deletes what has expired; it only stops being
        served. Run this now and then, from as many processes as you like: a stash
        that is touched meanwhile stays.

        Args:
            namespace: As in `create`.
            prefix: Only names that begin with it.

        Returns:
            What was done.

        Raises:
            InvalidName: The namespace or prefix is malformed.
            UnsupportedOperation: The backend cannot expire.
            BackendError: The storage could not be listed.
            Closed: Not open here.
        """
        self._check_usable()
        check_namespace(namespace)
        bucket = await self._bucket(place_of_new(self.config, namespace))
        reaped = await reap(bucket, prefix)
        swept = Swept()
        if Capability.SWEEP in bucket.capabilities:
            swept = await require(bucket, Capability.SWEEP).sweep()
        return ReapReport(
            scanned=reaped.scanned,
            heads=reaped.heads,
            deleted=reaped.deleted,
            freed=reaped.freed,
            failed=reaped.failed,
            swept=swept,
        )


def _stash_entry(scheme: str, namespace: str, entry: ObjectEntry) -> StashEntry | None:
    address = address_of_key(scheme, namespace, entry.key)
    if address is None:
        return None
    info = entry if isinstance(entry, ObjectInfo) else None
    if info is not None and info.codec == RAW and info.sha256 is not None:
        address = replace(address, sha256=info.sha256, size=info.size)
    return StashEntry(
        address=address,
        size=entry.size,
        modified=entry.modified,
        content_type=None if info is None else info.content_type,
        deadline=None if info is None else info.deadline,
    )
