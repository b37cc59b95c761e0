"""What the contracts and the state machine are run on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from anyio import to_thread

from coatcheck.backends._filesystem import FilesystemBackend
from coatcheck.backends._filesystem._names import encode_key
from coatcheck.backends._filesystem._record import TRAILER_SIZE, footer_length
from coatcheck.backends._memory import MemoryBackend, MemoryStore
from coatcheck.testing import Subject


class MemorySubject(Subject):
    """A store in memory, shared by the backends of one scenario."""

    def __init__(self, clock, folder):
        super().__init__(clock, folder)
        self.store = MemoryStore(clock=clock)

    def backend(self):
        return MemoryBackend(self.store, clock=self.clock)

    async def damage(self, bucket, key, body):
        records = self.store.contents(bucket).records
        records[key] = replace(records[key], body=body)


class FilesSubject(Subject):
    """A folder."""

    durable = False

    def backend(self):
        root = Path(self.folder, "root")
        return FilesystemBackend(root, durable=self.durable, clock=self.clock)

    async def damage(self, bucket, key, body):
        await to_thread.run_sync(self._damage, bucket, key, body)

    def _damage(self, bucket, key, body):
        folders, name = encode_key(key)
        path = Path(self.folder, "root", bucket, *folders, name)
        whole = path.read_bytes()
        tail = TRAILER_SIZE + footer_length(whole[-TRAILER_SIZE:], len(whole))
        path.write_bytes(body + whole[-tail:])

    def litter(self):
        control = Path(self.folder, "root", ".coatcheck", "buckets", "contract")
        for name in ("drafts", "uploads"):
            folder = control / name
            if not folder.is_dir():
                continue
            left = folder / f"{0:016x}-{uuid4().hex}"
            if name == "uploads":
                left.mkdir()
                left /= "00001"
            left.write_bytes(b"half")
