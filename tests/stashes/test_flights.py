"""Work that equal callers share, and what becomes of it when some of them go."""

from __future__ import annotations

import asyncio
import traceback

import anyio
import pytest
from tests.stashes.slow import settle

from coatcheck.errors import BackendUnavailable, CoatcheckError, Outcome, OutcomeUnknown
from coatcheck.stashes._flights import Flights

pytestmark = pytest.mark.anyio

SPOT = ("mem", "bucket", "key")


class Work:
    """Work that waits until it is let go, and then brings, or raises, what is next."""

    def __init__(self, *outcomes):
        self.outcomes = list(outcomes)
        self.begun = 0
        self.go = anyio.Event()

    async def __call__(self):
        self.begun += 1
        outcome = self.outcomes[self.begun - 1]
        await self.go.wait()
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def let_go(self):
        self.go.set()
        self.go = anyio.Event()


class CancellingEvent:
    """An event whose waiter is cancelled the moment it is set."""

    def __init__(self, event, task):
        self._event = event
        self._task = task

    def set(self):
        self._event.set()
        self._task.cancel()


class Callers:
    """Tasks that join one flight, and what each of them got."""

    def __init__(self, tasks, flights, work):
        self.tasks = tasks
        self.flights = flights
        self.work = work
        self.got = {}
        self.scopes = {}
        self.kept = []

    async def come(self, *names, spot=SPOT, kind=None, suits=lambda _: True):
        for name in names:
            self.scopes[name] = anyio.CancelScope()
            self.tasks.start_soon(self._call, name, spot, kind, suits)
            await settle()

    async def _call(self, name, spot, kind, suits):
        with self.scopes[name]:
            try:
                landed = await self.flights.join(
                    spot, kind, self.work, suits=suits, keep=self.kept.append
                )
                self.got[name] = landed.result
            except (CoatcheckError, ZeroDivisionError) as error:
                self.got[name] = error
            return
        self.got[name] = "cancelled"

    async def let_go(self):
        self.work.let_go()
        await settle()

    async def cancel(self, *names):
        for name in names:
            self.scopes[name].cancel()
        await settle()


@pytest.fixture
def flights():
    """Flights of which none is left when the test ends."""
    found = Flights()
    yield found
    assert len(found) == 0


async def test_one_works_for_all(flights):
    """Whoever comes before the result is there gets it; the next one works again."""
    async with anyio.create_task_group() as tasks:
        callers = Callers(tasks, flights, Work("first", "second"))
        await callers.come("a", "b", "c")
        await callers.let_go()
        assert callers.got == dict.fromkeys("abc", "first")
        await callers.come("d")
        await callers.let_go()
        assert callers.got["d"] == "second"
    assert callers.work.begun == 2
    assert callers.kept == ["first", "second"]


async def test_what_is_not_equal_is_not_shared(flights):
    """Other spots and other kinds are other work."""
    async with anyio.create_task_group() as tasks:
        callers = Callers(tasks, flights, Work(*range(3)))
        await callers.come("a")
        await callers.come("b", spot=("mem", "bucket", "other"))
        await callers.come("c", kind="other")
        assert callers.work.begun == len(flights) == 3
        await callers.let_go()
    assert sorted(callers.got.values()) == [0, 1, 2]


async def test_a_cancelled_worker_hands_over(flights):
    """Who has waited longest begins anew, and nobody else hears of it."""
    async with anyio.create_task_group() as tasks:
        callers = Callers(tasks, flights, Work(*["result"] * 3))
        await callers.come("a", "b", "c", "d")
        await callers.cancel("a")
        assert callers.got == {"a": "cancelled"}
        assert callers.work.begun == 2
        await callers.cancel("b")
        assert callers.work.begun == 3
        await callers.let_go()
    assert callers.got["c"] == callers.got["d"] == "result"


async def test_a_cancelled_waiter_is_all_that_goes(flights):
    """The work goes on for the others."""
    async with anyio.create_task_group() as tasks:
        callers = Callers(tasks, flights, Work("result"))
        await callers.come("a", "b", "c")
        await callers.cancel("b")
        await callers.let_go()
    assert callers.got == {"a": "result", "b": "cancelled", "c": "result"}
    assert callers.work.begun == 1


