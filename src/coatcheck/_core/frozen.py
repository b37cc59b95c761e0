"""A mapping of texts that nobody can change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping


class FrozenTexts(Mapping[str, str]):
    """A mapping that is frozen, hashable and picklable, as values are.

    Args:
        given: What it holds, which is copied.
    """

    __slots__ = ("_pairs",)

    def __init__(self, given: Mapping[str, str]) -> None:
        self._pairs = dict(given)

    def __getitem__(self, name: str) -> str:
        return self._pairs[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._pairs)

    def __len__(self) -> int:
        return len(self._pairs)

    def __hash__(self) -> int:
        return hash(frozenset(self._pairs.items()))

    def __repr__(self) -> str:
        return repr(self._pairs)
