"""Requests and answers of a service that are lost, bent or refused on their way."""

from __future__ import annotations

import os
from contextlib import aclosing
from datetime import timedelta

import anyio
import pytest
from tests.backends.service.conftest import PLACE, access_of, method_is, puts, staged
from tests.service.stage import with_keys

from coatcheck._core.expiry import TimeToLive, deadline_from, utc_now
from coatcheck.abc import ByteSpan, FromNow, PutInfo, Update, Write
from coatcheck.backends._service import ServiceBackend
from coatcheck.backends._service._streams import _Once
from coatcheck.errors import (
    AlreadyExists,
    BackendError,
    BackendUnavailable,
    IntegrityError,
    ObjectNotFound,
    Outcome,
    OutcomeUnknown,
    PreconditionFailed,
    RateLimited,
    Timeout,
)
from coatcheck.service import create_app
from coatcheck.service._server import Server
from coatcheck.testing import (
    Answer,
    Drip,
    DropAnswer,
    FlipBit,
    ResetAfterSending,
    ResetBeforeSending,
    Stall,
    Truncate,
    WrongLength,
)

MIB = 1024 * 1024
HTML = Answer(status=200, body=b"<html>Welcome</html>", headers={"content-type": "x/y"})


async def stream(body, step=100_000):
    for start in range(0, len(body), step):
        yield body[start : start + step]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "fault", [DropAnswer(), ResetAfterSending(), ResetBeforeSending()]
)
@pytest.mark.parametrize("body", [b"x", os.urandom(2 * MIB)], ids=["small", "large"])
async def test_a_put_whose_answer_is_lost_is_sent_again(fault, body):
    """What is in memory is sent again, and is one success."""
    async with staged() as it:
        it.proxy.plan(fault, fault, match=puts)
        receipt = await it.bucket.put("k", body, info=PutInfo(origin="o"))
        assert len(it.seen("PUT")) == 3
        info = await it.bucket.head("k")
        assert (info.etag, info.write_id) == (receipt.etag, receipt.write_id)
        assert await it.read("k") == body


@pytest.mark.asyncio
async def test_a_put_whose_answers_are_all_lost_is_recognised():
    """After the last attempt the object itself tells that it was written."""
    async with staged(retries=1) as it:
        it.proxy.always(DropAnswer(), match=puts)
        receipt = await it.bucket.put("k", b"body")
        assert receipt.size == 4
        assert (await it.bucket.head("k")).write_id == receipt.write_id


@pytest.mark.asyncio
@pytest.mark.parametrize("mode", [Write.CREATE, "update"])
async def test_a_lost_answer_makes_no_conflict(mode):
    """A repeated conditional write does not fail over its own first success."""
    async with staged() as it:
        if mode == "update":
            mode = Update((await it.bucket.put("k", b"old")).etag)
        it.proxy.plan(DropAnswer(), match=puts)
        receipt = await it.bucket.put("k", b"new", mode=mode)
        assert (await it.bucket.head("k")).write_id == receipt.write_id
        assert await it.read("k") == b"new"


@pytest.mark.asyncio
async def test_a_conflict_with_oneself_is_none():
    """A 412 over an object that this very write made is the write's success."""
    async with staged() as it:
        it.proxy.plan(DropAnswer(), Answer(status=412), match=puts)
        receipt = await it.bucket.put("k", b"new", mode=Write.CREATE)
        assert receipt.size == 3
        assert (await it.bucket.head("k")).write_id == receipt.write_id


@pytest.mark.asyncio
async def test_a_conflict_after_a_lost_answer_is_one():
    """Somebody else's object in the way is a conflict, lost answer or not."""
    async with staged() as it:
        await it.bucket.put("k", b"theirs")
        it.proxy.plan(DropAnswer(), match=puts)
        with pytest.raises(AlreadyExists):
            await it.bucket.put("k", b"ours", mode=Write.CREATE)
        it.proxy.plan(DropAnswer(), match=puts)
        with pytest.raises(PreconditionFailed):
            await it.bucket.put("k", b"ours", mode=Update("another"))
        assert await it.read("k") == b"theirs"


