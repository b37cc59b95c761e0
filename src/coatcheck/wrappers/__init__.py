"""Buckets around buckets: a part of one, one with deadlines, one that expires."""

from __future__ import annotations

from ._scoped import scoped

__all__ = ("scoped",)
