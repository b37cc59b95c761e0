"""The random walk passes on memory and files, and on all wrappers around them."""

from __future__ import annotations

import pytest
from tests.subjects import FilesSubject, MemorySubject
from tests.wrappers.test_contract import Expiring, Guarded, Scoped, Stacked

from coatcheck.testing import run_machine


@pytest.mark.parametrize(
    ("subject", "steps"),
    [
        (MemorySubject, 2000),
        (FilesSubject, 800),
        (Scoped, 800),
        (Guarded, 800),
        (Expiring, 800),
        (Stacked, 800),
    ],
)
def test_a_random_walk(subject, steps):
    """Bucket and model agree at every step."""
    assert run_machine(subject, steps=steps) >= steps


@pytest.mark.faults
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("subject", "steps"), [(MemorySubject, 200_000), (FilesSubject, 50_000)]
)
def test_a_long_random_walk(subject, steps):
    """Many steps that no run has taken before."""
    taken = run_machine(subject, steps=steps, randomly=True)
    print(f"\n{subject.__name__}: {taken} steps of the state machine, all as the model")
    assert taken >= steps
