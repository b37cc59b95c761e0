"""Each way in which the proxy fails a request."""

from __future__ import annotations

import asyncio

import pytest

from coatcheck.errors import InvalidInput
from coatcheck.testing._proxy_faults import (
    Answer,
    Drip,
    DropAnswer,
    ExtraHeader,
    FlipBit,
    ResetAfterSending,
    ResetBeforeSending,
    SkewDate,
    Stall,
    Truncate,
    WrongLength,
)

DATE = "Thu, 01 Jan 2026 00:00:00 GMT"
LONG = bytes(range(256)) * 4096
SHORT = 0.05


@pytest.mark.asyncio
@pytest.mark.parametrize("body", [b"", b"hello"])
async def test_reset_before_sending_reaches_nobody(proxy, upstream, client, body):
    """The client is reset; the upstream never hears of the request."""
    proxy.plan(ResetBeforeSending())
    with pytest.raises(ConnectionResetError):
        await client.ask("PUT", body=body)
    assert upstream.seen == []
    assert proxy.requests == [("PUT", "/", "ResetBeforeSending")]


@pytest.mark.asyncio
async def test_reset_after_sending_does_not_wait(proxy, upstream, client, connected):
    """The client is reset before the upstream answers, and it answers all the same."""
    proxy.plan(ResetAfterSending())
    upstream.answering.clear()
    await client.send(
        *("PUT / HTTP/1.1", "Content-Length: 1048576", "Expect: 100-continue"),
        body=LONG,
    )
    assert (await client.head())[0] == "HTTP/1.1 100 Continue"
    with pytest.raises(ConnectionResetError):
        await client.head()
    upstream.answering.set()
    async with connected(proxy) as another:
        await another.ask("PUT", "/next")
    assert [body for *_, body in upstream.seen] == [LONG, b""]


@pytest.mark.asyncio
@pytest.mark.parametrize("target", ["/plain", "/chunked", "/until-close"])
async def test_drop_answer_lets_the_request_happen_once(
    proxy, upstream, client, target
):
    """The upstream did what it was asked, once; the client hears nothing of it."""
    proxy.plan(DropAnswer())
    with pytest.raises(ConnectionResetError):
        await client.ask("PUT", target, body=LONG)
    assert len(upstream.seen) == 1


@pytest.mark.asyncio
async def test_drop_answer_waits_for_the_last_byte(proxy, upstream, client):
    """As long as the upstream is answering, the connection stays open and silent."""
    proxy.plan(DropAnswer())
    lines = ("PUT /halting HTTP/1.1", "Content-Length: 4")
    await client.send(*lines, body=b"half")
    await upstream.halted.wait()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.reader.read(1), SHORT)
    upstream.going_on.set()
    with pytest.raises(ConnectionResetError):
        await client.reader.read(1)


@pytest.mark.asyncio
@pytest.mark.parametrize("target", ["/plain", "/chunked"])
@pytest.mark.parametrize("size", [0, 3, 5])
async def test_truncate_ends_within_the_body(proxy, client, target, size):
    """So much of the body comes, and then the connection's end."""
    proxy.plan(Truncate(bytes_of_body=size))
    await client.send(f"PUT {target} HTTP/1.1", "Content-Length: 5", body=b"hello")
    start, _ = await client.head()
    assert start == "HTTP/1.1 200 OK"
    framing = b"5;note\r\n" if target == "/chunked" and size else b""
    assert await client.reader.read() == framing + b"hello"[:size]


@pytest.mark.asyncio
@pytest.mark.parametrize("where", ["head", "body"])
async def test_stall_sends_nothing_until_the_client_leaves(proxy, client, where):
    """The connection stays open and silent where it was told to."""
    proxy.plan(Stall(where=where))
    await client.send("PUT / HTTP/1.1", "Content-Length: 5", body=b"hello")
    if where == "body":
        assert (await client.head())[1]["content-length"] == "5"
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.reader.read(1), SHORT)
    client.writer.write_eof()
    assert await client.reader.read() == b""


@pytest.mark.asyncio
@pytest.mark.parametrize("where", ["head", "body"])
async def test_stall_for_a_while_delays(proxy, client, where):
    """After its time the answer goes on, and so does the connection."""
    proxy.plan(Stall(where=where, seconds=0.01))
    for body in (b"late", b"soon"):
        assert (await client.ask("PUT", body=body))[2] == body


