"""How much is held at once: encoded bytes by batches, turns by single calls."""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import anyio

if TYPE_CHECKING:
    from collections.abc import Generator

LEAST_BUDGET: Final = 64 * 1024 * 1024
"""The budget where a single payload is not larger."""
_FIRST_GUESS: Final = 64 * 1024
_STEPS: Final = 4


class NoRoom(Exception):
    """A portion cannot grow: its holder gives it back, and takes a larger one.

    Args:
        size: How much is needed.
    """

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


class Budget:
    """What may be held at once, given out in the order of asking.

    Args:
        limit: The most; a portion that were larger takes all of it.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.guess = _FIRST_GUESS
        """What the next portion may need, going by those before."""
        self._held = 0
        self._waiting: deque[_Ticket] = deque()

    @property
    def held(self) -> int:
        """What is held now."""
        return self._held

    @contextmanager
    def portion(self) -> Generator[Portion]:
        """Open a portion, empty yet, that is given back when the block is left."""
        portion = Portion(self)
        try:
            yield portion
        finally:
            self.change(-portion.size)

    async def wait_for(self, size: int) -> None:
        """Hold so much more, after all who asked before."""
        if self.is_free(size):
            self._held += size
            return
        ticket = _Ticket(size)
        self._waiting.append(ticket)
        try:
            await ticket.admitted.wait()
        except BaseException:
            if ticket.admitted.is_set():
                self.change(-size)
            else:
                self._waiting.remove(ticket)
                self.change(0)
            raise

    def is_free(self, size: int) -> bool:
        """Tell whether nobody would have to wait for so much."""
        return not self._waiting and self.has_room(size)

    def has_room(self, size: int) -> bool:
        """Tell whether so much more can be held."""
        return self._held + size <= self.limit

    def change(self, by: int) -> None:
        """Hold more or less, and admit whoever waits and fits now."""
        self._held += by
        while self._waiting and self.has_room(self._waiting[0].size):
            ticket = self._waiting.popleft()
            self._held += ticket.size
            ticket.admitted.set()


class Portion:
    """What one call holds of a budget."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.size = 0

    async def take(self, size: int) -> None:
        """Wait for a portion of this size; for an empty one only.

        Two that hold some and wait for more would wait for each other.
        """
        size = min(size, self._budget.limit)
        await self._budget.wait_for(size)
        self.size = size

    def grow(self, size: int) -> None:
        """Hold at least what is needed.

        Raises:
            NoRoom: There is not so much free.
        """
        if size > self.size:
            self.fit(size)

    def fit(self, size: int) -> None:
        """Hold just what is needed.

        Raises:
            NoRoom: There is not so much free.
        """
        budget = self._budget
        budget.guess += (size - budget.guess) // _STEPS
        more = min(size, budget.limit) - self.size
        if more > 0 and not budget.has_room(more):
            raise NoRoom(size)
        budget.change(more)
        self.size += more


class _Ticket:
    """A place in the queue."""

    __slots__ = ("admitted", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.admitted = anyio.Event()
