"""Bodies that flow to the service."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

import anyio

from coatcheck.errors import CoatcheckError

from ._messages import Passing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Self

    import aiohttp
    from anyio.streams.memory import (
        MemoryObjectReceiveStream,
        MemoryObjectSendStream,
    )

    from ._messages import Answer, Request
    from ._wire import Wire


_AHEAD: Final = 2


class Outflow:
    """Sends one body that flows, once; again only when nothing of it was sent.

    The body is read in the caller's own task, since it may hold what belongs there.
    When the service answers before the body's end, what is left is not read.

    Args:
        wire: The connections.
        request: The request.
        source: The body.
    """

    def __init__(
        self, wire: Wire, request: Request, source: AsyncIterator[bytes]
    ) -> None:
        self._wire = wire
        self._request = request
        self._source = source
        self._response: aiohttp.ClientResponse | None = None
        self._failure: Passing | CoatcheckError | None = None
        self._waiting: deque[bytes] = deque()
        self._ended = False
        self.count = 0
        """Bytes that were handed over."""

    async def send(self) -> aiohttp.ClientResponse:
        """Send it; the response is the caller's to close.

        Raises:
            Passing: The connection failed.
            Exception: What the body itself raised; nothing of it is stored then.
        """
        self._failure = None
        to_request, chunks = anyio.create_memory_object_stream[bytes](0)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._exchange, chunks)
                await self._pour(to_request)
                # Not before: the end of the stream is the end of a whole body.
                to_request.close()
        except BaseExceptionGroup as group:
            self._drop()
            raise _single(group) from None
        except BaseException:
            self._drop()
            raise
        finally:
            to_request.close()
        if self._failure is not None:
            raise self._failure
        assert self._response is not None  # noqa: S101  # one of both is set
        return self._response

    async def exchange(self, *good: int) -> Answer:
        """Send it, and return the answer.

        Raises:
            Passing: The connection failed, or the service asks to try again.
            CoatcheckError: What another status means.
            Exception: What the body itself raised.
        """
        response = await self.send()
        try:
            return await self._wire.taken(self._request, response, good)
        finally:
            response.close()

    async def _pour(self, to_request: MemoryObjectSendStream[bytes]) -> None:
        """Hand over one chunk after the other, and keep what nobody took."""
        while await self._look_ahead():
            try:
                await to_request.send(self._waiting[0])
            except anyio.BrokenResourceError:
                return
            self.count += len(self._waiting.popleft())

    async def _look_ahead(self) -> bool:
        """Read two chunks ahead, and tell whether there is one.

        A body that turns out longer than it was declared must not have come whole
        before that shows, so the last chunk goes after the body's end.
        """
        while len(self._waiting) < _AHEAD and not self._ended:
            chunk = await anext(self._source, None)
            if chunk is None:
                self._ended = True
            elif chunk:
                # In a chunked body an empty chunk would be the end.
                self._waiting.append(chunk)
        return bool(self._waiting)

    async def _exchange(self, chunks: MemoryObjectReceiveStream[bytes]) -> None:
        async with chunks:
            try:
                self._response = await self._wire.sent(self._request, _Once(chunks))
            except (Passing, CoatcheckError) as failure:
                self._failure = failure

    def _drop(self) -> None:
        if self._response is not None:
            self._response.close()


class _Once:
    """The chunks as aiohttp reads them, and only once.

    It sends a PUT again by itself when a kept connection turns out to be closed; what
    is left of a body by then must not pass for all of it.
    """

    def __init__(self, chunks: MemoryObjectReceiveStream[bytes]) -> None:
        self._chunks = chunks
        self._begun = False

    def __aiter__(self) -> Self:
        if self._begun:
            raise ConnectionError("a body that flows is sent once")
        self._begun = True
        return self

    async def __anext__(self) -> bytes:
        try:
            return await self._chunks.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None


def _single(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return what a group is about: the body's own failure."""
    first = group.exceptions[0]
    return _single(first) if isinstance(first, BaseExceptionGroup) else first
