"""The heads of HTTP/1.1 messages, and what they say about their bodies."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Final, Self, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

REQUEST: Final = re.compile(r"\S+ \S+ HTTP/1\.[01]")
STATUS: Final = re.compile(r"HTTP/1\.[01] [1-9][0-9]{2}( .*)?")


class BadMessage(Exception):
    """The peer does not speak HTTP/1.1, or says too much."""


class Framing(Enum):
    """How the end of a body without a length is told."""

    CHUNKED = auto()
    UNTIL_CLOSE = auto()


Extent: TypeAlias = int | Framing


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """The head of a request or an answer."""

    start: str
    fields: tuple[str, ...]
    """Header lines as they came."""

    @classmethod
    def parsed(cls, raw: bytes, start_line: re.Pattern[str]) -> Self:
        """Read a head, its empty line included.

        Args:
            raw: What came.
            start_line: REQUEST or STATUS.

        Raises:
            BadMessage: It is no such head.
        """
        start, *fields = raw.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        if not start_line.fullmatch(start):
            raise BadMessage("no line to start a message with")
        if not all(":" in line and not line[0].isspace() for line in fields):
            raise BadMessage("a header line without a name")
        return cls(start=start, fields=tuple(fields))

    def encoded(self) -> bytes:
        """Return the head as it goes over the wire."""
        return "\r\n".join([self.start, *self.fields, "", ""]).encode("latin-1")

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers; names in lower case, repeated ones joined by commas."""
        found: dict[str, str] = {}
        for line in self.fields:
            name, value = _name(line), line.partition(":")[2].strip()
            found[name] = f"{found[name]}, {value}" if name in found else value
        return found

    @property
    def status(self) -> int:
        """The status code of an answer."""
        return int(self.start.split(" ")[1])

    @property
    def is_persistent(self) -> bool:
        """Whether the connection may serve another request."""
        tokens = self.headers.get("connection", "").lower()
        if "HTTP/1.0" in self.start:
            return "keep-alive" in tokens
        return "close" not in tokens

    def without(self, *names: str) -> Head:
        """Return the head without these headers; names in lower case."""
        fields = tuple(line for line in self.fields if _name(line) not in names)
        return Head(start=self.start, fields=fields)

    def replaced(self, name: str, value: str) -> Head:
        """Return the head with this header once, at its end."""
        fields = (*self.without(name.lower()).fields, f"{name}: {value}")
        return Head(start=self.start, fields=fields)


def _name(line: str) -> str:
    return line.partition(":")[0].strip().lower()


def request_extent(head: Head) -> Extent:
    """Return how long a request's body is.

    Raises:
        BadMessage: The head does not say it in a way that HTTP knows.
    """
    return _declared(head) or 0


def answer_extent(head: Head, *, method: str) -> Extent:
    """Return how long an answer's body is.

    Raises:
        BadMessage: The head does not say it in a way that HTTP knows.
    """
    if method == "HEAD" or head.status in (204, 304):
        return 0
    declared = _declared(head)
    return Framing.UNTIL_CLOSE if declared is None else declared


def _declared(head: Head) -> Extent | None:
    headers = head.headers
    if headers.get("transfer-encoding", "").lower().endswith("chunked"):
        return Framing.CHUNKED
    length = headers.get("content-length")
    if length is not None and not re.fullmatch("[0-9]{1,18}", length):
        raise BadMessage("a content length that is no number")
    return None if length is None else int(length)
