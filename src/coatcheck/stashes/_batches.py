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

from ._budget import NoRoom
from ._models import ReapReport, StashEntry
from ._pins import RAW
from ._places import address_of_key, parsed, place_of_new
from ._stash import Stash
from ._store import StashStore

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterable,
        Awaitable,
        Callable,
        Iterable,
    )

    from coatcheck._core.address import Address
    from coatcheck._core.expiry import Expiry
    from coatcheck._core.objects import ObjectEntry

_T = TypeVar("_T")
_R = TypeVar("_R")


class StashBatches(StashStore, ABC):
    """The verbs of many stashes."""

    async def create_many(
        self,
        items: Iterable[tuple[str, Any]] | AsyncIterable[tuple[str, Any]],
        namespace: str = "default",
        *,
        expires: Expiry | None = None,
    ) -> list[Stash[Any]]:
        """Create stashes, at most `Config.concurrency` at once.

        All such calls together hold encoded payloads of at most 64 MiB, or of
        `max_payload_bytes` if that is more, and one that waits for its turn.

        The first failure, of a create or of the items themselves, cancels the rest
        and is raised as it is. What was stored before stays; creating all of them
        again is safe.

        Args:
            items: Names and payloads. They are taken one by one, when there is room
                for the next, so that it may be a generator, sync or async. An async
                one is closed when it is not used up.
            namespace: As in `create`.
            expires: As in `create`, for each of them.

        Returns:
            The stashes in the order of the items.

        Raises:
            CoatcheckError: As `create`.
        """

        async def create(item: tuple[str, Any]) -> Stash[Any]:
            name, data = item
            with self._traffic.budget.portion() as portion:
                async with self._traffic.encoding:
                    draft = self._drafted(name, data, namespace, expires)
                    if isinstance(draft, Stash):
                        return draft
                    await portion.take(len(draft.body))
                return await self._kept(draft)

        return await self._all_of(items, create)

    async def retrieve_many(
        self,
        addresses: Iterable[str | Address] | AsyncIterable[str | Address],
        *,
        as_type: type[Any] | None = None,
    ) -> list[Stash[Any]]:
        """Claim stashes, at most `Config.concurrency` at once.

        All such calls together read encoded payloads of at most 64 MiB at once, or of
        `max_payload_bytes` if that is more.

        The first failure, of a claim or of the addresses themselves, cancels the rest
        and is raised as it is.

        Args:
            addresses: What `create` returned, or their texts; taken as the items of
                `create_many`.
            as_type: As in `retrieve`, for each of them.

        Returns:
            The stashes in the order of the addresses.

        Raises:
            CoatcheckError: As `retrieve`.
        """

        async def retrieve(address: str | Address) -> Stash[Any]:
            found = parsed(address)
            if found.data is not None:
                return await self.retrieve(found, as_type=as_type)
            size = found.size or self._traffic.budget.guess
            while True:
                with self._traffic.budget.portion() as portion:
                    await portion.take(size)
                    try:
                        read = await self._claim(found, portion)
                    except NoRoom as full:
                        # Rather read again than let an open connection wait.
                        size = full.size
                        continue
                    return self._opened(found, *read, as_type)

        return await self._all_of(addresses, retrieve)

    async def _all_of(
        self,
        items: Iterable[_T] | AsyncIterable[_T],
        call: Callable[[_T], Awaitable[_R]],
    ) -> list[_R]:
        self._check_usable()
        return await in_parallel(items, call, at_once=self.config.concurrency)

    def scan(
        self, namespace: str = "default", *, prefix: str = "", as_listed: bool = False
    ) -> AsyncGenerator[StashEntry]:
        """Iterate over the stashes of a namespace that exist now, in order of keys.

        On S3 a stream that was stored in parts does not carry its digest, so its
        entry's address can be deleted and looked for, and not claimed: that takes the
        address that `create_stream` returned.

        The listing of plain S3 tells no deadlines. So each stash there is looked at,
        one small request each and 32 at once, unless you take them as they are listed.

        Close the iterator with `contextlib.aclosing` when you leave it early.

        Args:
            namespace: As in `create`.
            prefix: Only names that begin with it.
            as_listed: Whether one request for a thousand stashes is enough on plain
                S3; then entries there have no deadline and no content type, and some
                may have expired. Everywhere else it makes no difference.

        Raises:
            InvalidName: The namespace or prefix is malformed.
            UnsupportedOperation: The backend cannot list.
            BackendError: The storage failed.
            Closed: Not open here.
        """
        self._check_usable()
        check_namespace(namespace)
        return self._entries(namespace, prefix, as_listed=as_listed)

    async def _entries(
        self, namespace: str, prefix: str, *, as_listed: bool
    ) -> AsyncGenerator[StashEntry]:
        place = place_of_new(self.config, namespace)
        bucket = await self._bucket(place)
        scan = bucket.scan_as_listed if as_listed else bucket.scan
        async with aclosing(scan(prefix)) as pages:
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
        place = place_of_new(self.config, namespace)
        bucket = await self._bucket(place)
        try:
            reaped = await reap(bucket, prefix)
        finally:
            self._traffic.forget_all(place, prefix)
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
