"""No operation leaves the root, whatever is swapped under it."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    "operations", [1000, pytest.param(10_000, marks=pytest.mark.faults)]
)
def test_swapped_folders(programme, operations):
    """The tree that the symlinks point to is neither changed nor added to."""
    report = programme("symlink", "--operations", operations)
    assert report["canary untouched"]
    assert report["swaps"] > 50
    assert report["done"] > operations / 10