@pytest.mark.asyncio
@pytest.mark.parametrize("sized", [True, False])
async def test_a_stream_whose_answer_is_lost_is_recognised(sized):
    """A body that flowed is not sent again; the object tells that it was written."""
    body = os.urandom(MIB)
    async with staged() as it:
        it.proxy.plan(DropAnswer(), match=puts)
        receipt = await it.bucket.put(
            "k", stream(body), size=len(body) if sized else None
        )
        assert len(it.seen("PUT")) == 1
        assert receipt.size == len(body)
        assert await it.read("k") == body


@pytest.mark.asyncio
async def test_a_stream_that_may_have_come_is_unknown():
    """What cannot be proven is OutcomeUnknown, which can be asked again."""
    async with staged() as it:
        await it.bucket.put("k", b"old")
        it.proxy.plan(ResetBeforeSending(), match=puts)
        with pytest.raises(OutcomeUnknown) as caught:
            await it.bucket.put("k", stream(os.urandom(MIB)))
        assert await caught.value.resolve() is Outcome.UNKNOWN
        assert await it.read("k") == b"old"


@pytest.mark.asyncio
async def test_an_unknown_outcome_can_be_resolved():
    """A write that was done, and could not be asked for, is found out later."""
    async with staged(retries=0) as it:
        it.proxy.always(DropAnswer(), match=puts)
        it.proxy.always(ResetBeforeSending(), match=method_is("HEAD"))
        with pytest.raises(OutcomeUnknown) as caught:
            await it.bucket.put("k", b"body")
        it.proxy.clear()
        assert await caught.value.resolve() is Outcome.APPLIED


@pytest.mark.asyncio
async def test_a_service_that_is_busy_is_asked_again():
    """503 and 429 pass; a service's own wish to wait is kept, up to a bound."""
    async with staged() as it:
        it.proxy.plan(
            Answer(status=503),
            Answer(status=429, headers={"retry-after": "1"}),
            Answer(status=503, headers={"retry-after": "99999"}),
        )
        await it.bucket.put("k", b"body")
        it.proxy.plan(Answer(status=502), Answer(status=504))
        assert await it.read("k") == b"body"
        it.proxy.plan(Answer(status=503), Answer(status=503))
        await it.bucket.delete("k")


@pytest.mark.asyncio
async def test_a_service_that_stays_busy():
    """The error says what the service said, and that trying later may help."""
    async with staged(retries=1) as it:
        it.proxy.always(Answer(status=429, headers={"retry-after": "7"}))
        with pytest.raises(RateLimited) as caught:
            await it.bucket.put("k", b"body")
        assert caught.value.retry_after == timedelta(seconds=7)
        assert (caught.value.retryable, caught.value.outcome) == (
            True,
            Outcome.NOT_APPLIED,
        )
        assert len(it.seen("PUT")) == 2
        it.proxy.clear()
        it.proxy.always(Answer(status=503))
        with pytest.raises(BackendUnavailable):
            await it.read("k")


@pytest.mark.asyncio
async def test_a_stream_is_not_begun_twice():
    """What was refused while it flowed is refused, however it might have passed."""
    async with staged() as it:
        it.proxy.plan(Answer(status=503), match=puts)
        with pytest.raises((BackendUnavailable, OutcomeUnknown)):
            await it.bucket.put("k", stream(os.urandom(MIB)))
        assert len(it.seen("PUT")) == 1


@pytest.mark.asyncio
@pytest.mark.parametrize("times", [1, 3])
async def test_a_body_that_breaks_off_is_read_on(times):
    """What is left is asked for by range, and the whole is verified."""
    body = os.urandom(3 * MIB)
    async with staged() as it:
        await it.bucket.put("k", body)
        gets = method_is("GET")
        it.proxy.plan(*[Truncate(bytes_of_body=500_000)] * times, match=gets)
        assert await it.read("k") == body
        assert len(it.seen("GET")) == times + 2
        it.proxy.plan(Truncate(bytes_of_body=1000), match=gets)
        got = await it.read("k", byte_range=ByteSpan(5, 2 * MIB))
        assert got == body[5 : 2 * MIB]


