"""Expiry where an ETag is no generation, as on plain S3.

There an ETag does not change when the same bytes are written again, so a conditional
delete may hit an object that somebody has created anew. Whoever removes an expired
object, the reaper as well as a creator that it is in the way of, first takes a claim:
a small object beside it, which only one can create. Under the claim the object is
looked at again. Touches need none, since they succeed only before the deadline, and
the reaper comes no earlier than `grace` after it. Who overwrites looks first, and
removes what a reaper may be about to remove.

One promise is not made: a process that stands still for longer than `grace` between
its look and its delete may delete what was created meanwhile.
"""

from __future__ import annotations

import random
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import anyio

from coatcheck._core.expiry import is_expired
from coatcheck._core.writes import DEFAULT_SWEEP_AGE, Swept, Write
from coatcheck.abc import NO_INFO, Capability, ObjectEntry
from coatcheck.errors import (
    AlreadyExists,
    IntegrityError,
    NotFound,
    ObjectNotFound,
    PreconditionFailed,
    UnsupportedOperation,
)

from ._expiring import ExpiringBucket
from ._forwarding import closed_after

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from datetime import datetime

    from coatcheck.abc import (
        Body,
        Bucket,
        ObjectInfo,
        Observer,
        Page,
        Part,
        PutInfo,
        Receipt,
        Upload,
        WriteMode,
    )

CLAIMS: Final = ".coatcheck/claims/"
LEASE: Final = timedelta(seconds=60)
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 2.0
_NEEDED: Final = frozenset({Capability.CREATE, Capability.UPDATE})


class ClaimingBucket(ExpiringBucket):
    """An expiring bucket over one that has no generations.

    Args:
        inner: The bucket that is wrapped.
        observer: Told of renewals that failed.
        grace: How long after its deadline an object is left to the reaper.
    """

    def __init__(
        self, inner: Bucket, observer: Observer | None, grace: timedelta
    ) -> None:
        super().__init__(inner, observer)
        self._grace = grace

    def is_reapable(self, info: ObjectInfo) -> bool:
        deadline = info.deadline
        return deadline is not None and is_expired(deadline + self._grace, self.now())

    async def _take_back(
        self,
        bucket: Bucket,  # noqa: ARG002
        moved: ObjectInfo,  # noqa: ARG002
    ) -> None:
        # It was seen gone by then; whoever wants it back creates it again. A delete
        # by its ETag might hit what somebody has created anew.
        return

    async def remove_expired(self, info: ObjectInfo) -> bool | None:
        key = info.key
        async with self._claimed(key) as until:
            try:
                standing = await self._inner.head(key)
            except ObjectNotFound:
                return None
            if not self.is_over(standing):
                return False
            if self.now() >= until:
                raise self.contended(key)
            # The condition keeps what others, who know of no claims, write meanwhile.
            held = Capability.DELETE_IF in self.capabilities
            condition = standing.etag if held else None
            try:
                await self._inner.delete(key, if_match=condition)
            except PreconditionFailed:
                return None
        return True

    async def put(
        self,
        key: str,
        body: Body,
        *,
        info: PutInfo = NO_INFO,
        mode: WriteMode = Write.OVERWRITE,
        size: int | None = None,
    ) -> Receipt:
        if mode is Write.OVERWRITE:
            await self._make_way(key)
        return await super().put(key, body, info=info, mode=mode, size=size)

    async def copy_from(
        self,
        source: Bucket,
        source_key: str,
        key: str,
        *,
        info: PutInfo | None = None,
        mode: WriteMode = Write.OVERWRITE,
        if_match: str | None = None,
    ) -> Receipt:
        if mode is Write.OVERWRITE:
            await self._make_way(key)
        return await super().copy_from(
            source, source_key, key, info=info, mode=mode, if_match=if_match
        )

    async def complete(self, upload: Upload, parts: Sequence[Part]) -> Receipt:
        if upload.mode is Write.OVERWRITE:
            await self._make_way(upload.key)
        return await super().complete(upload, parts)

    async def _make_way(self, key: str) -> None:
        """Remove, before it is overwritten, what a reaper may be about to remove.

        A write that came between the reaper's look and its delete would be lost. Half
        of the grace is left to the write itself.
        """
        if not self.capabilities >= _NEEDED:
            return
        try:
            standing = await self._inner.head(key)
        except (NotFound, IntegrityError):
            # Nothing is there, or nothing of ours, which no reaper touches.
            return
        deadline = standing.deadline
        if deadline is not None and is_expired(deadline + self._grace / 2, self.now()):
            await self.remove_expired(standing)

    @asynccontextmanager
    async def _claimed(self, key: str) -> AsyncGenerator[datetime]:
        """Hold the claim of a key; give the time until which to act by it."""
        name = CLAIMS + sha256(key.encode()).hexdigest()
        pause, give_up = _FIRST_PAUSE, self.now() + 2 * LEASE
        while True:
            until = self.now() + LEASE / 2
            try:
                # A body of its own, so that its ETag is its own.
                receipt = await self._inner.put(name, uuid4().bytes, mode=Write.CREATE)
                break
            except AlreadyExists:
                await self._break_stale(name)
            if self.now() >= give_up:
                raise self.contended(key)
            await anyio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311
            pause = min(2 * pause, _LONGEST_PAUSE)
        try:
            yield until
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(LEASE.seconds / 4):
                await self._release(name, receipt.etag)

    async def _break_stale(self, name: str) -> None:
        """Remove the claim of a process that died."""
        try:
            claim = await self._inner.head(name)
        except ObjectNotFound:
            return
        if claim.modified + LEASE < self.now():
            await self._release(name, claim.etag)

    async def _release(self, name: str, etag: str) -> None:
        condition = etag if Capability.DELETE_IF in self.capabilities else None
        try:
            await self._inner.delete(name, if_match=condition)
        except PreconditionFailed:
            # Somebody took it over.
            return

    async def scan(
        self,
        prefix: str = "",
        *,
        start_after: str | None = None,
        delimiter: str | None = None,
    ) -> AsyncGenerator[Page]:
        pages = super().scan(prefix, start_after=start_after, delimiter=delimiter)
        async with closed_after(pages):
            async for page in pages:
                entries = tuple(each for each in page.entries if not is_claim(each))
                if entries or page.prefixes:
                    yield replace(page, entries=entries)

    async def sweep(self, *, older_than: timedelta = DEFAULT_SWEEP_AGE) -> Swept:
        swept = await self._inner.sweep(older_than=older_than)
        oldest, removed = self.now() - max(older_than, 2 * LEASE), 0
        pages = self._inner.scan(CLAIMS)
        async with closed_after(pages):
            async for page in pages:
                for entry in page.entries:
                    if entry.modified <= oldest:
                        await self._release(entry.key, entry.etag)
                        removed += 1
        return swept + Swept(files=removed)

    def _check_can_expire(self, info: PutInfo) -> None:
        if info.expiry is None or self.capabilities >= _NEEDED:
            return
        raise UnsupportedOperation(
            f"bucket {self.name!a} on {self.backend.scheme!r} does not hold to"
            " conditions, so nothing in it may expire",
            bucket=self.name,
            backend=self.backend.scheme,
        )


def is_claim(entry: ObjectEntry) -> bool:
    """Tell whether an entry is a claim and no object of the user's."""
    return entry.key.startswith(CLAIMS)
