"""Reading share links, from trusted origins only."""

from __future__ import annotations

from ._backend import LinkBackend
from ._trust import Origins, origins_of

__all__ = ("LinkBackend", "Origins", "origins_of")
