"""S3 calls whose requests and answers are lost, bent or refused on their way.

Some of the cells that `nox -s faults` plays all of, and what takes two writers.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest
from botocore.retries.standard import ExponentialBackoff
from tests.integration.s3_fault_cases import FAULTS, NEW, OLD, OPERATIONS, said
from tests.integration.s3_fault_judge import (
    PER_REQUEST,
    fill_listing,
    play,
    stage,
    unexcused,
)

from coatcheck._core.expiry import utc_now
from coatcheck.abc import Receipt, Update, Write
from coatcheck.backends._s3 import _bucket, _client
from coatcheck.errors import (
    AlreadyExists,
    BackendError,
    Conflict,
    Outcome,
    OutcomeUnknown,
    PreconditionFailed,
    RateLimited,
)
from coatcheck.testing import DropAnswer, ResetBeforeSending, SkewDate

BUCKET = "faults"
OUTAGE_SECONDS = 3
THEIRS = b"somebody else's"


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    """Let the SDK wait little, for answers and between its attempts."""
    monkeypatch.setattr(_client, "_CONNECT_SECONDS", 1)
    monkeypatch.setattr(_client, "_READ_SECONDS", 1)
    monkeypatch.setattr(_bucket, "_DELETE_STEP", PER_REQUEST)
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0.01)


@pytest.fixture(scope="module")
def listing(seaweed_url):
    """Write what scans list, once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testsecret")
        asyncio.run(fill_listing(seaweed_url))


def is_put(method, target, headers):
    del target, headers
    return method == "PUT"


async def check_cell(url, operation, fault, position):
    async with stage(url, BUCKET) as on:
        verdict = await play(on, operation, fault, FAULTS[fault], position)
    assert unexcused(verdict) == [], verdict
    return verdict


LAST = -1
MISTAKEN = "a reset after sending is taken for a connection that was refused"


def broken(reason, operation, fault, position):
    """Return a cell that is known to fail."""
    return pytest.param(
        operation,
        fault,
        position,
        marks=pytest.mark.xfail(strict=True, reason=reason),
    )


CELLS = [
    broken(MISTAKEN, "put", "answer dropped always", 0),
    ("put", "500 always", 0),
    *(("put", each, 0) for each in ("stalled head x1", "error 200 x1")),
    *(("put CREATE", each, 0) for each in ("answer dropped x2", "409 x1", "412 x1")),
    *(("put CREATE", each, 0) for each in ("reset before always", "long header x1")),
    *(("put Update", each, 0) for each in ("reset after x2", "503 always")),
    *(("get", each, 0) for each in ("truncated x1", "bit flipped x1", "length -10 x1")),
    *(("get", each, 0) for each in ("stalled body x1", "length +10 always")),
    ("get range", "truncated x1", 0),
    ("head", "reset before x2", 0),
    ("delete", "answer dropped x2", 0),
    ("delete if_match", "answer dropped x2", 0),
    *(("scan", each, 1) for each in ("truncated x1", "garbage 200 always")),
    ("delete_many", "500 x1", LAST),
    *(("update_info", each, LAST) for each in ("error 200 x1", "answer dropped x2")),
    ("copy_from", "answer dropped x2", LAST),
    *(("copy_from CREATE", "answer dropped x1", each) for each in (0, 2, LAST)),
    *(("initiate", each, 0) for each in ("garbage 200 always", "answer dropped x1")),
    ("put_part", "bit flipped x1", 0),
    ("list_parts", "truncated x1", 0),
    *(("complete", each, 0) for each in ("answer dropped x1", "error 200 x1")),
    ("complete", "truncated always", 0),
    ("abort", "answer dropped x2", 0),
    ("list_uploads", "no bucket x1", 0),
    *(("put 20 MiB", "answer dropped x1", each) for each in (0, LAST)),
    ("sign", "reset before always", 0),
]


@pytest.mark.asyncio
@pytest.mark.parametrize(("operation", "fault", "position"), CELLS)
async def test_some_cells(seaweed_url, listing, operation, fault, position):
    """The call ends, tells the truth about its effect, and leaves nothing behind."""
    if position == LAST:
        position = OPERATIONS[operation].requests - 1
    await check_cell(seaweed_url, operation, fault, position)


async def ended(call):
    """Return what a call gave, or the error that it ended with."""
    try:
        return await call
    except (BackendError, Conflict) as error:
        return error


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("lost", "pause"),
    [
        pytest.param(DropAnswer(), 1.2, id="answer, and the store is back"),
        pytest.param(
            DropAnswer(),
            0.3,
            id="answer, and all attempts",
            marks=pytest.mark.xfail(strict=True, reason=MISTAKEN),
        ),
        pytest.param(ResetBeforeSending(), 1.2, id="request, and the store is back"),
        pytest.param(ResetBeforeSending(), 0.3, id="request, and all attempts"),
    ],
)
async def test_a_create_and_an_outage(seaweed_url, lost, pause, monkeypatch):
    """Nobody else's object is claimed for ours, and ours is not disowned."""
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *_: pause)
    others = ("nobody", "overwrites", "deletes")
    await asyncio.gather(*(outage(seaweed_url, lost, other) for other in others))


