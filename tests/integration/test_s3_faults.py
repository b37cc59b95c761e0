"""S3 calls whose requests and answers are lost, bent or refused on their way.

Some of the cells that `nox -s faults` plays all of, and what takes two writers.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import cache
from itertools import product
from uuid import uuid4

import aioboto3
import pytest
from botocore.retries.standard import ExponentialBackoff
from tests.integration.s3_fault_cases import NEW, OLD, OPERATIONS
from tests.integration.s3_fault_judge import (
    PER_REQUEST,
    fill_listing,
    play,
    stage,
    unexcused,
)
from tests.integration.s3_fault_kinds import FAULTS, said

from coatcheck import S3Config
from coatcheck._core.expiry import utc_now
from coatcheck.abc import Receipt, Update, Write
from coatcheck.backends._s3 import S3Backend, _bucket, _client
from coatcheck.errors import (
    AlreadyExists,
    BackendError,
    Conflict,
    Outcome,
    OutcomeUnknown,
    PreconditionFailed,
    RateLimited,
    Timeout,
)
from coatcheck.testing import DropAnswer, ResetBeforeSending, SkewDate

BUCKET = "faults"
OUTAGE_SECONDS = 3
SECONDS_OF_SILENCE = 5
THEIRS = b"somebody else's"


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    """Let the SDK wait little, for answers and between its attempts."""
    monkeypatch.setattr(_client, "_CONNECT_SECONDS", 1)
    monkeypatch.setattr(_client, "_READ_SECONDS", 1)
    monkeypatch.setattr(_bucket, "_DELETE_STEP", PER_REQUEST)
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0.01)


session = cache(aioboto3.Session)  # reads the SDK's model, which takes a while


def staged(url):
    return stage(url, BUCKET, session())


LAST = -1

CELLS = [
    ("put", "answer dropped always", 0),
    ("complete", "answer dropped always", 0),
    ("put", "html 200 x1", 0),
    ("head", "html 200 x1", 0),
    ("initiate", "html 200 x1", 0),
    ("delete", "html 200 x1", 0),
    ("delete", "stalled head always", 0),
    ("put CREATE", "dropped, then 403", 0),
    ("put CREATE", "dropped, then 412, then outage", 0),
    ("delete_many", "412 x1", 1),
    ("put", "500 always", 0),
    *(("put", each, 0) for each in ("stalled head x1",)),
    *(("put CREATE", each, 0) for each in ("answer dropped x2", "409 x1", "412 x1")),
    *(("put CREATE", each, 0) for each in ("reset before always", "long header x1")),
    *(("put Update", each, 0) for each in ("reset after x2", "503 always")),
    *(("get", each, 0) for each in ("truncated x1", "bit flipped x1", "length -10 x1")),
    ("get", "stalled body x1", 0),
    ("get range", "truncated x1", 0),
    ("delete", "answer dropped x2", 0),
    ("delete if_match", "answer dropped x2", 0),
    *(("scan", each, 1) for each in ("garbage 200 always",)),
    ("delete_many", "500 x1", LAST),
    *(("update_info", each, LAST) for each in ("error 200 x1", "answer dropped x2")),
    ("copy_from", "answer dropped x2", LAST),
    *(("copy_from CREATE", "answer dropped x1", each) for each in (0, LAST)),
    *(("initiate", each, 0) for each in ("garbage 200 always", "answer dropped x1")),
    ("put_part", "bit flipped x1", 0),
    *(("complete", each, 0) for each in ("answer dropped x1", "error 200 x1")),
    ("complete", "truncated always", 0),
    ("abort", "answer dropped x2", 0),
    ("list_uploads", "no bucket x1", 0),
    ("put 20 MiB", "answer dropped x1", LAST),
]


@pytest.mark.asyncio
@pytest.mark.parametrize(("operation", "fault", "position"), CELLS)
async def test_some_cells(seaweed_url, operation, fault, position):
    """The call ends, tells the truth about its effect, and leaves nothing behind."""
    if position == LAST:
        position = OPERATIONS[operation].requests - 1
    if operation == "scan":
        await fill_listing(seaweed_url)
    async with staged(seaweed_url) as on:
        verdict = await play(on, operation, fault, FAULTS[fault], position)
    assert unexcused(verdict) == [], verdict


async def ended(call):
    """Return what a call gave, or the error that it ended with."""
    try:
        return await call
    except (BackendError, Conflict) as error:
        return error


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "pause",
    [
        pytest.param(1.8, id="that the attempts outlast"),
        pytest.param(0.3, id="that outlasts the attempts"),
    ],
)
async def test_a_create_and_an_outage(seaweed_url, pause, monkeypatch):
    """Nobody else's object is claimed for ours, and ours is not disowned."""
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *_: pause)
    others = ("nobody", "overwrites", "deletes")
    lost = (DropAnswer(), ResetBeforeSending())
    cases = product([seaweed_url], lost, others)
    await asyncio.gather(*(outage(*case) for case in cases))


