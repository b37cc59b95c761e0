"""A small break of the library, and the tests that see it."""

from __future__ import annotations

from dataclasses import dataclass

SRC = "src/coatcheck"


@dataclass(frozen=True, kw_only=True, slots=True)
class Defect:
    """One break."""

    name: str
    """What is broken."""
    file: str
    """The file, from the project's root."""
    old: str
    """The sound text, which stands in the file exactly once."""
    new: str
    """The broken text."""
    tests: tuple[str, ...]
    """Node ids of tests, each of which must fail."""


def defect(name: str, file: str, old: str, new: str, *tests: str) -> Defect:
    """Return a defect of the library."""
    paths = tuple(f"tests/{test}" for test in tests)
    return Defect(name=name, file=f"{SRC}/{file}", old=old, new=new, tests=paths)
