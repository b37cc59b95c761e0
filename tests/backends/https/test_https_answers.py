"""What a host's refusals, failures and broken answers become."""

from __future__ import annotations

import asyncio
import socket
import struct
from datetime import timedelta

import pytest

from coatcheck.backends._https import _backend, _reads
from coatcheck.config import S3Config
from coatcheck.errors import (
    BackendError,
    BackendUnavailable,
    IntegrityError,
    ObjectNotFound,
    RateLimited,
    Timeout,
)

pytestmark = pytest.mark.asyncio
REFUSALS = [
    (403, "AccessDenied", "Request has expired", "share link expired"),
    (403, "AccessDenied", "Access Denied", "share link is not accepted"),
    (403, "SignatureDoesNotMatch", "expired?", "share link was changed"),
    (403, "", "", "share link is not accepted"),
    (404, "NoSuchKey", "gone", "its object is not there"),
    (410, "", "", "share link is not accepted"),
    (400, "ExpiredToken", "The token has expired", "share link expired"),
]


@pytest.mark.parametrize(("status", "code", "message", "words"), REFUSALS)
async def test_a_refused_link_is_not_found(
    host, refused, read, secret, status, code, message, words
):
    """The error tells in words why, and nothing that the host wrote."""
    host.script = refused(status, code, message)

    with pytest.raises(ObjectNotFound, match=words) as caught:
        await read(host.link())

    assert caught.value.address == f"{host.url}/stashes/n.1?..."
    assert (caught.value.key, caught.value.backend) == ("stashes/n.1", "https")
    assert secret not in caught.value.message


@pytest.mark.parametrize(
    ("status", "code", "kind", "words"),
    [
        (403, "link_expired", ObjectNotFound, "share link expired"),
        (403, "link_changed", ObjectNotFound, "share link was changed"),
        (403, "link_of_something_else", ObjectNotFound, "share link was changed"),
        (404, "object_not_found", ObjectNotFound, "its object is not there"),
        (403, "canary", ObjectNotFound, "share link is not accepted"),
        (500, "object_damaged", IntegrityError, "object of the share link is damaged"),
        (503, "backend_unavailable", BackendUnavailable, "fails for now"),
    ],
)
async def test_coatchecks_own_refusals(
    host, scripted, read, secret, status, code, kind, words
):
    """The codes of coatcheck's own service are understood, and its words not shown."""
    body = f'{{"detail":"{secret}","code": "{code}"}}'.encode()
    host.script = scripted(body, status=f"{status} Refused")

    with pytest.raises(kind, match=words) as caught:
        await read(host.link())

    assert type(caught.value) is kind
    assert secret not in caught.value.message


async def test_metadata_without_a_prefix(host, scripted, backend):
    """What S3 sends behind its prefix, coatcheck's own service sends as it is."""
    host.script = scripted(
        headers=[
            ("x-sn-time-created", "2026-01-01T00:00:00Z"),
            ("x-sn-expiration", "ttl:1h"),
            ("x-cc-codec", "raw"),
            ("x-snme-colour", "blue"),
            ("x-sn-nonsense", "%"),
        ]
    )
    async with backend.get(host.link()) as reader:
        info = reader.info
    assert (info.created.isoformat(), info.codec) == (
        "2026-01-01T00:00:00+00:00",
        "raw",
    )
    assert info.deadline.isoformat() == "2026-01-01T01:00:00+00:00"
    assert dict(info.custom) == {"colour": "blue"}


async def test_little_of_an_error_document_is_read(host, read):
    """A refusal without end is read for 8 KiB and closed."""
    fed = 0

    async def endless(_, writer):
        nonlocal fed
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 999999999999\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x" * 4096)
            fed += 4096
            await writer.drain()

    host.script = endless

    with pytest.raises(ObjectNotFound, match="not accepted"):
        await read(host.link())
    assert fed < 64 * 1024 * 1024


@pytest.mark.parametrize(
    ("status", "code", "kind", "retryable"),
    [
        (429, "", RateLimited, True),
        (503, "SlowDown", RateLimited, True),
        (503, "", BackendUnavailable, True),
        (500, "InternalError", BackendUnavailable, True),
        (504, "", BackendUnavailable, True),
        (400, "", BackendError, False),
        (401, "", BackendError, False),
        (204, "", BackendError, False),
        (206, "", BackendError, False),
        (418, "", BackendError, False),
    ],
)
async def test_other_answers_are_failures(
    host, refused, read, status, code, kind, retryable
):
    """A host that is busy, broken or odd is told apart by kind."""
    host.script = refused(status, code)

    with pytest.raises(BackendError) as caught:
        await read(host.link())

    assert type(caught.value) is kind
    assert caught.value.retryable is retryable


