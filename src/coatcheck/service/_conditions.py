"""Ranges and conditions of a request."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from coatcheck._core.ranges import ByteRange, parse_range
from coatcheck._core.writes import Update, Write
from coatcheck.errors import InvalidRange

from ._refusals import Refusal

if TYPE_CHECKING:
    from coatcheck.abc import WriteMode

    from ._exchange import Exchange

_ETAG: Final = re.compile(r'(W/)?"([\x21\x23-\x7e]{0,200})"')


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of an object is wanted, and when."""

    byte_range: ByteRange | None
    """Only these bytes."""
    if_match: str | None
    """Only the object with this ETag."""
    if_none_match: str | None
    """Only an object with another ETag."""
    if_range: str | None
    """The range only of the object with this ETag, else all of it."""


def wanted(exchange: Exchange) -> Wanted:
    """Read the range and the conditions of a read.

    Raises:
        Refusal: One of them is malformed.
    """
    if_match = _etag(exchange, "if-match")
    if_none_match = _etag(exchange, "if-none-match", weak=True)
    if if_match is not None and if_none_match is not None:
        raise Refusal(400, "client error: give if-match or if-none-match")
    byte_range = None if exchange.is_head else _range(exchange.header("range"))
    if_range = exchange.header("if-range")
    if if_range is not None:
        found = _ETAG.fullmatch(if_range)
        # A date, or an ETag that is weak, stands for no generation of an object.
        if_range = "" if found is None or found[1] else found[2]
    return Wanted(byte_range, if_match, if_none_match, if_range)


def _range(text: str | None) -> ByteRange | None:
    if text is None:
        return None
    try:
        return parse_range(text)
    except InvalidRange as error:
        raise Refusal(400, f"client error: range: {error.message}") from None


def write_mode(exchange: Exchange) -> WriteMode:
    """Read when a write may happen.

    Raises:
        Refusal: The conditions are malformed, or exclude each other.
    """
    if exchange.header("if-none-match") is not None:
        if exchange.header("if-none-match") != "*" or exchange.header("if-match"):
            raise Refusal(400, "client error: a write takes if-none-match: * alone")
        return Write.CREATE
    etag = _etag(exchange, "if-match")
    return Write.OVERWRITE if etag is None else Update(etag)


def delete_condition(exchange: Exchange) -> str | None:
    """Read the ETag that alone may be deleted.

    Raises:
        Refusal: It is malformed.
    """
    return _etag(exchange, "if-match")


def _etag(exchange: Exchange, name: str, *, weak: bool = False) -> str | None:
    text = exchange.header(name)
    if text is None:
        return None
    found = _ETAG.fullmatch(text.strip())
    if found is None or (found[1] and not weak):
        raise Refusal(400, f'client error: {name} takes one ETag like "abc"')
    return found[2]
