"""Cancelling any public operation at any suspension point leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from tests.conftest import open_files

from coatcheck import Coatcheck, Config, TimeToIdle, TimeToLive
from coatcheck.errors import StashNotFound
from coatcheck.testing import cancel_at_every_point

if TYPE_CHECKING:
    from pathlib import Path

HOUR = timedelta(hours=1)
TEXT = "t" * 200
BODY = bytes(1_200_000)


async def chunks():
    for start in range(0, len(BODY), 500_000):
        yield BODY[start : start + 500_000]
        await asyncio.sleep(0)


async def read_through(cc, address):
    async with cc.open(address) as reader:
        async for _ in reader:
            pass


async def scan_through(cc):
    return [entry async for entry in cc.scan("ns")]


async def enter_and_create(it):
    async with Coatcheck(it.config) as other:
        await other.create("new", TEXT, "ns")


OPERATIONS = {
    "create": lambda it: it.cc.create("new", TEXT, "ns"),
    "create_expiring": lambda it: it.cc.create("new", TEXT, "ns", expires=it.live),
    "create_again": lambda it: it.cc.create("kept", TEXT, "ns"),
    "create_over_expired": lambda it: it.cc.create("old", TEXT, "ns", expires=it.live),
    "create_large": lambda it: it.cc.create("new", BODY, "ns"),
    "create_many": lambda it: it.cc.create_many(
        [(f"new{number}", TEXT) for number in range(4)], "ns"
    ),
    "create_stream": lambda it: it.cc.create_stream("new", chunks(), "ns"),
    "create_stream_of_path": lambda it: it.cc.create_stream("new", it.path, "ns"),
    "retrieve": lambda it: it.cc.retrieve(it.kept),
    "retrieve_idle": lambda it: it.cc.retrieve(it.idle),
    "retrieve_many": lambda it: it.cc.retrieve_many([it.kept, it.stream, it.kept]),
    "open": lambda it: read_through(it.cc, it.stream),
    "download": lambda it: it.cc.download(it.stream, it.copy),
    "exists": lambda it: it.cc.exists(it.kept),
    "scan": lambda it: scan_through(it.cc),
    "touch": lambda it: it.cc.touch(it.idle),
    "delete": lambda it: it.cc.delete(it.kept),
    "reap": lambda it: it.cc.reap("ns"),
    "check": lambda it: it.cc.check(),
    "enter": enter_and_create,
}


class Scene:
    """An open Coatcheck over a folder with stashes of every kind."""

    live = TimeToLive(HOUR)

    def __init__(self, root, scheme, clock):
        self.root = root
        self.path, self.copy = root / "source", root / "copy"
        self.config = Config(
            backends=(scheme,), filesystem_root=str(root / "stashes"), durable=False
        )
        self.cc = Coatcheck(self.config, clock=clock)

    async def fill(self, clock):
        await asyncio.to_thread(self.path.write_bytes, BODY)
        cc = self.cc
        await cc.create("old", TEXT, "ns", expires=self.live)
        idle = await cc.create("idle", TEXT, "ns", expires=TimeToIdle(2 * HOUR))
        clock.advance(HOUR)
        self.idle = idle.address
        self.kept = (await cc.create("kept", TEXT, "ns")).address
        self.stream = (await cc.create_stream("stream", BODY, "ns")).address

    def leftovers(self):
        """Return what no finished or cancelled call may leave."""
        control = self.root / "stashes" / ".coatcheck" / "buckets" / "ns"
        drafts = [str(path) for path in control.glob("drafts/*")]
        hidden = [str(path) for path in self.root.glob(".*")]
        return drafts + hidden

    async def check(self):
        """Check that every stash is whole or gone, and that calls still work."""
        for address in (self.kept, self.stream, self.idle):
            try:
                await self.cc.retrieve(address)
            except StashNotFound:
                assert address == self.kept
        async for entry in self.cc.scan("ns"):
            await self.cc.retrieve(entry.address)
        await self.cc.create("after", TEXT, "ns")


@pytest.mark.asyncio
@pytest.mark.parametrize("scheme", ["mem", "file"])
@pytest.mark.parametrize("operation", OPERATIONS)
async def test_cancelled_everywhere(operation, scheme, clock, tmp_path):
    """No task, descriptor or temporary file stays, and the store is whole."""
    tasks = len(asyncio.all_tasks())
    points = 0
    scenes = iter(range(10_000))

    @asynccontextmanager
    async def scene():
        nonlocal it
        root = tmp_path / str(next(scenes))
        await asyncio.to_thread(root.mkdir)
        it = Scene(root, scheme, clock)
        async with it.cc:
            await it.fill(clock)
            opened.clear()
            opened.extend(sorted(files_below(root)))
            yield lambda: OPERATIONS[operation](it)

    it, opened = None, []
    async for point in cancel_at_every_point(scene):
        points = point
        assert len(asyncio.all_tasks()) == tasks
        assert sorted(files_below(it.root)) == opened
        assert it.leftovers() == []
        await it.check()
    if scheme == "file":
        assert points >= 1


def files_below(root: Path) -> list[str]:
    """Return what is open below a root, but its lock files, which stay open."""
    return [
        path
        for path in open_files()
        if path.startswith(f"{root}{os.sep}") and "/.coatcheck/locks/" not in path
    ]
