"""A service's client keeps the contract of backends, as far as the wire reaches."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import ClassVar

import pytest
from tests.service.stage import KEY, serving, with_keys

from coatcheck.abc import ServiceAccess, innermost
from coatcheck.backends._service import ServiceBackend
from coatcheck.errors import IntegrityError
from coatcheck.objects import SecretKey
from coatcheck.testing import BackendContract, ManualClock, Stage, Subject, scenario
from coatcheck.testing._stage import as_any

UNLISTED = "the wire lists no uploads"
READ_ONLY = "presigned URLs read objects as they are, and write nothing"


class ServiceSubject(Subject):
    """A usecase for each bucket, in a service over memory."""

    deviations: ClassVar = {
        "test_keys_stay_apart": "the usecase takes bytes of the longest key",
        "test_metadata_comes_back": "the wire has no Cache-Control and no disposition",
        "test_damage_is_noticed": "what follows the right bytes is passed over; changed"
        " and cut ones are tried below",
        "test_modes_hold_at_completion": "uploads in parts take no conditions",
        "test_parts_are_joined_by_number": UNLISTED,
        "test_uploads_survive_reopening": UNLISTED,
        "test_an_upload_is_known_by_id_and_key": "an id that the service never gave is"
        " malformed to it",
        "test_links_say_what_to_send": READ_ONLY,
        "test_links_are_of_one_object": READ_ONLY,
        "test_what_is_to_be_written_need_not_exist": READ_ONLY,
        "test_links_have_an_end": READ_ONLY,
        "test_nothing_is_written_by_links_to_odd_keys": READ_ONLY,
    }
    service = None

    def backend(self):
        key = SecretKey(KEY.kid, KEY.private_pem, clock=self.clock)
        access = ServiceAccess(token=key)
        return ServiceBackend(self.service.url, access=access, clock=self.clock)

    def bucket(self, backend, name="contract"):
        return as_any(backend.bucket("objects", f"{name}/_/objects/"))

    async def damage(self, bucket, key, body):
        inner, _ = innermost(self.service.bucket, "")
        records = inner.store.contents(inner.name).records
        records[key] = replace(records[key], body=body)


class TestService(BackendContract):
    """The service backend, scoped to one usecase."""

    subject = ServiceSubject

    @asynccontextmanager
    async def staged(self, folder):
        clock = ManualClock()
        async with serving(with_keys(), clock=clock) as service:
            subject = self.subject(clock, folder)
            subject.service = service
            backend = subject.backend()
            await backend.__aenter__()
            stage = Stage(subject, backend)
            try:
                yield stage
            finally:
                await stage.backend.aclose()

    @scenario()
    async def test_wrong_bytes_are_never_the_last(self, it: Stage) -> None:
        """A changed or cut body in the service's storage is an IntegrityError here."""
        for size in (1000, 2_000_000):
            body = os.urandom(size)
            for damaged in (
                body[:-1] + bytes([body[-1] ^ 1]),
                bytes([body[0] ^ 128]) + body[1:],
                body[:-1],
                b"",
            ):
                await it.bucket.put("k", body)
                await it.damage("k", damaged)
                with pytest.raises(IntegrityError):
                    await it.read("k")