@pytest.mark.parametrize(
    ("text", "expected"), [("7", timedelta(seconds=7)), ("soon", None), ("-1", None)]
)
async def test_the_host_may_say_how_long_to_wait(host, scripted, read, text, expected):
    """Retry-After in seconds is passed on, other forms are left out."""
    host.script = scripted(status="429 Slow", headers=[("Retry-After", text)])

    with pytest.raises(RateLimited) as caught:
        await read(host.link())

    assert caught.value.retry_after == expected


async def test_a_missing_length_is_refused(host, scripted, read):
    """Without a length nobody could tell a whole body from a cut one."""
    host.script = scripted(length=False)
    host.hang_up = True

    with pytest.raises(IntegrityError, match="no length"):
        await read(host.link())
    assert await read(host.link(), known_size=6) == b"a coat"
    with pytest.raises(IntegrityError, match="ended after 6 of 7"):
        await read(host.link(), known_size=7)


async def test_another_length_than_known_is_refused(host, read):
    """The known size is held against the answer's."""
    with pytest.raises(IntegrityError, match="6 bytes and not 7"):
        await read(host.link(), known_size=7)


async def test_a_body_that_ends_early_is_refused(host, scripted, read):
    """Fewer bytes than promised are no object."""
    host.script = scripted(b"a co", length=6)
    host.hang_up = True

    with pytest.raises(IntegrityError, match="ended after 4 of 6"):
        await read(host.link())


async def test_what_follows_a_body_is_dropped(host, scripted, read):
    """Surplus bytes are neither read nor taken for the next answer."""
    forged = scripted(b"forged")
    host.script = scripted() + forged + forged

    for _ in range(3):
        assert await read(host.link()) == b"a coat"


@pytest.mark.parametrize("length", ["x", "-1", "6, 7", "9" * 30])
async def test_a_length_that_is_none_is_refused(host, scripted, read, length):
    """Lengths that cannot be are no lengths."""
    host.script = scripted(length=length)
    host.hang_up = True

    with pytest.raises((IntegrityError, BackendError)):
        await read(host.link())


@pytest.mark.parametrize(
    "headers",
    [
        [("X-Big", "x" * 1024 * 1024)],
        [(f"X-{number}", "x" * 1000) for number in range(100)],
        [(f"X-{number}", "x") for number in range(10_000)],
    ],
)
async def test_headers_are_bounded(host, scripted, read, headers):
    """One huge header, many large or countless small ones are refused."""
    host.script = scripted(headers=headers)

    with pytest.raises(BackendError):
        await read(host.link())


@pytest.mark.parametrize(
    "raw",
    [
        b"\x15\x03\x01\x00\x02\x02\x46",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 999999 No\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"HTTP/1.1 200 OK\r\nNo colon\r\n\r\n",
        b"",
    ],
)
async def test_what_is_not_http_is_a_failure(host, read, raw):
    """Whatever else a host says is one error of the backend."""
    host.script = raw
    host.hang_up = True

    with pytest.raises(BackendError):
        await read(host.link())


async def test_a_lost_connection_may_be_tried_again(host, scripted, read):
    """A connection that is reset in a body is unavailable, not damaged."""

    async def reset(_, writer):
        writer.write(scripted(b"a co", length=6))
        await writer.drain()
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, linger
        )
        writer.transport.abort()

    host.script = reset

    with pytest.raises(BackendUnavailable) as caught:
        await read(host.link())
    assert caught.value.retryable


async def test_a_host_that_is_away_is_unavailable(host, read):
    """A refused connection is a failure that may pass."""
    await host.stop()

    with pytest.raises(BackendUnavailable, match="cannot be reached"):
        await read(host.link())


async def test_a_name_that_does_not_resolve_is_unavailable(make_backend, resolver):
    """A name without addresses is a failure that may pass."""
    backend = await make_backend(
        config={"s3": S3Config(endpoint_url="http://store.example")},
        resolver=resolver([]),
    )

    with pytest.raises(BackendUnavailable, match="does not resolve"):
        async with backend.get("http://store.example/k"):
            pass


async def test_a_silent_host_is_a_timeout(host, read, monkeypatch):
    """A host that accepts and never answers does not hold a read."""

    async def silent(_, __):
        await asyncio.Event().wait()

    host.script = silent
    monkeypatch.setattr(_reads, "OPENING", 0.01)

    with pytest.raises(Timeout) as caught:
        await read(host.link())
    assert caught.value.outcome == "not_applied"


async def test_a_body_that_stalls_is_a_timeout(
    host, scripted, make_backend, monkeypatch
):
    """A host that stops in a body does not hold a read."""
    monkeypatch.setattr(_backend, "_READING", 0.01)
    backend = await make_backend()
    host.script = scripted(b"a co", length=6)

    async with backend.get(host.link()) as reader:
        with pytest.raises(Timeout):
            await reader.read()
