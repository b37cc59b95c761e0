"""Open Coatchecks over memory and over files."""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.stashes.slow import SlowPlace

from coatcheck import Coatcheck, Config
from coatcheck.backends._memory import MemoryStore


class Place:
    """Where the stashes of a test are, and a way behind coatcheck's back."""

    def __init__(self, scheme, folder, clock):
        self.scheme = scheme
        self.clock = clock
        self.root = folder / "root"
        self.memory = MemoryStore(clock=clock)

    def config(self, **fields):
        given = {
            "backends": ("inline", self.scheme),
            "filesystem_root": str(self.root),
            "durable": False,
        }
        return Config(**(given | fields))

    @asynccontextmanager
    async def opened(self, **fields):
        cc = Coatcheck(self.config(**fields), clock=self.clock, memory=self.memory)
        async with cc:
            yield cc

    async def bucket(self, cc, name="default"):
        backend = await cc._backend(self.scheme)
        return backend.bucket(name)

    def stored(self):
        """Return how many objects are stored, as nobody but the store tells."""
        if self.scheme == "mem":
            return sum(len(each.records) for each in self.memory._buckets.values())
        paths = Path(self.root).glob("[!.]*/**/*")
        return sum(path.is_file() for path in paths)


@pytest.fixture(params=["mem", "file"])
def place(request, tmp_path, clock):
    """A place in memory, then one in files."""
    return Place(request.param, tmp_path, clock)


@pytest.fixture
def slow(clock, monkeypatch):
    """A place in memory whose calls wait as those to a server do."""
    return SlowPlace(clock, monkeypatch)