async def outage(url, lost, other):
    """Let a create lose its answer or itself, and another act before it is asked."""
    key, began = uuid4().hex, asyncio.Event()

    def is_any(*_):
        if on.proxy.requests:
            began.set()
        return True

    async with stage(url, BUCKET) as on, on.behind() as backend:
        ours, direct = backend.bucket(BUCKET), on.direct.bucket(BUCKET)
        on.proxy.plan(lost)
        on.proxy.always(ResetBeforeSending(), match=is_any)
        writing = asyncio.create_task(ended(ours.put(key, NEW, mode=Write.CREATE)))
        await began.wait()
        if other == "overwrites":
            await direct.put(key, THEIRS)
        elif other == "deletes":
            await direct.delete(key)
        await asyncio.wait([writing], timeout=OUTAGE_SECONDS)
        on.proxy.clear()
        check_create(await writing, await direct.standing(key), other)


def check_create(result, standing, other):
    if isinstance(result, Receipt):
        assert standing is not None
        assert (result.write_id, result.etag) == (standing.write_id, standing.etag)
    if other == "overwrites":
        assert standing.size == len(THEIRS)
        assert not isinstance(result, Receipt)
    elif other == "nobody" and not isinstance(result, Receipt):
        assert standing is None or result.outcome is not Outcome.NOT_APPLIED


@pytest.mark.asyncio
@pytest.mark.xfail(strict=True, reason=MISTAKEN)
async def test_an_unknown_create_is_resolved(seaweed_url):
    """The error tells later whether the write was done, or that another stands."""
    async with stage(seaweed_url, BUCKET) as on, on.behind() as backend:
        ours, direct = backend.bucket(BUCKET), on.direct.bucket(BUCKET)
        for fault, other, told in (
            (DropAnswer(), None, Outcome.APPLIED),
            (ResetBeforeSending(), None, Outcome.NOT_APPLIED),
            (ResetBeforeSending(), THEIRS, Outcome.UNKNOWN),
        ):
            key = uuid4().hex
            on.proxy.plan(fault)
            on.proxy.always(ResetBeforeSending())
            with pytest.raises(OutcomeUnknown) as caught:
                await ours.put(key, NEW, mode=Write.CREATE)
            with pytest.raises(BackendError):
                await caught.value.resolve()
            on.proxy.clear()
            if other is not None:
                await direct.put(key, other)
            assert await caught.value.resolve() is told


@pytest.mark.asyncio
async def test_conflicts_of_two_writers(seaweed_url):
    """A lost request of ours meets what another wrote meanwhile, and is refused."""
    async with stage(seaweed_url, BUCKET) as on, on.behind() as backend:
        ours, direct = backend.bucket(BUCKET), on.direct.bucket(BUCKET)
        key = uuid4().hex
        standing = await direct.put(key, OLD)
        await direct.put(key, THEIRS)
        for mode, kind in (
            (Write.CREATE, AlreadyExists),
            (Update(standing.etag), PreconditionFailed),
        ):
            on.proxy.plan(ResetBeforeSending(), ResetBeforeSending())
            with pytest.raises(kind):
                await ours.put(key, NEW, mode=mode)
            assert (await direct.head(key)).size == len(THEIRS)


@pytest.mark.asyncio
@pytest.mark.xfail(strict=True, reason="the last attempt decides for all of them")
async def test_a_store_that_is_gone_after_a_lost_answer(seaweed_url):
    """A refused connection at the second attempt says nothing of the first."""
    async with stage(seaweed_url, BUCKET) as on, on.behind() as backend:
        key = uuid4().hex

        def is_put_and_then_gone(method, target, headers):
            on.proxy._server.close()
            return is_put(method, target, headers)

        on.proxy.plan(DropAnswer(), match=is_put_and_then_gone)
        with pytest.raises(BackendError) as caught:
            await backend.bucket(BUCKET).put(key, NEW)
        assert (await on.direct.bucket(BUCKET).head(key)).size == len(NEW)
        assert caught.value.outcome is not Outcome.NOT_APPLIED


@pytest.mark.asyncio
async def test_how_long_to_wait_is_told(seaweed_url):
    """Retry-After reaches whoever catches RateLimited."""
    async with stage(seaweed_url, BUCKET) as on, on.behind() as backend:
        on.proxy.always(said(503, "SlowDown", Retry_After="7"))
        with pytest.raises(RateLimited) as caught:
            await backend.bucket(BUCKET).head("first")
        assert caught.value.retry_after == timedelta(seconds=7)


@pytest.mark.asyncio
async def test_the_stores_clock_counts(seaweed_url):
    """A store's clock that is ahead is taken over, and given up when it is right."""
    async with stage(seaweed_url, BUCKET) as on, on.behind() as backend:
        bucket = backend.bucket(BUCKET)
        on.proxy.plan(SkewDate(seconds=1200))
        await bucket.head("first")
        assert backend.now() - utc_now() > timedelta(minutes=19)
        await bucket.head("first")
        assert backend.now() - utc_now() < timedelta(minutes=1)
