"""The proxy before a storage server: what passes, and what it leaves behind."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import aiohttp
import pytest

from coatcheck.errors import Closed, InvalidInput
from coatcheck.testing import cancel_at_every_point
from coatcheck.testing._proxy import FaultProxy
from coatcheck.testing._proxy_faults import Answer, Drip, DropAnswer, Stall

LONG = bytes(range(256)) * 4096
SHORT = timedelta(milliseconds=50)


def open_sockets():
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            continue
        found |= {target} if target.startswith("socket:") else set()
    return found


async def ended(tasks):
    """Wait for tasks, and one turn of the loop for the sockets they close."""
    if tasks:
        await asyncio.wait(tasks)
    await asyncio.sleep(0)


@pytest.mark.asyncio
async def test_requests_pass_unchanged(proxy, upstream, client):
    """Method, path, query, Host and body arrive as they were sent."""
    target = "/a%20b//c?x=%2F&y"
    host = "Host: bucket.s3.example"
    start, headers, body = await client.ask("PUT", target, host, body=b"hello")
    assert upstream.seen == [("PUT", target, "bucket.s3.example", b"hello")]
    assert (start, body) == ("HTTP/1.1 200 OK", b"hello")
    assert headers["x-seen"] == f"PUT {target}"
    assert proxy.requests == [("PUT", target, None)]


@pytest.mark.asyncio
async def test_one_connection_serves_many_requests(proxy, upstream, client):
    """A connection is kept alive for a hundred requests, bodies or none."""
    for number in range(100):
        target = ("/plain", "/chunked", "/empty")[number % 3]
        sent = b"" if target == "/empty" else b"%d" % number
        _, _, body = await client.ask("PUT", target, body=sent)
        assert body == sent
        _, headers, body = await client.ask("HEAD", "/", body=b"four")
        assert (headers["content-length"], body) == ("4", b"")
    assert len(upstream.seen) == len(proxy.requests) == 200


@pytest.mark.asyncio
@pytest.mark.parametrize("target", ["/plain", "/chunked", "/until-close"])
@pytest.mark.parametrize("expect", [False, True])
async def test_a_mebibyte_passes_both_ways(proxy, upstream, target, expect):
    """Long bodies pass, chunked or not, with or without 100-continue."""

    async def pieces():
        for start in range(0, len(LONG), 2**16):
            yield LONG[start : start + 2**16]

    async with aiohttp.ClientSession() as session:
        for data in (LONG, pieces()):
            url = proxy.url + target
            async with session.put(url, data=data, expect100=expect) as answer:
                assert await answer.read() == LONG
    assert [body for *_, body in upstream.seen] == [LONG, LONG]


@pytest.mark.asyncio
async def test_a_refusal_comes_before_the_body(proxy, client):
    """Who waits for 100-continue and is refused hears it, then the end."""
    lines = ("PUT /refused HTTP/1.1", "Content-Length: 5", "Expect: 100-continue")
    await client.send(*lines)
    start, _ = await client.head()
    assert start == "HTTP/1.1 403 Forbidden"
    assert await client.reader.read() == b""


@pytest.mark.asyncio
@pytest.mark.parametrize("line", ["Connection: close", "X-Not: close"])
async def test_a_client_that_wants_to_close_is_closed(proxy, client, line):
    """`Connection: close` ends the connection after the answer; nothing else does."""
    await client.ask("GET", "/", line)
    proxy.plan(Answer(status=200))
    await client.send("GET / HTTP/1.1", "")
    assert (await client.reader.read(1) == b"") == line.startswith("Connection")


@pytest.mark.asyncio
async def test_plans_come_before_standing_faults(proxy, client):
    """Plans are used up in order by whom they match; `always` lasts until `clear`."""

    def puts(method, target, headers):
        return method == "PUT" and target == "/" and headers["x-who"] == "me"

    proxy.always(Answer(status=500))
    proxy.plan(Answer(status=401), None, Answer(status=402), match=puts)
    proxy.plan(Answer(status=403))
    methods = ("GET", "PUT", "GET", "PUT", "PUT", "PUT")
    starts = [(await client.ask(each, "/", "X-Who: me"))[0] for each in methods]
    proxy.clear()
    starts.append((await client.ask("PUT"))[0])
    codes = [start.split(" ")[1] for start in starts]
    assert codes == ["403", "401", "500", "200", "402", "500", "200"]
    names = [seen.fault for seen in proxy.requests]
    assert names == ["Answer"] * 3 + [None] + ["Answer"] * 2 + [None]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET / HTTP/1.1\r\nX-Long: " + b"x" * 2**17,
        b"hello\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"PUT / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfive\r\n",
        b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
        b"PUT /broken HTTP/1.1\r\n\r\n",
    ],
)
async def test_what_is_no_exchange_is_reset(client, request_bytes):
    """Hostile messages, heads that are too long and upstreams that leave: a reset."""
    client.writer.write(request_bytes)
    with pytest.raises(ConnectionError):
        await client.reader.readexactly(1)


@pytest.mark.asyncio
async def test_an_absent_upstream_resets(connected):
    """Nobody there is a reset, and no failure of the proxy."""
    async with FaultProxy("http://127.0.0.1:1") as proxy, connected(proxy) as client:
        with pytest.raises(ConnectionResetError):
            await client.ask()


@pytest.mark.asyncio
@pytest.mark.parametrize("asks", [True, False])
async def test_patience_ends_what_waits(upstream, connected, asks):
    """An upstream that does not answer, and a client that says nothing, are cut."""
    upstream.answering.clear()
    async with (
        FaultProxy(upstream.url, patience=SHORT) as proxy,
        connected(proxy) as client,
    ):
        with pytest.raises(ConnectionResetError):
            await (client.ask() if asks else client.head())
    assert len(proxy.requests) == asks


@pytest.mark.asyncio
async def test_closing_ends_everything(upstream, connected):
    """Closing resets whoever is served, at once, and leaves no task and no socket."""
    tasks, sockets = asyncio.all_tasks(), open_sockets()
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(FaultProxy(upstream.url))
        proxy.plan(Stall(), Drip(bytes_per_second=0.1), None)
        clients = [await stack.enter_async_context(connected(proxy)) for _ in range(4)]
        stalled, dripping, waiting, _ = clients
        await stalled.send("GET / HTTP/1.1")
        await upstream.came.wait()
        await dripping.send("PUT / HTTP/1.1", "Content-Length: 1", body=b"x")
        await dripping.head()
        upstream.answering.clear()
        upstream.came.clear()
        await waiting.send("GET / HTTP/1.1")
        await upstream.came.wait()
        await proxy.aclose()
        left = asyncio.all_tasks() - tasks
        assert {task.get_coro().__qualname__ for task in left} <= {"Upstream.serve"}
        for client in clients:
            with pytest.raises(ConnectionResetError):
                await client.head()
        with pytest.raises(ConnectionRefusedError):
            await connected(proxy).__aenter__()
    upstream.answering.set()
    await ended(asyncio.all_tasks() - tasks)
    assert open_sockets() == sockets


@pytest.mark.asyncio
@pytest.mark.parametrize("turns", range(8))
async def test_closing_while_clients_close(upstream, connected, turns):
    """A goodbye that is cut off is no failure, wherever it stands."""
    tasks, sockets = asyncio.all_tasks(), open_sockets()
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(FaultProxy(upstream.url))
        clients = [await stack.enter_async_context(connected(proxy)) for _ in range(4)]
        for client in clients:
            await client.ask()
            client.writer.close()
        for _ in range(turns):
            await asyncio.sleep(0)
        await proxy.aclose()
    await ended(asyncio.all_tasks() - tasks)
    assert open_sockets() == sockets


@pytest.mark.asyncio
async def test_cancellation_leaves_nothing(upstream, connected):
    """Wherever its use is cancelled, no task and no socket is left."""
    tasks, sockets = asyncio.all_tasks(), open_sockets()

    async def use():
        async with FaultProxy(upstream.url) as proxy, connected(proxy) as client:
            proxy.plan(None, DropAnswer())
            await client.ask("PUT", body=b"hello")
            with pytest.raises(ConnectionResetError):
                await client.ask("PUT", body=b"hello")

    @asynccontextmanager
    async def scene():
        yield use

    async for _ in cancel_at_every_point(scene):
        await ended(asyncio.all_tasks() - tasks)
        assert open_sockets() == sockets


@pytest.mark.asyncio
async def test_a_connection_made_too_late_is_closed(upstream, monkeypatch):
    """Cancelled when it has just connected, it hangs up all the same."""
    tasks, sockets = asyncio.all_tasks(), open_sockets()
    connect = asyncio.open_connection

    async def connected_and_cancelled(*args, **options):
        streams = await connect(*args, **options)
        asyncio.get_running_loop().call_soon(connecting.cancel)
        return streams

    monkeypatch.setattr(asyncio, "open_connection", connected_and_cancelled)
    connecting = asyncio.create_task(FaultProxy(upstream.url)._connect())
    with pytest.raises(asyncio.CancelledError):
        await connecting
    await ended(asyncio.all_tasks() - tasks)
    await ended(asyncio.all_tasks() - tasks)  # the upstream's began meanwhile
    assert open_sockets() == sockets


@pytest.mark.asyncio
async def test_a_failing_match_comes_out_at_the_end(upstream, connected):
    """What a `match` raises is no network trouble: it leaves with the block."""

    def broken(method, target, headers):
        raise RuntimeError("broken match")

    with pytest.RaisesGroup(pytest.RaisesExc(RuntimeError, match="broken match")):
        async with FaultProxy(upstream.url) as proxy, connected(proxy) as client:
            proxy.always(DropAnswer(), match=broken)
            with pytest.raises(ConnectionResetError):
                await client.ask()


@pytest.mark.asyncio
async def test_a_proxy_is_entered_once():
    """Before it is entered it has no URL, and it is entered once only."""
    proxy = FaultProxy("http://127.0.0.1:9")
    with pytest.raises(Closed, match="enter it"):
        _ = proxy.url
    async with proxy:
        pass
    with pytest.raises(Closed, match="make another"):
        await proxy.__aenter__()


@pytest.mark.parametrize("url", ["https://a", "a:1", "http://", "http://a:b", ""])
def test_upstreams_are_plain_urls(url):
    """What is no http URL is refused."""
    with pytest.raises(InvalidInput, match="http://host:port"):
        FaultProxy(url)
