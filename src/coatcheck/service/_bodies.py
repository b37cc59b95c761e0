"""Bodies of requests, which flow through and are never held whole."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final, Protocol

import anyio

from coatcheck.payloads._integrity import feed

from ._refusals import ClientGone, Refusal

if TYPE_CHECKING:
    from datetime import timedelta
    from typing import Self

    from coatcheck._core.digests import Hasher

    from ._exchange import Exchange

AT_HAND: Final = 64 * 1024
"""Bytes up to which a body is gathered before it is stored."""


class Counts(Protocol):
    """Is told of bytes that came."""

    def __call__(self, size: int, /) -> None:
        """Count them."""
        ...


class RequestBody:
    """The bytes of a request, for one pass.

    Iterating raises Refusal when they are more than they may be, pause too long, or
    are others than their SHA-256 tells, and ClientGone when they end too early.

    Args:
        exchange: The request.
        pause: How long the client may pause.
        most: The most bytes; None is without a bound.
        count: Told of every chunk.

    Raises:
        Refusal: More bytes are announced than there may be.
    """

    def __init__(
        self, exchange: Exchange, *, pause: timedelta, most: int | None, count: Counts
    ) -> None:
        self._receive = exchange.receive
        self._pause = pause.total_seconds()
        self._most = most
        self._count = count
        self._received = 0
        self._kept = b""
        self._is_whole = False
        self._hasher: Hasher | None = None
        self._sha256: str | None = None
        declared = exchange.header("content-length")
        self.declared = None if declared is None else int(declared)
        """How many bytes are announced."""
        self._check(self.declared or 0)

    def hold_against(self, digest: str | None) -> None:
        """Compare the whole body with a SHA-256 in hex before its last bytes go on."""
        if digest is not None:
            self._hasher, self._sha256 = sha256(), digest

    async def at_hand(self) -> bytes | None:
        """Return the body if it is small and has come whole, else None.

        What came is not lost: iterating gives it first.
        """
        gathered = bytearray()
        while not self._is_whole and len(gathered) <= AT_HAND:
            gathered += await self._next()
        self._kept = bytes(gathered)
        if self._is_whole and len(gathered) <= AT_HAND:
            return self._kept
        return None

    async def nothing(self) -> None:
        """Refuse a body where none is expected."""
        if self.declared or await self.at_hand():
            raise Refusal(400, "client error: a body is not expected here")

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        chunk, self._kept = self._kept, b""
        while not chunk:
            if self._is_whole:
                raise StopAsyncIteration
            chunk = await self._next()
        return chunk

    async def _next(self) -> bytes:
        """Return what comes next, which may be nothing."""
        message = None
        with anyio.move_on_after(self._pause):
            message = await self._receive()
        if message is None:
            raise Refusal(
                408,
                f"client error: nothing of the body came for {self._pause:g} s",
                {"connection": "close"},
            )
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk: bytes = message.get("body", b"")
        self._received += len(chunk)
        self._count(len(chunk))
        self._check(self._received)
        self._is_whole = not message.get("more_body", False)
        if self._hasher is not None:
            await feed(self._hasher, chunk)
            if self._is_whole and self._hasher.hexdigest() != self._sha256:
                raise Refusal(
                    400, "client error: the body has another SHA-256 than declared"
                )
        return chunk

    def _check(self, size: int) -> None:
        if self._most is not None and size > self._most:
            raise Refusal(
                413,
                f"client error: the body is longer than {self._most} bytes",
                {"connection": "close"},
            )
