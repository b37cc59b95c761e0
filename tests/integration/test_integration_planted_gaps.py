"""What S3 is asked, and what is made of its answers: defects that `planted` plants."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import anyio
import pytest

from coatcheck.abc import Update, Write
from coatcheck.backends._s3 import S3Backend, _backend
from coatcheck.config import S3Config
from coatcheck.errors import (
    AlreadyExists,
    AtCapacity,
    IntegrityError,
    PreconditionFailed,
)
from coatcheck.testing import (
    Answer,
    DropAnswer,
    FaultProxy,
    ResetAfterSending,
    SkewDate,
    Truncate,
    WrongLength,
)

MIB = 1024 * 1024
CONFLICT = b"<Error><Code>ConditionalRequestConflict</Code></Error>"


def is_put(method, target, headers):
    return method == "PUT" and target.count("/") > 1


def is_get(method, target, headers):
    return method == "GET"


@pytest.fixture
def opened(moto_url):
    """Open a bucket on moto behind a proxy: the bucket and the proxy."""

    @asynccontextmanager
    async def opening(**fields):
        async with FaultProxy(moto_url) as proxy:
            config = S3Config(endpoint_url=proxy.url, create_buckets=True, **fields)
            async with S3Backend(config) as backend:
                bucket = backend.bucket(f"gaps-{uuid4().hex[:12]}")
                # The first write under a condition asks whether the store keeps them.
                await bucket.put("there", b"first", mode=Write.CREATE)
                proxy.requests.clear()
                yield bucket, proxy

    return opening


async def pieces(count, *, failing=False):
    for _ in range(count):
        yield bytes(MIB)
    if failing:
        raise ZeroDivisionError


@pytest.mark.asyncio
async def test_conditions_are_sent(opened):
    """CREATE says If-None-Match, Update says If-Match, and OVERWRITE neither."""
    seen = []

    def note(method, target, headers):
        if is_put(method, target, headers):
            seen.append((headers.get("if-none-match"), headers.get("if-match")))
        return False

    async with opened() as (bucket, proxy):
        # Matches nothing: it is there to be shown the requests.
        proxy.always(Answer(status=500), note)
        receipt = await bucket.put("new", b"1", mode=Write.CREATE)
        await bucket.put("new", b"2", mode=Update(receipt.etag))
        await bucket.put("new", b"3")
    assert seen == [("*", None), (None, f'"{receipt.etag}"'), (None, None)]


@pytest.mark.asyncio
async def test_a_refused_write_is_no_success(opened):
    """412 is AlreadyExists for CREATE and PreconditionFailed for an update."""
    async with opened() as (bucket, proxy):
        proxy.always(Answer(status=412), is_put)
        with pytest.raises(AlreadyExists):
            await bucket.put("there", b"second", mode=Write.CREATE)
        with pytest.raises(PreconditionFailed):
            await bucket.put("there", b"second", mode=Update("0" * 32))


@pytest.mark.asyncio
async def test_a_contended_write_is_tried_again(opened):
    """409 tells that somebody is writing and not that an object stands there."""
    async with opened() as (bucket, proxy):
        conflict = Answer(status=409, body=CONFLICT)
        # The wire leaves the first one to the SDK.
        proxy.plan(conflict, conflict, match=is_put)
        await bucket.put("free", b"second", mode=Write.CREATE)
        assert (await bucket.head("free")).size == 6


@pytest.mark.asyncio
async def test_a_write_whose_answer_was_lost_knows_itself(opened):
    """What refuses the SDK's repetition of a CREATE is the CREATE itself."""
    async with opened() as (bucket, proxy):
        proxy.plan(DropAnswer(), Answer(status=412), match=is_put)
        receipt = await bucket.put("new", b"body", mode=Write.CREATE)
        assert (await bucket.head("new")).write_id == receipt.write_id
        assert len([each for each in proxy.requests if each.method == "PUT"]) == 2


@pytest.mark.asyncio
async def test_a_write_whose_answer_broke_off_is_asked_for(opened):
    """A write whose every answer broke off is a success when it stands."""
    async with opened() as (bucket, proxy):
        proxy.always(WrongLength(delta=5), is_put)
        receipt = await bucket.put("new", b"body", mode=Write.CREATE)
        assert (await bucket.head("new")).write_id == receipt.write_id


