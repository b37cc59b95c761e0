"""Whole objects in the place of others: defects that `planted` plants."""

from __future__ import annotations

from dataclasses import replace

import pytest

from coatcheck.errors import IntegrityError

TEXT = "t" * 2000


@pytest.mark.asyncio
async def test_a_stream_is_held_against_its_address(place):
    """A sound object that is not the one whose digest the address has is refused."""
    async with place.opened() as cc:
        one = (await cc.create_stream("one", b"1" * 5000)).address
        two = (await cc.create_stream("two", b"2" * 5000)).address
        bucket = await place.bucket(cc)
        await bucket.copy_from(bucket, two.key, one.key)
        with pytest.raises(IntegrityError):
            await cc.retrieve(one)
        with pytest.raises(IntegrityError):
            async with cc.open(one) as reader:
                await reader.read()
        assert (await cc.retrieve(two)).data == b"2" * 5000
        with pytest.raises(IntegrityError):
            await cc.retrieve(replace(two, size=4999))


@pytest.mark.asyncio
async def test_a_compressed_stash_is_held_against_its_address(place):
    """A sound frame of another payload is refused."""
    async with place.opened(compression="zstd") as cc:
        one = (await cc.create("one", TEXT)).address
        two = (await cc.create("two", TEXT[::-1] + "!")).address
        bucket = await place.bucket(cc)
        await bucket.copy_from(bucket, two.key, one.key)
        with pytest.raises(IntegrityError):
            await cc.retrieve(one)
        with pytest.raises(IntegrityError):
            async with cc.open(one) as reader:
                await reader.read()
