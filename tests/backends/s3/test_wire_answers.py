"""What the wire makes of answers: one request when all is well, else the SDK's turn."""

from __future__ import annotations

import asyncio
import gzip
from datetime import UTC, datetime, timedelta

import aioboto3
import pytest
from tests.backends.scripted_host import answer

from coatcheck.abc import PutInfo, Update, Write
from coatcheck.errors import (
    AlreadyExists,
    BackendError,
    IntegrityError,
    NotFound,
    ObjectNotFound,
    Unauthenticated,
)

pytestmark = pytest.mark.asyncio
BODY = bytes(range(256)) * 80
TOLD = (("ETag", '"e"'), ("Last-Modified", "Thu, 26 Nov 2026 00:00:00 GMT"))
DONE = answer(b"", headers=TOLD)


def said(status, code=""):
    """Return an error as S3 answers it."""
    return answer(f"<Error><Code>{code}</Code></Error>".encode(), status=f"{status} X")


def by_sdk(head):
    """Tell whether a request is the SDK's."""
    return "amz-sdk-request" in head.lower()


def scripts(*answers):
    """Return a script of answers, the last one for ever."""
    left = list(answers)
    return lambda *_: left.pop(0) if len(left) > 1 else left[0]


async def test_one_request_for_each_call(host, opened):
    """Put, create, get, range and head are one request each, none of them the SDK's."""
    host.script = lambda head, _: answer(
        BODY if head.startswith("GET") else b"",
        headers=TOLD,
        length=len(BODY) if head.startswith(("GET", "HEAD")) else 0,
    )
    async with opened() as bucket:
        await bucket.put("k", BODY)
        await bucket.put("k", b"")
        await bucket.put("k", BODY, mode=Write.CREATE)
        assert (await bucket.head("k")).size == len(BODY)
        async with bucket.get("k") as reader:
            assert await reader.read() == BODY
    assert [head.split()[0] for head in host.heads] == [
        "PUT",
        "PUT",
        "PUT",
        "HEAD",
        "GET",
    ]
    assert not any(map(by_sdk, host.heads))
    assert host.bodies[:3] == [BODY, b"", BODY]
    assert "content-length: 0" in host.heads[1].lower()
    assert host.connections == 1


async def test_the_sdk_alone_when_asked(host, opened):
    """`wire="sdk"` sends nothing of our own."""
    host.script = DONE
    async with opened(wire="sdk") as bucket:
        await bucket.put("k", BODY)
    assert all(map(by_sdk, host.heads))


@pytest.mark.parametrize(
    "first",
    [
        said(500, "InternalError"),
        said(503, "SlowDown"),
        said(409, "ConditionalRequestConflict"),
        said(403, "RequestTimeTooSkewed"),
        said(400, "ExpiredToken"),
        answer(b"<html>", status="200 OK"),
        b"garbage\r\n\r\n",
        None,
        answer(b"", headers=(*TOLD, ("X-Long", "x" * 2**20))),
    ],
    ids=[
        "500",
        "503",
        "409",
        "skew",
        "expired",
        "no etag",
        "garbage",
        "hang up",
        "long header",
    ],
)
async def test_what_is_not_expected_goes_to_the_sdk(host, opened, first):
    """The next request is the SDK's, with the same write id, and its answer counts."""
    host.script = scripts(first, DONE)
    async with opened() as bucket:
        receipt = await bucket.put("k", BODY, info=PutInfo(write_id="w1"))
    assert receipt.etag == "e"
    assert [by_sdk(head) for head in host.heads] == [False, True]
    assert all("x-amz-meta-x-cc-write-id: w1" in head.lower() for head in host.heads)
    assert host.bodies == [BODY, BODY]


async def test_a_refused_condition_is_not_sent_again(host, opened):
    """412 is an answer: the body goes once, and what stands is looked at."""
    host.script = lambda head, _: (
        said(412, "PreconditionFailed")
        if head.startswith("PUT")
        else answer(b"", headers=TOLD, length=3)
    )
    async with opened() as bucket:
        with pytest.raises(AlreadyExists):
            await bucket.put("k", BODY, mode=Write.CREATE)
    assert [head.split()[0] for head in host.heads] == ["PUT", "HEAD"]


async def test_our_own_write_that_answered_late_is_ours(host, opened):
    """A lost answer, then 412 by our own object: a success, known by its write id."""

    def script(head, _):
        if head.startswith("HEAD"):
            return answer(
                b"",
                headers=(*TOLD, ("x-amz-meta-x-cc-write-id", "w1")),
                length=len(BODY),
            )
        return said(412, "PreconditionFailed") if by_sdk(head) else None

    host.script = script
    async with opened() as bucket:
        receipt = await bucket.put(
            "k", BODY, info=PutInfo(write_id="w1"), mode=Write.CREATE
        )
    assert receipt.write_id == "w1"
    assert [head.split()[0] for head in host.heads] == ["PUT", "PUT", "HEAD"]


