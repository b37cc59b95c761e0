"""Work that equal calls do once: one does it, the others wait for what it brings.

What a caller gets is as good as if it had done the work alone:

* A result is shared with whoever came before it was there, unless a caller that came
  after the work began finds it too old; then the work is done once more for all such.
* A failure is shared only with those who came before the attempt that failed began:
  what was not there then may be there now. So a failure costs one more attempt, and
  no more. Each caller raises an error of its own.
* Who does the work does it in its own task. When that is cancelled, the one who has
  waited longest begins anew, and nobody else hears of it.

There is no task and no lock: a caller that waits holds nothing but its place, and
waits no longer than those before it take.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeAlias, TypeVar, cast

import anyio

from coatcheck.errors import CoatcheckError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

_T = TypeVar("_T")

Spot: TypeAlias = tuple[str, str, str]
"""What is worked on: the backend's scheme, the bucket, and the whole key."""


class Landed(NamedTuple, Generic[_T]):
    """What a call brought, and who did it."""

    result: _T
    """The result."""
    joined: bool
    """Whether another caller did the work."""


class Flights(Generic[_T]):
    """The work of one kind that is under way."""

    def __init__(self) -> None:
        self._under_way: dict[Spot, dict[Hashable, _Flight[_T]]] = {}
        self._attempts = 0

    def __len__(self) -> int:
        return sum(len(flights) for flights in self._under_way.values())

    async def join(
        self,
        spot: Spot,
        kind: Hashable,
        work: Callable[[], Awaitable[_T]],
        *,
        suits: Callable[[_T], bool],
        keep: Callable[[_T], object] | None = None,
    ) -> Landed[_T]:
        """Do the work, or wait for an equal caller that does it.

        Args:
            spot: What is worked on.
            kind: Tells equal work on one spot from other work on it.
            work: Does it; called anew for each attempt.
            suits: Tells whether a result of work that began before this call is good
                enough for it.
            keep: Told of this caller's own result, unless the spot was forgotten
                meanwhile.

        Raises:
            CoatcheckError: The work failed.
        """
        asked = self._attempts
        while True:
            flights = self._under_way.setdefault(spot, {})
            flight = flights.get(kind)
            if flight is None:
                flight = flights[kind] = _Flight(spot, kind)
                return await self._lead(flight, work, keep)
            waiter = flight.enter(asked)
            try:
                await waiter.woken.wait()
            except BaseException:
                self._leave(flight, waiter)
                raise
            if waiter.leads:
                return await self._lead(flight, work, keep)
            if waiter.failure is not None:
                raise _own(waiter.failure) from waiter.failure
            result = cast("_T", waiter.result)
            if waiter.came_first or suits(result):
                return Landed(result, joined=True)

    def forget(self, spot: Spot) -> None:
        """Let nobody else join what is under way for a spot, since it is outdated.

        Those who wait already go on as before.
        """
        self._under_way.pop(spot, None)

    async def _lead(
        self,
        flight: _Flight[_T],
        work: Callable[[], Awaitable[_T]],
        keep: Callable[[_T], object] | None,
    ) -> Landed[_T]:
        self._attempts += 1
        flight.began = self._attempts
        try:
            result = await work()
            if keep is not None and self._is_current(flight):
                keep(result)
            flight.land(result)
            return Landed(result, joined=False)
        except CoatcheckError as error:
            flight.fail(error)
            raise
        finally:
            self._go_on(flight)

    def _leave(self, flight: _Flight[_T], waiter: _Waiter) -> None:
        """Let a caller go that was cancelled while it waited."""
        flight.waiters.pop(waiter, None)
        if waiter.leads:
            # It was cancelled just when its turn came.
            self._go_on(flight)

    def _go_on(self, flight: _Flight[_T]) -> None:
        """Let the next in line do the work, or end the flight."""
        if not flight.promote() and self._is_current(flight):
            flights = self._under_way[flight.spot]
            del flights[flight.kind]
            if not flights:
                del self._under_way[flight.spot]

    def _is_current(self, flight: _Flight[_T]) -> bool:
        return self._under_way.get(flight.spot, {}).get(flight.kind) is flight


class _Waiter:
    """The place of one caller that waits."""

    __slots__ = ("asked", "came_first", "failure", "leads", "result", "woken")

    def __init__(self, asked: int) -> None:
        self.asked = asked
        self.woken = anyio.Event()
        self.leads = False
        self.came_first = False
        self.failure: CoatcheckError | None = None
        self.result: object = None


class _Flight(Generic[_T]):
    """One piece of work, attempted until it brings something."""

    __slots__ = ("began", "kind", "spot", "waiters")

    def __init__(self, spot: Spot, kind: Hashable) -> None:
        self.spot = spot
        self.kind = kind
        self.began = 0
        self.waiters: dict[_Waiter, None] = {}

    def enter(self, asked: int) -> _Waiter:
        """Stand in line, as one who asked when so many attempts had begun."""
        waiter = _Waiter(asked)
        self.waiters[waiter] = None
        return waiter

    def land(self, result: _T) -> None:
        """Give everybody the result."""
        for waiter in self.waiters:
            waiter.came_first = waiter.asked < self.began
            waiter.result = result
            waiter.woken.set()
        self.waiters.clear()

    def fail(self, error: CoatcheckError) -> None:
        """Give the error to those who came before the attempt began."""
        for waiter in [each for each in self.waiters if each.asked < self.began]:
            del self.waiters[waiter]
            waiter.failure = error
            waiter.woken.set()

    def promote(self) -> bool:
        """Wake the first in line to do the work; tell whether there is one."""
        waiter = next(iter(self.waiters), None)
        if waiter is None:
            return False
        del self.waiters[waiter]
        waiter.leads = True
        waiter.woken.set()
        return True


def _own(error: CoatcheckError) -> CoatcheckError:
    """Return an equal error, so that no traceback grows from task to task."""
    mine = copy(error)
    # Copying carries over what pickling does; in one process all of it is good.
    mine.__dict__.update(error.__dict__)
    return mine
