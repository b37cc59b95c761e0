"""What a service's answers mean: refusals, old spellings, secrets, links."""

from __future__ import annotations

import gc
import logging
import traceback
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from tests.backends.service.conftest import (
    KEY_PEM,
    PLACE,
    access_of,
    old_service,
    staged,
)
from tests.service.stage import KEY, serving, with_keys

from coatcheck._core.canonical import canonical_request
from coatcheck._core.expiry import TimeToLive
from coatcheck.abc import (
    ByteSpan,
    Capability,
    FromNow,
    PutInfo,
    ServiceAccess,
    SignGet,
    SignPut,
    Update,
    Write,
)
from coatcheck.backends import open_backend
from coatcheck.backends._service import ServiceBackend
from coatcheck.errors import (
    AccessDenied,
    AtCapacity,
    BackendError,
    BackendUnavailable,
    Closed,
    CoatcheckError,
    Conflict,
    ExpiryNotExtendable,
    InvalidInput,
    InvalidName,
    InvalidRange,
    ObjectNotFound,
    PreconditionFailed,
    RateLimited,
    Unauthenticated,
    UnsupportedOperation,
)
from coatcheck.objects import SecretKey
from coatcheck.testing import Answer

ROUTE = "/v1/objects/{usecase}/{scope}/{key:.*}"
CREATED = {"x-sn-time-created": "2026-01-01T00:00:00Z"}


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, b'{"detail": "client error: no"}', InvalidInput),
        (400, b'{"detail": "auth error: no token"}', Unauthenticated),
        (401, b"", Unauthenticated),
        (403, b"", AccessDenied),
        (404, b"", ObjectNotFound),
        (405, b"", UnsupportedOperation),
        (409, b"", Conflict),
        (412, b"", PreconditionFailed),
        (413, b"", InvalidInput),
        (416, b"", InvalidRange),
        (418, b"\xff\xfe", BackendError),
        (422, b"[]", InvalidInput),
        (429, b'{"detail": 5}', RateLimited),
        (500, b'{"detail": "service error"}', BackendError),
        (501, b"", UnsupportedOperation),
        (503, b"{", BackendUnavailable),
        (507, b"", AtCapacity),
    ],
)
async def test_statuses(status, body, error):
    """Each refusal is the error that tells what to do, with the service's reason."""
    async with staged(retries=0) as it:
        it.proxy.always(Answer(status=status, body=body))
        with pytest.raises(CoatcheckError) as caught:
            async with it.bucket.get("k"):
                pass
        assert type(caught.value) is error
        assert str(status) in str(caught.value)
        assert caught.value.backend == "service"


@pytest.mark.asyncio
async def test_details_are_shown_in_one_line():
    """What a service says is escaped and cut, whatever it says."""
    detail = "client error: line\\r\\nbreak \\u001b[31m" + "x" * 5000
    async with staged(retries=0) as it:
        it.proxy.always(Answer(status=400, body=b'{"detail": "%s"}' % detail.encode()))
        with pytest.raises(InvalidInput) as caught:
            await it.bucket.put("k", b"x")
        assert "client error: line\\r\\nbreak" in str(caught.value)
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 300


@pytest.mark.asyncio
async def test_secrets_are_in_no_error(caplog):
    """Neither tokens nor keys show in errors, tracebacks, reprs or logs."""
    caplog.set_level(logging.DEBUG)
    canary = "canary-token-0123456789"
    seen = []
    async with serving(with_keys()) as service:
        access = ServiceAccess(token=canary, retries=0)
        async with ServiceBackend(service.url, access=access) as backend:
            bucket = backend.bucket("objects", PLACE)
            for call in (
                lambda: bucket.head("k"),
                lambda: bucket.put("k", b"x"),
                lambda: bucket.delete("k"),
            ):
                with pytest.raises(Unauthenticated) as caught:
                    await call()
                seen.append(caught.value)
            service.server.should_exit = True
            await service.server.shutdown()
            with pytest.raises(BackendUnavailable) as caught:
                await bucket.head("k")
            seen.append(caught.value)
            seen += [repr(access), repr(backend), repr(bucket)]
    for each in seen:
        told = each
        if isinstance(each, BaseException):
            told = "".join(traceback.format_exception(each)) + repr(vars(each))
        assert canary not in told
    assert canary not in caplog.text
    key = SecretKey("main", KEY_PEM)
    assert "PRIVATE" not in repr(key)
    gc.collect()


