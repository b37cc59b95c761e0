"""S3 keeps the contract, on moto's server and on SeaweedFS."""

from __future__ import annotations

from typing import ClassVar
from uuid import uuid4

import aioboto3
import pytest

from coatcheck.backends._s3 import S3Backend
from coatcheck.config import S3Config
from coatcheck.testing import BackendContract, Subject

URLS: dict[str, str] = {}

FORGETFUL = "moto answers 500 for uploads that are gone, and looks at ids alone"
SERVER_TIME = "S3 tells when an object was written by the server's clock"


class S3Subject(Subject):
    """Buckets of their own for each scenario, in a store that all share."""

    server: ClassVar[str]

    def __init__(self, clock, folder):
        super().__init__(clock, folder)
        self.unique = uuid4().hex[:12]

    def backend(self):
        config = S3Config(endpoint_url=URLS[self.server], create_buckets=True)
        return S3Backend(config, clock=self.clock)

    def bucket(self, backend, name="contract"):
        return backend.bucket(f"{name}-{self.unique}")

    async def damage(self, bucket, key, body):
        session = aioboto3.Session()
        async with session.client("s3", endpoint_url=URLS[self.server]) as client:
            head = await client.head_object(Bucket=bucket, Key=key)
            await client.put_object(
                Bucket=bucket, Key=key, Body=body, Metadata=head["Metadata"]
            )


class MotoSubject(S3Subject):
    """Moto's server."""

    server = "moto"
    deviations: ClassVar = {
        "test_a_plain_object_has_a_plain_info": SERVER_TIME,
        "test_uploads_are_listed_and_swept": SERVER_TIME,
        "test_completing_is_repeatable": FORGETFUL,
        "test_an_upload_is_known_by_id_and_key": FORGETFUL,
        "test_aborting": FORGETFUL,
        "test_modes_hold_at_completion": "moto completes whatever If-Match says",
        "test_copies_have_conditions": "moto completes whatever If-Match says",
    }


class SeaweedSubject(S3Subject):
    """SeaweedFS."""

    server = "seaweedfs"
    deviations: ClassVar = {
        "test_a_plain_object_has_a_plain_info": SERVER_TIME,
        "test_uploads_are_listed_and_swept": SERVER_TIME,
        "test_scans_are_ordered_and_cut_as_asked": "SeaweedFS lists folder by folder",
        "test_empty_metadata_comes_back": "SeaweedFS drops empty metadata",
        "test_a_part_may_be_replaced": "SeaweedFS compares no ETags of parts",
        "test_an_upload_is_known_by_id_and_key": "SeaweedFS looks at ids alone, and"
        " answers InvalidRequest to those that it never gave",
    }

    def storable(self, key):
        r"""Segments are file names to SeaweedFS: up to 255 bytes, and `\` is `/`."""
        short = all(len(segment.encode()) <= 255 for segment in key.split("/"))
        return short and "\\" not in key


@pytest.fixture(scope="module", autouse=True)
def _servers(seaweed_url, moto_url):
    URLS.update(seaweedfs=seaweed_url, moto=moto_url)


class TestMoto(BackendContract):
    """The S3 backend on moto's server."""

    subject = MotoSubject


class TestSeaweedFS(BackendContract):
    """The S3 backend on SeaweedFS."""

    subject = SeaweedSubject
