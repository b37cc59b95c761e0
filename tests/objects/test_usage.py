"""An operator's view: what scopes hold, by expiry day, and deleting them."""

from __future__ import annotations

from datetime import timedelta

import pytest
import pytest_asyncio

from coatcheck._core.expiry import TimeToLive
from coatcheck._core.scopes import Location, Scope
from coatcheck.abc import PutInfo
from coatcheck.backends._memory import MemoryBackend
from coatcheck.errors import InvalidInput, InvalidName
from coatcheck.objects import Amount, delete_scope, usage
from coatcheck.wrappers import expiring, expiring_info

DAY = timedelta(days=1)
ORG = Scope.of(org=1)
PROJECT = Scope.of(org=1, project=2)
OTHER = Scope.of(org=10)
HELD = {
    ("attachments", Scope()): ["none"],
    ("attachments", ORG): ["a", "b/c", "b/d"],
    ("attachments", PROJECT): ["a", "b"],
    ("attachments", OTHER): ["a"],
    ("releases", ORG): ["a" * 10],
}


@pytest_asyncio.fixture
async def bucket(clock):
    """Objects of several usecases and scopes, and keys of nobody's."""
    async with MemoryBackend(clock=clock) as backend:
        bucket = backend.bucket("objects")
        for (usecase, scope), keys in HELD.items():
            for key in keys:
                await bucket.put(Location(usecase, scope, key).stored_key, key.encode())
        for key in ("loose", "a/objects/x", "attachments/org.1/elsewhere/x"):
            await bucket.put(key, b"nobody's")
        yield bucket


def expected(chosen=lambda usecase, scope: True):
    return {
        (usecase, scope): Amount(len(keys), sum(map(len, keys)))
        for (usecase, scope), keys in HELD.items()
        if chosen(usecase, scope)
    }


async def rows(bucket, **options):
    return {
        (row.usecase, row.scope): row.amount async for row in usage(bucket, **options)
    }


@pytest.mark.asyncio
async def test_every_scope_is_counted_once(bucket):
    """Each scope has its own row, and what belongs to no usecase has none."""
    assert await rows(bucket) == expected()
    assert len([row async for row in usage(bucket)]) == len(HELD)


@pytest.mark.asyncio
async def test_usage_can_be_narrowed(bucket):
    """To a usecase, and to a scope with what is below it, and nothing beside it."""
    assert await rows(bucket, usecase="attachments") == expected(
        lambda usecase, _: usecase == "attachments"
    )
    assert await rows(bucket, usecase="attachments", scope=ORG) == expected(
        lambda usecase, scope: usecase == "attachments" and scope in (ORG, PROJECT)
    )
    assert await rows(bucket, usecase="attachments", scope=Scope()) == expected(
        lambda usecase, scope: usecase == "attachments" and scope == Scope()
    )
    assert await rows(bucket, usecase="nothing") == {}


@pytest.mark.asyncio
async def test_usage_by_day_of_expiry(bucket, clock):
    """Objects are counted on the day of their deadline, expired ones too."""
    for days in (1, 1, 3):
        info = expiring_info(PutInfo(), TimeToLive(days * DAY), clock())
        key = Location("expiring", ORG, f"k{days}{clock()}").stored_key
        await bucket.put(key, b"12345", info=info)
        clock.advance(1)
    await bucket.put(Location("expiring", ORG, "ever").stored_key, b"1")
    start = clock().date()
    clock.advance(2 * DAY)
    for asked in (bucket, expiring(bucket)):
        (row,) = [row async for row in usage(asked, usecase="expiring", by_day=True)]
        assert row.days == {
            None: Amount(1, 1),
            start + DAY: Amount(2, 10),
            start + 3 * DAY: Amount(1, 5),
        }
        assert row.amount == Amount(4, 16)
    (plain,) = [row async for row in usage(bucket, usecase="expiring")]
    assert (plain.days, plain.amount) == ({}, row.amount)


@pytest.mark.asyncio
async def test_a_dry_run_deletes_nothing(bucket):
    """By default only what would go is counted."""
    seen = []
    upload = await bucket.initiate(Location("attachments", ORG, "u").stored_key)
    report = await delete_scope(bucket, "attachments", ORG, progress=seen.append)
    assert (report.found, report.deleted, report.uploads) == (Amount(3, 7), 0, 1)
    assert sum(seen) == 3
    assert await rows(bucket) == expected()
    assert [each async for each in bucket.list_uploads()] == [upload]


@pytest.mark.asyncio
async def test_a_scope_goes_alone(bucket):
    """Neither the scopes below it nor one whose name begins alike are touched."""
    await bucket.initiate(Location("attachments", ORG, "u").stored_key)
    kept = await bucket.initiate(Location("attachments", OTHER, "u").stored_key)
    report = await delete_scope(bucket, "attachments", ORG, dry_run=False)
    assert (report.found.count, report.deleted, report.uploads) == (3, 3, 1)
    assert await rows(bucket) == expected(lambda *of: of != ("attachments", ORG))
    assert [each async for each in bucket.list_uploads()] == [kept]
    again = await delete_scope(bucket, "attachments", ORG, dry_run=False)
    assert again.found == Amount()


@pytest.mark.asyncio
async def test_a_scope_goes_with_all_below(bucket):
    """A tenant's projects go with the tenant when that is asked for."""
    report = await delete_scope(bucket, "attachments", ORG, below=True, dry_run=False)
    assert report.deleted == 5
    left = expected(lambda u, scope: u != "attachments" or scope in (OTHER, Scope()))
    assert await rows(bucket) == left
    await delete_scope(bucket, "attachments", Scope(), below=True, dry_run=False)
    assert await rows(bucket) == expected(lambda usecase, _: usecase == "releases")
    assert (await bucket.head("attachments/org.1/elsewhere/x")).size == 8


@pytest.mark.asyncio
async def test_bad_questions(bucket):
    """A scope needs a usecase, and a usecase its grammar."""
    with pytest.raises(InvalidInput):
        await rows(bucket, scope=ORG)
    with pytest.raises(InvalidName):
        await rows(bucket, usecase="a/b")
    with pytest.raises(InvalidName):
        await delete_scope(bucket, "..", ORG, dry_run=False)
