"""Many calls at once, and how many: a defect that `planted` plants."""

from __future__ import annotations

import anyio
import pytest

from coatcheck.payloads._parallel import in_parallel


@pytest.mark.asyncio
@pytest.mark.parametrize("at_once", [1, 3])
async def test_no_more_calls_run_than_allowed(at_once):
    """As many run at the same time as may, never more, and all of them run."""
    running, most = 0, 0

    async def call(item):
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
        running -= 1
        return item

    assert await in_parallel(range(20), call, at_once=at_once) == list(range(20))
    assert most == at_once
