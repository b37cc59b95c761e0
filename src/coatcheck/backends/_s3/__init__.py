"""Objects in S3, and in stores that speak it."""

from __future__ import annotations

from ._backend import S3Backend

__all__ = ("S3Backend",)