@pytest.mark.asyncio
async def test_a_body_that_breaks_off_too_often():
    """A read does not go on for ever."""
    async with staged() as it:
        await it.bucket.put("k", os.urandom(3 * MIB))
        it.proxy.always(Truncate(bytes_of_body=1000), match=method_is("GET"))
        with pytest.raises(BackendUnavailable):
            await it.read("k")
        assert len(it.seen("GET")) < 10


@pytest.mark.asyncio
async def test_a_body_that_was_replaced_is_not_read_on():
    """The rest of another object is not put behind the beginning of the first."""
    async with staged() as it:
        await it.bucket.put("k", b"o" * 3 * MIB)
        it.proxy.plan(Truncate(bytes_of_body=MIB), match=method_is("GET"))
        async with it.bucket.get("k") as reader:
            await reader.read(10)
            await it.bucket.put("k", b"n" * 3 * MIB)
            with pytest.raises(IntegrityError):
                await reader.read()


@pytest.mark.asyncio
async def test_a_body_that_was_changed_on_its_way():
    """A flipped bit is seen before the last chunk, by the SHA-256 in the metadata."""
    async with staged() as it:
        for size in (1000, 2 * MIB):
            await it.bucket.put("k", os.urandom(size))
            it.proxy.plan(FlipBit(offset=500), match=method_is("GET"))
            with pytest.raises(IntegrityError):
                await it.read("k")


@pytest.mark.asyncio
@pytest.mark.parametrize("delta", [-1, 1])
async def test_an_answer_with_a_wrong_length(delta):
    """Neither a byte too few nor one too many gets into the object."""
    async with staged(timeout=timedelta(seconds=1), retries=0) as it:
        await it.bucket.put("k", b"0123456789" * 100)
        it.proxy.plan(WrongLength(delta=delta), match=method_is("GET"))
        try:
            assert await it.read("k") == b"0123456789" * 100
        except BackendError:
            # What comes after an answer is no HTTP.
            assert delta < 0


@pytest.mark.asyncio
async def test_pages_of_others_are_no_answers():
    """A proxy that answers 200 to anything is not taken for the service."""
    async with staged(retries=0) as it:
        await it.bucket.put("k", b"body")
        upload = await it.bucket.initiate("up")

        async def listed():
            async with aclosing(it.bucket.scan()) as pages:
                return [page async for page in pages]

        async def parts():
            return [part async for part in it.bucket.list_parts(upload)]

        for call in (
            lambda: it.bucket.head("k"),
            lambda: it.read("k"),
            lambda: it.read("k", byte_range=ByteSpan(0, 1)),
            lambda: it.bucket.delete("k"),
            lambda: it.bucket.initiate("up"),
            lambda: it.bucket.put_part(upload, 1, b"x", size=1),
            lambda: it.bucket.extend_expiry("k", FromNow(timedelta(hours=1))),
            listed,
            parts,
        ):
            it.proxy.plan(HTML)
            with pytest.raises(BackendError):
                await call()
        it.proxy.plan(HTML)
        with pytest.raises(OutcomeUnknown):
            await it.bucket.put("k", b"new")
        assert await it.read("k") == b"body"


@pytest.mark.asyncio
async def test_silence_has_an_end():
    """A service that does not answer is waited for no longer than was said."""
    async with staged(timeout=timedelta(milliseconds=300), retries=0) as it:
        await it.bucket.put("k", os.urandom(MIB))
        with anyio.fail_after(10):
            it.proxy.plan(Stall(), match=method_is("HEAD"))
            with pytest.raises(Timeout):
                await it.bucket.head("k")
            it.proxy.plan(Stall(where="body"), match=method_is("GET"))
            it.proxy.plan(*[Stall()] * 5, match=method_is("GET"))
            with pytest.raises((Timeout, BackendUnavailable, IntegrityError)):
                await it.read("k")


