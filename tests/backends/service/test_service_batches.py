"""Many operations in one request: their results, their faults, and older services."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from aiohttp import web
from tests.backends.service.conftest import KEY_PEM, PLACE, old_service, staged
from tests.service.stage import KEY, serving, with_keys

from coatcheck.abc import BatchStep, BatchVerb, PutInfo, innermost
from coatcheck.backends._service import ServiceBackend
from coatcheck.errors import (
    AccessDenied,
    BackendError,
    BackendUnavailable,
    IntegrityError,
    InvalidInput,
    InvalidName,
    ObjectNotFound,
    UnsupportedOperation,
)
from coatcheck.objects import (
    Client,
    Delete,
    Get,
    Head,
    Permission,
    Put,
    SecretKey,
    Usecase,
)
from coatcheck.testing import (
    Answer,
    DropAnswer,
    FaultProxy,
    ResetBeforeSending,
    Truncate,
)

MIB = 1024 * 1024
PUT, GET, HEAD, DELETE = BatchVerb


def step(verb, key, **fields):
    return BatchStep(verb=verb, key=key, **fields)


@pytest.mark.asyncio
async def test_steps_are_done_in_one_request():
    """Outcomes stand in the order of the steps, whatever each of them was."""
    body = os.urandom(100_000) + b"\r\n--coatcheck\r\n" * 3
    async with staged() as it:
        info = PutInfo(origin="o", custom={"a": "caf\u00e9"}, content_type="text/plain")
        await it.bucket.put("old", b"old")
        before = len(it.proxy.requests)
        put, empty, odd = await it.bucket.batch(
            [
                step(PUT, "k", body=body, info=info),
                step(PUT, "empty"),
                step(PUT, "a b/\u00e9%41?", body=b"x"),
            ]
        )
        assert (put.error, empty.error, odd.error) == (None, None, None)
        assert put.receipt.size == len(body)
        outcomes = await it.bucket.batch(
            [
                step(DELETE, "old"),
                step(GET, "absent"),
                step(GET, "k"),
                step(HEAD, "k"),
                step(HEAD, "absent"),
                step(DELETE, "absent"),
                step(GET, "empty"),
                step(GET, "a b/\u00e9%41?"),
            ]
        )
        assert len(it.proxy.requests) == before + 2
        assert [type(each.error) for each in outcomes] == [
            *(type(None), ObjectNotFound, type(None), type(None)),
            *(ObjectNotFound, type(None), type(None), type(None)),
        ]
        assert outcomes[2].body == body
        assert outcomes[2].info == await it.bucket.head("k")
        assert outcomes[3].info == outcomes[2].info
        assert outcomes[2].info.etag == put.receipt.etag
        assert outcomes[2].info.write_id == put.receipt.write_id
        assert (outcomes[6].body, outcomes[7].body) == (b"", b"x")
        assert outcomes[7].info.key == "a b/\u00e9%41?"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "fault", [DropAnswer(), ResetBeforeSending(), Answer(status=503)]
)
async def test_a_batch_whose_answer_is_lost_is_sent_again(fault):
    """Nothing in it minds being done twice."""
    async with staged() as it:
        it.proxy.plan(fault, fault)
        (put,) = await it.bucket.batch([step(PUT, "k", body=b"x")])
        assert put.receipt.write_id == (await it.bucket.head("k")).write_id


@pytest.mark.asyncio
async def test_an_answer_that_breaks_off_is_asked_for_again():
    """Half of the outcomes are none."""
    async with staged() as it:
        steps = [step(PUT, f"k{n}", body=os.urandom(10_000)) for n in range(5)]
        await it.bucket.batch(steps)
        it.proxy.plan(Truncate(bytes_of_body=15_000), None)
        outcomes = await it.bucket.batch([step(GET, each.key) for each in steps])
        assert [each.body for each in outcomes] == [each.body for each in steps]
        it.proxy.always(Truncate(bytes_of_body=15_000))
        with pytest.raises(BackendUnavailable):
            await it.bucket.batch([step(GET, each.key) for each in steps])


@pytest.mark.asyncio
async def test_the_limits_are_held_to():
    """Too many steps, and bodies that are too large, are refused before sending."""
    async with staged() as it:
        before = len(it.proxy.requests)
        with pytest.raises(InvalidInput):
            await it.bucket.batch([step(HEAD, "k")] * 1001)
        with pytest.raises(InvalidInput):
            await it.bucket.batch([step(PUT, "k", body=bytes(MIB + 1))])
        assert await it.bucket.batch([]) == []
        assert len(it.proxy.requests) == before
        (put,) = await it.bucket.batch([step(PUT, "k", body=bytes(MIB))])
        assert put.receipt.size == MIB


@pytest.mark.asyncio
async def test_steps_that_cannot_be_sent():
    """What is wrong with one step is its own outcome."""
    async with staged() as it:
        bucket = it.backend.bucket("objects")
        outcomes = await bucket.batch(
            [
                step(PUT, "nowhere", body=b"x"),
                step(GET, "nowhere"),
                step(DELETE, "nowhere"),
                step(PUT, f"{PLACE}k", body=b"x", info=PutInfo(tags={"a": "b"})),
                step(PUT, f"{PLACE}k", body=b"x"),
                step(PUT, "other/_/objects/k", body=b"y"),
            ]
        )
        assert [type(each.error) for each in outcomes] == [
            *(InvalidName, ObjectNotFound, type(None), UnsupportedOperation),
            *(type(None), type(None)),
        ]
        (got,) = await bucket.batch([step(GET, "other/_/objects/k")])
        assert got.body == b"y"


@pytest.mark.asyncio
async def test_large_and_damaged_objects_in_a_batch():
    """Objects of any size are read, and each is verified by itself."""
    body = os.urandom(3 * MIB)
    async with staged() as it:
        await it.bucket.put("large", body)
        await it.bucket.put("small", b"small")
        await it.bucket.put("bad", b"sound")
        inner, _ = innermost(it.service.bucket, "")
        records = inner.store.contents(inner.name).records
        records[f"{PLACE}bad"] = replace(records[f"{PLACE}bad"], body=b"wrong")
        large, bad, small = await it.bucket.batch(
            [step(GET, "large"), step(GET, "bad"), step(GET, "small")]
        )
        assert large.body == body
        assert small.body == b"small"
        assert isinstance(bad.error, IntegrityError)


@pytest.mark.asyncio
async def test_answers_that_are_no_batch():
    """Documents, missing answers and strange indexes are errors, step by step."""
    answers = iter(
        [
            (b"{}", "application/json"),
            (b"nonsense", 'multipart/form-data; boundary="b"'),
            (b"--b--\r\n", 'multipart/form-data; boundary="b"'),
            (
                (
                    b"--b\r\nx-sn-batch-operation-index: 77\r\n"
                    b"x-sn-batch-operation-status: 200 OK\r\n\r\nx\r\n--b--\r\n"
                ),
                'multipart/form-data; boundary="b"',
            ),
            (
                (
                    b"--b\r\nx-sn-batch-operation-index: 0\r\n"
                    b"x-sn-batch-operation-status: what\r\n\r\nx\r\n--b--\r\n"
                ),
                'multipart/form-data; boundary="b"',
            ),
        ]
    )

    async def batch(request):
        await request.read()
        body, media = next(answers)
        return web.Response(body=body, headers={"content-type": media})

    route = web.post("/v1/objects:batch/{usecase}/{scope}/", batch)
    async with old_service(route) as url, ServiceBackend(url) as backend:
        bucket = backend.bucket("objects", PLACE)
        for _ in range(2):
            with pytest.raises(BackendError):
                await bucket.batch([step(HEAD, "k")])
        for _ in range(3):
            (outcome,) = await bucket.batch([step(HEAD, "k")])
            assert isinstance(outcome.error, BackendError)


@pytest.mark.asyncio
async def test_sessions_send_batches():
    """A hundred operations are one request; what flows or is large goes by itself."""
    key = SecretKey(KEY.kid, KEY_PEM)
    async with (
        serving(with_keys()) as service,
        FaultProxy(service.url) as proxy,
        Client(proxy.url, token=key) as client,
    ):
        session = client.session(Usecase("attachments"), org=42)
        before = len(proxy.requests)
        await session.many(Put(b"%d" % n, f"k{n:02d}") for n in range(90))
        results = await session.many(
            [*(Get(f"k{n:02d}") for n in range(90)), Head("k01"), Delete("absent")]
        )
        assert [each.payload for each in results[:90]] == [b"%d" % n for n in range(90)]
        assert len(proxy.requests) == before + 2
        large = os.urandom(2 * MIB)
        await session.many([Put(large, "large"), Put(b"x", "small")])
        assert await session.get_bytes("large") == large
        assert [each.method for each in proxy.requests[before + 2 :]] == [
            *("POST", "PUT", "GET")
        ]


@pytest.mark.asyncio
async def test_sessions_do_without_batches():
    """A service that has no such route is asked one by one."""
    key = SecretKey(KEY.kid, KEY_PEM)
    async with (
        serving(with_keys()) as service,
        FaultProxy(service.url) as proxy,
        Client(proxy.url, token=key) as client,
    ):
        session = client.session(Usecase("attachments"), org=42)
        for status in (404, 405, 501):
            proxy.plan(Answer(status=status))
            results = await session.many([Put(b"x", "k"), Get("k"), Get("absent")])
            assert results[0].error is None
            assert isinstance(results[2].error, ObjectNotFound)
            assert await session.get_bytes("k") == b"x"


@pytest.mark.asyncio
async def test_a_batch_that_fails_fails_each_operation():
    """Every operation tells what happened to the request."""
    key = SecretKey(KEY.kid, KEY_PEM)
    async with (
        serving(with_keys()) as service,
        FaultProxy(service.url) as proxy,
        Client(proxy.url, token=key, retries=0) as client,
    ):
        session = client.session(Usecase("attachments"), org=42)
        proxy.plan(Answer(status=503))
        results = await session.many([Put(b"x", "k"), Head("k"), Put(b"x", "a//b")])
        assert [type(each.error) for each in results] == [
            *(BackendUnavailable, BackendUnavailable, InvalidName)
        ]


@pytest.mark.asyncio
async def test_permissions_are_of_each_operation():
    """A token that reads reads, and its writes are refused, in the same request."""
    key = SecretKey(KEY.kid, KEY_PEM)
    async with (
        serving(with_keys()) as service,
        Client(service.url, token=key) as client,
    ):
        session = client.session(Usecase("attachments"), org=42)
        await session.put(b"x", "k")
        token = session.mint_token([Permission.OBJECT_READ])
        async with Client(service.url, token=token) as guest:
            same = guest.session(Usecase("attachments"), org=42)
            got, put, deleted = await same.many([Get("k"), Put(b"y", "k"), Delete("k")])
        assert got.payload == b"x"
        assert isinstance(put.error, AccessDenied)
        assert isinstance(deleted.error, AccessDenied)
        assert await session.get_bytes("k") == b"x"
