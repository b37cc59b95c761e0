"""A host that answers with whatever bytes a test scripts."""

from __future__ import annotations

import asyncio
import re

SECRET = "canarysignature"
BODY = b"a coat"


def answer(body=BODY, *, status="200 OK", length=None, headers=()):
    """Return the bytes of an answer; a length of False leaves its header out."""
    lines = [f"HTTP/1.1 {status}"]
    if length is not False:
        lines.append(f"Content-Length: {len(body) if length is None else length}")
    lines += [f"{name}: {text}" for name, text in headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def refusal(status, code="", message=""):
    """Return an answer as S3 refuses, with a signature among its words."""
    body = f"<Error><Code>{code}</Code><Message>{message}</Message><StringToSign>{SECRET}</StringToSign></Error>"
    return answer(body.encode(), status=f"{status} Refused")


class Host:
    """Counts connections, keeps requests, and answers as scripted.

    The script is the bytes of an answer, or a function from a request's head and the
    writer that returns them, or None to hang up.
    """

    def __init__(self):
        self.script = answer()
        self.hang_up = False
        self.connections = 0
        self.open = 0
        self.heads = []
        self.bodies = []
        self._tasks = set()
        self._change = asyncio.Event()

    async def start(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    async def stop(self):
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def until(self, holds):
        """Wait until something holds of this host."""
        async with asyncio.timeout(10):
            while not holds(self):
                await self._change.wait()

    def _changed(self):
        self._change.set()
        self._change = asyncio.Event()

    def link(self, path="/stashes/n.1", query=f"X-Amz-Signature={SECRET}"):
        return f"{self.url}{path}?{query}"

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self._tasks.add(task)
        self.connections += 1
        self.open += 1
        try:
            await self._converse(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self.open -= 1
            self._changed()
            writer.close()
            self._tasks.discard(task)

    async def _converse(self, reader, writer):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = re.search(r"(?im)^content-length: (\d+)", head)
            body = await reader.readexactly(int(length[1])) if length else b""
            self.heads.append(head)
            self.bodies.append(body)
            self._changed()
            script = self.script
            if callable(script):
                script = script(head, writer)
                if asyncio.iscoroutine(script):
                    script = await script
            if script is not None:
                writer.write(script)
                await writer.drain()
            if script is None or self.hang_up:
                return
