"""Failures of the storage as answers: a status, and nothing that is nobody's business."""

from __future__ import annotations

from datetime import timedelta

import aiohttp
import pytest
from tests.service.stage import BASE, config_of, serving

from coatcheck.errors import (
    AccessDenied,
    AtCapacity,
    BackendError,
    BackendUnavailable,
    BucketNotFound,
    ClockSkew,
    Closed,
    CoatcheckError,
    IntegrityError,
    OutcomeUnknown,
    RateLimited,
    Timeout,
    Unauthenticated,
    UnsupportedOperation,
)
from coatcheck.payloads._integrity import VerifiedReader

pytestmark = pytest.mark.asyncio

SECRET = "s3cr3t-detail"
FAILURES: list[tuple[type[CoatcheckError], int]] = [
    (BackendUnavailable, 503),
    (Timeout, 503),
    (Closed, 503),
    (RateLimited, 429),
    (AtCapacity, 507),
    (OutcomeUnknown, 500),
    (BackendError, 500),
    (BucketNotFound, 500),
    (IntegrityError, 500),
    (AccessDenied, 500),
    (Unauthenticated, 500),
    (ClockSkew, 500),
    (UnsupportedOperation, 501),
]


@pytest.mark.parametrize(("failure", "status"), FAILURES)
async def test_failures_of_the_storage(monkeypatch, failure, status):
    """Each has its status; what exactly failed is in the log and in no answer."""
    async with serving(config_of()) as it:
        driver = type(it.bucket.inner.inner)

        async def failing(*args, **options):
            raise failure(SECRET)

        for verb in ("put", "head", "delete"):
            monkeypatch.setattr(driver, verb, failing)
        for method in ("PUT", "HEAD", "DELETE"):
            answer = await it.ask(method, f"{BASE}/k", b"x")
            assert answer.status == status
            assert ("retry-after" in answer.headers) == (status in (429, 503))
            assert SECRET.encode() not in answer.body
            if method != "HEAD":
                assert answer.detail
                assert answer.json()["causes"] == [failure.kind]


async def test_the_wait_that_the_storage_asks_for(monkeypatch):
    """Its Retry-After is passed on."""
    async with serving(config_of()) as it:

        async def failing(*args, **options):
            error = RateLimited("slow down")
            error.retry_after = timedelta(seconds=7.2)
            raise error

        monkeypatch.setattr(type(it.bucket.inner.inner), "put", failing)
        assert (await it.put("k")).headers["retry-after"] == "8"


async def test_an_unforeseen_failure(monkeypatch, caplog):
    """A defect is answered 500 and logged, and the service goes on."""
    async with serving(config_of()) as it:

        async def failing(*args, **options):
            raise ZeroDivisionError(SECRET)

        monkeypatch.setattr(type(it.bucket.inner.inner), "put", failing)
        answer = await it.put("k", x_request_id="the-request")
        assert answer.status == 500
        assert answer.json() == {"detail": "service error: internal error"}
        assert "the-request" in caplog.text
        assert (await it.get("k")).status == 404


async def test_damaged_objects(tmp_path):
    """A small one is answered 500; a large one ends short of its length."""
    config = config_of(storage=f"file:{tmp_path / 'root'}", durable=False)
    async with serving(config) as it:
        await it.put("small", b"x" * 1000)
        await it.put("large", b"x" * 5_000_000)
        for path in (tmp_path / "root" / "objects").rglob("*"):
            if path.is_file():
                with path.open("r+b") as file:
                    file.seek(500)
                    file.write(b"y")
        answer = await it.get("small")
        assert answer.status == 500
        assert answer.json()["causes"] == ["integrity"]
        with pytest.raises(aiohttp.ClientPayloadError):
            await it.get("large")


async def test_a_failure_on_the_way(monkeypatch):
    """Once bytes flow a failure cuts the answer, which no client takes for whole."""
    async with serving(config_of()) as it:
        await it.put("k", b"x" * 3_000_000)

        def failing(self):
            raise IntegrityError("damaged")

        monkeypatch.setattr(VerifiedReader, "_check_digest", failing)
        answer = await it.get("k", range="bytes=0-2")
        assert answer.status == 500
        assert (await it.ask("GET", "/health")).status == 200
