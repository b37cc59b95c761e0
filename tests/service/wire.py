"""Connections to the service below any HTTP client, and waiting for what follows."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit


async def until(holds):
    """Wait until something holds."""
    for _ in range(1000):
        if holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never held")


@asynccontextmanager
async def connected(url):
    """Open a connection to where a link leads, and hang up at the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(url).port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with suppress(ConnectionError):
            await writer.wait_closed()


def head(method, url, *lines):
    parts = urlsplit(url)
    target = f"{parts.path}?{parts.query}"
    return "\r\n".join(
        [f"{method} {target} HTTP/1.1", "host: x", *lines, "", ""]
    ).encode()