@pytest.mark.asyncio
async def test_old_services_are_understood():
    """Upper-case headers, a HEAD without a size, odd durations, and no ETags."""
    body = b"0123456789"
    headers = {
        "X-Sn-Time-Created": "2026-01-01T00:00:00.123456+00:00",
        "X-Sn-Time-Expires": "2026-01-02T00:00:00Z",
        "X-Sn-Expiration": "ttl:1day",
        "X-Sn-Filename": "a%20b%ff",
        "X-Snme-Good": "caf%C3%A9",
        "Content-Type": "text/plain",
    }

    async def get(request):
        return web.Response(body=body, headers=headers)

    async def head(request):
        return web.Response(status=204, headers=headers)

    routes = [web.get(ROUTE, get, allow_head=False), web.head(ROUTE, head)]
    async with old_service(*routes) as url, ServiceBackend(url) as backend:
        bucket = backend.bucket("objects", PLACE)
        info = await bucket.head("k")
        assert (info.size, info.content_type) == (10, "text/plain")
        assert info.custom == {"good": "caf\u00e9"}
        # What cannot be read is left out.
        assert (info.expiry, info.filename) == (None, None)
        assert info.created == datetime(2026, 1, 1, 0, 0, 0, 123456, UTC)
        async with bucket.get("k") as reader:
            assert await reader.read() == body
        assert not bucket.capabilities & {
            Capability.CREATE,
            Capability.REPLACE_IF,
            Capability.DELETE_IF,
        }
        for call in (
            lambda: bucket.put("k", b"x", mode=Write.CREATE),
            lambda: bucket.put("k", b"x", mode=Update("e")),
            lambda: bucket.delete("k", if_match="e"),
        ):
            with pytest.raises(UnsupportedOperation):
                await call()
        with pytest.raises(PreconditionFailed):
            async with bucket.get("k", if_match="e"):
                pass


@pytest.mark.asyncio
async def test_ranges_that_were_not_asked_for():
    """Bytes from elsewhere in the object are not taken, nor all of it for a part."""
    answers = iter(
        [
            web.Response(
                status=206,
                body=b"12345",
                headers={**CREATED, "content-range": "bytes 1-5/10"},
            ),
            web.Response(body=b"0123456789", headers=CREATED),
            web.Response(
                status=206,
                body=b"01234",
                headers={**CREATED, "content-range": "bytes 0-4/*"},
            ),
        ]
    )

    async def get(request):
        return next(answers)

    async with (
        old_service(web.get(ROUTE, get)) as url,
        ServiceBackend(url, access=ServiceAccess(retries=0)) as backend,
    ):
        bucket = backend.bucket("objects", PLACE)
        for _ in range(3):
            with pytest.raises(CoatcheckError):
                async with bucket.get("k", byte_range=ByteSpan(0, 5)):
                    pass


@pytest.mark.asyncio
async def test_listings_that_are_none():
    """A document that is no listing, or an endless one, ends in an error."""
    documents = iter(
        [
            {"entries": [{"key": "a"}], "truncated": False},
            {"entries": "x", "truncated": True},
            [],
            {"entries": [], "prefixes": [], "truncated": True},
        ]
    )

    async def scan(request):
        return web.json_response(next(documents))

    route = web.get("/v1/objects:scan/{usecase}/{scope}/", scan)
    async with old_service(route) as url, ServiceBackend(url) as backend:
        bucket = backend.bucket("objects", PLACE)

        async def listed():
            async with aclosing(bucket.scan()) as pages:
                return [page async for page in pages]

        for _ in range(3):
            with pytest.raises(BackendError):
                await listed()
        assert await listed() == []


@pytest.mark.asyncio
async def test_a_service_lists_one_scope_at_a_time():
    """A prefix that lies in no scope, or in several, is refused."""
    async with staged() as it:
        bucket = it.backend.bucket("objects")
        for prefix in ("", "attachments/", "attachments/org.1/", "a/objects/"):
            with pytest.raises(UnsupportedOperation):
                bucket.scan(prefix)
        await bucket.put("attachments/org.42/objects/k", b"x")
        for after, found in (("", 1), ("a", 1), ("z", 0), (f"{PLACE}k", 0)):
            pages = bucket.scan(PLACE, start_after=after)
            assert len([page async for page in pages]) == found


@pytest.mark.asyncio
async def test_keys_stand_in_usecases():
    """Writing elsewhere is refused, and nothing is found there."""
    async with staged() as it:
        bucket = it.backend.bucket("objects")
        for key in ("k", "attachments/k", "at/_/objects/k", "attachments/_/objects/"):
            with pytest.raises(InvalidName):
                await bucket.put(key, b"x")
            with pytest.raises(ObjectNotFound):
                await bucket.head(key)
            await bucket.delete(key)
        assert it.proxy.requests[1:] == []


@pytest.mark.asyncio
async def test_what_no_service_keeps_is_refused():
    """Metadata that the wire cannot carry is not dropped in silence."""
    async with staged() as it:
        for info in (
            PutInfo(cache_control="no-store"),
            PutInfo(content_disposition="inline"),
            PutInfo(storage_class="COLD"),
            PutInfo(tags={"a": "b"}),
        ):
            with pytest.raises(UnsupportedOperation):
                await it.bucket.put("k", b"x", info=info)