@pytest.mark.asyncio
async def test_slow_bodies_are_waited_for():
    """Bytes that trickle are bytes."""
    async with staged(timeout=timedelta(seconds=2)) as it:
        await it.bucket.put("k", os.urandom(50_000))
        it.proxy.plan(Drip(bytes_per_second=100_000), match=method_is("GET"))
        assert len(await it.read("k")) == 50_000


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "fault", [DropAnswer(), ResetAfterSending(), ResetBeforeSending()]
)
async def test_other_verbs_are_sent_again(fault):
    """Looking, listing, deleting, extending and parts survive a lost answer each."""
    async with staged() as it:
        policy = TimeToLive(timedelta(hours=1))
        info = PutInfo(expiry=policy, deadline=deadline_from(policy, utc_now()))
        await it.bucket.put("k", b"body", info=info)
        it.proxy.plan(fault)
        assert (await it.bucket.head("k")).size == 4
        it.proxy.plan(fault)
        await it.bucket.extend_expiry("k", FromNow(timedelta(hours=3)))
        it.proxy.plan(fault)
        (page,) = [page async for page in it.bucket.scan()]
        assert page.entries[0].size == 4
        it.proxy.plan(fault)
        upload = await it.bucket.initiate("parts")
        it.proxy.plan(fault)
        part = await it.bucket.put_part(upload, 1, b"part", size=4)
        it.proxy.plan(fault)
        assert [each async for each in it.bucket.list_parts(upload)] == [part]
        it.proxy.plan(fault)
        assert (await it.bucket.complete(upload, [part])).size == 4
        it.proxy.plan(fault)
        await it.bucket.abort(await it.bucket.initiate("other"))
        it.proxy.plan(fault)
        await it.bucket.delete("k")
        with pytest.raises(ObjectNotFound):
            await it.bucket.head("k")
        assert await it.read("parts") == b"part"


@pytest.mark.asyncio
async def test_nobody_listens(unused_tcp_port):
    """Who cannot be reached is an error that says so; nothing was done."""
    backend = ServiceBackend(
        f"http://127.0.0.1:{unused_tcp_port}", access=access_of(retries=1)
    )
    async with backend:
        bucket = backend.bucket("objects", PLACE)
        for call in (
            lambda: bucket.head("k"),
            lambda: bucket.put("k", b"x"),
            lambda: bucket.put("k", stream(b"x")),
            backend.check,
        ):
            with pytest.raises(BackendUnavailable, match="cannot be reached") as caught:
                await call()
            assert caught.value.outcome is Outcome.NOT_APPLIED


@pytest.mark.asyncio
async def test_bodies_wait_for_a_service_that_comes(unused_tcp_port):
    """A body that flows is not lost while the connection is refused."""
    body = os.urandom(MIB)
    app = create_app(with_keys())
    server = Server(
        app, host="127.0.0.1", port=unused_tcp_port, announce=lambda _: None
    )
    url = f"http://127.0.0.1:{unused_tcp_port}"

    async def come_late():
        await anyio.sleep(0.3)
        await server._serve()

    async with (
        ServiceBackend(url, access=access_of(retries=1000)) as backend,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(come_late)
        bucket = backend.bucket("objects", PLACE)
        await bucket.put("k", stream(body))
        async with bucket.get("k") as reader:
            assert await reader.read() == body
        server.should_exit = True


@pytest.mark.asyncio
async def test_redirects_are_not_followed():
    """Credentials go where the URL says, and nowhere else."""
    async with staged(retries=0) as it:
        it.proxy.plan(
            Answer(status=307, headers={"location": "http://127.0.0.1:9/elsewhere"})
        )
        with pytest.raises(BackendError, match="redirects are not followed"):
            await it.bucket.head("k")


@pytest.mark.asyncio
async def test_a_body_that_flows_is_read_by_one_request():
    """The HTTP library's own second try finds no rest that passes for the whole."""
    send, receive = anyio.create_memory_object_stream(1)
    async with send, receive:
        body = _Once(receive)
        assert aiter(body) is body
        with pytest.raises(ConnectionError):
            aiter(body)
