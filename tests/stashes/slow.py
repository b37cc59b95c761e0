"""Stores whose calls wait until a test lets them go on."""

from __future__ import annotations

import threading
from collections import Counter, deque
from contextlib import asynccontextmanager
from itertools import count

import anyio
from anyio.lowlevel import checkpoint

from coatcheck import Coatcheck, Config, _app
from coatcheck.backends._memory import MemoryBackend, MemoryStore
from coatcheck.testing import FaultyBucket
from coatcheck.wrappers import ForwardingReader


class Gates:
    """What the calls to a store wait for, how often each was made, and what fails."""

    def __init__(self):
        self.calls = Counter()
        self.failing = {}
        self.alive = None
        self._held = {}

    def hold(self, verb, *, first=None):
        """Let the calls of a verb wait from now on, or only the first few of them."""
        self._held[verb] = (
            anyio.Event(),
            count() if first is None else iter(range(first)),
        )

    def release(self, verb):
        """Let them go on."""
        self._held.pop(verb)[0].set()

    def fail_next(self, verb, *errors):
        """Let the next calls of a verb raise these errors, None lets one pass."""
        self.failing[verb] = deque(errors)

    async def passed(self, verb):
        self.calls[verb] += 1
        failing = self.failing.get(verb)
        error = failing.popleft() if failing else None
        event, places = self._held.get(verb, (None, iter(())))
        if next(places, None) is None:
            await checkpoint()
        else:
            await event.wait()
        if error is not None:
            raise error


class Alive:
    """How many bodies are alive, and how many bytes they have: now and at most."""

    def __init__(self):
        self.bodies = self.bytes = self.most_bodies = self.most_bytes = 0

    def body(self, whole):
        """Return bytes that are counted until nobody holds them any more."""
        body = CountedBytes(whole)
        body.alive = self
        self.bodies += 1
        self.bytes += len(body)
        self.most_bodies = max(self.most_bodies, self.bodies)
        self.most_bytes = max(self.most_bytes, self.bytes)
        return body


class CountedBytes(bytes):
    """A body that tells when it goes."""

    def __del__(self):
        self.alive.bodies -= 1
        self.alive.bytes -= len(self)


class SlowBucket(FaultyBucket):
    """A bucket behind gates."""

    def __init__(self, inner, gates):
        super().__init__(inner, immediate=False)
        self._gates = gates

    async def _met(self, verb, call):
        await self._gates.passed(verb)
        return await call()

    async def put(self, key, body, **options):
        if isinstance(body, CountedBytes):
            # What is stored is no longer what the caller holds.
            inner, held = self._inner, memoryview(body)
            return await self._met(
                "put", lambda: inner.put(key, bytes(held), **options)
            )
        return await super().put(key, body, **options)

    async def entered(self, read):
        return SlowReader(await super().entered(read), self._gates)


class SlowReader(ForwardingReader):
    """A reader behind the gate `read`, at which its body comes."""

    def __init__(self, reader, gates):
        super().__init__(reader)
        self._gates = gates

    async def read(self, size=-1):
        await self._gates.passed("read")
        body = await super().read(size)
        return body if self._gates.alive is None else self._gates.alive.body(body)


class SlowBackend(MemoryBackend):
    """A store in memory that is as slow as its gates."""

    def __init__(self, store, gates, clock):
        super().__init__(store, clock=clock)
        self._gates = gates

    def bucket(self, name, prefix=""):
        return SlowBucket(super().bucket(name, prefix), self._gates)


class SlowPlace:
    """One slow store, and the Coatchecks on it."""

    def __init__(self, clock, monkeypatch):
        self.clock = clock
        self.gates = Gates()
        self.store = MemoryStore(clock=clock)
        self.events = []

        self.may_open = threading.Event()
        self.may_open.set()

        def open_backend(url, **_):
            assert url == "mem:"
            assert self.may_open.wait(30)
            return SlowBackend(self.store, self.gates, clock)

        monkeypatch.setattr(_app, "open_backend", open_backend)

    @property
    def calls(self):
        """How often each verb of the store was called."""
        return self.gates.calls

    def told(self, name):
        """Return how many events had a name."""
        return sum(event.name == name for event in self.events)

    @asynccontextmanager
    async def opened(self, *, warm=True, **fields):
        """Open a Coatcheck; at its end nothing of its traffic is left."""
        config = Config(**({"backends": ("mem",)} | fields))
        cc = Coatcheck(config, clock=self.clock, observer=self.events.append)
        async with cc:
            if warm:
                # So that opening the backend is not what a test waits for.
                await cc.check()
            self.calls.clear()
            self.events.clear()
            yield cc
            assert left_over(cc) == (0, 0, 0, 0)

    @asynccontextmanager
    async def behind(self, name="default"):
        """Open a bucket as other processes see it: with no gates, unknown to us."""
        async with MemoryBackend(self.store, clock=self.clock) as backend:
            yield backend.bucket(name)


async def settle(steps=50):
    """Let every task go as far as it can without anything from outside."""
    for _ in range(steps):
        await checkpoint()


def left_over(cc):
    """Return what is under way in a Coatcheck: writes, reads, bytes, turns."""
    traffic = cc._traffic
    turns = sum(turns.held for turns in traffic._turns.values())
    return len(traffic._puts), len(traffic._gets), traffic.budget.held, turns
