"""Uploads by links: once, no larger than allowed, whole or not at all."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from tests.conftest import open_files
from tests.service.conftest import impatient
from tests.service.wire import connected, head, until

from coatcheck.abc import SignGet, SignPut
from coatcheck.errors import InvalidInput, ObjectNotFound

pytestmark = pytest.mark.asyncio
KIB = 1024


async def chunks(total, size=10_000):
    """Send a body without saying how long it is."""
    for start in range(0, total, size):
        yield b"x" * min(size, total - start)


async def test_one_upload(services):
    """What is sent is stored with its type, and read by a link again."""
    async with services.opened() as it:
        for key, body in (("a", b"hello"), ("empty", b""), ("ü +%;/b", b"x" * 300_000)):
            signed = await it.signed(SignPut(content_type="text/plain"), key)
            assert (signed.method, dict(signed.headers)) == (
                "PUT",
                {"Content-Type": "text/plain"},
            )
            status, headers, answer = await it.answer(
                "PUT", signed.url, data=body, headers=signed.headers
            )
            assert (status, answer) == (201, b"")
            info = await (await it.bucket()).head(key)
            assert headers["etag"] == f'"{info.etag}"'
            assert (info.size, info.content_type) == (len(body), "text/plain")
            read = await it.signed(SignGet(), key)
            assert (await it.answer("GET", read.url))[::2] == (200, body)


async def test_a_link_writes_once(services):
    """The second upload is refused, also by another process and whatever it sends."""
    async with services.opened() as it:
        signed = await it.signed(SignPut(), "k")
        assert (await it.answer("PUT", signed.url, data=b"first"))[0] == 201
        for body in (b"first", b"second", chunks(500_000)):
            assert await it.code("PUT", signed.url, data=body) == (409, "link_used")
        target = signed.url[signed.url.index("/v1/") :]
    async with services.opened() as it:
        again = f"{it.cc.config.public_url}{target}"
        assert await it.code("PUT", again, data=b"third") == (409, "link_used")
        read = await it.signed(SignGet(), "k")
        assert (await it.answer("GET", read.url))[2] == b"first"


async def test_one_of_many_uploads_at_once(services):
    """Whoever uses a link at the same moment, one of them writes."""
    async with services.opened() as it:
        signed = await it.signed(SignPut(), "k")
        bodies = [bytes([number]) * 50_000 for number in range(10)]
        together = asyncio.Barrier(len(bodies))

        async def held_back(body):
            yield body[:10]
            # None ends before all have begun.
            await together.wait()
            yield body[10:]

        answers = await asyncio.gather(
            *(it.answer("PUT", signed.url, data=held_back(each)) for each in bodies)
        )
        statuses = [status for status, _, _ in answers]
        assert sorted(statuses) == [201, *[409] * 9]
        read = await it.signed(SignGet(), "k")
        won = bodies[statuses.index(201)]
        assert (await it.answer("GET", read.url))[2] == won
        assert services.stored() == (1, 0)


async def test_an_upload_over_nothing_only(services):
    """A link to write overwrites nothing that came before it."""
    async with services.opened() as it:
        await (await it.bucket()).put("k", b"standing")
        signed = await it.signed(SignPut(), "k")
        assert await it.code("PUT", signed.url, data=b"x") == (409, "link_used")


async def test_too_large(services):
    """An upload is cut off at its cap; nothing is kept, and the link still works."""
    async with services.opened() as it:
        signed = await it.signed(SignPut(max_size=1000), "k")
        for body in (b"x" * 1001, b"x" * 900_000, chunks(1001), chunks(900_000)):
            refused = await it.code("PUT", signed.url, data=body)
            assert refused == (413, "too_large")
            assert services.stored() == (0, 0)
        assert (await it.answer("PUT", signed.url, data=chunks(1000, 999)))[0] == 201
        empty = await it.signed(SignPut(max_size=0), "empty")
        assert (await it.code("PUT", empty.url, data=b"x"))[0] == 413
        assert (await it.answer("PUT", empty.url, data=b""))[0] == 201


async def test_an_endless_upload_is_cut_off(services):
    """Who sends without end is hung up on soon after the cap."""
    async with services.opened() as it:
        signed = await it.signed(SignPut(max_size=100_000), "k")
        chunk = f"{64 * KIB:x}\r\n".encode() + b"x" * 64 * KIB + b"\r\n"

        async def send(writer):
            for _ in range(4 * KIB):
                writer.write(chunk)
                await writer.drain()

        async with connected(signed.url) as (_, writer):
            writer.write(head("PUT", signed.url, "transfer-encoding: chunked"))
            with pytest.raises(ConnectionError):
                await send(writer)
        assert services.stored() == (0, 0)


@pytest.mark.parametrize("given", ["text/html", "text/plain; charset=utf-8", "", None])
async def test_another_type(services, given):
    """An upload has the very type that its link demands."""
    async with services.opened() as it:
        signed = await it.signed(SignPut(content_type="text/plain"), "k")
        options = {"skip_auto_headers": ["content-type"]}
        if given is not None:
            options["headers"] = {"content-type": given}
        refused = await it.code("PUT", signed.url, data=b"x", **options)
        assert refused == (415, "wrong_type")
        assert services.stored() == (0, 0)


async def test_headers_that_cannot_be_kept(services):
    """A type that is none is refused; an encoding is kept and told again."""
    async with services.opened() as it:
        signed = await it.signed(SignPut(), "k")
        bad = {"content-type": "no type at all"}
        refused = await it.code("PUT", signed.url, data=b"x", headers=bad)
        assert refused == (400, "invalid_input")
        told = {"content-encoding": "gzip", "content-type": "text/plain"}
        status, _, _ = await it.answer("PUT", signed.url, data=b"x", headers=told)
        assert status == 201
        read = await it.signed(SignGet(), "k")
        assert (await it.answer("GET", read.url))[1]["content-encoding"] == "gzip"


async def test_an_upload_begins_before_the_end(services):
    """From its end on a link writes nothing."""
    async with services.opened() as it:
        signed = await it.signed(SignPut(), "k", seconds=5)
        it.clock.advance(timedelta(seconds=5))
        assert it.clock() == signed.expires_at
        assert await it.code("PUT", signed.url, data=b"x") == (403, "link_expired")
        it.clock.advance(timedelta(microseconds=-1))
        assert (await it.answer("PUT", signed.url, data=b"x"))[0] == 201


@pytest.mark.parametrize(
    "lines", [["content-length: 500000"], ["transfer-encoding: chunked"]]
)
async def test_a_client_that_leaves_in_its_upload(services, lines, caplog):
    """Half an upload leaves no object, no draft and no complaint, and can be repeated."""
    async with services.opened() as it:
        signed = await it.signed(SignPut(), "k")
        body = b"x" * 100_000
        if "chunked" in lines[0]:
            body = b"186a0\r\n" + body + b"\r\n"
        async with connected(signed.url) as (_, writer):
            writer.write(head("PUT", signed.url, *lines) + body)
            await writer.drain()
            if services.scheme == "file":
                await until(lambda: open_drafts(services))
        await until(lambda: services.stored() == (0, 0) and not open_drafts(services))
        with pytest.raises(ObjectNotFound):
            await (await it.bucket()).head("k")
        assert (await it.answer("PUT", signed.url, data=b"whole"))[0] == 201
    assert not caplog.records


def open_drafts(services):
    """Return what this process holds open below the root."""
    return [
        path
        for path in open_files()
        if path.startswith(f"{services.root}/") and "slots" not in path
    ]


async def test_a_client_that_does_not_go_on(services):
    """An upload that stalls is ended, and leaves nothing."""
    async with services.opened(app=impatient) as it:
        signed = await it.signed(SignPut(), "k")
        async with connected(signed.url) as (reader, writer):
            writer.write(head("PUT", signed.url, "content-length: 1000") + b"x" * 10)
            async with asyncio.timeout(20):
                answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b'"code":"timeout"' in answer
        assert services.stored() == (0, 0)
        assert not open_drafts(services)
        assert (await it.answer("PUT", signed.url, data=b"whole"))[0] == 201


async def test_who_asks_first_is_refused_without_a_body(services):
    """A client that waits for 100 Continue sends nothing in vain."""
    async with services.opened() as it:
        signed = await it.signed(SignPut(max_size=10), "k")
        lines = ("content-length: 1000", "expect: 100-continue", "connection: close")
        async with connected(signed.url) as (reader, writer):
            writer.write(head("PUT", signed.url, *lines))
            async with asyncio.timeout(20):
                answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 413 ")


async def test_what_no_link_can_demand(services):
    """Bounds and headers that make no sense are refused where the link is made."""
    async with services.opened() as it:
        for what in (
            SignPut(max_size=-1),
            SignPut(content_type="x\r\ny: z"),
            SignGet(content_disposition="x\r\ny: z"),
            SignGet(content_type="no type"),
        ):
            bucket = (await it.bucket()).inner
            with pytest.raises(InvalidInput):
                await bucket.sign(what, "k", expires_in=timedelta(1))
