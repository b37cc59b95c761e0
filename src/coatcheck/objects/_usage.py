"""What usecases and scopes hold, and deleting all of it: an operator's view."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from coatcheck._core.objects import ObjectInfo
from coatcheck._core.scopes import Location, Scope, check_usecase
from coatcheck.abc import Capability, require
from coatcheck.errors import InvalidInput, InvalidName
from coatcheck.wrappers import closed_after, expiring

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable

    from coatcheck.abc import Bucket, ObjectEntry

_NO_DAYS: Final[Mapping[date | None, Amount]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Amount:
    """How many objects, and how large they are together."""

    count: int = 0
    """Objects."""
    size: int = 0
    """Stored bytes."""

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.count + other.count, self.size + other.size)


@dataclass(frozen=True, kw_only=True, slots=True)
class ScopeUsage:
    """What one scope of a usecase holds, with what has expired and still stands."""

    usecase: str
    """The usecase."""
    scope: Scope
    """The scope."""
    amount: Amount
    """All of it."""
    days: Mapping[date | None, Amount] = field(default_factory=lambda: _NO_DAYS)
    """By the day, in UTC, on which objects expire; None is never. Empty unless days
    were asked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScopeDeletion:
    """What deleting a scope did, or would do."""

    found: Amount
    """The objects that stood there."""
    deleted: int = 0
    """How many of them were deleted; 0 in a dry run."""
    uploads: int = 0
    """Unfinished uploads that were found, and aborted unless it was a dry run."""


async def usage(
    bucket: Bucket,
    *,
    usecase: str | None = None,
    scope: Scope | None = None,
    by_day: bool = False,
) -> AsyncGenerator[ScopeUsage]:
    """Iterate over what scopes hold, in the order of their stored keys.

    Objects are listed once, in constant memory; keys that belong to no usecase are
    passed over. Close the iterator with `contextlib.aclosing` when you leave it early.

    Args:
        bucket: The storage, not a service: it is scanned across scopes.
        usecase: Only this usecase.
        scope: Only this scope of the usecase, and the scopes below it.
        by_day: Count by the day of expiry too. Stores that list no metadata, as S3,
            are asked about every object then.

    Raises:
        InvalidName: The usecase is none.
        InvalidInput: A scope without a usecase.
        UnsupportedOperation: The bucket cannot scan.
        BackendError: The storage failed.
    """
    counting: _Counting | None = None
    stored = _stored(bucket, _prefix(usecase, scope), by_day=by_day)
    async with closed_after(stored) as pages:
        async for entries in pages:
            for location, entry in _located(entries):
                of = (location.usecase, location.scope)
                if counting is None or counting.of != of:
                    if counting is not None:
                        yield counting.result()
                    counting = _Counting(of)
                counting.add(entry, by_day=by_day)
    if counting is not None:
        yield counting.result()


async def delete_scope(
    bucket: Bucket,
    usecase: str,
    scope: Scope,
    *,
    below: bool = False,
    dry_run: bool = True,
    progress: Callable[[int], object] | None = None,
) -> ScopeDeletion:
    """Delete all objects of a scope, and abort uploads to it that are under way.

    What is written there meanwhile may stay. Deleting again is safe.

    Args:
        bucket: The storage, not a service.
        usecase: The usecase.
        scope: The scope.
        below: Whether the scopes below it go too: those that begin with its levels;
            below the empty scope is all of the usecase.
        dry_run: Only count what would be deleted.
        progress: Called with the number of objects each time some were deleted, or
            counted in a dry run.

    Raises:
        InvalidName: The usecase is none.
        UnsupportedOperation: The bucket cannot scan.
        BackendError: The storage failed.
    """
    prefix = Location(usecase, scope, "").stored_key
    if below:
        prefix = _prefix(usecase, scope if scope.pairs else None)
    storage = require(expiring(bucket).inner, Capability.SCAN)
    found, deleted = Amount(), 0
    async with closed_after(_stored(bucket, prefix, by_day=False)) as pages:
        async for entries in pages:
            here = [entry for _, entry in _located(entries)]
            found += Amount(len(here), sum(entry.size for entry in here))
            if not dry_run:
                results = await storage.delete_many(entry.key for entry in here)
                deleted += sum(error is None for error in results.values())
            if progress is not None:
                progress(len(here))
    uploads = await _abort_uploads(bucket, prefix, dry_run=dry_run)
    return ScopeDeletion(found=found, deleted=deleted, uploads=uploads)


async def _abort_uploads(bucket: Bucket, prefix: str, *, dry_run: bool) -> int:
    if Capability.MULTIPART not in bucket.capabilities:
        return 0
    multipart = require(bucket, Capability.MULTIPART)
    uploads = [upload async for upload in multipart.list_uploads(prefix)]
    for upload in () if dry_run else uploads:
        await multipart.abort(upload)
    return len(uploads)


def _prefix(usecase: str | None, scope: Scope | None) -> str:
    if usecase is None:
        if scope is not None:
            raise InvalidInput("a scope is one of a usecase; name it too")
        return ""
    check_usecase(usecase)
    # The slash ends the last level: `org.1/` is no beginning of `org.10/`.
    return f"{usecase}/" if scope is None else f"{usecase}/{scope.folder}/"


async def _stored(
    bucket: Bucket, prefix: str, *, by_day: bool
) -> AsyncGenerator[Iterable[ObjectEntry]]:
    """Yield what stands in the storage, expired or not."""
    looking = expiring(bucket)
    pages = require(looking.inner, Capability.SCAN).scan(prefix)
    async with closed_after(pages):
        async for page in pages:
            yield await looking.looked_at(page) if by_day else page.entries


def _located(entries: Iterable[ObjectEntry]) -> list[tuple[Location, ObjectEntry]]:
    found: list[tuple[Location, ObjectEntry]] = []
    for entry in entries:
        try:
            found.append((Location.parse(entry.key), entry))
        except InvalidName:
            continue
    return found


class _Counting:
    """The sum of one scope while it is listed."""

    def __init__(self, of: tuple[str, Scope]) -> None:
        self.of = of
        self._amount = Amount()
        self._days: dict[date | None, Amount] = {}

    def add(self, entry: ObjectEntry, *, by_day: bool) -> None:
        one = Amount(1, entry.size)
        self._amount += one
        if by_day:
            deadline = entry.deadline if isinstance(entry, ObjectInfo) else None
            day = None if deadline is None else deadline.date()
            self._days[day] = self._days.get(day, Amount()) + one

    def result(self) -> ScopeUsage:
        return ScopeUsage(
            usecase=self.of[0],
            scope=self.of[1],
            amount=self._amount,
            days=MappingProxyType(self._days),
        )
