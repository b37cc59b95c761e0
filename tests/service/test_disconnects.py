"""Clients that go away, or stand still: nothing of them stays."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest
from tests.conftest import open_files
from tests.service.stage import BASE, config_of, serving

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.asyncio

MIB = 1024 * 1024
ROUNDS = 50


@pytest.fixture
def root(tmp_path):
    return tmp_path / "root"


@pytest.fixture
def config(root):
    """A configuration on files with few slots, which leaks would use up."""
    return config_of(
        storage=f"file:{root}", durable=False, concurrency=8, concurrency_queue=100
    )


def litter(root: Path) -> list[str]:
    """Return what unfinished writes left on the disk."""
    control = root / ".coatcheck" / "buckets"
    return [str(path) for path in control.rglob("*") if "drafts/" in str(path)]


async def connected(it, head: str, body: bytes = b""):
    reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
    writer.write(head.encode() + body)
    await writer.drain()
    return reader, writer


@pytest.mark.parametrize("abruptly", [True, False])
async def test_clients_that_leave_in_the_middle_of_a_put(config, root, abruptly):
    """50 of them leave no object, no draft, no slot taken and no file open."""
    async with serving(config, seconds=100) as it:
        await it.put("k", b"standing")
        before = len(open_files())
        for number in range(ROUNDS):
            head = (
                f"PUT {BASE}/k HTTP/1.1\r\nhost: x\r\ncontent-length: 5000000\r\n\r\n"
            )
            _, writer = await connected(it, head, os.urandom(70_000 + 1000 * number))
            if number % 3 == 0:
                await asyncio.sleep(0.01)
            if abruptly:
                writer.transport.abort()
            else:
                writer.close()
        await it.idle()
        assert it.service.slots._free == 8
        assert litter(root) == []
        assert len(open_files()) <= before + 2
        assert (await it.get("k")).body == b"standing"
        assert list((await it.stored()).values()) == [8]


@pytest.mark.parametrize("abruptly", [True, False])
async def test_clients_that_leave_in_the_middle_of_a_get(config, abruptly):
    """50 of them leave no slot taken and no file open."""
    async with serving(config, seconds=100) as it:
        await it.put("k", os.urandom(8 * MIB))
        before = len(open_files())
        for number in range(ROUNDS):
            reader, writer = await connected(
                it, f"GET {BASE}/k HTTP/1.1\r\nhost: x\r\n\r\n"
            )
            await reader.read(1 + 1000 * number)
            if abruptly:
                writer.transport.abort()
            else:
                writer.close()
        await it.idle()
        assert it.service.slots._free == 8
        assert len(open_files()) <= before + 2
        assert len((await it.get("k")).body) == 8 * MIB


async def test_an_answer_ends_with_its_client(config, monkeypatch):
    """What a client that left does not take is not read either."""
    from coatcheck.payloads._integrity import VerifiedReader

    read: list[int] = []
    following = VerifiedReader.__anext__

    async def counted(self):
        chunk = await following(self)
        read.append(len(chunk))
        await asyncio.sleep(0.02)
        return chunk

    monkeypatch.setattr(VerifiedReader, "__anext__", counted)
    async with serving(config) as it:
        await it.put("k", os.urandom(48 * MIB))
        reader, writer = await connected(
            it, f"GET {BASE}/k HTTP/1.1\r\nhost: x\r\n\r\n"
        )
        await reader.read(1000)
        writer.transport.abort()
        await it.idle()
        assert 0 < sum(read) < 40 * MIB


async def test_clients_that_leave_while_parts_are_put(config, root):
    """An upload keeps the parts that came whole, and nothing else."""
    place = BASE.removeprefix("/v1/objects/")
    async with serving(config, seconds=100) as it:
        answer = await it.ask("PUT", f"/v1/objects:multipart/{place}/k")
        upload = answer.json()["upload_id"]
        for number in range(1, ROUNDS + 1):
            head = (
                f"PUT /v1/objects:multipart:parts/{place}/k?upload_id={upload}"
                f"&part_number={number} HTTP/1.1\r\nhost: x\r\n"
                "content-length: 5000000\r\n\r\n"
            )
            _, writer = await connected(it, head, b"x" * 100_000)
            writer.close()
        await it.idle()
        path = f"/v1/objects:multipart:parts/{place}/k?upload_id={upload}"
        assert (await it.ask("GET", path)).json()["parts"] == []
        path = f"/v1/objects:multipart/{place}/k?upload_id={upload}"
        assert (await it.ask("DELETE", path)).status == 204
        assert litter(root) == []
        assert await it.stored() == {}


async def test_clients_that_stand_still(root):
    """Who takes or sends nothing for too long is let go."""
    config = config_of(storage=f"file:{root}", durable=False, body_timeout=0.3)
    async with serving(config, seconds=100) as it:
        await it.put("large", b"x" * (32 * MIB))
        head = f"GET {BASE}/large HTTP/1.1\r\nhost: x\r\n\r\n"
        takers = [await connected(it, head) for _ in range(5)]
        head = f"PUT {BASE}/k HTTP/1.1\r\nhost: x\r\ncontent-length: 5000000\r\n\r\n"
        senders = [await connected(it, head, b"x" * 100_000) for _ in range(5)]
        await it.idle()
        for reader, writer in senders:
            assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")
            writer.close()
        for reader, writer in takers:
            received = 0
            try:
                while chunk := await reader.read(MIB):
                    received += len(chunk)
            except ConnectionError:
                pass
            assert received < 32 * MIB
            writer.close()
        assert litter(root) == []
        assert len(await it.stored()) == 1


async def test_heads_that_do_not_end(monkeypatch):
    """A connection on which no request comes is closed."""
    from coatcheck.service import _protocol

    monkeypatch.setattr(_protocol, "HEAD_SECONDS", 0.2)
    async with serving() as it:
        for begun in (b"", b"GET /health HTT", b"GET /health HTTP/1.1\r\nx-a: b"):
            reader, writer = await connected(it, begun.decode())
            async with asyncio.timeout(10):
                with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                    await reader.readexactly(1)
            writer.close()
        # Between requests the connection is kept for longer.
        reader, writer = await connected(it, "GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        await reader.readuntil(b"OK")
        await asyncio.sleep(0.4)
        writer.write(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        await reader.readuntil(b"OK")
        writer.close()


async def test_bodies_nobody_waits_for(monkeypatch):
    """What is still sent after the answer is taken, and not for ever."""
    from coatcheck.service import _protocol

    monkeypatch.setattr(_protocol, "MAX_DISCARDED", 3 * MIB)
    async with serving() as it:
        # A client that sends all before it reads gets its answer.
        answer = await it.put("..", b"x" * (2 * MIB))
        assert answer.status == 400
        head = (
            f"PUT {BASE}/.. HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        _, writer = await connected(it, head)
        with pytest.raises(ConnectionError):
            await endless(writer)
        writer.close()


async def endless(writer):
    for _ in range(1000):
        writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
        await writer.drain()


async def test_a_pipeline_of_requests():
    """Requests that follow one another on a connection are answered in order."""
    async with serving() as it:
        await it.put("k", b"body")
        ask = f"GET {BASE}/k HTTP/1.1\r\nhost: x\r\n\r\n"
        reader, writer = await connected(it, ask * 20)
        for _ in range(20):
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 ")
            assert await reader.readexactly(4) == b"body"
        writer.close()
