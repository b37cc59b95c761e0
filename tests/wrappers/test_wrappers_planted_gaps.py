"""Links to what expires, and who deletes it: defects that `planted` plants."""

from __future__ import annotations

from datetime import timedelta

import pytest

from coatcheck._core.expiry import TimeToLive
from coatcheck.abc import Capability, PutInfo, SignGet, SignPut
from coatcheck.backends._memory import MemoryBackend
from coatcheck.errors import ObjectNotFound
from coatcheck.wrappers import ForwardingBucket, expiring, expiring_info, reap

HOUR = timedelta(hours=1)


class Signing(ForwardingBucket):
    """A bucket whose links are how long they work."""

    @property
    def capabilities(self):
        return super().capabilities | {Capability.SIGN}

    async def sign(self, what, key, *, expires_in):
        return expires_in


@pytest.mark.asyncio
async def test_a_link_never_outlives_its_object(clock):
    """A link to read ends with the object at the latest; there is none afterwards."""
    async with MemoryBackend(clock=clock) as backend:
        bucket = expiring(Signing(backend.bucket("b")))
        info = expiring_info(PutInfo(), TimeToLive(HOUR), clock())
        await bucket.put("mortal", b"x", info=info)
        await bucket.put("lasting", b"x")
        clock.advance(900)
        for key, wanted, got in (
            ("mortal", HOUR / 2, HOUR / 2),
            ("mortal", 2 * HOUR, HOUR * 3 / 4),
            ("lasting", 2 * HOUR, 2 * HOUR),
        ):
            assert await bucket.sign(SignGet(), key, expires_in=wanted) == got
        assert await bucket.sign(SignPut(), "mortal", expires_in=2 * HOUR) == 2 * HOUR
        clock.advance(3600)
        with pytest.raises(ObjectNotFound):
            await bucket.sign(SignGet(), "mortal", expires_in=HOUR)


class Raced(ForwardingBucket):
    """A bucket in which somebody writes just before each deletion."""

    async def delete(self, key, *, if_match=None):
        await super().put(key, b"new")
        await super().delete(key, if_match=if_match)


@pytest.mark.asyncio
async def test_a_reaper_deletes_only_what_it_saw(clock):
    """What was written anew since the listing lives, and is not counted."""
    async with MemoryBackend(clock=clock) as backend:
        bucket = expiring(Raced(backend.bucket("b")))
        info = expiring_info(PutInfo(), TimeToLive(HOUR), clock())
        await bucket.put("k", b"mortal", info=info)
        clock.advance(3600)
        reaped = await reap(bucket)
        assert (reaped.scanned, reaped.deleted, reaped.failed) == (1, 0, 0)
        assert (await bucket.head("k")).size == 3
