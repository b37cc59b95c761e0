"""What can go wrong with one exchange that passes through the proxy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from coatcheck.errors import InvalidInput


@dataclass(frozen=True, kw_only=True, slots=True)
class ResetBeforeSending:
    """Reset the connection when the request's head is in; nothing is forwarded."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ResetAfterSending:
    """Reset the connection when the whole request is forwarded.

    The upstream's answer is read and dropped, so that it does its work.
    """


@dataclass(frozen=True, kw_only=True, slots=True)
class DropAnswer:
    """Reset the connection when the upstream has answered to the last byte."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Truncate:
    """Relay the answer's head and the beginning of its body, then close."""

    bytes_of_body: int
    """How many bytes of the body; 0 leaves the head alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stall:
    """Keep the connection open and send nothing, once the upstream answers.

    It ends early when the client closes its side.
    """

    where: Literal["head", "body"] = "head"
    """Before the answer's head, or between its head and its body."""
    seconds: float | None = None
    """How long, after which the answer goes on; None is as long as the client."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Drip:
    """Relay the answer's body slowly, in about ten pieces a second."""

    bytes_per_second: float
    """Above 0; the body's framing is not counted."""

    def __post_init__(self) -> None:
        if not self.bytes_per_second > 0:
            raise InvalidInput("a body drips at more than 0 bytes per second")


@dataclass(frozen=True, kw_only=True, slots=True)
class FlipBit:
    """Flip the lowest bit of one byte of the answer's body.

    An answer that has no such byte passes as it is.
    """

    offset: int
    """Which byte, from 0."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """Answer in the upstream's place; nothing is forwarded.

    The request's body is read to its end first.
    """

    status: int
    """The status code, 200 or above."""
    body: bytes = b""
    """The answer's body; a HEAD is told its length only."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Headers; they replace `Content-Type: application/xml` and the length."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExtraHeader:
    """Add a header `X-Extra` to the answer."""

    size: int = 2**20
    """Its value's length in bytes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WrongLength:
    """Let the answer's Content-Length lie, send the whole body, then close.

    The body is held in memory, and a chunked one is sent as one with a length.
    """

    delta: int
    """What is added to the length in bytes; the sum is at least 0."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SkewDate:
    """Move the time in the answer's Date header; without one it passes as it is."""

    seconds: float
    """What is added; negative moves back."""


AnswerFault: TypeAlias = (
    ResetAfterSending
    | DropAnswer
    | Truncate
    | Stall
    | Drip
    | FlipBit
    | ExtraHeader
    | WrongLength
    | SkewDate
)
"""The request is forwarded; what happens to its answer."""

HttpFault: TypeAlias = ResetBeforeSending | Answer | AnswerFault
"""Every fault that `FaultProxy` knows."""
