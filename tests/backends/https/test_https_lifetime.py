"""Connections that are freed, and a backend that is open or is not."""

from __future__ import annotations

import asyncio
import gc

import pytest

from coatcheck.backends._https import LinkBackend
from coatcheck.errors import Closed

pytestmark = pytest.mark.asyncio
LARGE = b"x" * 1024 * 1024


async def stalled(_, writer):
    """Begin an answer and never end it."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc")
    await writer.drain()
    await asyncio.Event().wait()


async def silent(_, __):
    """Never answer."""
    await asyncio.Event().wait()


async def asked(host, count):
    """Wait until the host has been asked so many times."""
    await host.until(lambda it: len(it.heads) >= count)


async def test_unread_reads_free_their_connections(host, scripted, make_backend):
    """More reads than connections, all left unread, one after another and at once."""
    backend = await make_backend(connections=4)
    host.script = scripted(LARGE)

    async def leave(byte_count):
        async with backend.get(host.link()) as reader:
            assert len(await reader.read(byte_count)) == byte_count

    for _ in range(50):
        await leave(0)
    await asyncio.gather(*(leave(number % 2) for number in range(50)))

    async with backend.get(host.link()) as reader:
        assert await reader.read() == LARGE


async def test_a_connection_is_used_again(host, read):
    """Reads to the end share one connection."""
    for _ in range(5):
        assert await read(host.link()) == b"a coat"

    assert host.connections == 1


async def test_a_refusal_frees_its_connection(host, refused, make_backend):
    """Refused links hold no connection, however many there are."""
    backend = await make_backend(connections=1)
    for status in (301, 403, 404, 416, 429, 500) * 3:
        host.script = refused(status)
        with pytest.raises(Exception, match=str(status)):
            async with backend.get(host.link()):
                pass


async def test_a_dropped_connection_is_made_anew(host, scripted, read):
    """A connection that the host closed while it was idle costs no read."""
    host.hang_up = True

    for _ in range(3):
        assert await read(host.link()) == b"a coat"

    assert host.connections == 3


@pytest.mark.parametrize("script", [silent, stalled])
async def test_a_cancelled_read_frees_its_connection(host, make_backend, script):
    """Cancelled before the answer or in its body, a read leaves nothing behind."""
    backend = await make_backend(connections=1)
    normal, host.script = host.script, script

    async def read():
        async with backend.get(host.link()) as reader:
            return await reader.read()

    for number in range(5):
        task = asyncio.create_task(read())
        await asked(host, number + 1)
        for _ in range(number * 3):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    host.script = normal
    assert await read() == b"a coat"
    assert asyncio.all_tasks() - {asyncio.current_task()} == host._tasks


async def test_it_can_be_cancelled_at_every_step(host, make_backend):
    """Whichever step a read is cancelled at, the only connection is free again."""
    backend = await make_backend(connections=1)

    async def read():
        async with backend.get(host.link()) as reader:
            return await reader.read()

    ended = False
    steps = 0
    while not ended:
        task = asyncio.create_task(read())
        for _ in range(steps):
            await asyncio.sleep(0)
        ended = task.done()
        task.cancel()
        await asyncio.wait([task])
        steps += 1
    assert steps > 2
    assert await read() == b"a coat"


async def test_it_is_used_while_it_is_open(host, origins):
    """Before opening, after closing and twice it is refused; nothing is sent."""
    backend = LinkBackend(origins(public_url=host.url))
    with pytest.raises(Closed, match="not open yet"):
        backend.get(host.link())
    async with backend:
        early = backend.get(host.link())
        with pytest.raises(Closed, match="already open"):
            await backend.__aenter__()
    with pytest.raises(Closed, match="closed"):
        backend.get(host.link())
    with pytest.raises(Closed, match="closed"):
        await early.__aenter__()
    await backend.aclose()

    assert host.connections == 0


@pytest.mark.parametrize("script", [silent, stalled])
async def test_closing_ends_what_is_read(host, backend, script):
    """A read that is under way when the backend closes ends with Closed."""
    host.script = script

    async def read():
        async with backend.get(host.link()) as reader:
            return await reader.read()

    task = asyncio.create_task(read())
    await asked(host, 1)
    await backend.aclose()

    with pytest.raises(Closed):
        await asyncio.wait_for(task, 10)


async def test_waiting_for_a_connection_ends_with_the_backend(host, make_backend):
    """A read that waits for others is ended by closing, too."""
    backend = await make_backend(connections=1)
    host.script = stalled

    async with backend.get(host.link()):

        async def wait():
            async with backend.get(host.link()):
                pass

        task = asyncio.create_task(wait())
        for _ in range(10):
            await asyncio.sleep(0)
        await backend.aclose()
        with pytest.raises(Closed):
            await asyncio.wait_for(task, 10)


async def test_closing_leaves_no_connection(host, scripted, make_backend):
    """After closing, idle connections and those in use have ended."""
    backend = await make_backend()
    async with backend.get(host.link()) as reader:
        await reader.read()
    host.script = scripted(LARGE)
    reading = backend.get(host.link())
    await reading.__aenter__()

    await backend.aclose()
    await reading.__aexit__(None, None, None)

    await host.until(lambda it: it.open == 0)
    gc.collect()
    assert asyncio.all_tasks() - {asyncio.current_task()} == set()
