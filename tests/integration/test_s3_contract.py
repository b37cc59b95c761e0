"""S3 keeps the contract, on moto's server and on SeaweedFS."""

from __future__ import annotations

import pytest
from tests.integration.s3_subjects import URLS, MotoSubject, SeaweedSubject

from coatcheck.testing import BackendContract


@pytest.fixture(scope="module", autouse=True)
def _servers(seaweed_url, moto_url):
    URLS.update(seaweedfs=seaweed_url, moto=moto_url)


class TestMoto(BackendContract):
    """The S3 backend on moto's server."""

    subject = MotoSubject


class TestSeaweedFS(BackendContract):
    """The S3 backend on SeaweedFS."""

    subject = SeaweedSubject
