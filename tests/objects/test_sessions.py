"""Sessions keep the contract over memory and over files."""

from __future__ import annotations

from tests.objects.contract import SessionContract
from tests.objects.stage import Subject

from coatcheck.backends._filesystem import FilesystemBackend
from coatcheck.backends._memory import MemoryBackend


class MemorySubject(Subject):
    """Memory."""

    def backend(self):
        return MemoryBackend(clock=self.clock)


class FilesSubject(Subject):
    """A folder."""

    def backend(self):
        root = self.folder / "root"
        return FilesystemBackend(root, durable=False, clock=self.clock)


class TestOverMemory(SessionContract):
    """A client over a bucket in memory."""

    subject = MemorySubject


class TestOverFiles(SessionContract):
    """A client over a bucket in a folder."""

    subject = FilesSubject


def test_the_contract_is_as_large_as_promised():
    """At least a hundred different cases."""
    cases = {name for name in dir(SessionContract) if name.startswith("test_")}
    assert len(cases) >= 100
