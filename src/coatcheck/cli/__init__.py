"""The command `coatcheck`."""

from __future__ import annotations

from ._main import app

__all__ = ("app",)
