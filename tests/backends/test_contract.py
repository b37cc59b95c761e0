"""Memory and files keep the contract, on both event loops."""

from __future__ import annotations

from tests.subjects import FilesSubject, MemorySubject

from coatcheck.testing import BackendContract


class TestMemory(BackendContract):
    """The memory backend."""

    subject = MemorySubject


class TestMemoryOnTrio(BackendContract):
    """The memory backend under trio."""

    subject = MemorySubject
    loop = "trio"


class TestFiles(BackendContract):
    """The filesystem backend."""

    subject = FilesSubject


class TestFilesOnTrio(BackendContract):
    """The filesystem backend under trio."""

    subject = FilesSubject
    loop = "trio"
