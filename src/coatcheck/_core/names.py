"""What a namespace, a stash name and an object key may look like.

Names are refused, never rewritten: what would not come back from an address, or
would become another object on some store, cannot be created at all.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final

from coatcheck.errors import InvalidName

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_KEY_BYTES = 1024
MAX_NAMESPACE_BYTES = 255
# What most texts look like, and what needs no closer look: printable ASCII without
# `?` and `#`, and no segment that begins with a dot.
_PLAIN_SEGMENT: Final = r"""[0-9A-Za-z_-][ !"$-.0->@-~]*"""
PLAIN_KEY: Final = rf"(?:{_PLAIN_SEGMENT}+/)*+{_PLAIN_SEGMENT}"
"""A pattern of texts that are keys and names, as long as they are not too long."""
PLAIN_NAMESPACE: Final = r"[0-9A-Za-z_-][0-9A-Za-z._-]*"
"""A pattern of texts that are namespaces, as long as they are not too long."""
plain_key: Final = re.compile(PLAIN_KEY).fullmatch
plain_namespace: Final = re.compile(PLAIN_NAMESPACE).fullmatch


_OUTSIDE_NAMESPACES = frozenset("/?#@:[]\\")
_OUTSIDE_NAMES = frozenset("?#")
_SHOWN = 80


def shown(text: str) -> str:
    """Return the text as errors show it: escaped, and cut when it is long."""
    escaped = ascii(text[: _SHOWN + 1])
    whole = len(text) <= _SHOWN and len(escaped) <= _SHOWN + len("''")
    return escaped if whole else f"{escaped[: _SHOWN + 1]}{escaped[0]}..."


def check_key(key: str, *, what: str = "key", canonical: bool = True) -> None:
    """Refuse a key that is not canonical.

    Canonical is NFC text of 1 to 1024 UTF-8 bytes, without control characters and
    without an empty, `.` or `..` segment between its slashes.

    Args:
        key: The key.
        what: How the error calls it.
        canonical: False lets a key pass that is not in normal form C.

    Raises:
        InvalidName: The key is not canonical; the message says why.
    """
    if _is_plain(key, MAX_KEY_BYTES, plain_key):
        return
    _check_text(key, what, MAX_KEY_BYTES, canonical=canonical)
    for segment in key.split("/"):
        if segment in ("", ".", ".."):
            raise InvalidName(
                f"{what} {shown(key)} has an empty, '.' or '..' segment between slashes"
            )


def check_prefix(prefix: str) -> None:
    """Refuse a prefix that no canonical key can begin with; `""` is all keys.

    Raises:
        InvalidName: The prefix is not text, not encodable, or too long.
    """
    if prefix != "":  # None and 0 are no empty prefix
        _check_text(prefix, "prefix", MAX_KEY_BYTES)


def check_name(name: str, *, canonical: bool = True) -> None:
    """Refuse a stash name that an address could not carry verbatim.

    Args:
        name: The name.
        canonical: False lets a name pass that is not in normal form C.

    Raises:
        InvalidName: The name is no canonical key, or has `?` or `#` in it.
    """
    if _is_plain(name, MAX_KEY_BYTES, plain_key):
        return
    check_key(name, what="name", canonical=canonical)
    _check_without(name, _OUTSIDE_NAMES, "name")


def check_namespace(namespace: str) -> None:
    """Refuse a namespace that an address could not carry verbatim.

    A namespace is NFC text of 1 to 255 UTF-8 bytes without control characters,
    backslashes and `/ ? # @ : [ ]`, neither `.` nor `..`, and neither begins nor ends
    with a space.

    Raises:
        InvalidName: The namespace breaks one of these rules; the message says which.
    """
    if _is_plain(namespace, MAX_NAMESPACE_BYTES, plain_namespace):
        return
    _check_text(namespace, "namespace", MAX_NAMESPACE_BYTES)
    _check_without(namespace, _OUTSIDE_NAMESPACES, "namespace")
    if namespace in (".", ".."):
        raise InvalidName(f"namespace {shown(namespace)} is a relative path")
    if namespace != namespace.strip():
        raise InvalidName(f"namespace {shown(namespace)} begins or ends with a space")


def _is_plain(
    text: object, max_length: int, match: Callable[[str], object | None]
) -> bool:
    return isinstance(text, str) and len(text) <= max_length and match(text) is not None


def _check_without(text: str, refused: frozenset[str], what: str) -> None:
    found = sorted(refused.intersection(text))
    if found:
        raise InvalidName(f"{what} {shown(text)} has {found[0]!r} in it")


def _check_text(
    text: object, what: str, max_bytes: int, *, canonical: bool = True
) -> None:
    if not isinstance(text, str):
        raise InvalidName(f"{what} must be text, not {type(text).__name__}")
    if not text:
        raise InvalidName(f"{what} is empty")
    # The length in characters comes first, so that a huge text costs nothing.
    if len(text) > max_bytes:
        raise InvalidName(f"{what} {shown(text)} is longer than {max_bytes} bytes")
    if text.isascii() and text.isprintable():
        return
    if len(_encoded(text, what)) > max_bytes:
        raise InvalidName(f"{what} {shown(text)} is longer than {max_bytes} bytes")
    if any(_is_control(char) for char in text):
        raise InvalidName(f"{what} {shown(text)} has a control character in it")
    if canonical and not unicodedata.is_normalized("NFC", text):
        raise InvalidName(
            f"{what} {shown(text)} is not in Unicode normal form C;"
            " pass unicodedata.normalize('NFC', ...)"
        )


def _encoded(text: str, what: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise InvalidName(f"{what} {shown(text)} has a lone surrogate in it") from None


def _is_control(char: str) -> bool:
    # Cc are the control characters; Zl and Zp break lines in logs and headers.
    return unicodedata.category(char) in ("Cc", "Zl", "Zp")
