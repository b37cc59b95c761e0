"""Requests, answers, and failures that may pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from coatcheck._core.objects import nothing
from coatcheck._core.scopes import Location

from ._failures import Doing

if TYPE_CHECKING:
    from coatcheck.errors import CoatcheckError

OBJECTS: Final = "objects"
"""The family of routes of single objects."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One request about one object, or about a whole scope."""

    method: str
    """The HTTP method."""
    doing: Doing
    """What it is for."""
    location: Location
    """What it is about."""
    route: str = OBJECTS
    """The family of routes."""
    query: Mapping[str, str] = field(default_factory=nothing)
    """Its parameters."""
    headers: Mapping[str, str] = field(default_factory=nothing)
    """Its headers, without credentials."""
    body: bytes | None = None
    """Its body, when that is in memory."""
    repeatable: bool = True
    """Whether sending it again does no harm."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """An answer whose body is in memory."""

    status: int
    """The status."""
    headers: Mapping[str, str]
    """The headers, names in lower case."""
    body: bytes
    """The body."""


class Passing(Exception):
    """A failure that may pass; whether to try again is up to who sent the request.

    Args:
        failure: What it is to the caller.
        sent: Whether the request may have reached the service.
        wait: How many seconds the service asks to wait.
        fatal: Whether trying again is out of the question.
    """

    def __init__(
        self,
        failure: CoatcheckError,
        *,
        sent: bool,
        wait: float | None = None,
        fatal: bool = False,
    ) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.sent = sent
        self.wait = wait
        self._fatal = fatal

    def may_repeat(self, request: Request) -> bool:
        """Tell whether the request may be sent again."""
        if self._fatal or not self.failure.retryable:
            return False
        return request.repeatable or not self.sent
