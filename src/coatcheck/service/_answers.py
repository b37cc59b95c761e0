"""Errors as answers: a status, a detail, and nothing that is nobody's business."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from coatcheck._core.objects import nothing
from coatcheck.errors import (
    AtCapacity,
    BackendUnavailable,
    BucketNotFound,
    Closed,
    CoatcheckError,
    Conflict,
    ExpiryNotExtendable,
    InvalidInput,
    InvalidRange,
    NotFound,
    OffsetMismatch,
    OutcomeUnknown,
    RateLimited,
    Timeout,
    Unsupported,
)

from ._refusals import Refusal, busy

if TYPE_CHECKING:
    from ._exchange import Exchange

_SOON: Final = timedelta(seconds=1)
# The first that fits; what is in none of them is a failure of the storage.
_STATUS: Final[tuple[tuple[type[CoatcheckError], int], ...]] = (
    (InvalidRange, 416),
    (InvalidInput, 400),
    (BucketNotFound, 500),
    (NotFound, 404),
    (ExpiryNotExtendable, 409),
    (OffsetMismatch, 409),
    (Conflict, 412),
    (Unsupported, 501),
    (AtCapacity, 507),
    (RateLimited, 429),
    (OutcomeUnknown, 500),
    (BackendUnavailable, 503),
    (Timeout, 503),
    (Closed, 503),
)
_FAILED: Final = {
    429: "the storage asks to slow down",
    500: "the storage failed",
    501: "the storage cannot do this",
    503: "the storage does not answer in time",
    507: "the storage is full",
}
_CLASSES: Final = {429: "rate limited", 500: "service error", 503: "service error"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """An error as it is answered."""

    status: int
    """The HTTP status."""
    detail: str
    """What is told; `""` is an empty body."""
    causes: tuple[str, ...] = ()
    """What led to it, latest first."""
    headers: Mapping[str, str] = field(default_factory=nothing)
    """Further headers."""

    def document(self) -> dict[str, object]:
        """Return the body."""
        if self.causes:
            return {"detail": self.detail, "causes": list(self.causes)}
        return {"detail": self.detail}


def problem_of(error: Exception) -> Problem:
    """Return how an error is answered.

    What the client did wrong is told in full; what the storage did, by kind alone.
    """
    if isinstance(error, Refusal):
        return Problem(status=error.status, detail=error.detail, headers=error.headers)
    if not isinstance(error, CoatcheckError):
        return Problem(status=500, detail="service error: internal error")
    status = _status(error)
    if status in _FAILED:
        detail = f"{_CLASSES.get(status, 'service error')}: {_FAILED[status]}"
        refusal = Refusal(status, detail)
        if status in (429, 503):
            wait = getattr(error, "retry_after", None) or _SOON
            refusal = busy(status, detail, wait)
        return Problem(
            status=status,
            detail=detail,
            causes=(str(error.kind),),
            headers=refusal.headers,
        )
    return Problem(
        status=status, detail=f"client error: {error.message}", causes=_causes(error)
    )


def _status(error: CoatcheckError) -> int:
    for kind, status in _STATUS:
        if isinstance(error, kind):
            return status
    return 500


def _causes(error: BaseException) -> tuple[str, ...]:
    found: list[str] = []
    cause = error.__cause__
    while isinstance(cause, CoatcheckError):
        found.append(cause.message)
        cause = cause.__cause__
    return tuple(found)


async def answer_problem(exchange: Exchange, problem: Problem) -> None:
    """Answer a request by what is wrong with it."""
    if problem.detail:
        await exchange.answer_json(problem.status, problem.document(), problem.headers)
    else:
        await exchange.answer(problem.status, ())
