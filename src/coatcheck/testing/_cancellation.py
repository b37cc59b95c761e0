"""Cancelling a call at each of its suspension points in turn."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
    from contextlib import AbstractAsyncContextManager

MAX_POINTS: Final = 10_000


class _Counting:
    """Awaits a coroutine, counts its suspensions, and cancels its task at one."""

    def __init__(self, call: Awaitable[Any], cancel_at: int) -> None:
        self._call = call
        self._cancel_at = cancel_at
        self.points = 0

    def __await__(self) -> Generator[Any, Any, Any]:
        steps: Any = self._call.__await__()
        step: Callable[[Any], Any] = steps.send
        given: Any = None
        while True:
            try:
                waiting_for = step(given)
            except StopIteration as end:
                return end.value
            self.points += 1
            if self.points == self._cancel_at:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
            try:
                step, given = steps.send, (yield waiting_for)
            except BaseException as error:  # noqa: BLE001  # what the loop throws in
                step, given = steps.throw, error


async def cancel_at_every_point(
    scene: Callable[[], AbstractAsyncContextManager[Callable[[], Awaitable[object]]]],
) -> AsyncGenerator[int]:
    """Cancel a call at its first suspension point, then at its second, and so on.

    Runs on asyncio. Between the call's end and the end of its scene control goes to
    the caller, who looks at what is left:

        async for point in cancel_at_every_point(scene):
            assert nothing_is_left()

    Args:
        scene: Makes what the call needs, anew for each point, and gives the call.

    Yields:
        The number of the point, from 1, after the call was cancelled there.

    Raises:
        AssertionError: A call swallowed its cancellation, or never ends.
    """
    for point in range(1, MAX_POINTS):
        async with scene() as call:
            counting = _Counting(call(), point)
            task = asyncio.create_task(_awaited(counting))
            await asyncio.wait([task])
            if counting.points < point:
                # The call has fewer points: this time it ran to its end.
                await task
                return
            finished = not task.cancelled() and task.exception() is None
            # A cancellation at the last point may come when all is done.
            assert not finished or counting.points == point, "cancellation swallowed"
            if not task.cancelled() and task.exception() is not None:
                await task
            yield point
    raise AssertionError(f"the call has more than {MAX_POINTS} suspension points")


async def _awaited(counting: _Counting) -> None:
    await counting
