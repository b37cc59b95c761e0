"""The service in the test's own event loop, and ways to ask it."""

from __future__ import annotations

import asyncio
import io
import json
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import jwt
from tests.service.processes import KeyPair
from yarl import URL

from coatcheck.service import AuthKey, ServiceConfig, create_app
from coatcheck.service._server import Server

KEY = KeyPair()
OTHER_KEY = KeyPair("other")
USECASE = "attachments"
SCOPE = "org=42;project=1337"
BASE = f"/v1/objects/{USECASE}/{SCOPE}"
ALL = ["object.read", "object.write", "object.delete"]


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self):
        return json.loads(self.body)

    @property
    def detail(self):
        """What is wrong; the answer must say so in JSON."""
        assert self.headers["content-type"] == "application/json"
        return self.json()["detail"]


@dataclass
class Stage:
    """A running service and a client."""

    url: str
    app: object
    session: aiohttp.ClientSession
    server: Server
    headers: dict[str, str] = field(default_factory=dict)
    patience: float = 60
    """Seconds that a request may take to be answered."""

    @property
    def service(self):
        return self.app.state.service

    @property
    def bucket(self):
        return self.service.bucket

    @property
    def port(self):
        return URL(self.url).port

    async def ask(self, method, path, body=None, **headers) -> Answer:
        """Send a request whose path is taken as it stands."""
        url = URL(self.url + path, encoded=True)
        if isinstance(body, bytes):
            body = io.BytesIO(body)
        given = {name.replace("_", "-"): text for name, text in headers.items()}
        async with (
            asyncio.timeout(self.patience),
            self.session.request(
                method,
                url,
                data=body,
                headers={**self.headers, **given},
                allow_redirects=False,
                skip_auto_headers=["content-type", "accept", "user-agent"],
            ) as answer,
        ):
            content = await answer.read()
            lowered = {name.lower(): text for name, text in answer.headers.items()}
            return Answer(answer.status, lowered, content)

    async def put(self, key, body=b"x", **headers) -> Answer:
        return await self.ask("PUT", f"{BASE}/{key}", body, **headers)

    async def get(self, key, **headers) -> Answer:
        return await self.ask("GET", f"{BASE}/{key}", **headers)

    async def head(self, key, **headers) -> Answer:
        return await self.ask("HEAD", f"{BASE}/{key}", **headers)

    async def delete(self, key, **headers) -> Answer:
        return await self.ask("DELETE", f"{BASE}/{key}", **headers)

    async def send(self, sent: bytes, *, end=True) -> Answer:
        """Send bytes as they are on a connection of their own; read one answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(sent)
            await writer.drain()
            if end:
                writer.write_eof()
            async with asyncio.timeout(self.patience):
                return await answer_from(reader)
        finally:
            writer.close()

    async def idle(self):
        """Wait until no request is in flight, so that all has been cleaned up."""
        async with asyncio.timeout(20):
            while self.service.in_flight:  # noqa: ASYNC110  # nothing tells
                await asyncio.sleep(0.01)

    async def stored(self) -> dict[str, int]:
        """Return all that clients stored, keys and sizes; no upload may be left."""
        found = {}
        async for page in self.bucket.scan():
            for entry in page.entries:
                if not entry.key.startswith(".coatcheck/"):
                    found[entry.key] = entry.size
        assert [each async for each in self.bucket.list_uploads()] == []
        return found


async def answer_from(reader) -> Answer:
    """Read one answer from a connection."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
    length = headers.get("content-length")
    body = await reader.readexactly(int(length)) if length else b""
    return Answer(int(head[0].split()[1]), headers, body)


def config_of(**fields) -> ServiceConfig:
    """Return a configuration, by default one that asks nobody who they are."""
    fields.setdefault("auth", "off")
    return ServiceConfig(**fields)


def with_keys(**fields) -> ServiceConfig:
    """Return a configuration that asks for tokens of two keys."""
    keys = {
        KEY.kid: AuthKey(public_keys=(KEY.public_pem,)),
        OTHER_KEY.kid: AuthKey(
            public_keys=(OTHER_KEY.public_pem,), permissions={"object.read"}
        ),
    }
    return ServiceConfig(auth_keys=keys, **fields)


def token(
    *,
    key=KEY,
    scopes=(("org", "42"), ("project", "1337")),
    usecase=USECASE,
    permissions=ALL,
    headers=None,
    lifetime=60,
    **claims,
) -> str:
    """Return a token; `claims` replace what it says, None takes it out."""
    said = {
        "res": {"os:usecase": usecase, **dict(scopes)},
        "permissions": list(permissions),
        "exp": int(time.time()) + lifetime,
        **claims,
    }
    said = {name: value for name, value in said.items() if value is not None}
    kid = {"kid": key.kid} if headers is None else headers
    return jwt.encode(said, key.private, algorithm="EdDSA", headers=kid)


def bearer(text: str) -> dict[str, str]:
    """Return the header that carries a token."""
    return {"x-os-auth": f"Bearer {text}"}


class QuickServer(Server):
    """The server without the ticks by which it looks for its end."""

    def __init__(self, app, **options):
        super().__init__(app, **options)
        self.ending = asyncio.Event()

    async def main_loop(self):
        await self.on_tick(0)
        await self.ending.wait()

    async def shutdown(self, sockets=None):
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        await self.lifespan.shutdown()


@asynccontextmanager
async def serving(
    config: ServiceConfig | None = None, *, clock=None, seconds=60, patience=60
):
    """Run the service until the block ends, for so many seconds at most.

    Each request is answered within `patience` seconds.
    """
    ready = asyncio.Event()
    urls: list[str] = []

    def announce(url):
        urls.append(url)
        ready.set()

    app = create_app(config or config_of(), clock=clock)
    server = QuickServer(app, host="127.0.0.1", port=0, announce=announce)
    async with asyncio.timeout(seconds), asyncio.TaskGroup() as tasks:
        # Not `serve`, which would take the test's signals.
        running = tasks.create_task(server._serve())
        waiting = tasks.create_task(ready.wait())
        await asyncio.wait([running, waiting], return_when=asyncio.FIRST_COMPLETED)
        try:
            assert urls, "the service did not start"
            connector = aiohttp.TCPConnector(limit=0)
            async with aiohttp.ClientSession(
                connector=connector, auto_decompress=False
            ) as session:
                yield Stage(urls[0], app, session, server, patience=patience)
        finally:
            server.ending.set()
            waiting.cancel()
            await running


def refusing(config: ServiceConfig | None = None, **options):
    """Run the service as `serving` does; what it refuses takes under a second."""
    return serving(config, patience=1, **options)