@pytest.mark.parametrize("verb", ["GET", "HEAD"])
async def test_what_is_absent_is_asked_for_once(host, opened, verb):
    """404 without such a key is an answer as well."""
    host.script = (
        said(404, "NoSuchKey") if verb == "GET" else answer(b"", status="404 X")
    )
    async with opened() as bucket:
        with pytest.raises(ObjectNotFound):
            await (read(bucket) if verb == "GET" else bucket.head("k"))
    assert len(host.heads) == 1


async def test_a_missing_bucket_is_told_by_the_sdk(host, opened):
    """404 without such a bucket is another matter."""
    host.script = said(404, "NoSuchBucket")
    async with opened() as bucket:
        with pytest.raises(NotFound, match="bucket"):
            await read(bucket)
    assert by_sdk(host.heads[-1])


async def read(bucket, **options):
    async with bucket.get("k", **options) as reader:
        return await reader.read()


@pytest.mark.parametrize("status", ["301 Moved Permanently", "307 Temporary Redirect"])
async def test_a_bucket_elsewhere_is_left_to_the_sdk(host, opened, status):
    """A redirect is not followed, and the wire does not ask there again."""
    moved = answer(b"", status=status, headers=(("Location", f"{host.url}/elsewhere"),))
    host.script = lambda head, _: DONE if by_sdk(head) else moved
    async with opened() as bucket:
        await bucket.put("k", b"1")
        await bucket.put("k", b"2")
    assert [by_sdk(head) for head in host.heads] == [False, True, True]
    assert not any("elsewhere" in head for head in host.heads)


async def test_a_signature_for_another_region_is_left_to_the_sdk(host, opened):
    """The SDK finds out the region; it may cost one more request, once."""
    host.script = lambda head, _: (
        DONE if by_sdk(head) else said(400, "AuthorizationHeaderMalformed")
    )
    async with opened() as bucket:
        await bucket.put("k", b"1")
        await bucket.put("k", b"2")
    assert [by_sdk(head) for head in host.heads] == [False, True, True]


async def test_an_interim_answer_is_passed_over(host, opened):
    """100 Continue before the answer, though nobody expected one."""
    host.script = b"HTTP/1.1 100 Continue\r\n\r\n" + DONE
    async with opened() as bucket:
        assert (await bucket.put("k", BODY)).etag == "e"
    assert len(host.heads) == 1


async def test_compression_that_nobody_asked_for_is_not_undone(host, opened):
    """The bytes come as they were sent, so that a digest shows what happened."""
    packed = gzip.compress(BODY)
    host.script = answer(packed, headers=(*TOLD, ("Content-Encoding", "gzip")))
    async with opened() as bucket:
        assert await read(bucket) == packed
        host.script = answer(
            packed,
            headers=(
                *TOLD,
                ("Content-Encoding", "gzip"),
                ("x-amz-meta-x-cc-sha256", "0" * 64),
            ),
        )
        with pytest.raises(IntegrityError):
            await read(bucket)
    assert all("accept-encoding: identity" in head.lower() for head in host.heads)


async def test_a_body_that_is_longer_than_it_says(host, opened):
    """What follows the body is nobody's, and no later answer."""
    host.script = answer(
        BODY + b"HTTP/1.1 200 OK\r\nETag: evil\r\n\r\n", headers=TOLD, length=len(BODY)
    )
    async with opened() as bucket:
        assert await read(bucket) == BODY
        host.script = answer(b"", headers=TOLD, length=7)
        assert (await bucket.head("k")).etag == "e"