async def test_who_goes_as_its_turn_comes_hands_over_too(flights):
    """Worker and next in line are cancelled at one moment: the third works."""
    async with anyio.create_task_group() as tasks:
        callers = Callers(tasks, flights, Work(*["result"] * 3))
        await callers.come("a", "b", "c")
        await callers.cancel("a", "b")
        await callers.let_go()
    assert callers.got == {"a": "cancelled", "b": "cancelled", "c": "result"}


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_promoted_waiter_that_is_cancelled_hands_over(flights):
    """Its turn was given to it, and asyncio cancels it before it can take it."""
    work = Work(*["result"] * 3)

    async def call():
        return await flights.join(SPOT, None, work, suits=lambda _: True)

    first, second, third = [asyncio.create_task(call()) for _ in range(3)]
    await settle()
    (under_way,) = flights._under_way.values()
    (flight,) = under_way.values()
    waiter = next(iter(flight.waiters))
    waiter.woken = CancellingEvent(waiter.woken, second)
    first.cancel()
    await settle()
    assert waiter.leads
    assert first.cancelled()
    assert second.cancelled()
    assert work.begun == 2
    work.let_go()
    assert (await third).result == "result"


async def test_all_go(flights):
    """When nobody waits any more, nothing is left."""
    async with anyio.create_task_group() as tasks:
        callers = Callers(tasks, flights, Work("never", "result"))
        await callers.come("a", "b", "c")
        await callers.cancel("c", "b", "a")
        assert len(flights) == 0
        await callers.come("d")
        await callers.let_go()
    assert callers.got["d"] == "result"


async def test_a_failure_is_of_those_who_came_before_the_attempt(flights):
    """Those who came while it was under way get one more attempt, and no more."""
    first, second = BackendUnavailable("first"), BackendUnavailable("second")
    async with anyio.create_task_group() as tasks:
        callers = Callers(tasks, flights, Work(first, second, "third"))
        await callers.come("a", "b", "c")
        await callers.let_go()
        assert callers.got == {"a": first}
        await callers.come("d")
        await callers.let_go()
        assert str(callers.got["b"]) == str(callers.got["c"]) == "second"
        assert "d" not in callers.got
        await callers.let_go()
    assert callers.got["d"] == "third"
    assert callers.work.begun == 3


async def test_everybody_raises_an_error_of_his_own(flights):
    """Equal in all they tell, but no instance has two tracebacks to grow."""

    async def probe():
        return Outcome.APPLIED

    failure = OutcomeUnknown("lost", key="k", retryable=True)
    failure.probe = probe
    waiting = [f"w{number}" for number in range(50)]
    async with anyio.create_task_group() as tasks:
        callers = Callers(tasks, flights, Work(BackendUnavailable("old"), failure))
        await callers.come("a", *waiting)
        await callers.let_go()
        await callers.let_go()
    errors = [callers.got[name] for name in waiting]
    assert len({id(error) for error in errors}) == 50
    for error in errors:
        assert type(error) is OutcomeUnknown
        assert (error.message, error.key, error.retryable) == ("lost", "k", True)
        assert await error.resolve() is Outcome.APPLIED
        assert len(traceback.extract_tb(error.__traceback__)) <= 4
    assert len(traceback.extract_tb(failure.__traceback__)) <= 4


async def test_a_defect_of_the_work_is_only_its_callers(flights):
    """What is no error of ours is not handed round; the next one tries."""
    async with anyio.create_task_group() as tasks:
        callers = Callers(tasks, flights, Work(ZeroDivisionError(), "result"))
        await callers.come("a", "b", "c")
        await callers.let_go()
        await callers.let_go()
    assert isinstance(callers.got["a"], ZeroDivisionError)
    assert callers.got["b"] == callers.got["c"] == "result"


async def test_a_result_that_is_too_old_is_not_taken(flights):
    """Who finds it so waits for the next, which one of them works for all."""
    async with anyio.create_task_group() as tasks:
        callers = Callers(tasks, flights, Work("old", "new"))
        await callers.come("a", "b")
        await callers.come("c", "d", "e", suits=lambda found: found == "never")
        await callers.let_go()
        assert callers.got == {"a": "old", "b": "old"}
        assert callers.work.begun == 2
        await callers.let_go()
    assert [callers.got[name] for name in "cde"] == ["new"] * 3
    assert callers.work.begun == 2


async def test_what_was_forgotten_is_not_joined(flights):
    """Who waits goes on; who comes later works anew; only the latter is kept."""
    async with anyio.create_task_group() as tasks:
        callers = Callers(tasks, flights, Work("old", "new"))
        await callers.come("a", "b")
        flights.forget(SPOT)
        await callers.come("c")
        assert callers.work.begun == 2
        await callers.let_go()
    assert [callers.got[name] for name in "abc"] == ["old", "old", "new"]
    assert callers.kept == ["new"]


async def test_the_forgotten_hand_over_as_well(flights):
    """Cancelling the worker of forgotten work leaves those who wait for it."""
    async with anyio.create_task_group() as tasks:
        callers = Callers(tasks, flights, Work("never", "old", "new"))
        await callers.come("a", "b")
        flights.forget(SPOT)
        await callers.cancel("a")
        await callers.come("c")
        await callers.let_go()
    assert (callers.got["b"], callers.got["c"]) == ("old", "new")
    assert callers.kept == ["new"]
