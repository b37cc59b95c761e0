"""S3 as a subject of the contract and the random walk: moto's server and SeaweedFS."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256
from typing import ClassVar
from uuid import uuid4

import aioboto3
import boto3

from coatcheck.backends._s3 import S3Backend
from coatcheck.config import S3Config
from coatcheck.testing import Subject, WalkDeviation
from coatcheck.wrappers._claims import CLAIMS

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


class S3Walk(S3Subject):
    """What the walks on S3 share: a bucket that is there, and a clock that is ahead.

    Claims are dated by the server; those of killed processes must look old at once,
    because a clock that stands still would let nobody wait until they do.
    """

    session = staticmethod(cache(aioboto3.Session))

    def __init__(self, clock, folder):
        super().__init__(clock, folder)
        clock.advance(datetime.now(UTC) + timedelta(hours=1) - clock())
        self.url = URLS[self.server]
        self.client = client_of(self.url)
        self.name = f"contract-{self.unique}"
        self.client.create_bucket(Bucket=self.name)

    def backend(self):
        config = S3Config(endpoint_url=self.url)
        return S3Backend(config, clock=self.clock, session=self.session())

    async def discard(self):
        """Delete the bucket: SeaweedFS has a hundred volumes for all of them."""
        async with self.session().client("s3", endpoint_url=self.url) as client:
            pages = client.get_paginator("list_objects_v2").paginate(Bucket=self.name)
            async for page in pages:
                for each in page.get("Contents", []):
                    await client.delete_object(Bucket=self.name, Key=each["Key"])
            await client.delete_bucket(Bucket=self.name)

    def litter(self):
        """Leave the claim of a process that was killed while it reaped."""
        key = CLAIMS + sha256(b"a").hexdigest()
        self.client.put_object(Bucket=self.name, Key=key, Body=uuid4().bytes)


@cache
def client_of(url):
    """Return a client that blocks."""
    return boto3.client("s3", endpoint_url=url, region_name="us-east-1")


class MotoWalk(S3Walk, MotoSubject):
    """Moto's server, for the random walk."""

    walk_deviations: ClassVar = {
        WalkDeviation.DATES_UPLOADS: SERVER_TIME,
        WalkDeviation.FORGETS_UPLOADS: FORGETFUL,
    }


class SeaweedWalk(S3Walk, SeaweedSubject):
    """SeaweedFS, for the random walk."""

    walk_deviations: ClassVar = {
        WalkDeviation.DATES_UPLOADS: SERVER_TIME,
        WalkDeviation.FOLDERS: "SeaweedFS has folders, and keeps those that are empty",
    }
