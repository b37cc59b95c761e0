"""Bytes that may be held at once, and who gets them when."""

from __future__ import annotations

import anyio
import pytest
from tests.stashes.slow import settle

from coatcheck.stashes._budget import Budget, NoRoom

pytestmark = pytest.mark.anyio


class Holders:
    """Tasks that take portions and hold them until they are told to go."""

    def __init__(self, tasks, budget):
        self.tasks = tasks
        self.budget = budget
        self.holding = []
        self.scopes = {}
        self._leave = {}

    async def come(self, **sizes):
        for name, size in sizes.items():
            self._leave[name] = anyio.Event()
            self.scopes[name] = anyio.CancelScope()
            self.tasks.start_soon(self._hold, name, size)
            await settle()

    async def _hold(self, name, size):
        with self.scopes[name], self.budget.portion() as portion:
            await portion.take(size)
            self.holding.append(name)
            try:
                await self._leave[name].wait()
            finally:
                self.holding.remove(name)

    async def leave(self, name):
        self._leave[name].set()
        await settle()

    async def cancel(self, *names):
        for name in names:
            self.scopes[name].cancel()
        await settle()


async def test_portions_are_given_in_the_order_of_asking():
    """A small one does not overtake a large one that waits."""
    budget = Budget(10)
    async with anyio.create_task_group() as tasks:
        holders = Holders(tasks, budget)
        await holders.come(a=6, b=6, c=1, d=3)
        assert holders.holding == ["a"]
        await holders.leave("a")
        assert sorted(holders.holding) == ["b", "c", "d"]
        assert budget.held == 10
        await holders.come(e=1)
        assert "e" not in holders.holding
        for name in "bcde":
            await holders.leave(name)
    assert budget.held == 0


async def test_what_is_larger_than_all_takes_all():
    """It is alone, and goes on."""
    budget = Budget(10)
    async with anyio.create_task_group() as tasks:
        holders = Holders(tasks, budget)
        await holders.come(a=1, b=1000, c=1)
        assert holders.holding == ["a"]
        await holders.leave("a")
        assert holders.holding == ["b"]
        assert budget.held == 10
        await holders.leave("b")
        assert holders.holding == ["c"]
        await holders.leave("c")
    assert budget.held == 0


async def test_who_is_cancelled_holds_nothing():
    """Waiting, holding, or at the moment of being admitted."""
    budget = Budget(10)
    async with anyio.create_task_group() as tasks:
        holders = Holders(tasks, budget)
        await holders.come(a=10, b=10, c=5, d=5)
        await holders.cancel("b")
        await holders.cancel("a")
        assert sorted(holders.holding) == ["c", "d"]
        await holders.come(e=10, f=10)
        # All at one moment: e is admitted as c and d go, and goes as well.
        await holders.cancel("c", "d", "e")
        assert holders.holding == ["f"]
        await holders.cancel("f")
    assert budget.held == 0


async def test_the_next_goes_when_the_first_in_line_gives_up():
    """A large one that waited does not hold up those behind it for ever."""
    budget = Budget(10)
    async with anyio.create_task_group() as tasks:
        holders = Holders(tasks, budget)
        await holders.come(a=6, b=10, c=4)
        assert holders.holding == ["a"]
        await holders.cancel("b")
        assert holders.holding == ["a", "c"]
        await holders.cancel("a", "c")


async def test_a_portion_fits_what_turns_out_to_be_needed():
    """It shrinks, grows while there is room, and else says how much is needed."""
    budget = Budget(10)
    with budget.portion() as one, budget.portion() as other:
        await one.take(8)
        await other.take(2)
        one.fit(4)
        assert budget.held == 6
        other.fit(6)
        assert budget.held == 10
        with pytest.raises(NoRoom) as caught:
            one.fit(5)
        assert caught.value.size == 5
        assert (one.size, other.size, budget.held) == (4, 6, 10)
        one.grow(3)
        with pytest.raises(NoRoom):
            one.grow(5)
        assert (one.size, other.size, budget.held) == (4, 6, 10)
    assert budget.held == 0


async def test_shrinking_admits_who_waits():
    """What a portion gives back is there for the next."""
    budget = Budget(10)
    async with anyio.create_task_group() as tasks:
        holders = Holders(tasks, budget)
        with budget.portion() as portion:
            await portion.take(8)
            await holders.come(a=5)
            assert holders.holding == []
            portion.fit(5)
            await settle()
            assert holders.holding == ["a"]
            await holders.leave("a")


async def test_the_guess_follows_the_sizes():
    """It comes close to what most bodies have, and one odd one moves it little."""
    budget = Budget(2**30)
    with budget.portion() as portion:
        for _ in range(50):
            portion.fit(1000)
        assert 990 <= budget.guess <= 1010
        portion.fit(9000)
        assert budget.guess < 3100
