"""The wire asks for what the SDK would ask for, at the same URL."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from botocore.awsrequest import HeadersDict

from coatcheck import TimeToLive
from coatcheck.abc import ByteSpan, PutInfo, SignGet, Update, Write
from coatcheck.backends._s3 import S3Backend
from coatcheck.config import S3Config
from coatcheck.errors import InvalidRange, UnsupportedOperation

pytestmark = pytest.mark.asyncio
NOW = datetime(2026, 11, 26, tzinfo=UTC)
KEYS = [
    "plain",
    "a b/c",
    "pl+us",
    "per%cent%20",
    "ünï/€𝄞",
    "til~de",
    "semi;colon&=",
    "(brackets)[]{}'\"",
    "q?h#f",
    "a:b@c!$*,",
]
# Sent by one of the two alone, or different each time.
OF_ITS_OWN = {
    *(
        "amz-sdk-invocation-id",
        "amz-sdk-request",
        "user-agent",
        "accept-encoding",
        "accept",
        "host",
    ),
    *(
        "content-length",
        "authorization",
        "x-amz-date",
        "x-amz-user-agent",
        "transfer-encoding",
    ),
}
RICH = PutInfo(
    content_type="text/plain",
    encoding="zstd",
    cache_control="max-age=1",
    content_disposition='attachment; filename="x  y"',
    storage_class="STANDARD",
    tags={"a b": "c&d"},
    custom={"note": "ä b", "empty": ""},
    origin="here",
    filename="ü.txt",
    expiry=TimeToLive(timedelta(hours=1)),
    deadline=NOW + timedelta(hours=1),
    created=NOW,
    write_id="w1",
    sha256="230d8358dc8e8890b4c58deeb62912ee2f20357ae92a5cc861b98e68fe31acb5",
)


class Recorder:
    """Stands where both send, keeps what they would send, and answers success."""

    def __init__(self, backend):
        self.seen = []
        events = backend.clients.talking.meta.events
        events.register("before-send.s3", self._of_sdk)
        self.wire = backend.clients._wire
        self.wire._session.request = self._of_wire

    def _of_sdk(self, request, **_):
        self.seen.append(
            (
                request.method,
                request.url,
                {name.lower(): _text(value) for name, value in request.headers.items()},
            )
        )
        return _Success(request.url)

    async def _of_wire(self, method, url, *, data, headers, allow_redirects):
        assert allow_redirects is False
        self.seen.append((method, str(url), dict(headers)))
        raise ConnectionResetError("the SDK shall be asked")


class _Success:
    """What botocore takes for an answer."""

    status_code = 200

    def __init__(self, url):
        self.url = url
        self.headers = HeadersDict(
            {
                "etag": '"e"',
                "content-length": "0",
                "last-modified": "Thu, 26 Nov 2026 00:00:00 GMT",
            }
        )
        self.raw = _Raw()

    @property
    def content(self):
        return _nothing()

    @property
    def text(self):
        return _nothing()


class _Raw:
    class content:  # noqa: N801  # as aiohttp calls it
        @staticmethod
        async def read(size=-1):
            return b""

    def close(self):
        pass


async def _nothing():
    return b""


def _text(value):
    return value.decode() if isinstance(value, bytes) else str(value)


def compared(pair):
    """Return both requests without what is of its own, the wire's first."""
    return [
        (
            method,
            _in_order(url),
            {name: text for name, text in headers.items() if name not in OF_ITS_OWN},
        )
        for method, url, headers in pair
    ]


def _in_order(url):
    """Return a URL with its query in order."""
    path, _, query = url.partition("?")
    return path, sorted(query.split("&"))


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    "verb", ["put", "create", "update", "get", "range", "head", "part"]
)
async def test_requests_are_the_sdks(key, verb):
    """Each verb, for odd keys: method, URL and headers as the SDK would send them."""
    async with S3Backend(
        S3Config(
            endpoint_url="http://127.0.0.1:9",
            sse="AES256",
            expected_bucket_owner="123456789012",
        )
    ) as backend:
        backend.keeps_conditions = True
        bucket, recorder = backend.bucket("stashes"), Recorder(backend)
        await _call(bucket, verb, key)
    ours, theirs = compared(recorder.seen[:2])
    assert ours == theirs


async def _call(bucket, verb, key):
    match verb:
        case "put":
            await bucket.put(key, b"body", info=RICH)
        case "create":
            await bucket.put(key, b"body", info=RICH, mode=Write.CREATE)
        case "update":
            await bucket.put(key, b"body", info=RICH, mode=Update("abc"))
        case "get":
            async with bucket.get(key, if_none_match="x"):
                pass
        case "range":
            with pytest.raises(InvalidRange):  # of what the recorder answers
                async with bucket.get(key, byte_range=ByteSpan(0, 1), if_match="e"):
                    pass
        case "head":
            await bucket.head(key)
        case "part":
            from coatcheck.abc import Upload

            upload = Upload(key=key, upload_id="u+/= ~id", started=NOW)
            await bucket.put_part(upload, 7, b"part", size=4)


