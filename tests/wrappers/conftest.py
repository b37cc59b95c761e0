"""A clock that tests move, and buckets of memory that go by it."""

from __future__ import annotations

from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import anyio
import pytest

from coatcheck.abc import Capability
from coatcheck.backends._memory import MemoryBackend
from coatcheck.wrappers import Guard
from coatcheck.wrappers._forwarding import ForwardingBucket
from coatcheck.wrappers._reading import ForwardingRead, ForwardingReader


class Clock:
    """Stands still until it is advanced."""

    def __init__(self):
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self):
        return self.now

    def advance(self, seconds):
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def backend(clock):
    """A memory backend by the clock, for the test to enter."""
    return MemoryBackend(clock=clock)


@pytest.fixture
def without():
    """Wrap a bucket so that it claims to lack abilities."""

    class Lacking(ForwardingBucket):
        def __init__(self, inner, *missing):
            super().__init__(inner)
            self._missing = frozenset(missing)

        @property
        def capabilities(self):
            return super().capabilities - self._missing

    return Lacking


@pytest.fixture
def waiting(without):
    """Wrap a bucket so that guards treat it as one that waits."""
    return lambda bucket: without(bucket, Capability.IMMEDIATE)


class Hanging(ForwardingBucket):
    """Never answers the calls that are named, and says so when they are cancelled."""

    def __init__(self, inner, *hangs):
        super().__init__(inner)
        self.hangs = set(hangs)
        self.running = 0
        self.cancelled = []

    @property
    def capabilities(self):
        return super().capabilities - {Capability.IMMEDIATE}

    async def _hang(self, name):
        if name not in self.hangs:
            return
        self.running += 1
        try:
            await anyio.sleep_forever()
        finally:
            self.running -= 1
            self.cancelled.append(name)

    def get(self, key, **options):
        return _HangingRead(super().get(key, **options), self)

    async def scan(self, prefix="", **options):
        async with aclosing(super().scan(prefix, **options)) as pages:
            async for page in pages:
                yield page
                await self._hang("scan")

    async def list_parts(self, upload):
        await self._hang("list_parts")
        yield

    async def list_uploads(self, prefix="", **options):
        await self._hang("list_uploads")
        yield


def _hanging(name):
    async def method(self, *args, **options):
        await self._hang(name)
        return await getattr(ForwardingBucket, name)(self, *args, **options)

    return method


for _name in (
    "put",
    "head",
    "delete",
    "delete_many",
    "update_info",
    "copy_from",
    "sign",
    "initiate",
    "put_part",
    "complete",
    "abort",
    "put_resumable",
    "batch",
    "sweep",
    "extend_expiry",
    "renew",
):
    setattr(Hanging, _name, _hanging(_name))


class _HangingRead(ForwardingRead):
    def __init__(self, read, bucket):
        super().__init__(read)
        self._bucket = bucket

    async def __aenter__(self):
        await self._bucket._hang("get")
        return _HangingReader(await super().__aenter__(), self._bucket)


class _HangingReader(ForwardingReader):
    def __init__(self, reader, bucket):
        super().__init__(reader)
        self._bucket = bucket

    async def __anext__(self):
        await self._bucket._hang("read")
        return await super().__anext__()

    async def read(self, size=-1):
        await self._bucket._hang("read")
        return await super().read(size)


@pytest.fixture
def hanging():
    """Wrap a bucket so that the calls that are named never answer."""
    return Hanging


@pytest.fixture
def guarded():
    """Wrap a bucket with a guard of its own, with one slot and little patience."""

    def wrap(
        bucket, *, timeout=timedelta(milliseconds=50), concurrency=1, observer=None
    ):
        guard = Guard(total_timeout=timeout, concurrency=concurrency, observer=observer)
        return guard.around(bucket)

    return wrap
