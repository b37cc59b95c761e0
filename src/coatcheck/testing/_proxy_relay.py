"""How an answer reaches the client: whole, or bent by a fault."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import UTC, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import TYPE_CHECKING, Final, TypeAlias, assert_never

from ._proxy_faults import (
    Drip,
    ExtraHeader,
    FlipBit,
    SkewDate,
    Stall,
    Truncate,
    WrongLength,
)
from ._proxy_messages import Framing

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from ._proxy_messages import Extent, Head
    from ._proxy_wire import Block, Wire

RelayFault: TypeAlias = (
    Truncate | Stall | Drip | FlipBit | ExtraHeader | WrongLength | SkewDate
)
_PIECES_PER_SECOND: Final = 10


async def relay(
    client: Wire, upstream: Wire, head: Head, extent: Extent, fault: RelayFault | None
) -> bool:
    """Relay an answer, whose head was read, to the client.

    Returns:
        Whether the client can tell where the answer ends, and hear another.
    """
    relaying = _Relay(client, upstream, head, extent)
    match fault:
        case None:
            await relaying.whole(head)
        case ExtraHeader(size=size):
            await relaying.whole(head.replaced("X-Extra", "x" * size))
        case SkewDate(seconds=seconds):
            await relaying.whole(_skewed(head, seconds))
        case Truncate(bytes_of_body=size):
            await relaying.truncated(size)
            return False
        case WrongLength(delta=delta):
            await relaying.with_length_off_by(delta)
            return False
        case Stall():
            return await relaying.stalled(fault) and extent is not Framing.UNTIL_CLOSE
        case Drip(bytes_per_second=rate):
            await relaying.dripping(rate)
        case FlipBit(offset=offset):
            await relaying.flipped(offset)
        case _:
            assert_never(fault)
    return extent is not Framing.UNTIL_CLOSE


class _Relay:
    def __init__(
        self, client: Wire, upstream: Wire, head: Head, extent: Extent
    ) -> None:
        self._client = client
        self._upstream = upstream
        self._head = head
        self._extent = extent

    def _body(self) -> aclosing[AsyncGenerator[Block]]:
        return aclosing(self._upstream.blocks(self._extent))

    async def whole(self, head: Head) -> None:
        await self._client.write(head.encoded())
        await self._rest()

    async def _rest(self) -> None:
        async with self._body() as body:
            async for block in body:
                await self._client.write(block.data)

    async def truncated(self, size: int) -> None:
        await self._client.write(self._head.encoded())
        async with self._body() as body:
            while size > 0 and (block := await anext(body, None)):
                data = block.data[:size] if block.is_payload else block.data
                await self._client.write(data)
                size -= len(data) if block.is_payload else 0

    async def with_length_off_by(self, delta: int) -> None:
        body = await self._upstream.read(self._extent)
        length = int(self._head.headers.get("content-length", len(body)))
        head = self._head.without("transfer-encoding", "trailer")
        head = head.replaced("Content-Length", str(max(0, length + delta)))
        await self._client.write(head.encoded() + body)

    async def stalled(self, stall: Stall) -> bool:
        if stall.where == "body":
            await self._client.write(self._head.encoded())
        if await self._client.left(within=stall.seconds):
            return False
        if stall.where == "head":
            await self._client.write(self._head.encoded())
        await self._rest()
        return True

    async def dripping(self, rate: float) -> None:
        await self._client.write(self._head.encoded())
        piece = max(1, int(rate / _PIECES_PER_SECOND))
        async with self._body() as body:
            async for block in body:
                if not block.is_payload:
                    await self._client.write(block.data)
                    continue
                for start in range(0, len(block.data), piece):
                    data = block.data[start : start + piece]
                    await asyncio.sleep(len(data) / rate)
                    await self._client.write(data)

    async def flipped(self, offset: int) -> None:
        await self._client.write(self._head.encoded())
        async with self._body() as body:
            async for block in body:
                data = bytearray(block.data)
                if block.is_payload:
                    if 0 <= offset < len(data):
                        data[offset] ^= 1
                    offset -= len(data)
                await self._client.write(data)


def _skewed(answer: Head, seconds: float) -> Head:
    try:
        date = parsedate_to_datetime(answer.headers.get("date", ""))
    except ValueError:
        return answer
    moved = date.astimezone(UTC) + timedelta(seconds=seconds)
    return answer.replaced("Date", format_datetime(moved, usegmt=True))
