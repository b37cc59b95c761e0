"""The table of what S3 calls do when their requests and answers fail."""

from __future__ import annotations

import pytest
from tests.integration.s3_fault_cases import OPERATIONS
from tests.integration.s3_fault_kinds import FAULTS


@pytest.mark.faults
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("wire", ["auto", "sdk"])
def test_every_operation_against_every_fault(programme, wire):
    """No call lies about its effect, hangs, or leaves anything behind."""
    report = programme("s3", "--wire", wire)
    assert report["cells"] >= len(OPERATIONS) * len(FAULTS)
    assert report["longest call"][-1] < report["bound"]
    assert report["violations"] == []
