"""What the tests of the filesystem backend share."""

from __future__ import annotations

import os
import threading
from collections import Counter
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from anyio import to_thread

from coatcheck.abc import Update, Write
from coatcheck.backends._filesystem import Calls, FilesystemBackend
from coatcheck.backends._filesystem._names import encode_key, encode_segment
from coatcheck.backends._filesystem._pool import BatchPool
from coatcheck.errors import CoatcheckError

POOL = "pool-under-test"
PATIENT = 10


class FaultingCalls(Calls):
    """Counts every system call, and fails or interrupts those it is told to."""

    ANY = "any"

    def __init__(self):
        self.counts = Counter()
        self.names = []
        self._hooks = []

    def before(self, name, hook, *, nth=1, times=1):
        """Run a hook with the call's arguments before the nth call from now on."""
        first = self.counts[name] + nth
        self._hooks.append((name, range(first, first + times), hook))

    def fail(self, name, code, *, nth=1, times=1):
        """Let calls fail with an errno, beginning with the nth from now on."""

        def raise_it(*_):
            raise OSError(code, f"planted in {name}")

        self.before(name, raise_it, nth=nth, times=times)

    def heal(self):
        """Forget all hooks and faults."""
        self._hooks.clear()

    def meet(self, name, args):
        self.names.append(name)
        for each in (name, self.ANY):
            self.counts[each] += 1
            for wanted, span, hook in tuple(self._hooks):
                if wanted == each and self.counts[each] in span:
                    hook(*args)


def _meeting(name):
    def call(self, *args):
        self.meet(name, args)
        # What fsync does shows in a power cut only.
        return None if name == "sync" else getattr(Calls, name)(self, *args)

    return call


CALL_NAMES = sorted(name for name in vars(Calls) if not name.startswith("_"))
for _name in CALL_NAMES:
    setattr(FaultingCalls, _name, _meeting(_name))


class Gate:
    """A call that waits in its thread until the test lets it go on."""

    def __init__(self, result=None, error=None):
        self._result = result
        self._error = error
        self.entered = threading.Event()
        self._open = threading.Event()
        self.ended = False

    def __call__(self):
        self.entered.set()
        assert self._open.wait(PATIENT)
        self.ended = True
        if self._error is not None:
            raise self._error
        return self._result

    async def begun(self):
        assert await to_thread.run_sync(self.entered.wait, PATIENT)

    def open(self):
        self._open.set()


def pool_threads():
    return [each for each in threading.enumerate() if each.name == POOL]


class Files:
    """Finds what the backend keeps below a root, past the backend."""

    def __init__(self, root):
        self.root = root
        self.control = root / ".coatcheck"

    def of(self, key, bucket="jobs"):
        folders, name = encode_key(key)
        return self.root.joinpath(encode_segment(bucket), *folders, name)

    def drafts(self, bucket="jobs"):
        return self.control / "buckets" / encode_segment(bucket) / "drafts"

    def uploads(self, bucket="jobs"):
        return self.control / "buckets" / encode_segment(bucket) / "uploads"

    def litter(self):
        """Return what writes left behind, lock files and uploads excepted."""
        drafts = self.control.glob("buckets/*/drafts/*")
        return sorted([*drafts, *self.control.glob("probe*")])


class Canary:
    """A folder outside the root that looks like a bucket and must stay as it is."""

    CONTENT = b"a canary of somebody else"
    # Older than the last change, so that the first read moves it.
    TIMES = (10**18, 10**18 + 10**9)
    NAMES = ("k", "00", "00000000000000aa-" + "a" * 32, "meta", "probe")

    def __init__(self, path):
        self.path = path
        for folder in (path, path / "a+"):
            folder.mkdir()
            for name in self.NAMES:
                (folder / name).write_bytes(self.CONTENT)
                os.utime(folder / name, ns=self.TIMES)
        (path / "empty+").mkdir()
        self.listing = sorted(path.rglob("*"))
        self.changed = [each.stat().st_mtime_ns for each in (path, *self.listing)]

    def assert_untouched(self):
        assert sorted(self.path.rglob("*")) == self.listing
        folders = (self.path, *self.listing)
        assert [each.stat().st_mtime_ns for each in folders] == self.changed
        for path in filter(Path.is_file, self.listing):
            status = path.stat()
            assert (status.st_atime_ns, status.st_mtime_ns) == self.TIMES
            assert status.st_nlink == 1
            assert path.read_bytes() == self.CONTENT


