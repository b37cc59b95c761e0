"""The faults that each operation of an S3 bucket meets."""

from __future__ import annotations

from dataclasses import dataclass

from coatcheck.testing import (
    Answer,
    Drip,
    DropAnswer,
    ExtraHeader,
    FlipBit,
    HttpFault,
    ResetAfterSending,
    ResetBeforeSending,
    SkewDate,
    Stall,
    Truncate,
    WrongLength,
)


@dataclass(frozen=True)
class Fault:
    """What the chosen request meets, and what all that follow it meet."""

    first: tuple[HttpFault, ...] = ()
    then: HttpFault | None = None


def said(status: int, code: str, **headers: str) -> Answer:
    """Return an error as S3 answers it."""
    body = f'<?xml version="1.0"?><Error><Code>{code}</Code></Error>'
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Answer(status=status, body=body.encode(), headers=named)


def _by_times(name: str, fault: HttpFault, *times: int) -> dict[str, Fault]:
    """Return a fault as often as given; 0 is for ever."""
    return {
        f"{name} {f'x{n}' if n else 'always'}": (
            Fault(first=(fault,) * n) if n else Fault(then=fault)
        )
        for n in times
    }


# Resets come twice too: aiohttp sends once more by itself, and nobody sees it.
FAULTS = {
    **_by_times("reset before", ResetBeforeSending(), 1, 2, 0),
    **_by_times("reset after", ResetAfterSending(), 1, 2, 0),
    **_by_times("answer dropped", DropAnswer(), 1, 2, 0),
    **_by_times("truncated", Truncate(bytes_of_body=20), 1, 0),
    **_by_times("stalled head", Stall(where="head"), 1, 0),
    **_by_times("stalled body", Stall(where="body"), 1, 0),
    **_by_times("dripping", Drip(bytes_per_second=100_000), 0),
    **_by_times("bit flipped", FlipBit(offset=5), 1, 0),
    **_by_times("500", said(500, "InternalError"), 1, 0),
    **_by_times("503", said(503, "SlowDown", Retry_After="7"), 1, 0),
    **_by_times("skewed 403", said(403, "RequestTimeTooSkewed"), 1),
    **_by_times("409", said(409, "ConditionalRequestConflict"), 1, 0),
    **_by_times("412", said(412, "PreconditionFailed"), 1, 0),
    **_by_times("no bucket", said(404, "NoSuchBucket"), 1),
    **_by_times("garbage 200", Answer(status=200, body=b"<<garbage"), 1, 0),
    **_by_times("html 200", Answer(status=200, body=b"<html></html>"), 1),
    **_by_times("error 200", said(200, "InternalError"), 1, 0),
    **_by_times("long header", ExtraHeader(), 1, 0),
    **_by_times("length +10", WrongLength(delta=10), 1, 0),
    **_by_times("length -10", WrongLength(delta=-10), 1, 0),
    **_by_times("date +20 min", SkewDate(seconds=1200), 0),
    **_by_times("date -20 min", SkewDate(seconds=-1200), 0),
    "dropped, then 403": Fault(first=(DropAnswer(),), then=said(403, "AccessDenied")),
    "dropped, then 409": Fault(
        first=(DropAnswer(),), then=said(409, "ConditionalRequestConflict")
    ),
    "dropped, then 412, then outage": Fault(
        first=(DropAnswer(), said(412, "PreconditionFailed")), then=ResetBeforeSending()
    ),
}
