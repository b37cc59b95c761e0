"""Stashes: the claim check over any bucket."""

from __future__ import annotations

from abc import ABC

from ._batches import StashBatches
from ._flights import Flights
from ._models import ReapReport, StashEntry
from ._stash import Stash, StashValue
from ._streams import StashStreams
from ._traffic import Traffic
from ._upkeep import StashUpkeep

__all__ = (
    "Flights",
    "ReapReport",
    "Stash",
    "StashEntry",
    "StashValue",
    "Stashes",
    "Traffic",
)


class Stashes(StashBatches, StashStreams, StashUpkeep, ABC):
    """All verbs of stashes."""