async def read_whole(bucket, key):
    async with bucket.get(key) as reader:
        return await reader.read()


async def list_keys(bucket):
    async with aclosing(bucket.scan()) as pages:
        return [entry.key async for page in pages for entry in page.entries]


async def list_uploads(bucket):
    return [each async for each in bucket.list_uploads()]


VERBS = {
    "head": lambda bucket: bucket.head("a/k"),
    "get": lambda bucket: read_whole(bucket, "a/k"),
    "put": lambda bucket: bucket.put("a/k", b"coat"),
    "create": lambda bucket: bucket.put("a/k", b"coat", mode=Write.CREATE),
    "update": lambda bucket: bucket.put("a/k", b"coat", mode=Update("x-1")),
    "delete": lambda bucket: bucket.delete("a/k"),
    "delete_if": lambda bucket: bucket.delete("a/k", if_match="x-1"),
    "scan": list_keys,
    "sweep": lambda bucket: bucket.sweep(older_than=timedelta(0)),
    "initiate": lambda bucket: bucket.initiate("a/k"),
    "list_uploads": list_uploads,
}


@pytest.fixture
def root(tmp_path):
    return tmp_path / "root"


@pytest.fixture
def files(root):
    return Files(root)


@pytest.fixture
def calls():
    return FaultingCalls()


@pytest.fixture
def make_backend(root, calls):
    """Make a backend on the root that does not wait for the disk."""

    def make(where=root, **options):
        return FilesystemBackend(
            where, **({"durable": False, "calls": calls} | options)
        )

    return make


@pytest_asyncio.fixture
async def backend(make_backend):
    async with make_backend() as opened:
        yield opened


@pytest.fixture
def bucket(backend):
    return backend.bucket("jobs")


@pytest.fixture
def read():
    return read_whole


@pytest.fixture
def list_all():
    return list_keys


@pytest.fixture
def refusals():
    """Call verbs by name, and return the kinds of those errors that they raise."""

    async def refusals_of(bucket, names=VERBS):
        errors = {}
        for name in names:
            try:
                await VERBS[name](bucket)
            except CoatcheckError as error:
                errors[name] = error
        assert {error.backend for error in errors.values()} <= {"file"}
        assert "canary" not in "".join(map(str, errors.values()))
        return {name: type(error) for name, error in errors.items()}

    return refusals_of


@pytest.fixture
def refusal():
    """Try to open a backend that cannot be opened, and return why."""

    async def refusal_of(backend):
        try:
            with pytest.raises(CoatcheckError) as caught:
                await backend.__aenter__()
        finally:
            await backend._readers.aclose()
            await backend._writers.aclose()
        return type(caught.value)

    return refusal_of


@pytest.fixture
def canary(tmp_path):
    planted = Canary(tmp_path / "outside")
    yield planted
    planted.assert_untouched()


@pytest_asyncio.fixture
async def make_pool():
    """Make pools that are closed, and whose threads have ended, after the test."""
    pools = []

    def make(*, threads=1, batch=1, patience=0):
        pools.append(BatchPool(POOL, threads=threads, batch=batch, patience=patience))
        return pools[-1]

    yield make
    for pool in pools:
        await pool.aclose()
    for thread in pool_threads():
        await to_thread.run_sync(thread.join, PATIENT)
    assert pool_threads() == []


@pytest.fixture
def make_gate():
    return Gate


@pytest.fixture
def threads_of_pools():
    return pool_threads
