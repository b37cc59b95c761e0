"""How keys become file names, and back.

A user's text never becomes a path component as it is. Each segment of a key between
slashes is one name: `a-z 0-9 - _ .` stand for themselves, save for a leading dot;
every other byte of its UTF-8 form is `%xx`. Upper case is escaped too, so that keys
stay apart where file systems fold case. Folders end in `+`, which the encoding never
makes, so `a` may be an object while `a/b` is one. A segment that would be too long
becomes `@` and its SHA-256; the whole key stands in every object's record.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Final

FOLDER_MARK: Final = "+"
_HASH_MARK: Final = "@"
_MAX_NAME: Final = 200
_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789-_.")
_ESCAPES = tuple(chr(byte) if byte in _PLAIN else f"%{byte:02x}" for byte in range(256))
_PLAIN_NAME = re.compile(r"[a-z0-9_-][a-z0-9._-]{0,199}")
_NAME = re.compile(r"(?:[a-z0-9._-]|%[0-9a-f]{2})+")


def encode_segment(segment: str) -> str:
    """Return the file name of one segment of a key."""
    if _PLAIN_NAME.fullmatch(segment) is not None:
        return segment
    name = "".join(_ESCAPES[byte] for byte in segment.encode())
    if name[0] == ".":
        name = f"%2e{name[1:]}"
    if len(name) > _MAX_NAME:
        return _HASH_MARK + sha256(segment.encode()).hexdigest()
    return name


def encode_key(key: str) -> tuple[tuple[str, ...], str]:
    """Return the folders that lead to a key's file, and the file's name."""
    *parents, last = key.split("/")
    folders = tuple(encode_segment(parent) + FOLDER_MARK for parent in parents)
    return folders, encode_segment(last)


def decode_segment(name: str) -> str | None:
    """Return the segment behind a file's or folder's name without its mark.

    None for a hashed name, which only a record can tell, and for a name that the
    encoding does not make; `is_hashed` tells these apart.
    """
    if _NAME.fullmatch(name) is None:
        return None
    parts = name.split("%")
    raw = parts[0].encode() + b"".join(
        bytes((int(part[:2], 16),)) + part[2:].encode() for part in parts[1:]
    )
    try:
        segment = raw.decode()
    except UnicodeDecodeError:
        return None
    return segment if encode_segment(segment) == name else None


def is_hashed(name: str) -> bool:
    """Tell whether a name without its mark stands for a long segment."""
    return name.startswith(_HASH_MARK)
