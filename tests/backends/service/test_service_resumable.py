"""Uploads that go on: through broken connections, lost answers and moved offsets."""

from __future__ import annotations

import os

import anyio
import pytest
from aiohttp import web
from tests.backends.service.conftest import PLACE, old_service, staged, steps

from coatcheck.abc import Capability, PutInfo
from coatcheck.backends._service import ServiceBackend, _resumable
from coatcheck.errors import (
    BackendError,
    BackendUnavailable,
    IntegrityError,
    ObjectNotFound,
    OutcomeUnknown,
)
from coatcheck.testing import (
    Answer,
    DropAnswer,
    FaultProxy,
    ResetAfterSending,
    ResetBeforeSending,
)

MIB = 1024 * 1024


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    """Send pieces of 4 MiB, the service's own unit."""
    monkeypatch.setattr(_resumable, "_PIECE", 4 * MIB)


async def stream(body, step=300_000):
    for start in range(0, len(body), step):
        yield body[start : start + step]


@pytest.mark.asyncio
async def test_a_large_body_goes_in_pieces():
    """It is whole at the end, with its metadata; before that nothing shows."""
    body = os.urandom(10 * MIB + 3)
    async with staged() as it:
        assert Capability.RESUME in it.bucket.capabilities
        seen = []

        async def watched():
            async for chunk in stream(body):
                yield chunk
            try:
                await it.bucket.head("k")
            except ObjectNotFound:
                seen.append("absent")

        receipt = await it.bucket.put_resumable(
            "k", watched(), info=PutInfo(origin="o"), size=len(body)
        )
        assert seen == ["absent"]
        assert receipt.size == len(body)
        info = await it.bucket.head("k")
        assert (info.origin, info.etag) == ("o", receipt.etag)
        assert await it.read("k") == body
        assert len([each for each in it.seen("PUT") if "session=" in each.target]) == 3


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "fault", [DropAnswer(), ResetAfterSending(), ResetBeforeSending()]
)
@pytest.mark.parametrize("step", range(3))
async def test_a_lost_step_is_gone_on_from(fault, step):
    """Whether a piece came or not, and were it the last, the upload ends well."""
    body = os.urandom(10 * MIB)
    async with staged() as it:
        it.proxy.plan(*[None] * step, fault, match=steps)
        receipt = await it.bucket.put_resumable("k", stream(body), size=len(body))
        assert await it.read("k") == body
        assert (await it.bucket.head("k")).write_id == receipt.write_id


@pytest.mark.asyncio
async def test_every_step_is_lost_once_or_twice():
    """Every byte that comes is progress, after which failures count anew."""
    body = os.urandom(18 * MIB)
    async with staged(retries=2) as it:
        faults = [DropAnswer(), Answer(status=503), None, ResetAfterSending(), None]
        it.proxy.plan(*faults * 6, match=steps)
        await it.bucket.put_resumable("k", stream(body), size=len(body))
        assert await it.read("k") == body


@pytest.mark.asyncio
async def test_a_service_that_fails_again_and_again():
    """Without progress the upload is given up, and the service is told."""
    body = os.urandom(10 * MIB)
    async with staged(retries=2) as it:
        await it.bucket.put("k", b"old")
        it.proxy.plan(None, *[Answer(status=503)] * 3, match=steps)
        with pytest.raises(BackendUnavailable):
            await it.bucket.put_resumable("k", stream(body), size=len(body))
        assert it.proxy.requests[-1].method == "DELETE"
        assert await it.read("k") == b"old"
        assert [each async for each in it.service.bucket.list_uploads()] == []


@pytest.mark.asyncio
async def test_a_source_that_fails_ends_the_upload():
    """Its own error comes out, and nothing stays in the service."""

    async def failing():
        yield os.urandom(5 * MIB)
        raise ZeroDivisionError

    async with staged() as it:
        with pytest.raises(ZeroDivisionError):
            await it.bucket.put_resumable("k", failing(), size=6 * MIB)
        with pytest.raises(ObjectNotFound):
            await it.bucket.head("k")
        assert [each async for each in it.service.bucket.list_uploads()] == []


@pytest.mark.asyncio
async def test_a_cancelled_upload_is_dropped():
    """Who gives up leaves no session behind."""

    async def endless():
        while True:
            yield os.urandom(MIB)
            await anyio.sleep(0.02)

    async with staged() as it:
        with anyio.move_on_after(0.5):
            await it.bucket.put_resumable("k", endless(), size=500 * MIB)
        await it.service.idle()
        assert [each async for each in it.service.bucket.list_uploads()] == []


@pytest.mark.asyncio
async def test_the_length_must_be_right():
    """Bodies that end early, or go on, make no object."""
    async with staged() as it:
        for length in (5 * MIB - 1, 5 * MIB + 1):
            with pytest.raises(IntegrityError):
                await it.bucket.put_resumable("k", stream(bytes(5 * MIB)), size=length)
        with pytest.raises(IntegrityError):
            await it.bucket.put_resumable("k", b"12345", size=4)
        assert await it.service.stored() == {}


@pytest.mark.asyncio
async def test_an_empty_body_needs_no_session():
    """It is put as any other."""
    async with staged() as it:
        await it.bucket.put_resumable("k", b"", size=0)
        assert await it.read("k") == b""


