"""Links under load and failure: memory, clients that leave, storage that fails, processes."""

from __future__ import annotations

import asyncio
import json
import select
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import aiohttp
import pytest
from fastapi import FastAPI
from tests.conftest import open_files
from tests.process_memory import most_held
from tests.service.conftest import KEY, impatient
from tests.service.wire import connected, head, until
from yarl import URL

from coatcheck import errors
from coatcheck.abc import SignGet, SignPut
from coatcheck.errors import IntegrityError
from coatcheck.service import links_router
from coatcheck.testing import Fault, FaultyBucket
from coatcheck.wrappers import LinkSigner

PROGRAMME = Path(__file__).with_name("links_programme.py")
MIB = 1024 * 1024
BIG = 256 * MIB


def opened_objects(services):
    """Return the objects that this process holds open."""
    return [
        each for each in open_files() if each.startswith(f"{services.root}/default/")
    ]


@pytest.mark.asyncio
async def test_a_client_that_leaves_in_its_download(on_files, caplog):
    """A reader that hangs up closes the file, and is nothing to log."""
    async with on_files.opened() as it:
        await (await it.bucket()).put("k", bytes(20 * MIB))
        signed = await it.signed(SignGet(), "k")
        async with connected(signed.url) as (reader, writer):
            writer.write(head("GET", signed.url))
            assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
            await until(lambda: opened_objects(on_files))
        await until(lambda: not opened_objects(on_files))
        status, _, body = await it.answer("GET", signed.url)
        assert (status, len(body)) == (200, 20 * MIB)
        assert not opened_objects(on_files)
    assert not caplog.records


@pytest.mark.asyncio
async def test_a_client_that_does_not_read_on(on_files):
    """A reader that stands still is left after a while, and the file is closed."""
    async with on_files.opened(app=impatient) as it:
        await (await it.bucket()).put("k", bytes(20 * MIB))
        signed = await it.signed(SignGet(), "k")
        async with connected(signed.url) as (_, writer):
            writer.write(head("GET", signed.url))
            await until(lambda: opened_objects(on_files))
            await until(lambda: not opened_objects(on_files))


@pytest.mark.asyncio
async def test_slow_readers_hold_up_nobody_else(on_files):
    """Whoever reads a link slowly takes no slot of the Coatcheck's own."""
    async with on_files.opened(concurrency=2) as it:
        await (await it.bucket()).put("k", bytes(20 * MIB))
        signed = await it.signed(SignGet(), "k")
        async with connected(signed.url) as (_, one), connected(signed.url) as (_, two):
            for writer in (one, two):
                writer.write(head("GET", signed.url))
            await until(lambda: len(opened_objects(on_files)) == 2)
            stash = await it.cc.create("n", "x" * 500)
            assert await it.cc.retrieve(stash.address) == stash


@pytest.mark.asyncio
async def test_what_is_damaged(services):
    """A stash is held against its digest; an object is refused, or ends too short."""
    async with services.opened() as it:
        stash = await it.cc.create("n", "x" * 500)
        link = await stash.share(ttl_sec=60)
        bucket = await it.bucket()
        await bucket.put("small", b"y" * 500)
        await bucket.put("large", b"z" * 3 * MIB)
        for key, size in (
            (stash.address.key, stash.size),
            ("small", 500),
            ("large", 3 * MIB),
        ):
            await damaged(services, key, b"d" * size)
        with pytest.raises(IntegrityError, match="does not match its digest"):
            await it.cc.retrieve(link)
        await damaged(services, stash.address.key, b"d")
        with pytest.raises(IntegrityError, match="object of the share link is damaged"):
            await it.cc.retrieve(link)
        small, large = [await it.signed(SignGet(), key) for key in ("small", "large")]
        assert await it.code("GET", small.url) == (500, "object_damaged")
        with pytest.raises(aiohttp.ClientPayloadError):
            await it.answer("GET", large.url)


async def damaged(services, key, body):
    from tests.subjects import FilesSubject, MemorySubject

    kind = MemorySubject if services.scheme == "mem" else FilesSubject
    subject = kind(services.clock, services.root.parent)
    subject.store = services.memory
    await subject.damage("default", key, body)


def failing(faulty):
    """Return an application whose bucket fails as told."""

    def app(_):
        async def find(scheme, name):
            del scheme, name
            return faulty

        application = FastAPI()
        application.include_router(links_router(find, LinkSigner(KEY)))
        return application

    return app


