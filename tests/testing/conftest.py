"""A client and an upstream for the proxy between them, HTTP by hand."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress

import pytest
import pytest_asyncio

from coatcheck.testing._proxy import FaultProxy

DATE = "Thu, 01 Jan 2026 00:00:00 GMT"


class Connection:
    """One connection of a client, or of the upstream: HTTP by hand."""

    def __init__(self, reader, writer):
        self.reader = reader
        self.writer = writer

    async def send(self, *head, body=b""):
        lines = "\r\n".join([*head, "", ""])
        self.writer.write(lines.encode() + body)
        await self.writer.drain()

    async def head(self):
        raw = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        start, *lines = raw.removesuffix("\r\n\r\n").split("\r\n")
        return start, {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}

    async def body(self, headers):
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int((await self.reader.readline()).split(b";")[0], 16):
                body += await self.reader.readexactly(size)
                assert await self.reader.readexactly(2) == b"\r\n"
            assert await self.reader.readexactly(2) == b"\r\n"
            return body
        return await self.reader.readexactly(int(headers.get("content-length", 0)))

    async def ask(self, method="GET", target="/", *lines, body=b""):
        """Send a request and return the answer's start line, headers and body."""
        length = f"Content-Length: {len(body)}"
        await self.send(f"{method} {target} HTTP/1.1", length, *lines, body=body)
        start, headers = await self.head()
        return start, headers, await self.body({} if method == "HEAD" else headers)


class Upstream:
    """Echoes bodies, and tells what came; the target's path chooses the manner."""

    def __init__(self):
        self.seen = []
        self.came = asyncio.Event()
        self.halted = asyncio.Event()
        self.going_on = asyncio.Event()
        self.answering = asyncio.Event()
        self.answering.set()

    async def serve(self, reader, writer):
        connection = Connection(reader, writer)
        try:
            while await self.serve_one(connection):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def serve_one(self, connection):
        start, headers = await connection.head()
        method, target, _ = start.split(" ")
        if target == "/refused":
            await connection.send("HTTP/1.1 403 Forbidden", "Content-Length: 0")
            return False
        if "expect" in headers:
            await connection.send("HTTP/1.1 100 Continue")
        body = await connection.body(headers)
        self.seen.append((method, target, headers.get("host"), body))
        self.came.set()
        await self.answering.wait()
        lines = [f"Date: {DATE}", f"X-Seen: {method} {target}"]
        match target.split("?")[0]:
            case "/empty":
                await connection.send("HTTP/1.1 204 No Content", *lines)
            case "/chunked":
                framed = b"%x;note\r\n%b\r\n0\r\n\r\n" % (len(body), body)
                lines.append("Transfer-Encoding: chunked")
                await connection.send("HTTP/1.1 200 OK", *lines, body=framed)
            case "/until-close":
                await connection.send("HTTP/1.1 200 OK", *lines, body=body)
                return False
            case "/halting":
                half = body[: len(body) // 2]
                lines.append(f"Content-Length: {len(body)}")
                await connection.send("HTTP/1.1 200 OK", *lines, body=half)
                self.halted.set()
                await self.going_on.wait()
                connection.writer.write(body[len(half) :])
            case "/broken":
                return False
            case _:
                lines.append(f"Content-Length: {len(body)}")
                body = b"" if method == "HEAD" else body
                await connection.send("HTTP/1.1 200 OK", *lines, body=body)
        return True


@pytest_asyncio.fixture
async def upstream():
    behind = Upstream()
    async with await asyncio.start_server(behind.serve, "127.0.0.1", 0) as server:
        behind.url = "http://127.0.0.1:{}".format(*server.sockets[0].getsockname()[1:])
        yield behind


@pytest_asyncio.fixture
async def proxy(upstream):
    async with FaultProxy(upstream.url) as running:
        yield running


@pytest.fixture(name="connected")
def fixture_connected():
    return connected


@asynccontextmanager
async def connected(proxy):
    """Open a connection to the proxy."""
    port = int(proxy.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**22)
    try:
        yield Connection(reader, writer)
    finally:
        writer.transport.abort()
        with suppress(ConnectionError):
            await writer.wait_closed()


@pytest_asyncio.fixture
async def client(proxy):
    async with connected(proxy) as connection:
        yield connection
