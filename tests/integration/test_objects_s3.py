"""Sessions keep the contract straight over S3, on moto's server and on SeaweedFS."""

from __future__ import annotations

from typing import ClassVar
from uuid import uuid4

import aioboto3
import pytest
from tests.objects.contract import SessionContract
from tests.objects.stage import PART, Subject

from coatcheck.backends._s3 import S3Backend
from coatcheck.config import S3Config

URLS: dict[str, str] = {}
SESSIONS: list[aioboto3.Session] = []
FORGETFUL = "moto answers 500 for uploads that are gone, and looks at ids alone"


class S3Subject(Subject):
    """A prefix of its own for each case, in a bucket that all share."""

    least_part = PART
    signs = True
    server: ClassVar[str]

    def __init__(self, clock, folder):
        super().__init__(clock, folder)
        self.prefix = f"{uuid4().hex[:12]}/"

    def backend(self):
        config = S3Config(endpoint_url=URLS[self.server], create_buckets=True)
        # A session of one's own costs a tenth of a second each time.
        return S3Backend(config, clock=self.clock, session=SESSIONS[0])

    def bucket(self, backend):
        return backend.bucket("sessions", self.prefix)


class MotoSubject(S3Subject):
    """Moto's server."""

    server = "moto"
    deviations: ClassVar = {
        "test_links_read_one_object": "moto checks no signature",
        "test_aborted_uploads_leave_nothing": FORGETFUL,
        "test_unknown_uploads": FORGETFUL,
    }


class SeaweedSubject(S3Subject):
    """SeaweedFS."""

    server = "seaweedfs"

    def storable(self, key):
        r"""Segments are file names to SeaweedFS: up to 255 bytes, and `\` is `/`."""
        return "\\" not in key


@pytest.fixture(scope="module", autouse=True)
def _servers(seaweed_url, moto_url):
    URLS.update(seaweedfs=seaweed_url, moto=moto_url)


@pytest.fixture(autouse=True)
def _session(credentials):
    if not SESSIONS:
        SESSIONS.append(aioboto3.Session())


class TestOverMoto(SessionContract):
    """A client over a bucket of moto's."""

    subject = MotoSubject


class TestOverSeaweedFS(SessionContract):
    """A client over a bucket of SeaweedFS."""

    subject = SeaweedSubject
