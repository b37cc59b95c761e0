"""Digests of bytes, and which algorithm a hex text belongs to."""

from __future__ import annotations

import hashlib
import re
from enum import StrEnum
from typing import Protocol

from coatcheck.errors import InvalidInput

_MD5_HEX = 32
_SHA256_HEX = 64


class Hasher(Protocol):
    """The part of hashlib's objects that coatcheck uses."""

    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        """Take more bytes in."""
        ...

    def hexdigest(self) -> str:
        """Return the digest so far, in lower-case hex."""
        ...


class DigestAlgorithm(StrEnum):
    """How content is identified."""

    MD5 = "md5"
    SHA256 = "sha256"

    @property
    def hex_length(self) -> int:
        """The number of hex digits of a digest."""
        return _MD5_HEX if self is DigestAlgorithm.MD5 else _SHA256_HEX


_HEX_DIGEST = re.compile(r"[0-9a-f]{32}(?:[0-9a-f]{32})?")


def is_digest(text: str) -> bool:
    """Tell whether the text is a lower-case MD5 or SHA-256 in hex."""
    return _HEX_DIGEST.fullmatch(text) is not None


def algorithm_of(digest: str) -> DigestAlgorithm:
    """Return the algorithm that a hex digest was made with, told by its length.

    Raises:
        InvalidInput: The text is not a lower-case hex digest.
    """
    if not is_digest(digest):
        raise InvalidInput(f"not a lower-case hex digest: {digest[:80]!r}")
    return DigestAlgorithm.MD5 if len(digest) == _MD5_HEX else DigestAlgorithm.SHA256


def hasher(algorithm: DigestAlgorithm) -> Hasher:
    """Start a digest; MD5 identifies content here and secures nothing."""
    if algorithm is DigestAlgorithm.MD5:
        return hashlib.md5(usedforsecurity=False)
    return hashlib.sha256()


def digest_of(data: bytes | bytearray | memoryview, algorithm: DigestAlgorithm) -> str:
    """Return the digest of the bytes in lower-case hex."""
    if algorithm is DigestAlgorithm.MD5:
        return hashlib.md5(data, usedforsecurity=False).hexdigest()
    return hashlib.sha256(data).hexdigest()


def is_digest_of(digest: str, data: bytes) -> bool:
    """Tell whether a hex digest is the MD5 or SHA-256 of the bytes."""
    if len(digest) == _MD5_HEX:
        return hashlib.md5(data, usedforsecurity=False).hexdigest() == digest
    return hashlib.sha256(data).hexdigest() == digest