async def test_a_body_without_a_length_is_left_to_the_sdk(host, opened):
    """A chunked answer is none of S3's; it ends in a clear error, in time."""
    host.script = lambda *_: (
        b"HTTP/1.1 200 OK\r\nETag: e\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    )
    async with opened() as bucket:
        with pytest.raises(BackendError, match="not S3"):
            await read(bucket)


async def test_a_server_that_closes_every_connection(host, opened):
    """Without keep-alive every call works, and nothing is lost."""
    host.hang_up = True
    host.script = DONE
    async with opened() as bucket:
        for number in range(20):
            assert (await bucket.put(f"k{number}", BODY)).etag == "e"
    puts = [head.split()[1] for head in host.heads]
    assert {f"/stashes/k{number}" for number in range(20)} == set(puts)


async def test_a_cancelled_call_leaves_no_connection_half_used(host, opened):
    """The next call does not read the answer to the one that was cancelled."""
    release = asyncio.Event()

    async def late(head, _):
        if "slow" in head:
            await release.wait()
            return answer(b"", headers=(("ETag", '"slow"'),))
        return DONE

    host.script = late
    async with opened(max_pool_connections=1) as bucket:
        call = asyncio.create_task(bucket.put("slow", BODY))
        await host.until(lambda it: it.heads)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        release.set()
        assert (await bucket.put("k", BODY)).etag == "e"


async def test_four_readers_that_stop_keep_nobody_else_from_writing(host, opened):
    """Bodies that were left early give their connections back, closed."""
    host.script = lambda head, _: (
        answer(BODY * 100, headers=TOLD) if head.startswith("GET") else DONE
    )
    async with opened(max_pool_connections=4) as bucket:
        for _ in range(8):
            async with bucket.get("k") as reader:
                assert await reader.read(10) == BODY[:10]
        assert (await bucket.put("k", BODY)).etag == "e"
        assert bucket.s3._slots.value == 4


class Rotating:
    """Gives credentials that change, as those of a role do."""

    def __init__(self):
        self.given = 0

    def next(self):
        self.given += 1
        ends = datetime.now(UTC) + timedelta(minutes=5 if self.given < 3 else 600)
        return {
            "access_key": f"KEY{self.given}",
            "secret_key": f"secret{self.given}",
            "token": f"token{self.given}",
            "expiry_time": ends.isoformat(),
        }


def session_with(rotating):
    """Return a session whose credentials are refreshed by `rotating`."""
    from aiobotocore.credentials import AioRefreshableCredentials

    async def refresh():
        return rotating.next()

    session = aioboto3.Session()
    session._session._credentials = AioRefreshableCredentials.create_from_metadata(
        rotating.next(), refresh_using=refresh, method="test"
    )
    return session


async def test_role_credentials_rotate_in_mid_run(host, opened):
    """What is about to expire is refreshed, and the next request is signed anew."""
    host.script = DONE
    rotating = Rotating()
    async with opened(session=session_with(rotating)) as bucket:
        for _ in range(3):
            await bucket.put("k", BODY)
    used = [head.split("Credential=")[1].split("/")[0] for head in host.heads]
    tokens = [
        line
        for head in host.heads
        for line in head.splitlines()
        if line.lower().startswith("x-amz-security-token")
    ]
    assert used[0] != "KEY1"
    assert used[-1] == "KEY3"
    assert tokens[-1].endswith("token3")
    assert not any(map(by_sdk, host.heads))


async def test_credentials_that_expire_in_the_middle_of_a_stream(host, opened):
    """A body that breaks off is gone on with under the new credentials."""
    rotating = Rotating()
    ranges = []

    def script(head, writer):
        if "range:" not in head.lower():
            writer.write(answer(BODY, headers=TOLD)[: -len(BODY) // 2])
            return None
        ranges.append(head)
        start = int(head.lower().split("range: bytes=")[1].split("-")[0])
        return answer(
            BODY[start:],
            status="206 Partial Content",
            headers=(
                *TOLD,
                ("Content-Range", f"bytes {start}-{len(BODY) - 1}/{len(BODY)}"),
            ),
        )

    host.script = script
    async with opened(session=session_with(rotating)) as bucket:
        assert await read(bucket) == BODY
    assert len(ranges) == 1
    assert 'if-match: "e"' in ranges[0].lower()
    assert "KEY3" in ranges[0]


async def test_expired_credentials_are_told(host, opened):
    """When the store says so for good, the error says what to do."""
    host.script = said(400, "ExpiredToken")
    async with opened() as bucket:
        with pytest.raises(Unauthenticated, match="renew"):
            await bucket.put("k", BODY)


async def test_an_update_is_one_conditional_put(host, opened):
    """If-Match travels with the wire's request."""
    host.script = DONE
    async with opened() as bucket:
        await bucket.put("k", BODY, mode=Update("old"))
    assert 'if-match: "old"' in host.heads[0].lower()
    assert len(host.heads) == 1


async def test_a_large_body_that_is_there_is_not_sent(host, opened):
    """A create asks first when that is cheaper than sending."""
    large = bytes(2**20)
    host.script = lambda head, _: (
        answer(b"", headers=TOLD, length=len(large))
        if head.startswith("HEAD")
        else said(412, "PreconditionFailed")
    )
    async with opened() as bucket:
        with pytest.raises(AlreadyExists):
            await bucket.put("k", large, mode=Write.CREATE)
        with pytest.raises(AlreadyExists):
            await bucket.put("k", large[1:], mode=Write.CREATE)
    assert [head.split()[0] for head in host.heads] == ["HEAD", "PUT", "HEAD"]
