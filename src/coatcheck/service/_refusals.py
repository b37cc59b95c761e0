"""Requests that are answered with a status instead of what they asked for."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from coatcheck._core.objects import NOTHING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta


class Refusal(Exception):
    """A request that the service itself refuses.

    Args:
        status: The HTTP status.
        detail: Why, and what to do; shown to whoever asked.
        headers: Further headers of the answer.
    """

    def __init__(
        self, status: int, detail: str, headers: Mapping[str, str] = NOTHING
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers


class ClientGone(Exception):
    """The client went away before it had sent or taken everything."""


def busy(status: int, detail: str, wait: timedelta) -> Refusal:
    """Return the refusal of a request that may succeed after a wait."""
    seconds = max(1, ceil(wait.total_seconds()))
    return Refusal(status, detail, {"retry-after": str(seconds)})
