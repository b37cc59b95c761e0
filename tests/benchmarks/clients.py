"""What a side brings: how its store is used, by its own project's documentation."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coatcheck import Config


def itself(result: Any) -> Any:
    return result


@dataclass(frozen=True, kw_only=True)
class Client:
    """How payloads are put and got; what both return is awaited unless it blocks."""

    put: Callable[[str, bytes], Any]
    """Stores a body under a name."""
    get: Callable[[Any], Any]
    """Reads what stands under a key."""
    key_of: Callable[[Any], Any] = itself
    """Makes what `get` takes of what `put` returned."""
    content: Callable[[Any], Any] = itself
    """Makes the bytes of what `get` returned."""
    config: Config | None = None


@dataclass(frozen=True, kw_only=True)
class Streams:
    """How bytes are put and got that are too many to hold."""

    put: Callable[[str, Path], Any]
    """Stores a file; returns a key."""
    get: Callable[[Any], AsyncIterator[Any]]
    """Yields the chunks of what stands under a key."""
    config: Config | None = None