@pytest.mark.asyncio
async def test_extensions_of_others():
    """What a service refuses is told, and deadlines are those that it tells."""
    async with staged() as it:
        now = it.backend.now()
        expiry = TimeToLive(timedelta(hours=1))
        info = PutInfo(expiry=expiry, deadline=now + expiry.duration)
        await it.bucket.put("k", b"x", info=info)
        await it.bucket.put("ever", b"x")
        found = await it.bucket.extend_expiry("k", FromNow(timedelta(hours=5)))
        assert found == (await it.bucket.head("k")).deadline
        with pytest.raises(ExpiryNotExtendable):
            await it.bucket.extend_expiry("ever", FromNow(timedelta(hours=5)))
        with pytest.raises(ObjectNotFound):
            await it.bucket.extend_expiry("absent", FromNow(timedelta(hours=5)))


@pytest.mark.asyncio
async def test_links_are_signed_as_objectstores_are():
    """The URL has its parameters in order, and a signature over the canonical text."""
    from base64 import urlsafe_b64decode

    clock = lambda: datetime(2026, 1, 2, 3, 4, 5, 678, UTC)  # noqa: E731
    access = ServiceAccess(token=SecretKey("k=i&d", KEY_PEM))
    async with ServiceBackend(
        "http://h:1/pre/fix", access=access, clock=clock
    ) as backend:
        bucket = backend.bucket("objects", PLACE)
        signed = await bucket.sign(
            SignGet(), "a b?/%41", expires_in=timedelta(seconds=90.5)
        )
        for what in (SignPut(), SignGet(content_type="x/y")):
            with pytest.raises(UnsupportedOperation):
                await bucket.sign(what, "k", expires_in=timedelta(seconds=90))
        for seconds in (0, -1, 7 * 86_400 + 1):
            with pytest.raises(InvalidInput):
                await bucket.sign(SignGet(), "k", expires_in=timedelta(seconds=seconds))
    path, _, query = signed.url.removeprefix("http://h:1").partition("?")
    assert path == "/pre/fix/v1/objects/attachments/org=42/a%20b%3F/%2541"
    query, _, signature = query.partition("&os_sig=")
    assert query == (
        "os_kid=k%3Di%26d&os_timestamp=2026-01-02T03:04:05Z&os_duration=91"
    )
    KEY.private.public_key().verify(
        urlsafe_b64decode(signature + "=="),
        canonical_request("GET", path, query).encode(),
    )
    assert signed.expires_at == datetime(2026, 1, 2, 3, 5, 36, tzinfo=UTC)
    assert signature not in repr(signed)


@pytest.mark.asyncio
async def test_without_a_key_nothing_is_signed():
    """A token as it is signs no links, and SIGN is not offered."""
    async with ServiceBackend("http://h:1", access=ServiceAccess(token="t")) as backend:
        bucket = backend.bucket("objects", PLACE)
        assert Capability.SIGN not in bucket.capabilities
        with pytest.raises(UnsupportedOperation, match="SecretKey"):
            await bucket.sign(SignGet(), "k", expires_in=timedelta(seconds=9))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://h",
        "http://",
        "http:///x",
        "//h",
        "http://h?x=1",
        "h:8888",
        "http://[",
    ],
)
def test_bad_urls(url):
    """Only http and https with a host are services."""
    with pytest.raises(InvalidInput):
        ServiceBackend(url)


@pytest.mark.asyncio
@pytest.mark.parametrize("form", ["{}", "service:{}"])
async def test_services_are_opened_by_url(form):
    """The door to drivers takes the URL of a service, with or without the scheme."""
    async with serving(with_keys()) as service:
        backend = open_backend(form.format(service.url), access=access_of())
        assert backend.scheme == "service"
        async with backend:
            await backend.check()
            bucket = backend.bucket("objects", PLACE)
            await bucket.put("k", b"x")
        with pytest.raises(Closed):
            await bucket.head("k")


@pytest.mark.asyncio
async def test_connections_can_be_arranged():
    """Arguments go to aiohttp, headers join the defaults, and bad ones are refused."""
    seen = []

    async def head(request):
        seen.append(request.headers)
        return web.Response(headers={**CREATED, "x-sn-size": "1"})

    async with old_service(web.head(ROUTE, head)) as url:
        access = ServiceAccess(
            connection={"headers": {"x-mine": "1"}, "trust_env": False},
            headers=lambda: {"sentry-trace": "abc"},
        )
        async with ServiceBackend(url, access=access) as backend:
            await backend.bucket("objects", PLACE).head("k")
        backend = ServiceBackend(url, access=ServiceAccess(connection={"colour": 1}))
        with pytest.raises(InvalidInput):
            await backend.__aenter__()
    (headers,) = seen
    assert headers["x-mine"] == "1"
    assert headers["sentry-trace"] == "abc"
    assert headers["user-agent"].startswith("coatcheck")
    assert headers["accept-encoding"] == "identity"
