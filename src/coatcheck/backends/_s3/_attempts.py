"""How often a request may have reached the store.

The SDK sends a request again when an attempt fails, and tells of the last one only. An
earlier one may have been done although its answer was lost; so the attempts that were
sent are counted where they leave.
"""

from __future__ import annotations

from contextvars import ContextVar


class Attempts:
    """The attempts of one call that may have reached the store."""

    __slots__ = ("sent",)

    def __init__(self) -> None:
        self.sent = 0


_current: ContextVar[Attempts | None] = ContextVar("coatcheck_attempts", default=None)


class counted:  # noqa: N801  # reads as a verb after `with`
    """Count the attempts of the calls in the block."""

    __slots__ = ("_token",)

    def __enter__(self) -> Attempts:
        attempts = Attempts()
        self._token = _current.set(attempts)
        return attempts

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)


def count(sent: int) -> None:
    """Count an attempt, or take one back that never left."""
    attempts = _current.get()
    if attempts is not None:
        attempts.sent += sent
