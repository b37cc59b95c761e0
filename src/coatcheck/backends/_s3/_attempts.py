"""How often a request may have reached the store.

The SDK sends a request again when an attempt fails, and tells of the last one only. An
earlier one may have been done although its answer was lost; so the attempts that were
sent are counted where they leave.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator


class Attempts:
    """The attempts of one call that may have reached the store."""

    def __init__(self) -> None:
        self.sent = 0


_current: ContextVar[Attempts | None] = ContextVar("coatcheck_attempts", default=None)


@contextmanager
def counted() -> Generator[Attempts]:
    """Count the attempts of the calls in the block."""
    attempts = Attempts()
    token = _current.set(attempts)
    try:
        yield attempts
    finally:
        _current.reset(token)


def count(sent: int) -> None:
    """Count an attempt, or take one back that never left."""
    attempts = _current.get()
    if attempts is not None:
        attempts.sent += sent
