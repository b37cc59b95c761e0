"""What the tests of the filesystem backend share."""

from __future__ import annotations

from collections import Counter

import pytest
import pytest_asyncio

from coatcheck.backends._filesystem import Calls, FilesystemBackend
from coatcheck.backends._filesystem._names import encode_key, encode_segment


class FaultingCalls(Calls):
    """Counts every system call, and fails or interrupts those it is told to."""

    def __init__(self):
        self.counts = Counter()
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
        self.counts[name] += 1
        for wanted, span, hook in tuple(self._hooks):
            if wanted == name and self.counts[name] in span:
                hook(*args)


def _meeting(name):
    def call(self, *args):
        self.meet(name, args)
        return getattr(super(FaultingCalls, self), name)(*args)

    return call


CALL_NAMES = sorted(name for name in vars(Calls) if not name.startswith("_"))
for _name in CALL_NAMES:
    setattr(FaultingCalls, _name, _meeting(_name))


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
    """Read an object whole."""

    async def read_whole(bucket, key, **conditions):
        async with bucket.get(key, **conditions) as reader:
            return await reader.read()

    return read_whole
