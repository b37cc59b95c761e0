"""Objects in a service that speaks objectstore's wire."""

from __future__ import annotations

from ._backend import ServiceBackend

__all__ = ("ServiceBackend",)
