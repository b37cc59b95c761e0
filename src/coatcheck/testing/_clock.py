"""A clock that tests move."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

START: Final = datetime(2026, 1, 1, tzinfo=UTC)


class ManualClock:
    """Stands still until it is advanced; give it to a backend as its `clock`.

    Args:
        start: The first time that it tells, in UTC.
    """

    def __init__(self, start: datetime = START) -> None:
        self._now = start

    def __call__(self) -> datetime:
        """Return the time."""
        return self._now

    def advance(self, by: timedelta | float) -> None:
        """Move on.

        Args:
            by: How far, as a duration or in seconds; negative moves back.
        """
        self._now += by if isinstance(by, timedelta) else timedelta(seconds=by)
