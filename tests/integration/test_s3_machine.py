"""The random walk passes on S3, whose ETags are no generations."""

from __future__ import annotations

import pytest
from botocore.retries.standard import ExponentialBackoff
from tests.integration.s3_subjects import URLS, MotoWalk, SeaweedWalk

from coatcheck.testing import run_machine


@pytest.fixture(scope="module", autouse=True)
def _servers(seaweed_url, moto_url):
    URLS.update(seaweedfs=seaweed_url, moto=moto_url)


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch):
    """Let the SDK wait little between its attempts: moto fails often."""
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0.01)


@pytest.mark.parametrize(("subject", "steps"), [(MotoWalk, 300), (SeaweedWalk, 300)])
def test_a_random_walk(subject, steps):
    """Bucket and model agree at every step, save in what the subject declares."""
    assert run_machine(subject, steps=steps, shrink=False) >= steps


@pytest.mark.faults
@pytest.mark.timeout(3600)
def test_a_long_random_walk():
    """Many steps that no run has taken before, on SeaweedFS."""
    taken = run_machine(SeaweedWalk, steps=4_000, randomly=True, shrink=False)
    print(f"\nSeaweedFS: {taken} steps of the state machine, all as the model")
    assert taken >= 4_000
