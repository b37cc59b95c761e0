"""Bodies that scenarios store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from coatcheck.payloads._body import CHUNK

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

LARGE: Final = 2 * CHUNK + 4711
"""Bytes of a body that no driver handles in one piece."""
_PERIOD: Final = 251


def pattern(size: int) -> bytes:
    """Return bytes of which no two pieces of a power of two are equal."""
    return (bytes(range(_PERIOD)) * (size // _PERIOD + 1))[:size]


async def stream(body: bytes, step: int) -> AsyncGenerator[bytes]:
    """Yield a body in pieces."""
    for start in range(0, len(body), step):
        yield body[start : start + step]