class Odd:
    """A service that holds less than it is sent, and forgets what it finished."""

    def __init__(self, *, takes=3 * MIB, granularity=None, remembers=True, moves=0):
        self.takes = takes
        self.granularity = granularity
        self.remembers = remembers
        self.moves = moves
        self.held = b""
        self.total = None
        self.done = None
        self.log = []

    def routes(self):
        path = "/v1/objects/{usecase}/{scope}/{key}"
        return [web.put(path, self.put), web.head(path, self.head)]

    async def put(self, request):
        body = await request.read()
        if "upload_type" in request.query:
            self.total = int(request.headers["upload-length"])
            answer = {"key": "k", "session": "s"}
            if self.granularity:
                answer["granularity"] = self.granularity
            return web.json_response(answer)
        if "session" not in request.query:
            self.done = body
            return web.json_response({"key": "k"})
        return self.step(request.headers["upload-offset"], body)

    def step(self, offset, body):
        self.log.append((offset, len(body)))
        if self.done is not None and not self.remembers:
            return web.Response(status=404)
        if offset != "*":
            if int(offset) != len(self.held):
                return self.told(409)
            self.held += body[: self.takes]
            if self.moves:
                self.moves -= 1
                self.held = self.held[:-MIB]
        if len(self.held) == self.total:
            self.done = self.held
            return web.json_response({"key": "k"}, status=201)
        return self.told(204)

    def told(self, status):
        return web.Response(
            status=status, headers={"Upload-Offset": str(len(self.held))}
        )

    async def head(self, request):
        if self.done is None:
            return web.Response(status=404)
        return web.Response(
            headers={
                "X-Sn-Time-Created": "2026-01-01T00:00:00Z",
                "X-Sn-Size": str(len(self.done)),
            }
        )


@pytest.mark.asyncio
@pytest.mark.parametrize("granularity", [None, 256 * 1024, 3 * MIB])
async def test_a_service_may_hold_less_than_it_is_sent(granularity):
    """The client goes on from the answer, whatever it sent."""
    body = os.urandom(11 * MIB)
    odd = Odd(granularity=granularity)
    async with old_service(*odd.routes()) as url, ServiceBackend(url) as backend:
        bucket = backend.bucket("objects", PLACE)
        await bucket.put_resumable("k", stream(body), size=len(body))
    assert odd.done == body
    unit = granularity or 1
    assert all(size % unit == 0 for _, size in odd.log[:-1])


@pytest.mark.asyncio
async def test_a_service_may_not_lose_what_it_confirmed():
    """An offset below what was confirmed cannot be served any more."""
    body = os.urandom(11 * MIB)
    odd = Odd(takes=2 * MIB)
    async with old_service(*odd.routes()) as url, ServiceBackend(url) as backend:

        async def losing():
            async for chunk in stream(body):
                if len(odd.held) >= 4 * MIB:
                    odd.held = odd.held[:MIB]
                yield chunk

        bucket = backend.bucket("objects", PLACE)
        with pytest.raises(IntegrityError):
            await bucket.put_resumable("k", losing(), size=len(body))
    assert odd.done is None


@pytest.mark.asyncio
async def test_a_service_that_stands_still():
    """Answers without progress are counted as failures."""
    odd = Odd(takes=0)
    async with old_service(*odd.routes()) as url, ServiceBackend(url) as backend:
        bucket = backend.bucket("objects", PLACE)
        with anyio.fail_after(20), pytest.raises(BackendUnavailable):
            await bucket.put_resumable("k", stream(bytes(5 * MIB)), size=5 * MIB)
    assert len(odd.log) < 10


@pytest.mark.asyncio
async def test_a_service_that_forgets_what_it_finished():
    """When the last answer is lost, and nothing proves the object ours: unknown."""
    body = os.urandom(3 * MIB)
    odd = Odd(remembers=False)
    async with (
        old_service(*odd.routes()) as url,
        FaultProxy(url) as proxy,
        ServiceBackend(proxy.url) as backend,
    ):
        proxy.plan(DropAnswer(), match=steps)
        bucket = backend.bucket("objects", PLACE)
        with pytest.raises(OutcomeUnknown):
            await bucket.put_resumable("k", stream(body), size=len(body))
    assert odd.done == body


@pytest.mark.asyncio
@pytest.mark.parametrize("status", [200, 501, 405])
async def test_services_without_sessions_get_a_plain_put(status):
    """One that declines, and one that does not even know the question."""
    stored = []

    async def put(request):
        body = await request.read()
        if "upload_type" in request.query:
            if status != 200:
                return web.json_response({"detail": "no"}, status=status)
            assert body == b""
        stored.append(body)
        return web.json_response({"key": "k"})

    routes = [web.put("/v1/objects/{usecase}/{scope}/{key}", put)]
    async with old_service(*routes) as url, ServiceBackend(url) as backend:
        bucket = backend.bucket("objects", PLACE)
        await bucket.put_resumable("k", stream(b"x" * MIB), size=MIB)
    assert stored[-1] == b"x" * MIB


@pytest.mark.asyncio
async def test_refusals_are_not_taken_for_a_lack_of_sessions():
    """A 403 or 429 is told, and no second upload is tried."""
    async with staged(retries=0) as it:
        for status in (403, 429, 500):
            before = len(it.proxy.requests)
            it.proxy.plan(Answer(status=status))
            with pytest.raises(BackendError if status != 403 else Exception) as caught:
                await it.bucket.put_resumable("k", stream(bytes(MIB)), size=MIB)
            assert str(status) in str(caught.value)
            assert len(it.proxy.requests) == before + 1
