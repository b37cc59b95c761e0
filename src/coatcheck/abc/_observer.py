"""How a program watches what coatcheck does."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from coatcheck.errors import ErrorKind


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One thing that happened; fields may be added."""

    name: str
    """An operation (`put`, `get`, ...), or an incident: `touch_failed`, or a call that
    needed no operation of its own, `put_coalesced`, `get_coalesced`, `cache_hit`."""
    backend: str
    """The backend's scheme."""
    bucket: str
    """The bucket."""
    key: str
    """The object's key; a prefix for scans."""
    duration: timedelta | None = None
    """How long the operation took."""
    error: ErrorKind | None = None
    """Why it failed, when it did."""


class Observer(Protocol):
    """Called in the event loop for every event; must return at once.

    An exception that it raises is logged and goes no further.
    """

    def __call__(self, event: Event, /) -> None:
        """Take one event."""
        ...