@pytest.mark.asyncio
async def test_drip_is_slow_and_whole(proxy, client):
    """The body comes in pieces that are as small as the rate asks for."""
    proxy.plan(Drip(bytes_per_second=100))
    await client.send("PUT / HTTP/1.1", "Content-Length: 15", body=b"x" * 15)
    await client.head()
    assert await client.reader.read(100) == b"x" * 10
    assert await client.reader.read(100) == b"x" * 5
    proxy.plan(Drip(bytes_per_second=2**30))
    assert (await client.ask("PUT", "/chunked", body=LONG))[2] == LONG
    with pytest.raises(InvalidInput, match="more than 0 bytes per second"):
        Drip(bytes_per_second=0)


@pytest.mark.asyncio
@pytest.mark.parametrize("target", ["/plain", "/chunked"])
async def test_flip_bit_changes_one_bit(proxy, client, target):
    """One bit of the body differs, wherever the blocks end; none beyond it."""
    proxy.plan(FlipBit(offset=2**20 - 1), FlipBit(offset=2**20))
    _, _, body = await client.ask("PUT", target, body=LONG)
    assert body == LONG[:-1] + b"\xfe"
    assert (await client.ask("PUT", target, body=LONG))[2] == LONG


@pytest.mark.asyncio
async def test_answer_speaks_for_the_upstream(proxy, upstream, client):
    """The whole answer is made up, the body read, and the connection lives on."""
    proxy.always(Answer(status=503, body=b"<Error/>", headers={"Retry-After": "1"}))
    start, headers, body = await client.ask("PUT", body=LONG)
    assert (start, body) == ("HTTP/1.1 503 Service Unavailable", b"<Error/>")
    assert headers["content-type"] == "application/xml"
    assert headers["retry-after"] == "1"
    _, headers, body = await client.ask("HEAD")
    assert (headers["content-length"], body) == ("8", b"")
    await client.send("PUT / HTTP/1.1", "Content-Length: 2", "Expect: 100-continue")
    assert (await client.head())[0] == "HTTP/1.1 100 Continue"
    client.writer.write(b"hi")
    assert (await client.head())[0] == "HTTP/1.1 503 Service Unavailable"
    assert upstream.seen == []


@pytest.mark.asyncio
async def test_answer_headers_replace_the_usual_ones(proxy, client):
    """A header that is given stands alone, whatever its case."""
    proxy.plan(Answer(status=404, headers={"content-type": "text/plain"}))
    _, headers, _ = await client.ask()
    assert headers == {"content-length": "0", "content-type": "text/plain"}


@pytest.mark.asyncio
async def test_extra_header_is_as_long_as_told(proxy, client):
    """The answer carries a header more, a mebibyte long; its body is whole."""
    proxy.plan(ExtraHeader())
    _, headers, body = await client.ask("PUT", body=b"hello")
    assert (len(headers["x-extra"]), body) == (2**20, b"hello")


@pytest.mark.asyncio
@pytest.mark.parametrize("target", ["/plain", "/chunked"])
@pytest.mark.parametrize(("delta", "told"), [(2, "7"), (-2, "3"), (-9, "0")])
async def test_wrong_length_lies(proxy, client, target, delta, told):
    """The length is off, the body is whole, and the connection ends."""
    proxy.plan(WrongLength(delta=delta))
    await client.send(f"PUT {target} HTTP/1.1", "Content-Length: 5", body=b"hello")
    _, headers = await client.head()
    assert (headers["content-length"], await client.reader.read()) == (told, b"hello")
    assert "transfer-encoding" not in headers


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("seconds", "date"),
    [(3661, "Thu, 01 Jan 2026 01:01:01 GMT"), (-1, "Wed, 31 Dec 2025 23:59:59 GMT")],
)
async def test_skew_date_moves_the_answers_time(proxy, client, seconds, date):
    """The Date header is off by so many seconds."""
    proxy.plan(SkewDate(seconds=seconds))
    assert (await client.ask())[1]["date"] == date
    assert (await client.ask())[1]["date"] == DATE