async def outage(url, lost, other):
    """Let a create lose its answer or itself, and another act before it is asked."""
    key, began = uuid4().hex, asyncio.Event()

    def is_any(*_):
        if on.proxy.requests:
            began.set()
        return True

    async with staged(url) as on, on.behind() as backend:
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
async def test_an_unknown_create_is_resolved(seaweed_url):
    """The error tells later whether the write was done, or that another stands."""
    async with staged(seaweed_url) as on, on.behind() as backend:
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
    async with staged(seaweed_url) as on, on.behind() as backend:
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
async def test_a_store_that_is_gone_after_a_lost_answer(seaweed_url):
    """A refused connection at the second attempt says nothing of the first."""
    async with staged(seaweed_url) as on, on.behind() as backend:
        key = uuid4().hex

        def is_last(*_):
            on.proxy._server.close()
            return True

        on.proxy.plan(DropAnswer(), match=is_last)
        with pytest.raises(BackendError) as caught:
            await backend.bucket(BUCKET).put(key, NEW)
        assert (await on.direct.bucket(BUCKET).head(key)).size == len(NEW)
        assert caught.value.outcome is not Outcome.NOT_APPLIED


@pytest.mark.asyncio
async def test_how_long_to_wait_is_told(seaweed_url):
    """Retry-After reaches whoever catches RateLimited."""
    async with staged(seaweed_url) as on, on.behind() as backend:
        on.proxy.always(said(503, "SlowDown", Retry_After="7"))
        with pytest.raises(RateLimited) as caught:
            await backend.bucket(BUCKET).head("first")
        assert caught.value.retry_after == timedelta(seconds=7)


@pytest.mark.asyncio
async def test_the_stores_clock_counts(seaweed_url):
    """A store's clock that is ahead is taken over, and given up when it is right."""
    async with staged(seaweed_url) as on, on.behind() as backend:
        bucket = backend.bucket(BUCKET)
        on.proxy.plan(SkewDate(seconds=1200))
        await bucket.head("first")
        assert backend.now() - utc_now() > timedelta(minutes=19)
        await bucket.head("first")
        assert backend.now() - utc_now() < timedelta(minutes=1)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "verb",
    ["head", "put"],
)
async def test_a_store_that_never_answers(verb, monkeypatch):
    """A server that takes connections and says nothing is given up on."""
    monkeypatch.setattr(_client, "_READ_SECONDS", 0.3)

    async def listen(reader, writer):
        await reader.read()
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, S3Backend(S3Config(endpoint_url=url)) as backend:
        bucket = backend.bucket(BUCKET)
        call = bucket.head("k") if verb == "head" else bucket.put("k", NEW)
        with pytest.raises((Timeout, OutcomeUnknown)):
            await asyncio.wait_for(call, SECONDS_OF_SILENCE)
