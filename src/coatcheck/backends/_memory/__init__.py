"""Objects in this process's memory."""

from __future__ import annotations

from ._backend import MemoryBackend
from ._store import MemoryStore

__all__ = ("MemoryBackend", "MemoryStore")
