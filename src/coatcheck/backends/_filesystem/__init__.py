"""Objects as files under one folder."""

from __future__ import annotations

from ._backend import FilesystemBackend
from ._calls import Calls

__all__ = ("Calls", "FilesystemBackend")
