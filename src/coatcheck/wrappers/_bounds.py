"""Deadlines, slots and events of calls to one bucket."""

from __future__ import annotations

import logging
from datetime import timedelta
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio

from coatcheck.abc import Capability, Event
from coatcheck.errors import CoatcheckError, Outcome, Timeout
from coatcheck.payloads._body import open_source
from coatcheck.payloads._waiting import until_deadline

from ._forwarding import ForwardingBucket

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager
    from typing import Self

    from coatcheck.abc import Body, Bucket, Observer, Reader
    from coatcheck.payloads._body import Source

_T = TypeVar("_T")
_log = logging.getLogger("coatcheck.observer")
_READS: Final = frozenset({"get", "head", "scan", "list_parts", "list_uploads", "sign"})


class Bounds:
    """What all calls to the buckets of one backend are held to.

    Args:
        total_timeout: The deadline of every call, the wait for a slot included; for
            reads and scans, of every step.
        concurrency: The most calls that run at once; a read counts until its
            context ends.
        observer: Told of every call.
    """

    def __init__(
        self,
        *,
        total_timeout: timedelta,
        concurrency: int,
        observer: Observer | None = None,
    ) -> None:
        self.seconds = total_timeout.total_seconds()
        self.slots = anyio.Semaphore(concurrency)
        self.observer = observer

    async def take_slot(self) -> None:
        """Wait for a slot; one that is free is taken at once."""
        try:
            self.slots.acquire_nowait()
        except anyio.WouldBlock:
            await self.slots.acquire()


class BoundedBucket(ForwardingBucket):
    """A bucket that can hold calls to bounds.

    What is IMMEDIATE never waits, so it gets neither deadline nor limit.

    Args:
        inner: The bucket that is wrapped.
        bounds: The bounds.
    """

    def __init__(self, inner: Bucket, bounds: Bounds) -> None:
        super().__init__(inner)
        self.bounds = bounds
        self._immediate = Capability.IMMEDIATE in inner.capabilities

    async def bounded(
        self, operation: str, key: str, call: Callable[[], Awaitable[_T]]
    ) -> _T:
        """Await a call within the bounds, in a slot of its own."""
        if self.bounds.observer is None:
            return await self._in_slot(operation, key, call)
        return await self._observed(
            operation, key, lambda: self._in_slot(operation, key, call)
        )

    async def _in_slot(
        self, operation: str, key: str, call: Callable[[], Awaitable[_T]]
    ) -> _T:
        if self._immediate:
            return await call()
        with until_deadline(self.bounds.seconds):
            await self.bounds.take_slot()
            try:
                return await call()
            finally:
                self.bounds.slots.release()
        raise self._timed_out(operation, key)

    async def within_deadline(
        self, operation: str, key: str, call: Callable[[], Awaitable[_T]]
    ) -> _T:
        """Await a call until the deadline.

        Raises:
            Timeout: The deadline passed.
        """
        if self._immediate:
            return await call()
        with until_deadline(self.bounds.seconds):
            return await call()
        raise self._timed_out(operation, key)

    def _timed_out(self, operation: str, key: str) -> Timeout:
        outcome = Outcome.NOT_APPLIED if operation in _READS else Outcome.UNKNOWN
        return Timeout(
            f"{operation} of {key!a} in bucket {self.name!a} took more than"
            f" {self.bounds.seconds:g} s",
            bucket=self.name,
            key=key,
            backend=self.backend.scheme,
            outcome=outcome,
        )

    async def _observed(
        self, operation: str, key: str, call: Callable[[], Awaitable[_T]]
    ) -> _T:
        if self.bounds.observer is None:
            return await call()
        begun, kind = perf_counter(), None
        try:
            return await call()
        except CoatcheckError as error:
            kind = error.kind
            raise
        finally:
            event = Event(
                name=operation,
                backend=self.backend.scheme,
                bucket=self.name,
                key=key,
                duration=timedelta(seconds=perf_counter() - begun),
                error=kind,
            )
            emit(self.bounds.observer, event)

    async def with_body(
        self,
        operation: str,
        key: str,
        body: Body,
        size: int | None,
        call: Callable[[Body, int | None], Awaitable[_T]],
    ) -> _T:
        """Await a call with a body; for one that flows the deadline is each chunk's."""
        if self._immediate or isinstance(body, bytes | bytearray | memoryview):
            return await self.bounded(operation, key, lambda: call(body, size))

        async def flow() -> _T:
            slots = self.bounds.slots
            await self.within_deadline(operation, key, self.bounds.take_slot)
            try:
                async with open_source(body, size) as source:
                    with anyio.move_on_after(self.bounds.seconds) as scope:
                        ticking = _Ticking(source, scope, self.bounds.seconds)
                        return await call(ticking, source.size)
            finally:
                slots.release()
            raise self._timed_out(operation, key)

        return await self._observed(operation, key, flow)

    async def enter_read(
        self, key: str, read: AbstractAsyncContextManager[Reader]
    ) -> Reader:
        """Enter a read; its slot is held until `leave_read`."""
        if self.bounds.observer is None:
            return await self._entered(key, read)
        return await self._observed("get", key, lambda: self._entered(key, read))

    async def _entered(
        self, key: str, read: AbstractAsyncContextManager[Reader]
    ) -> Reader:
        if self._immediate:
            return await read.__aenter__()
        with until_deadline(self.bounds.seconds):
            await self.bounds.take_slot()
            try:
                return await read.__aenter__()
            except BaseException:
                self.bounds.slots.release()
                raise
        raise self._timed_out("get", key)

    def leave_read(self) -> None:
        """Give the slot of a read back."""
        if not self._immediate:
            self.bounds.slots.release()

    async def each(self, operation: str, key: str, items: Any) -> AsyncGenerator[Any]:
        """Take every item within the bounds; no slot is held in between."""
        try:
            while True:
                item = await self.bounded(operation, key, lambda: anext(items, None))
                if item is None:
                    return
                yield item
        finally:
            await items.aclose()


class _Ticking:
    """A body that moves a deadline on with every chunk it gives."""

    def __init__(
        self, source: Source, scope: anyio.CancelScope, seconds: float
    ) -> None:
        self._source = source
        self._scope = scope
        self._seconds = seconds

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        self._scope.deadline = anyio.current_time() + self._seconds
        return await anext(self._source)


def emit(observer: Observer | None, event: Event) -> None:
    """Tell an observer, whose own failures go no further than the log."""
    if observer is None:
        return
    try:
        observer(event)
    except Exception:  # noqa: BLE001  # an observer must not break a call
        _log.exception("an observer failed on %s", event.name)
