"""Byte ranges, and what they mean in an object of a known size."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, TypeAlias

from coatcheck.errors import InvalidRange


@dataclass(frozen=True, slots=True)
class ByteSpan:
    """Bytes from `start` up to, but not including, `stop`."""

    start: int
    stop: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop:
            raise InvalidRange(f"no bytes from {self.start} up to {self.stop}")


@dataclass(frozen=True, slots=True)
class ByteOffset:
    """Bytes from `start` to the end."""

    start: int

    def __post_init__(self) -> None:
        if self.start < 0:
            raise InvalidRange(f"an offset is not negative: {self.start}")


@dataclass(frozen=True, slots=True)
class ByteSuffix:
    """The last `length` bytes, or all when there are fewer."""

    length: int

    def __post_init__(self) -> None:
        if self.length < 1:
            raise InvalidRange(f"a suffix has at least one byte, not {self.length}")


ByteRange: TypeAlias = ByteSpan | ByteOffset | ByteSuffix
_ASKED: Final = re.compile(r"([0-9]{0,18})-([0-9]{0,18})")


def range_header(byte_range: ByteRange) -> str:
    """Return the value of RFC 9110's `Range` header that asks for a range."""
    match byte_range:
        case ByteSpan(start, stop):
            return f"bytes={start}-{stop - 1}"
        case ByteOffset(start):
            return f"bytes={start}-"
        case ByteSuffix(length):
            return f"bytes=-{length}"


def parse_range(header: str) -> ByteRange | None:
    """Read the value of a `Range` header; None stands for the whole object.

    That is what several ranges at once are answered with.

    Raises:
        InvalidRange: It is no range of bytes.
    """
    unit, _, asked = header.partition("=")
    if unit.strip().lower() == "bytes" and "," in asked:
        return None
    found = _ASKED.fullmatch(asked.strip())
    if unit.strip().lower() != "bytes" or found is None or found[0] == "-":
        raise InvalidRange("a range has the form bytes=0-499, bytes=500- or bytes=-500")
    first, last = found.groups()
    if not first:
        return ByteSuffix(int(last))
    return ByteSpan(int(first), int(last) + 1) if last else ByteOffset(int(first))


def resolve_range(byte_range: ByteRange, size: int) -> range:
    """Return the offsets that a range means in an object of `size` bytes.

    As in RFC 9110: a stop beyond the end is cut, a start at or beyond it is an
    error, and no range fits an empty object.

    Raises:
        InvalidRange: No byte of the object lies in the range.
    """
    match byte_range:
        case ByteSpan(start, stop):
            found = range(start, min(stop, size))
        case ByteOffset(start):
            found = range(start, size)
        case ByteSuffix(length):
            found = range(max(size - length, 0), size)
    if not found:
        raise InvalidRange(f"{byte_range} lies outside an object of {size} bytes")
    return found
