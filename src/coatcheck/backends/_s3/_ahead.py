"""Reading a large object ahead: ranges in parallel, handed on in order."""

from __future__ import annotations

import asyncio
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Final

from ._chunks import Chunks
from ._requests import MIB

if TYPE_CHECKING:
    from typing import Self

    from coatcheck.abc import ObjectInfo

    from ._requests import RequestingBucket

PART: Final = 8 * MIB
"""Bytes of a range."""
LARGE: Final = 2 * PART
"""Bytes from which an object is read ahead."""
_AT_ONCE: Final = 3
JUDGED: Final = 2 * MIB
"""Bytes by which the pace of a connection can be judged."""
FAST: Final = 128 * MIB
"""Bytes a second that only a store nearby gives on one connection."""


class Ahead:
    """The chunks of a large object of which the answer to a plain GET has begun.

    The beginning comes from that answer, and so does the rest while it comes as fast
    as several could bring it. What does not is fetched in ranges of the same
    generation, a few at once and no further ahead than these, each on a connection
    that is free. Each range is asked for again from where it broke off, as any body.

    Args:
        bucket: The bucket.
        key: The key.
        beginning: The answer's body, whose connection the caller holds.
        info: The object.
    """

    __slots__ = (
        "_beginning",
        "_bucket",
        "_info",
        "_is_lent",
        "_is_slow",
        "_key",
        "_longest",
        "_ready",
        "_start",
        "_stop",
        "_taken",
        "_under_way",
        "_waited",
    )

    def __init__(
        self, bucket: RequestingBucket, key: str, beginning: Chunks, info: ObjectInfo
    ) -> None:
        self._bucket = bucket
        self._key = key
        self._beginning: Chunks | None = beginning
        self._info = info
        self._taken = 0
        self._stop = PART
        self._start = PART
        self._waited = self._longest = 0.0
        self._is_slow = False
        self._is_lent = False
        self._ready: deque[bytes] = deque()
        self._under_way: deque[asyncio.Task[list[bytes]]] = deque()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._beginning is not None:
            return await self._first(self._beginning)
        while not self._ready:
            self._fetch_more()
            if not self._under_way:
                raise StopAsyncIteration
            # Not awaited itself, so that a cancelled reader leaves the range alone.
            await asyncio.wait([self._under_way[0]])
            self._ready.extend(self._under_way.popleft().result())
        self._fetch_more()
        return self._ready.popleft()

    async def _first(self, beginning: Chunks) -> bytes:
        """Return the next chunk of the answer that has begun, up to the ranges."""
        if self._is_slow:
            self._fetch_more()
        begun = monotonic()
        chunk = await anext(beginning)
        waited = monotonic() - begun
        self._waited += waited
        self._longest = max(self._longest, waited)
        self._judge(self._taken + len(chunk))
        chunk = chunk[: self._stop - self._taken]
        self._taken += len(chunk)
        if self._taken == self._stop:
            beginning.close()
            self._beginning = None
        return chunk

    def _judge(self, taken: int) -> None:
        """Judge the pace; while it is good, the ranges begin further on."""
        if self._is_slow or taken < JUDGED:
            return
        # Stores pause once, until they have what they send next.
        self._is_slow = self._waited - self._longest >= taken / FAST
        if not self._is_slow:
            self._stop = self._start = min(taken + PART, self._info.size)

    def _fetch_more(self) -> None:
        while len(self._under_way) < _AT_ONCE and self._start < self._info.size:
            # The caller's own connection is free once the beginning has been read.
            lent = self._beginning is None and not self._is_lent
            if not lent and not self._bucket.s3.take_free_slot():
                return
            span = range(self._start, min(self._start + PART, self._info.size))
            self._start = span.stop
            task = asyncio.create_task(self._fetch(span))
            # One that is cancelled before it begins must give it back as well.
            task.add_done_callback(self._return_lent if lent else self._give_slot)
            self._is_lent = self._is_lent or lent
            self._under_way.append(task)

    async def _fetch(self, span: range) -> list[bytes]:
        chunks = Chunks(self._bucket, self._key)
        try:
            await chunks.go_on(span, self._info.etag)
            return [chunk async for chunk in chunks]
        finally:
            chunks.close()

    def _return_lent(self, _: object) -> None:
        self._is_lent = False

    def _give_slot(self, _: object) -> None:
        self._bucket.s3.give_slot()

    async def stop(self) -> None:
        """Stop what is under way; its connections are free afterwards."""
        under_way = list(self._under_way)
        self._under_way.clear()
        for task in under_way:
            task.cancel()
        # A failure that nobody waits for any more is nobody's.
        await asyncio.gather(*under_way, return_exceptions=True)
