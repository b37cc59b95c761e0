"""Usecases: a kind of objects, and what holds for them unless a call says otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal, TypeAlias

from coatcheck._core.expiry import Expiry, TimeToIdle, TimeToLive
from coatcheck._core.scopes import check_usecase
from coatcheck.errors import InvalidInput

Compression: TypeAlias = Literal["zstd", "none"]
"""How a body is compressed."""
Threshold: TypeAlias = int | Literal["none"]
"""From how many bytes on an upload is resumable; `none` is never."""
ZSTD: Final = "zstd"
NONE: Final = "none"
_MIB: Final = 1024 * 1024


class Default(Enum):
    """Stands where a call makes no choice of its own; None switches expiry off."""

    USECASE = "the usecase's"
    SOURCE = "the source's"


@dataclass(frozen=True, slots=True)
class Usecase:
    """A kind of objects.

    Raises:
        InvalidName: The name is not 3 to 64 letters, digits, `_` and `-`.
        InvalidInput: Another field is none of what it may be.
    """

    name: str
    """Its name, the first level of every stored key."""
    compression: Compression = ZSTD
    """Whether bodies are compressed that are not dense already."""
    expiration_policy: Expiry | None = None
    """When its objects expire; None is never."""
    resumable_threshold_bytes: Threshold = 256 * _MIB
    """From how many bytes on uploads to a service are resumable."""

    def __post_init__(self) -> None:
        check_usecase(self.name)
        check_compression(self.compression)
        check_threshold(self.resumable_threshold_bytes)
        policy = self.expiration_policy
        if policy is not None and not isinstance(policy, TimeToIdle | TimeToLive):
            raise InvalidInput(
                "an expiration policy is TimeToLive or TimeToIdle, not"
                f" {type(policy).__name__}"
            )


def check_compression(given: object) -> None:
    """Refuse what is neither `zstd` nor `none`.

    Raises:
        InvalidInput: It is neither.
    """
    if given not in (ZSTD, NONE):
        raise InvalidInput(f"compression is 'zstd' or 'none', not {given!r:.40}")


def check_threshold(given: object) -> None:
    """Refuse what is neither a number of bytes nor `none`.

    Raises:
        InvalidInput: It is neither.
    """
    is_count = isinstance(given, int) and not isinstance(given, bool) and given >= 0
    if given != NONE and not is_count:
        raise InvalidInput(
            f"resumable_threshold_bytes is 0 or more, or 'none', not {given!r:.40}"
        )
