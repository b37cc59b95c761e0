"""The FastAPI example, run as it stands on SeaweedFS."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import random
import select
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

import aioboto3
import aiohttp
import psutil
import pytest
from tests.integration import servers

from coatcheck import Address, Coatcheck, Config, S3Config, errors
from coatcheck.testing import FaultProxy, ResetBeforeSending

EXAMPLE = Path(__file__).parents[2] / "examples" / "fastapi_app.py"
MIB = 1024 * 1024
BODY = random.Random(1).randbytes(20 * MIB)
NAMESPACES = {"files": "s3://example-fastapi/files/"}
MISSING = f"s3://files/missing.{'0' * 32}"


def environment(endpoint, **more):
    return servers.CREDENTIALS | {
        "COATCHECK_S3__ENDPOINT_URL": endpoint,
        "COATCHECK_S3__CREATE_BUCKETS": "true",
        "COATCHECK_NAMESPACES": json.dumps(NAMESPACES),
        **more,
    }


@contextmanager
def serving(endpoint, folder, **more):
    """Run the example until the block ends; give its URL, process and error log."""
    log = folder / "stderr"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", EXAMPLE, "--port", "0"],
            env=environment(endpoint, **more),
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    with process:
        try:
            ready, _, _ = select.select([process.stdout], [], [], 40)
            line = process.stdout.readline() if ready else ""
            assert line.startswith("http://127.0.0.1:"), log.read_text()
            yield SimpleNamespace(url=line.strip(), process=process, log=log)
        finally:
            process.kill()


@pytest.fixture(scope="module")
def app(seaweed_url, tmp_path_factory):
    """The example with a pool of eight, for the whole module."""
    folder = tmp_path_factory.mktemp("fastapi")
    pool = {"COATCHECK_S3__MAX_POOL_CONNECTIONS": "8"}
    with serving(seaweed_url, folder, **pool) as running:
        yield running
        # What was found damaged half-way is all that may fail aloud.
        log = running.log.read_text()
        assert log.count("ERROR:") == log.count("response already started.\n"), log
        assert "Unclosed" not in log


async def chunks(body, size=100_000):
    for start in range(0, len(body), size):
        yield body[start : start + size]


async def uploaded(session, name, body, **headers):
    """Upload in chunks and return the address."""
    async with session.post(
        f"/files/{quote(name)}", data=chunks(body), headers=headers
    ) as answer:
        assert answer.status == 201, await answer.text()
        return (await answer.json())["address"]


def files(session, address, **headers):
    return session.get("/files", params={"address": address}, headers=headers)


@pytest.mark.asyncio
async def test_streamed_in_and_out(app):
    """20 MB flow in and come out equal, with their type, length and name."""
    async with aiohttp.ClientSession(app.url) as session:
        async with session.post(
            "/files/dir/f%C3%BCr%20dich.bin",
            data=chunks(BODY),
            headers={"content-type": "video/mp4"},
        ) as answer:
            assert answer.status == 201
            address = (await answer.json())["address"]
            location = answer.headers["location"]
        assert address.startswith("s3://files/dir/für dich.bin.")
        for url in (location, f"/files?address={quote(address)}"):
            async with session.get(url) as answer:
                assert answer.status == 200
                assert answer.content_type == "video/mp4"
                assert answer.content_length == len(BODY)
                assert answer.content_disposition.filename == "für dich.bin"
                assert await answer.read() == BODY
        empty = await uploaded(session, "empty", b"")
        async with files(session, empty) as answer:
            assert (answer.status, await answer.read()) == (200, b"")


@pytest.mark.asyncio
async def test_ranges(app):
    """One range is 206 with its place, one outside 416, and any other text the whole."""
    body = BODY[:1_000_000]
    async with aiohttp.ClientSession(app.url) as session:
        address = await uploaded(session, "ranged", body)
        for text, part in (
            ("bytes=5-9", slice(5, 10)),
            ("bytes=999990-", slice(999_990, None)),
            ("bytes=-7", slice(999_993, None)),
            ("bytes=999998-2000000", slice(999_998, None)),
        ):
            async with files(session, address, range=text) as answer:
                assert answer.status == 206
                assert await answer.read() == body[part]
                start, stop, _ = part.indices(len(body))
                place = f"bytes {start}-{stop - 1}/{len(body)}"
                assert answer.headers["content-range"] == place
                assert answer.content_length == stop - start
        for text in ("bytes=1000000-", "bytes=9-5", "bytes=-0"):
            async with files(session, address, range=text) as answer:
                assert answer.status == 416
        for text in ("bytes=0-1,5-6", "bytes=-", "lines=1-2", "bytes=a-b"):
            async with files(session, address, range=text) as answer:
                assert answer.status == 200
                assert await answer.read() == body


@pytest.mark.asyncio
async def test_links_lead_to_the_store(app, seaweed_url):
    """A redirect sends a client that has no credentials to S3 itself."""
    async with aiohttp.ClientSession(app.url) as session:
        address = await uploaded(session, "li nk+ü", BODY)
        params = {"address": address}
        async with session.get("/links", params=params) as answer:
            assert [step.status for step in answer.history] == [307]
            assert str(answer.url).startswith(seaweed_url)
            assert await answer.read() == BODY
        async with session.get("/links", params={"address": MISSING}) as answer:
            assert answer.status == 404


@pytest.mark.asyncio
async def test_errors_have_statuses(app):
    """What cannot be served is told by status and kind."""
    digest = "0" * 32
    async with aiohttp.ClientSession(app.url) as session:
        gone = await uploaded(session, "gone", b"bytes" * 1000)
        for _ in range(2):
            async with session.delete("/files", params={"address": gone}) as answer:
                assert answer.status == 204
        for address, status, kind in (
            (gone, 404, "stash_not_found"),
            (MISSING, 404, "stash_not_found"),
            ("no address", 400, "invalid_address"),
            (f"s3://other-bucket/n.{digest}", 400, "invalid_address"),
            (f"file://files/n.{digest}", 400, "unsupported_backend"),
            (f"https://example.com/files/n.{digest}", 403, "access_denied"),
        ):
            async with files(session, address) as answer:
                assert answer.status == status, address
                assert (await answer.json())["kind"] == kind
        async with session.post("/files/a%00b", data=chunks(BODY[:MIB])) as answer:
            assert answer.status == 400


@pytest.mark.asyncio
@pytest.mark.parametrize("size", [1000, 3 * MIB])
async def test_damage_is_never_served_as_whole(app, seaweed_url, size):
    """Replaced bytes are a 502, or a body that ends before its length."""
    body = BODY[:size]
    async with aiohttp.ClientSession(app.url) as session:
        address = await uploaded(session, "damaged", body)
        other = bytes([body[0] ^ 1]) + body[1:]
        async with aioboto3.Session().client("s3", endpoint_url=seaweed_url) as s3:
            key = f"files/{Address.parse(address).key}"
            await s3.put_object(Bucket="example-fastapi", Key=key, Body=other)
        async with files(session, address) as answer:
            if size == 1000:
                assert answer.status == 502
                assert (await answer.json())["kind"] == "integrity"
            else:
                with pytest.raises(aiohttp.ClientPayloadError):
                    await answer.read()


@pytest.mark.asyncio
async def test_an_upload_broken_off_is_nowhere(app, seaweed_url):
    """When the client leaves in the middle of its upload, nothing is stored."""

    async def breaking():
        yield BODY[: 6 * MIB]
        raise ConnectionResetError

    async with aiohttp.ClientSession(app.url) as session:
        with pytest.raises((aiohttp.ClientError, ConnectionError)):
            await session.post("/files/broken", data=breaking())
        await uploaded(session, "whole", b"whole")
    s3 = S3Config(endpoint_url=seaweed_url)
    async with Coatcheck(Config(s3=s3, namespaces=NAMESPACES)) as cc:
        names = {entry.address.name async for entry in cc.scan("files")}
    assert "whole" in names
    assert "broken" not in names


@pytest.mark.asyncio
async def test_clients_that_go_away_leave_the_pool_whole(app):
    """After 200 downloads broken off, twice the pool's downloads run, in memory as before."""
    process = psutil.Process(app.process.pid)
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(app.url, connector=connector) as session:
        address = await uploaded(session, "large", BODY)

        async def whole():
            async with files(session, address) as answer:
                assert answer.status == 200
                assert await answer.read() == BODY

        async def broken_off():
            async with files(session, address) as answer:
                assert await answer.content.readany()
                answer.close()

        # What so many downloads take at once, the allocator may keep.
        await asyncio.gather(*(whole() for _ in range(16)))
        before = process.memory_info().rss
        for _ in range(20):
            await asyncio.gather(*(broken_off() for _ in range(10)))
        await asyncio.gather(*(whole() for _ in range(16)))
        assert process.memory_info().rss - before < 64 * MIB


