"""Expiry on plain S3, whose ETags are no generations."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from coatcheck import Coatcheck, Config, S3Config, TimeToIdle, TimeToLive
from coatcheck.errors import StashNotFound
from coatcheck.testing import ManualClock

HOUR = timedelta(hours=1)
TEXT = "t" * 200


@pytest.mark.asyncio
async def test_stashes_expire_on_s3(seaweed_url):
    """Hidden from the deadline, linked no longer than it, reaped after the grace."""
    clock = ManualClock(datetime.now(UTC))
    config = Config(
        s3=S3Config(endpoint_url=seaweed_url, create_buckets=True),
        grace=timedelta(minutes=15),
    )
    async with Coatcheck(config, clock=clock) as cc:
        live = await cc.create("live", TEXT, "expiry", expires=TimeToLive(HOUR))
        idle = await cc.create("idle", TEXT, "expiry", expires=TimeToIdle(HOUR))
        kept = await cc.create("kept", TEXT, "expiry")
        clock.advance(HOUR / 2)
        assert await cc.touch(idle.address) == clock() + HOUR
        clock.advance(HOUR / 2)
        with pytest.raises(StashNotFound):
            await cc.retrieve(live.address)
        with pytest.raises(StashNotFound):
            await cc.share(live.address, ttl_sec=60)
        names = [entry.address.name async for entry in cc.scan("expiry")]
        assert names == ["idle", "kept"]
        listed = [entry async for entry in cc.scan("expiry", as_listed=True)]
        assert [entry.address.name for entry in listed] == ["idle", "kept", "live"]
        assert {entry.deadline for entry in listed} == {None}
        report = await cc.reap("expiry")
        assert (report.scanned, report.heads, report.deleted) == (3, 3, 0)
        again = await cc.create("live", TEXT, "expiry", expires=TimeToLive(HOUR))
        assert again.deadline == clock() + HOUR
        clock.advance(HOUR + config.grace)
        report = await cc.reap("expiry")
        assert (report.deleted, report.failed) == (2, 0)
        assert await cc.exists(kept.address)


@pytest.mark.asyncio
async def test_a_link_ends_with_its_stash(seaweed_url):
    """However long it was asked for."""
    config = Config(s3=S3Config(endpoint_url=seaweed_url, create_buckets=True))
    async with Coatcheck(config) as cc:
        brief = TimeToLive(timedelta(seconds=3))
        stash = await cc.create("brief", TEXT, "expiry", expires=brief)
        link = await stash.share(ttl_sec=3600)
        assert (await cc.retrieve(link)).data == TEXT
        await asyncio.sleep(4.2)
        with pytest.raises(StashNotFound, match="expired"):
            await cc.retrieve(link)
