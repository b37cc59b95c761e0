"""Files in the place of others: defects that `planted` plants."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from datetime import timedelta

import pytest

from coatcheck._core.expiry import TimeToIdle
from coatcheck.abc import PutInfo
from coatcheck.errors import IntegrityError, PreconditionFailed
from coatcheck.wrappers import expiring_info

HOUR = timedelta(hours=1)


@pytest.mark.asyncio
async def test_a_symlink_to_a_sound_object_is_refused(bucket, files, read, tmp_path):
    """Even where it leads to what would be right."""
    await bucket.put("a/k", b"coat")
    os.rename(files.of("a/k"), tmp_path / "elsewhere")
    files.of("a/k").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(IntegrityError):
        await bucket.head("a/k")
    with pytest.raises(IntegrityError):
        await read(bucket, "a/k")


@pytest.mark.asyncio
async def test_a_touch_is_of_the_object_that_was_seen(
    make_backend, calls, files, tmp_path, clock
):
    """One that was replaced between the look and the lock is left alone."""
    async with make_backend(clock=clock) as backend:
        bucket = backend.bucket("jobs")
        info = expiring_info(PutInfo(), TimeToIdle(HOUR), clock())
        await bucket.put("a/k", b"another", info=info)
        another = await bucket.head("a/k")
        shutil.copy2(files.of("a/k"), tmp_path / "another")
        await bucket.put("a/k", b"seen", info=info)
        seen = await bucket.head("a/k")
        calls.before(
            "try_lock", lambda *_: os.replace(tmp_path / "another", files.of("a/k"))
        )
        moved = replace(seen.put_info(), deadline=seen.deadline + HOUR)
        with pytest.raises(PreconditionFailed):
            await bucket.update_info("a/k", moved, if_match=seen.etag)
        assert await bucket.head("a/k") == another
