"""The stage on which sessions are tried, over any storage, and how cases are run."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime

import anyio
import pytest
from anyio import to_thread

from coatcheck.objects import Client, Usecase
from coatcheck.testing import ManualClock

MIB = 1024 * 1024
PART = 5 * MIB
"""The least bytes of a part that S3 takes, the last excepted."""


class Subject:
    """One storage of objects, for one case.

    Args:
        clock: The clock that deadlines go by.
        folder: An empty folder.
    """

    deviations = {}  # noqa: RUF012  # by name, each with the reason
    least_part = 1000
    serves = False
    """Whether a service stands between the client and the storage."""
    signs = False
    """Whether links can be made that anybody can open."""

    def __init__(self, clock, folder):
        self.clock = clock
        self.folder = folder

    @asynccontextmanager
    async def opened(self):
        """Open the storage; give what makes clients of it."""
        async with self.backend() as backend:
            yield lambda **options: Client(
                self.bucket(backend), **{"reap_every": None, **options}
            )

    def storable(self, key):
        """Tell whether the storage can hold this canonical key; all can, by default."""
        return True

    def backend(self):
        raise AssertionError("a subject opens a backend, or overrides opened()")

    def bucket(self, backend):
        return backend.bucket("objects")


class Stage:
    """An open client of a subject, and what cases do again and again."""

    def __init__(self, subject, make_client, client):
        self.subject = subject
        self.clock = subject.clock
        self.make_client = make_client
        self.client = client
        self.session = client.session(Usecase("attachments"), org=1, project=2)
        self.part = os.urandom(subject.least_part)

    def plain(self, **defaults):
        """Return a session whose usecase compresses nothing."""
        usecase = Usecase("plain", compression="none", **defaults)
        return self.client.session(usecase, org=1)

    def expiring(self, policy, name="expiring"):
        """Return a session whose objects expire."""
        return self.client.session(Usecase(name, expiration_policy=policy), org=1)

    @property
    def now(self):
        return self.clock()

    def path(self, body, name="body.dat"):
        """Return the path of a file with this body."""
        path = self.subject.folder / name
        path.write_bytes(body)
        return path


def case(play):
    """Turn an async method into a test that runs on a stage of its own."""

    def test(self, tmp_path, request):
        reason = self.subject.deviations.get(play.__name__)
        if reason is not None:
            request.applymarker(pytest.mark.xfail(reason=reason, strict=True))

        async def played():
            clock = ManualClock(datetime.now(UTC).replace(microsecond=250_000))
            subject = self.subject(clock, tmp_path)
            async with AsyncExitStack() as stack:
                make_client = await stack.enter_async_context(subject.opened())
                client = await stack.enter_async_context(make_client())
                with anyio.fail_after(60):
                    await play(self, Stage(subject, make_client, client))

        anyio.run(played, backend="asyncio")

    test.__name__, test.__qualname__ = play.__name__, play.__qualname__
    test.__doc__, test.__module__ = play.__doc__, play.__module__
    return test


def pattern(size):
    """Return bytes that zstd shrinks a little, of which no two MiB are equal."""
    line = b"".join(f"{number:07d};".encode() for number in range(size // 8 + 1))
    return line[:size]


async def stream(body, step=1000):
    """Yield a body in pieces."""
    for start in range(0, len(body), step):
        yield body[start : start + step]


async def keys(session, *args, **options):
    """Return what a scan lists."""
    return [entry.key async for entry in session.scan(*args, **options)]


async def fetched(url):
    """Return the status and body that a URL gives to anybody."""
    return await to_thread.run_sync(_fetched, url)


def _fetched(url):
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
