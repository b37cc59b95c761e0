"""Bodies that flow: cut into pieces, sent as one object or as parts."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections import deque
from dataclasses import replace
from hashlib import md5, sha256
from typing import TYPE_CHECKING, Final

import anyio

from coatcheck.errors import CoatcheckError, OutcomeUnknown
from coatcheck.payloads._integrity import feed
from coatcheck.payloads._parallel import in_parallel

from ._multipart import MultipartBucket
from ._requests import MIB
from ._shield import to_completion

if TYPE_CHECKING:
    from typing import Self

    from coatcheck._core.digests import Hasher
    from coatcheck.abc import Part, PutInfo, Receipt, Upload, WriteMode
    from coatcheck.payloads._body import Source

PIECE: Final = 8 * MIB
"""Bytes of a part; later ones are twice as long, so that 10 000 of them reach."""
_LONGER_AFTER: Final = 5000
_AT_ONCE: Final = 4
_ABORT_SECONDS: Final = 20


class Pieces:
    """A source cut into pieces, numbered from 1 and hashed on the way.

    No more than one piece is held when they are taken one by one.

    Args:
        source: The source.
        running: What hashes it, None when nobody asks.
    """

    def __init__(self, source: Source, running: Hasher | None) -> None:
        self._source = source
        self._running = running
        self._left = b""
        self._ahead: deque[bytes] = deque()
        self._given = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> tuple[int, bytes]:
        piece = self._ahead.popleft() if self._ahead else await self._gathered()
        if not piece:
            raise StopAsyncIteration
        self._given += 1
        return self._given, piece

    async def only_one(self) -> bytes | None:
        """Return the only piece, None when there are several."""
        first = await self._gathered()
        second = await self._gathered() if len(first) == PIECE else b""
        if not second:
            return first
        self._ahead.extend((first, second))
        return None

    async def _gathered(self) -> bytes:
        wanted = PIECE if self._given < _LONGER_AFTER else 2 * PIECE
        # Unlike a join of chunks, it gives its own bytes away and copies nothing.
        gathered = io.BytesIO()
        while room := wanted - gathered.tell():
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
            parts = await in_parallel(pieces, send, at_once=_AT_ONCE)
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