@pytest.mark.asyncio
async def test_a_store_that_is_away_is_503(seaweed_url, tmp_path):
    """While the store cannot be reached clients are told when to come again."""
    async with FaultProxy(seaweed_url) as proxy:
        entering = serving(proxy.url, tmp_path)
        app = await asyncio.to_thread(entering.__enter__)
        try:
            async with aiohttp.ClientSession(app.url) as session:
                proxy.always(ResetBeforeSending())
                async with files(session, MISSING) as answer:
                    assert answer.status == 503
                    assert answer.headers["retry-after"] == "5"
                proxy.clear()
                async with files(session, MISSING) as answer:
                    assert answer.status == 404
        finally:
            await asyncio.to_thread(entering.__exit__, None, None, None)


def test_sigterm_ends_it(seaweed_url, tmp_path):
    """It has printed one line, and ends by the signal without an error."""
    with serving(seaweed_url, tmp_path) as app:
        app.process.send_signal(signal.SIGTERM)
        rest, _ = app.process.communicate(timeout=20)
        assert (app.process.returncode, rest) == (-signal.SIGTERM, "")
        assert not app.log.read_text()


@pytest.mark.asyncio
async def test_every_error_has_a_status():
    """The table answers for each class, and only 503 asks to try again."""
    spec = importlib.util.spec_from_file_location("fastapi_app", EXAMPLE)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    expected = {
        "StashNotFound": 404,
        "InvalidName": 400,
        "InvalidRange": 416,
        "AccessDenied": 403,
        "AtCapacity": 503,
        "BackendUnavailable": 503,
        "IntegrityError": 502,
        "Unauthenticated": 500,
        "Timeout": 504,
    }
    for name, status in expected.items():
        answer = await example.refuse(None, getattr(errors, name)("why"))
        assert answer.status_code == status
        assert ("retry-after" in answer.headers) == (status == 503)
