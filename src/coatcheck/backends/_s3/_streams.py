"""Bodies that flow: cut into pieces, sent as one object or as parts."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections import deque
from dataclasses import replace
from hashlib import md5, sha256
from typing import TYPE_CHECKING, Final

import anyio

from coatcheck.errors import CoatcheckError, InvalidInput, OutcomeUnknown
from coatcheck.payloads._integrity import feed
from coatcheck.payloads._parallel import in_parallel

from ._multipart import MultipartBucket
from ._requests import LIMITS, MIB
from ._shield import to_completion

if TYPE_CHECKING:
    from typing import Self

    from coatcheck._core.digests import Hasher
    from coatcheck.abc import Part, PutInfo, Receipt, Upload, WriteMode
    from coatcheck.payloads._body import Source

PIECE: Final = 8 * MIB
"""Bytes of a part at least."""
_LONGEST_PIECE: Final = 32 * MIB
_LONGER_AFTER: Final = 5000
_IN_FLIGHT: Final = 24 * MIB
_OF_GROWING: Final = 3
_ABORT_SECONDS: Final = 20


class Pieces:
    """A source cut into pieces, numbered from 1 and hashed on the way.

    Those of a known length are as long as 10 000 of them need to be. Others begin
    short and become twice as long half-way, since most streams are no long ones. No
    more than one piece is held when they are taken one by one.

    Args:
        source: The source.
        running: What hashes it, None when nobody asks.

    Raises:
        InvalidInput: The source is longer than parts of 32 MiB reach.
    """

    def __init__(self, source: Source, running: Hasher | None) -> None:
        self._source = source
        self._running = running
        self._length = PIECE
        self._grows = source.size is None
        if source.size is not None:
            self._length = _piece_length(source.size)
        self._left = b""
        self._ahead: deque[bytes] = deque()
        self._given = 0

    @property
    def at_once(self) -> int:
        """How many pieces may be in flight."""
        return _OF_GROWING if self._grows else max(1, _IN_FLIGHT // self._length)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> tuple[int, bytes]:
        if self._grows and self._given == _LONGER_AFTER:
            self._length *= 2
        piece = self._ahead.popleft() if self._ahead else await self._gathered()
        if not piece:
            raise StopAsyncIteration
        if self._given == LIMITS.max_parts:
            raise InvalidInput(
                f"a stream of unknown length ends after {LIMITS.max_parts} parts; say"
                " its size, or give a path"
            )
        self._given += 1
        return self._given, piece

    async def only_one(self) -> bytes | None:
        """Return the only piece, None when there are several."""
        first = await self._gathered()
        second = await self._gathered() if len(first) == self._length else b""
        if not second:
            return first
        self._ahead.extend((first, second))
        return None

    async def _gathered(self) -> bytes:
        # Unlike a join of chunks, it gives its own bytes away and copies nothing.
        gathered = io.BytesIO()
        while room := self._length - gathered.tell():
            chunk = self._left or await self._chunk()
            if chunk is None:
                break
            gathered.write(chunk[:room])
            self._left = chunk[room:]
        return gathered.getvalue()

    async def _chunk(self) -> bytes | None:
        chunk = await anext(self._source, None)
        if chunk is not None and self._running is not None:
            await feed(self._running, chunk)
        return chunk


def _piece_length(size: int) -> int:
    length = max(PIECE, -(-size // (LIMITS.max_parts or 1)))
    if length > _LONGEST_PIECE:
        most = _LONGEST_PIECE * (LIMITS.max_parts or 1) // 2**30
        raise InvalidInput(f"an object has at most {most} GiB here, not {size} bytes")
    return length


class StreamingBucket(MultipartBucket, ABC):
    """A bucket that takes bodies of unknown length in constant memory."""

    @abstractmethod
    async def put_whole(
        self, key: str, whole: bytes, info: PutInfo, mode: WriteMode
    ) -> Receipt:
        """Write a body that is in memory."""

    async def put_stream(
        self, key: str, source: Source, info: PutInfo, mode: WriteMode
    ) -> Receipt:
        """Write a body that flows: at once when it is short, else in parts."""
        running = None if info.sha256 or info.pinned else sha256()
        pieces = Pieces(source, running)
        whole = await pieces.only_one()
        if whole is not None:
            if running is not None:
                info = replace(info, sha256=running.hexdigest())
            return await self.put_whole(key, whole, info, mode)
        receipt = await self._put_parts(key, pieces, info, mode)
        if running is None:
            return receipt
        return replace(receipt, sha256=running.hexdigest())

    async def _put_parts(
        self, key: str, pieces: Pieces, info: PutInfo, mode: WriteMode
    ) -> Receipt:
        upload = await to_completion(
            self.initiate(key, info=info, mode=mode), undo=self._abort_quietly
        )

        async def send(item: tuple[int, bytes]) -> Part:
            number, piece = item
            running = md5(usedforsecurity=False)
            await feed(running, piece)
            return await self.send_part(upload, number, piece, running.digest())

        try:
            parts = await in_parallel(pieces, send, at_once=pieces.at_once)
            return await self.complete(upload, parts)
        except OutcomeUnknown:
            # The completion may still be under way; a sweep takes what is left.
            raise
        except BaseException:
            await to_completion(self._abort_quietly(upload))
            raise

    async def _abort_quietly(self, upload: Upload) -> None:
        """Abort as well as the store lets us; a sweep takes what is left."""
        with anyio.move_on_after(_ABORT_SECONDS):
            try:
                await self.abort(upload)
            except CoatcheckError:
                return
