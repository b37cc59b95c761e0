"""HTTP/1.1 on asyncio streams, passed on byte by byte as it came."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from ._proxy_messages import BadMessage, Extent, Framing, Head

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from datetime import timedelta
    from types import TracebackType

MAX_HEAD: Final = 64 * 1024
"""The longest head, chunk line or trailer, in bytes."""
_BLOCK: Final = 64 * 1024
_RESET: Final = struct.pack("ii", 1, 0)  # linger for no time: close by RST
_LINE_END: Final = b"\r\n"
_CHUNK_LINE: Final = re.compile(rb"([0-9a-fA-F]{1,15})[ \t]*(;[^\r\n]*)?\r\n")


class Block(NamedTuple):
    """Some bytes of a body."""

    data: bytes
    is_payload: bool
    """Whether they belong to the body itself, and not to its framing."""


class Wire:
    """One end of a connection; nothing on it is waited for without a deadline.

    As a context manager it says goodbye at the end, or resets the connection when
    the block fails.

    Args:
        reader: Made with MAX_HEAD as its limit.
        writer: Its counterpart.
        patience: How long each read and each write may take.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        patience: timedelta,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._patience = patience.total_seconds()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                await self._finish()
        finally:
            await self.aclose()

    @property
    def is_closing(self) -> bool:
        """Whether this end was closed or reset."""
        return self._writer.is_closing()

    async def head(self, start_line: re.Pattern[str]) -> Head | None:
        """Read a message's head; None says that the peer closed instead.

        Args:
            start_line: REQUEST or STATUS, whichever is awaited.

        Raises:
            BadMessage: It is no head, or longer than MAX_HEAD.
            EOFError: The peer closed within it.
            OSError: The connection broke, or its time was over.
        """
        try:
            raw = await self._until(b"\r\n\r\n")
        except asyncio.IncompleteReadError as end:
            if end.partial:
                raise
            return None
        return Head.parsed(raw, start_line)

    def blocks(self, extent: Extent) -> AsyncGenerator[Block]:
        """Read a body as it comes; close the generator when you leave it early.

        Raises:
            BadMessage: Its chunks are malformed.
            EOFError: The peer closed within it.
            OSError: The connection broke, or its time was over.
        """
        match extent:
            case Framing.CHUNKED:
                return self._chunked()
            case Framing.UNTIL_CLOSE:
                return self._rest()
            case length:
                return self._sized(length)

    async def read(self, extent: Extent) -> bytes:
        """Read a body at once, without its framing; raises as `blocks` does."""
        blocks = self.blocks(extent)
        return b"".join([block.data async for block in blocks if block.is_payload])

    async def skip(self, extent: Extent) -> None:
        """Read a body and forget it; raises as `blocks` does."""
        async for _ in self.blocks(extent):
            pass

    async def write(self, data: bytes | bytearray) -> None:
        """Send some bytes.

        Raises:
            OSError: The connection broke, or its time was over.
        """
        self._writer.write(data)
        async with asyncio.timeout(self._patience):
            await self._writer.drain()

    async def left(self, *, within: float | None) -> bool:
        """Wait until the peer closes its side, and tell whether it did.

        Args:
            within: How many seconds to wait at most; None sets no limit.
        """
        try:
            async with asyncio.timeout(within):
                while await self._reader.read(_BLOCK):
                    pass
        except TimeoutError:
            return False
        return True

    def reset(self) -> None:
        """Close this end by RST and forget what was not sent yet."""
        with suppress(OSError):  # a connection that is closed has no options
            connection = self._writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._writer.transport.abort()

    async def aclose(self) -> None:
        """Reset what is still open, and wait until the socket is closed."""
        self.reset()
        await self._closed()

    async def _finish(self) -> None:
        self._writer.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience):
                await self._closed()

    async def _closed(self) -> None:
        with suppress(OSError):
            # All who wait share one future, which a cancelled wait would cancel.
            await asyncio.shield(self._writer.wait_closed())

    async def _until(self, end: bytes) -> bytes:
        try:
            async with asyncio.timeout(self._patience):
                return await self._reader.readuntil(end)
        except asyncio.LimitOverrunError as error:
            raise BadMessage(f"more than {MAX_HEAD} bytes at once") from error

    async def _some(self, most: int) -> bytes:
        async with asyncio.timeout(self._patience):
            data = await self._reader.read(min(most, _BLOCK))
        if not data:
            raise EOFError("the peer closed within a body")
        return data

    async def _rest(self) -> AsyncGenerator[Block]:
        with suppress(EOFError):
            while True:
                yield Block(await self._some(_BLOCK), is_payload=True)

    async def _sized(self, length: int) -> AsyncGenerator[Block]:
        while length:
            data = await self._some(length)
            length -= len(data)
            yield Block(data, is_payload=True)

    async def _chunked(self) -> AsyncGenerator[Block]:
        while True:
            line = await self._until(_LINE_END)
            parsed = _CHUNK_LINE.fullmatch(line)
            if parsed is None:
                raise BadMessage("a chunk without a size")
            yield Block(line, is_payload=False)
            left = int(parsed[1], 16)
            if not left:
                break
            while left:
                data = await self._some(left)
                left -= len(data)
                yield Block(data, is_payload=True)
            if await self._until(_LINE_END) != _LINE_END:
                raise BadMessage("a chunk longer than its size")
            yield Block(_LINE_END, is_payload=False)
        while (line := await self._until(_LINE_END)) != _LINE_END:
            yield Block(line, is_payload=False)
        yield Block(_LINE_END, is_payload=False)