FAILURES = [
    (errors.BackendUnavailable, 503, "backend_unavailable"),
    (errors.RateLimited, 503, "backend_unavailable"),
    (errors.Timeout, 503, "backend_unavailable"),
    (errors.Closed, 503, "backend_unavailable"),
    (errors.AtCapacity, 507, "at_capacity"),
    (errors.ObjectNotFound, 404, "object_not_found"),
    (errors.BucketNotFound, 404, "object_not_found"),
    (errors.IntegrityError, 500, "object_damaged"),
    (errors.BackendError, 500, "backend"),
    (errors.AccessDenied, 500, "backend"),
]


@pytest.mark.asyncio
async def test_storage_that_fails(services):
    """Each failure has its status, and tells strangers nothing of the storage."""
    async with services.opened() as it:
        await (await it.bucket()).put("k", b"x")
        read, write = await it.signed(SignGet(), "k"), await it.signed(SignPut(), "new")
        faulty = FaultyBucket((await it.cc._backend(services.scheme)).bucket("default"))
        async with services.opened(app=failing(faulty)) as broken:
            url = broken.cc.config.public_url
            for kind, status, code in FAILURES:
                for verb, method, signed in (
                    ("get", "GET", read),
                    ("head", "HEAD", read),
                    ("put", "PUT", write),
                ):
                    faulty.fail_next(verb, Fault(error=kind("canary /srv/secret")))
                    target = url + signed.url[signed.url.index("/v1/") :]
                    found, headers, body = await broken.answer(method, target)
                    assert found == status
                    assert b"canary" not in body
                    assert ("retry-after" in headers) == (status == 503)
                    if method != "HEAD":
                        assert json.loads(body)["code"] == code
            target = url + write.url[write.url.index("/v1/") :]
            assert (await broken.answer("PUT", target, data=b"x"))[0] == 201


@contextmanager
def serving(root):
    """Run the service in a process of its own; give its URL and id."""
    argv = [sys.executable, "-W", "error", PROGRAMME, "serve", root]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        try:
            ready, _, _ = select.select([process.stdout], [], [], 40)
            line = process.stdout.readline() if ready else ""
            assert line.startswith("http://127.0.0.1:")
            yield SimpleNamespace(url=line.strip(), pid=process.pid)
        finally:
            process.terminate()
            assert process.wait(20) in (0, -15)


def ran(*arguments, given=None, folder=None):
    done = subprocess.run(
        [sys.executable, "-W", "error", PROGRAMME, *arguments],
        input=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_three_processes(tmp_path):
    """One creates on files and shares, one serves, one claims with the link alone."""
    root = str(tmp_path / "root")
    away = tmp_path / "away"
    away.mkdir()
    with serving(root) as service:
        links = ran("share", root, service.url)
        del links["put"]
        time.sleep(1)
        found = ran("claim", service.url, given=json.dumps(links), folder=away)
        assert found.pop("brief").startswith("StashNotFound: no stash at 'http://")
        assert found == {"report": {"rows": [1] * 500}, "stream": 2_560_000}
        # Nobody reads a link from whom it does not trust.
        found = ran("claim", "https://coats.example", given=json.dumps(links))
        assert {text.partition(":")[0] for text in found.values()} == {"AccessDenied"}


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_memory_is_constant(tmp_path):
    """256 MiB come and go by links within 64 MiB of extra memory in the service."""
    root = str(tmp_path / "root")
    with serving(root) as service:
        links = ran("share", root, service.url)
        asyncio.run(there_and_back(service, links))


async def there_and_back(service, links):
    block = bytes(range(256)) * (MIB // 256)

    async def body():
        for _ in range(BIG // MIB):
            yield block

    signer = LinkSigner("a key that two processes share")
    put = URL(links["put"], encoded=True)
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        small = links["report"].partition("#")[0]
        async with session.get(URL(small, encoded=True)) as response:
            await response.read()
        before = most_held(service.pid)
        async with session.put(put, data=body()) as response:
            assert response.status == 201
        assert most_held(service.pid) - before < 64 * MIB
        grant = signer.read(links["put"].partition("?t=")[2])
        token = signer.sign(replace(grant, method="GET"))
        get = URL(f"{links['put'].partition('?')[0]}?t={token}", encoded=True)
        async with session.get(get) as response:
            assert response.content_length == BIG
            received = 0
            async for chunk in response.content.iter_chunked(MIB):
                received += len(chunk)
        assert received == BIG
        assert most_held(service.pid) - before < 64 * MIB
