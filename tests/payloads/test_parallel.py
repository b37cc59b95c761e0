"""One call for each of many items: taken lazily, in order, to the first failure."""

from __future__ import annotations

from functools import partial

import anyio
import pytest
from anyio import wait_all_tasks_blocked
from anyio.lowlevel import checkpoint

from coatcheck.payloads._parallel import in_parallel

pytestmark = pytest.mark.anyio


class Items:
    """Numbers from an async generator, which tells how many were taken."""

    def __init__(self, count, fail_at=None):
        self.count = count
        self.fail_at = fail_at
        self.taken = 0
        self.closed = False

    async def flow(self):
        try:
            for number in range(self.count):
                await checkpoint()
                if number == self.fail_at:
                    raise ZeroDivisionError
                self.taken += 1
                yield number
        finally:
            self.closed = True


async def twice(number):
    # The later ones end first.
    for _ in range(10 - number % 10):
        await checkpoint()
    return 2 * number


async def test_results_keep_the_order_of_the_items():
    """Whatever ends first, and whether the items come sync or async."""
    wanted = [2 * number for number in range(50)]
    assert await in_parallel(range(50), twice, at_once=7) == wanted
    assert await in_parallel(Items(50).flow(), twice, at_once=7) == wanted
    assert await in_parallel([], twice, at_once=7) == []


async def test_no_more_is_taken_than_is_worked_on():
    """An item is taken when there is a free place for it."""
    items, go = Items(50), anyio.Event()

    async def wait(number):
        await go.wait()
        return number

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(in_parallel, items.flow(), wait, at_once=5))
        await wait_all_tasks_blocked()
        assert items.taken == 5
        go.set()
    assert items.taken == 50


async def test_no_more_tasks_than_items():
    """A wide bound costs nothing where there is little to do."""
    before = len(anyio.get_running_tasks())

    async def count(_):
        await checkpoint()
        return len(anyio.get_running_tasks()) - before

    assert max(await in_parallel(range(3), count, at_once=1000)) <= 4


async def test_the_first_failure_is_raised_as_it_is():
    """The rest is cancelled, and the generator is closed."""
    items, cancelled = Items(50), []

    async def fail_at_three(number):
        if number == 3:
            raise KeyError(number)
        try:
            await anyio.sleep_forever()
        except BaseException:
            cancelled.append(number)
            raise

    with pytest.raises(KeyError):
        await in_parallel(items.flow(), fail_at_three, at_once=10)
    assert items.closed
    assert items.taken < 50
    assert 3 not in cancelled
    assert {0, 1, 2} <= set(cancelled)


async def test_a_failure_of_the_items_is_raised_as_it_is():
    """It is like that of a call."""
    items = Items(50, fail_at=4)
    with pytest.raises(ZeroDivisionError):
        await in_parallel(items.flow(), twice, at_once=3)
    assert items.closed


async def test_cancelled_it_leaves_nothing():
    """No task, and no generator that is half read."""
    items = Items(50)
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:

            async def work():
                await in_parallel(
                    items.flow(), lambda _: anyio.sleep_forever(), at_once=5
                )

            tasks.start_soon(work)
            await wait_all_tasks_blocked()
            scope.cancel()
    assert items.closed
    assert items.taken == 5