@pytest.mark.asyncio
async def test_a_write_that_was_reset_is_asked_for(opened):
    """A write whose every answer was a reset connection is a success when it stands."""
    async with opened() as (bucket, proxy):
        proxy.always(ResetAfterSending(), is_put)
        receipt = await bucket.put("new", b"body", mode=Write.CREATE)
        assert (await bucket.head("new")).write_id == receipt.write_id


@pytest.mark.asyncio
async def test_keys_are_escaped_once(opened):
    """A request's path is the key, percent-encoded one time."""
    async with opened() as (bucket, proxy):
        await bucket.put("a b+c%20", b"x")
        async with bucket.get("a b+c%20") as reader:
            await reader.read()
        await bucket.delete("a b+c%20")
    paths = [each.target.partition("?")[0] for each in proxy.requests]
    assert paths == [f"/{bucket.name}/a%20b%2Bc%2520"] * 3


@pytest.mark.asyncio
async def test_a_stream_that_fails_leaves_no_upload(opened):
    """A body that fails after its first parts were sent is aborted."""
    async with opened() as (bucket, proxy):
        with pytest.raises(ZeroDivisionError):
            await bucket.put("long", pieces(18, failing=True))
        assert [each for each in proxy.requests if each.target.endswith("?uploads")]
        assert [upload async for upload in bucket.list_uploads()] == []


@pytest.mark.asyncio
async def test_a_stream_cancelled_at_its_beginning_leaves_no_upload(
    opened, monkeypatch
):
    """A cancellation while the upload is begun waits for it, and aborts it."""
    begun, told = asyncio.Event(), asyncio.Event()

    async with opened() as (bucket, _):
        client = bucket.backend.clients.talking
        begin = client.create_multipart_upload

        async def begin_and_wait(**parameters):
            response = await begin(**parameters)
            begun.set()
            await told.wait()
            return response

        monkeypatch.setattr(client, "create_multipart_upload", begin_and_wait)
        async with asyncio.timeout(30):
            writing = asyncio.create_task(bucket.put("long", pieces(18)))
            await begun.wait()
            writing.cancel()
            told.set()
            with pytest.raises(asyncio.CancelledError):
                await writing
        assert [upload async for upload in bucket.list_uploads()] == []


@pytest.mark.asyncio
async def test_the_wait_for_a_connection_is_bounded(monkeypatch):
    """When every connection is held, the next caller is told after a while."""
    monkeypatch.setattr(_backend, "_SLOT_SECONDS", 0.01)
    config = S3Config(endpoint_url="http://127.0.0.1:9", max_pool_connections=1)
    async with S3Backend(config) as backend:
        await backend.take_slot()
        with anyio.fail_after(10), pytest.raises(AtCapacity):
            await backend.take_slot()


@pytest.mark.asyncio
async def test_the_clock_is_the_stores(opened):
    """A store whose clock is ahead by an hour moves the backend's clock by one."""
    async with opened() as (bucket, proxy):
        proxy.always(SkewDate(seconds=3600))
        await bucket.head("there")
        ahead = bucket.backend.now() - datetime.now(UTC)
        assert abs(ahead - timedelta(hours=1)) < timedelta(minutes=1)


@pytest.mark.asyncio
async def test_a_body_that_is_left_frees_its_connection(opened):
    """With one connection there is the next read, though a reader is still held."""
    async with opened(max_pool_connections=1) as (bucket, _):
        await bucket.put("long", bytes(4 * MIB))
        readers = []
        with anyio.fail_after(20):
            for _ in range(3):
                async with bucket.get("long") as reader:
                    await reader.read(1)
                    readers.append(reader)


@pytest.mark.asyncio
async def test_a_body_does_not_go_on_with_another_object(opened, monkeypatch):
    """A body that breaks off and was replaced meanwhile is damaged."""
    async with opened() as (bucket, proxy):
        clients = bucket.backend.clients
        call = clients.call

        async def replace_and_call(operation, parameters):
            if "Range" in parameters:
                await bucket.put("long", b"\1" * (4 * MIB))
            return await call(operation, parameters)

        await bucket.put("long", bytes(4 * MIB))
        monkeypatch.setattr(clients, "call", replace_and_call)
        proxy.plan(Truncate(bytes_of_body=MIB), match=is_get)
        with pytest.raises(IntegrityError, match="replaced or deleted"):
            async with bucket.get("long") as reader:
                await reader.read()
