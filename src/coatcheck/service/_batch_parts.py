"""The parts of a batch, as they arrive."""

from __future__ import annotations

from dataclasses import dataclass, field
from email.message import Message
from typing import TYPE_CHECKING, Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

from ._refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from ._bodies import RequestBody

MAX_PART: Final = 1024 * 1024
"""Bytes of one part."""
MAX_BODY: Final = 1024 * MAX_PART
"""Bytes of all parts."""
MAX_OPERATIONS: Final = 1000
"""Parts that are carried out; those after them fail one by one."""
_MAX_PARTS: Final = 10 * MAX_OPERATIONS
_MAX_HEADERS: Final = 64
_MAX_HEADER: Final = 8192


@dataclass(slots=True)
class Part:
    """One part of a batch."""

    index: int
    """Its place in the batch, from 0."""
    headers: dict[str, str] = field(default_factory=dict)
    """Its headers, names in lower case."""
    body: bytearray = field(default_factory=bytearray)
    """Its bytes, as far as they are not too many."""
    is_too_large: bool = False
    """Whether it has more bytes than a part may have."""
    is_ambiguous: bool = False
    """Whether one of its headers is given twice."""


async def parts_of(body: RequestBody, content_type: str | None) -> AsyncGenerator[Part]:
    """Yield the parts of a body as they arrive.

    Raises:
        Refusal: The body is none of parts, or has too many.
    """
    parsing = _Parsing(_boundary(content_type))
    async for chunk in body:
        try:
            parsing.feed(chunk)
        except FormParserError:
            raise _malformed() from None
        for part in parsing.taken():
            yield part
    if not parsing.is_over:
        raise _malformed()


def _boundary(content_type: str | None) -> bytes:
    message = Message()
    message["content-type"] = content_type or ""
    boundary = message.get_boundary()
    if message.get_content_type() != "multipart/form-data" or not boundary:
        raise Refusal(
            415, "client error: a batch is multipart/form-data with a boundary"
        )
    return boundary.encode("latin-1", "replace")


def _malformed() -> Refusal:
    return Refusal(400, "client error: the batch is no sound multipart/form-data")


class _Parsing:
    """Collects what the parser tells piece by piece."""

    def __init__(self, boundary: bytes) -> None:
        self.is_over = False
        self._count = 0
        self._part = Part(0)
        self._name = b""
        self._value = b""
        self._whole: list[Part] = []
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_part_data": self._data,
                "on_part_end": self._end,
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_end": self._over,
            },
            max_header_count=_MAX_HEADERS,
            max_header_size=_MAX_HEADER,
        )

    def feed(self, chunk: bytes) -> None:
        """Take more of the body."""
        self._parser.write(chunk)

    def taken(self) -> list[Part]:
        """Return the parts that are whole, each once."""
        whole, self._whole = self._whole, []
        return whole

    def _begin(self) -> None:
        if self._count >= _MAX_PARTS:
            raise Refusal(413, f"client error: more than {_MAX_PARTS} parts")
        self._part = Part(self._count)
        self._count += 1

    def _data(self, data: bytes, start: int, end: int) -> None:
        part = self._part
        if len(part.body) + end - start > MAX_PART:
            part.is_too_large = True
            part.body.clear()
        if not part.is_too_large and part.index < MAX_OPERATIONS:
            part.body += data[start:end]

    def _end(self) -> None:
        self._whole.append(self._part)

    def _over(self) -> None:
        self.is_over = True

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        name = self._name.decode("latin-1").lower()
        if name in self._part.headers:
            self._part.is_ambiguous = True
        self._part.headers[name] = self._value.decode("latin-1").strip()
        self._name = self._value = b""
