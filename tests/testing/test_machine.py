"""The random walk passes on memory and files, and on all wrappers around them."""

from __future__ import annotations

import pytest
from tests.subjects import FilesSubject, MemorySubject
from tests.wrappers.test_contract import Expiring, Guarded, Scoped, Stacked

from coatcheck.abc import Capability
from coatcheck.testing import WalkDeviation, run_machine
from coatcheck.wrappers import ForwardingBucket
from coatcheck.wrappers._claims import ClaimingBucket


class _WithoutGenerations(ForwardingBucket):
    @property
    def capabilities(self):
        return super().capabilities - {Capability.GENERATION}


class Claiming(MemorySubject):
    """A memory that is not known to tell generations, as S3 does not."""

    def bucket(self, backend, name="contract"):
        return _WithoutGenerations(super().bucket(backend, name))


class Overstating(MemorySubject):
    """A memory that declares what it does not do."""

    walk_deviations = {  # noqa: RUF012  # ClassVar in the base
        WalkDeviation.FOLDERS: "it has none",
    }


@pytest.mark.parametrize(
    ("subject", "steps"),
    [
        (MemorySubject, 2000),
        (FilesSubject, 800),
        (Scoped, 800),
        (Guarded, 800),
        (Expiring, 800),
        (Stacked, 800),
        (Claiming, 800),
    ],
)
def test_a_random_walk(subject, steps):
    """Bucket and model agree at every step."""
    assert run_machine(subject, steps=steps) >= steps


def test_a_walk_catches_an_early_reaper(monkeypatch):
    """Where ETags are no generations nothing may be reaped before the grace is over."""
    monkeypatch.setattr(ClaimingBucket, "is_reapable", ClaimingBucket.is_over)
    with pytest.raises(AssertionError):
        run_machine(Claiming, steps=3000, shrink=False)


def test_a_deviation_that_shows_nowhere_is_refused():
    """What a subject declares must be so."""
    with pytest.raises(AssertionError, match="declared, but not seen"):
        run_machine(Overstating, steps=300, randomly=True)


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