@pytest.mark.parametrize(
    ("bucket", "fields", "url"),
    [
        (
            "plain",
            {"region": "eu-west-1"},
            "https://plain.s3.eu-west-1.amazonaws.com/k",
        ),
        (
            "plain",
            {"region": "eu-west-1", "addressing_style": "path"},
            "https://s3.eu-west-1.amazonaws.com/plain/k",
        ),
        (
            "with.dots",
            {"region": "eu-west-1"},
            "https://s3.eu-west-1.amazonaws.com/with.dots/k",
        ),
        ("plain", {"region": "us-east-1"}, None),
        ("plain", {"endpoint_url": "https://store.example"}, None),
        (
            "plain",
            {
                "endpoint_url": "https://store.example:444/base",
                "addressing_style": "path",
            },
            None,
        ),
        (
            "plain",
            {"endpoint_url": "http://store.example", "addressing_style": "virtual"},
            "http://plain.store.example/k",
        ),
        (
            "plain",
            {"region": "cn-north-1"},
            "https://plain.s3.cn-north-1.amazonaws.com.cn/k",
        ),
        ("plain", {"endpoint_url": "http://[::1]:8333"}, None),
    ],
)
async def test_addressing_is_the_sdks(bucket, fields, url):
    """Virtual host, path, dots, ports and partitions: the URL is the SDK's, with its host."""
    async with S3Backend(S3Config(**fields)) as backend:
        recorder = Recorder(backend)
        await backend.bucket(bucket).head("k")
    (_, ours, headers), (_, theirs, _) = recorder.seen
    assert ours == theirs
    assert url is None or ours == url
    assert headers["host"] == re.match(r"https?://([^/]+)", ours)[1]


async def test_dual_stack_is_the_sdks(monkeypatch):
    """What the SDK's own settings say of endpoints holds for the wire."""
    monkeypatch.setenv("AWS_USE_DUALSTACK_ENDPOINT", "true")
    async with S3Backend(S3Config(region="eu-west-1")) as backend:
        recorder = Recorder(backend)
        await backend.bucket("plain").head("k")
    assert [url for _, url, _ in recorder.seen] == [
        "https://plain.s3.dualstack.eu-west-1.amazonaws.com/k"
    ] * 2


async def test_bodies_over_tls_are_not_hashed_for_the_signature():
    """Over TLS a checksum goes along instead; over http the body is signed."""
    for scheme, payload in (
        ("https", "UNSIGNED-PAYLOAD"),
        ("http", "230d8358dc8e8890b4c58deeb62912ee2f20357ae92a5cc861b98e68fe31acb5"),
    ):
        async with S3Backend(
            S3Config(endpoint_url=f"{scheme}://store.example")
        ) as backend:
            recorder = Recorder(backend)
            await backend.bucket("stashes").put("k", b"body", info=PutInfo(pinned=True))
        _, _, headers = recorder.seen[0]
        assert headers["x-amz-content-sha256"] == payload
        assert headers["content-md5"] == "hBotaJrYa9FhFEdFPCLG/A=="


async def test_odd_values_are_left_to_the_sdk():
    """What proxies may change on its way is not signed by us."""
    info = PutInfo(content_disposition=" edge")
    async with S3Backend(S3Config(endpoint_url="http://127.0.0.1:9")) as backend:
        recorder = Recorder(backend)
        await backend.bucket("stashes").put("k", b"body", info=info)
    assert len(recorder.seen) == 1
    assert "amz-sdk-request" in recorder.seen[0][2]


async def test_a_proxy_is_left_to_the_sdk(monkeypatch):
    """Behind a proxy of the environment everything goes the SDK's way."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    async with S3Backend(S3Config(endpoint_url="http://store.example")) as backend:
        recorder = Recorder(backend)
        await backend.bucket("stashes").head("k")
    assert len(recorder.seen) == 1


async def test_links_stay_in_their_region():
    """A link names the bucket's region, and not the global host, which redirects."""
    async with S3Backend(S3Config(region="eu-west-1")) as backend:
        signed = await backend.bucket("plain").sign(
            SignGet(), "k", expires_in=timedelta(hours=1)
        )
    assert signed.url.startswith("https://plain.s3.eu-west-1.amazonaws.com/k?")


async def test_nobody_signs_nothing():
    """Without credentials, on purpose, requests carry no signature, and links are refused."""
    async with S3Backend(S3Config(region="eu-west-1", anonymous=True)) as backend:
        recorder = Recorder(backend)
        await backend.bucket("open").head("k")
        with pytest.raises(UnsupportedOperation, match="anonymous"):
            await backend.bucket("open").sign(
                SignGet(), "k", expires_in=timedelta(hours=1)
            )
    assert len(recorder.seen) == 2
    for _, url, headers in recorder.seen:
        assert url == "https://open.s3.eu-west-1.amazonaws.com/k"
        assert (
            not {"authorization", "x-amz-date", "x-amz-security-token"} & headers.keys()
        )
