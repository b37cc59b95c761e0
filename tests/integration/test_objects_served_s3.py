"""Sessions keep the contract through a service over SeaweedFS."""

from __future__ import annotations

from typing import ClassVar
from uuid import uuid4

import pytest
from tests.objects.contract import SessionContract
from tests.objects.serving import ServiceSubject
from tests.objects.stage import PART
from tests.service.stage import with_keys

from coatcheck.config import S3Config

URLS: list[str] = []


class ServiceOverSeaweed(ServiceSubject):
    """The service keeps each case's objects behind a prefix of their own."""

    least_part = PART
    deviations: ClassVar = {}

    def __init__(self, clock, folder):
        super().__init__(clock, folder)
        self.prefix = uuid4().hex[:12]

    def config(self):
        return with_keys(
            storage=f"s3://sessions/{self.prefix}/",
            s3=S3Config(endpoint_url=URLS[0], create_buckets=True),
        )

    def storable(self, key):
        r"""Segments are file names to SeaweedFS: up to 255 bytes, and `\` is `/`."""
        return "\\" not in key


@pytest.fixture(scope="module", autouse=True)
def _server(seaweed_url):
    URLS[:] = [seaweed_url]


class TestServedFromSeaweedFS(SessionContract):
    """A client of a service over SeaweedFS."""

    subject = ServiceOverSeaweed
