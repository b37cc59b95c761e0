"""Links to what expires: a defect that `planted` plants."""

from __future__ import annotations

from datetime import timedelta

import pytest

from coatcheck._core.expiry import TimeToLive
from coatcheck.abc import Capability, PutInfo, SignGet, SignPut
from coatcheck.backends._memory import MemoryBackend
from coatcheck.errors import ObjectNotFound
from coatcheck.wrappers import ForwardingBucket, expiring, expiring_info

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
