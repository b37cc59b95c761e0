"""Bad requests: each gets its status and a reason in less than a second.

Nothing is left of them.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from pathlib import Path

import pytest
from tests.service.stage import BASE, SCOPE, USECASE, config_of, refusing, serving

pytestmark = pytest.mark.asyncio

MULTIPART = BASE.replace("objects", "objects:multipart", 1)
PARTS = BASE.replace("objects", "objects:multipart:parts", 1)
COMPLETE = BASE.replace("objects", "objects:multipart:complete", 1)
SCAN = BASE.replace("objects", "objects:scan", 1)
BATCH = BASE.replace("objects", "objects:batch", 1)
OBJECTS = "/v1/objects"
JSON = {"content-type": "application/json"}
SOON = {"extend_expiry": {"at": "2099-01-01T00:00:00Z"}}


@pytest.fixture(params=["memory", "files"])
def config(request, tmp_path):
    """A configuration on memory, and one on files; bodies may pause for half a second."""
    fields = {"body_timeout": 0.5, "max_object_bytes": 1_000_000}
    if request.param == "files":
        fields |= {"storage": f"file:{tmp_path / 'root'}", "durable": False}
    return config_of(**fields)


KEYS = [
    *("..", ".", "a/../b", "../a", "a/./b", "a//b", "/a", "a/"),
    *("%2e%2e", "a%2F..%2Fb", "%2Fa", "a%2F", "%00", "a%00b", "a%0Ab", "%7F"),
    *("100%", "%", "%zz", "%4", "a%2", "%ff", "%C3", "%ED%A0%80", "e%CC%81"),
    *("k" * 1025, "k" * 2048, "%C3%BC" * 513, "a%E2%80%A8b"),
]


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key[:20])
async def test_keys(config, key):
    """Keys that are not canonical, or not sound UTF-8 in sound escapes."""
    async with refusing(config) as it:
        for method in ("PUT", "GET", "HEAD", "DELETE", "PATCH"):
            answer = await it.ask(method, f"{BASE}/{key}", b"x")
            # An empty key is none: that path is the collection's.
            assert answer.status == 400, (method, key)
            if method != "HEAD":
                assert answer.detail.startswith("client error: ")
        assert await it.stored() == {}


PATHS = [
    *("ab/_", "a b c/_", "%C3%BCse/_", "use.case/_", "u" * 65 + "/_", "..%2F../_"),
    *("usecase", "usecase/", "usecase//k", "usecase/org", "usecase/org=", "usecase/=1"),
    *("usecase/org=1;", "usecase/;", "usecase/org=1;org=2", "usecase/a/b=c"),
    *("usecase/org=a.b", "usecase/org=a b", "usecase/o%2Fg=1", "usecase/org=%00"),
    *("usecase/org:1", "usecase/org=1,team=2", "usecase/__", "%ff/_", "use%case/_"),
]


@pytest.mark.parametrize("path", PATHS)
async def test_usecases_and_scopes(path):
    """Paths that name no usecase or scope."""
    async with refusing() as it:
        for end in ("/k", "/", ""):
            for method in ("PUT", "POST", "GET"):
                answer = await it.ask(
                    method, f"{OBJECTS}/{path}{end}".replace(" ", "%20"), b"x"
                )
                assert answer.status == 400, (method, end)
                assert answer.detail.startswith("client error: ")
        assert await it.stored() == {}


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", f"{BASE}/", "POST"),
        ("PUT", BASE, "POST"),
        ("DELETE", f"{BASE}/", "POST"),
        ("POST", f"{BASE}/k", "DELETE, GET, HEAD, PATCH, PUT"),
        ("OPTIONS", f"{BASE}/k", "DELETE, GET, HEAD, PATCH, PUT"),
        ("GET", f"{MULTIPART}/k", "DELETE, PUT"),
        ("POST", f"{PARTS}/k", "GET, PUT"),
        ("GET", f"{COMPLETE}/k", "POST"),
        ("PUT", f"{BATCH}/", "POST"),
        ("POST", f"{SCAN}/", "GET"),
    ],
)
async def test_methods(method, path, allowed):
    """A method that a route does not have is told which it has."""
    async with refusing() as it:
        answer = await it.ask(method, path, b"x")
        assert answer.status == 405
        assert answer.headers["allow"] == allowed
        assert "not for this path" in answer.detail
        assert await it.stored() == {}


@pytest.mark.parametrize(
    "path",
    ["/", "/v1", "/v2/objects/use/_/k", "/v1/object/use/_/k", f"{OBJECTS}:nix/use/_/k"],
)
async def test_unknown_routes(path):
    """What is no route is told so."""
    async with refusing() as it:
        answer = await it.ask("GET", path)
        assert answer.status == 404
        assert answer.detail


HEADERS = [
    {"content-type": "nonsense"},
    {"content-type": ""},
    {"content-type": "a/b; c"},
    {"content-encoding": "gzip"},
    {"content-encoding": "zstd, zstd"},
    {"x-sn-expiration": "nonsense"},
    {"x-sn-expiration": "ttl:"},
    {"x-sn-expiration": "ttl:-1s"},
    {"x-sn-expiration": "ttl:0s"},
    {"x-sn-expiration": "ttl:1day"},
    {"x-sn-expiration": "ttl:1h1d"},
    {"x-sn-expiration": "ttl:999999999d"},
    {"x-sn-expiration": "idle:1h"},
    {"x-sn-expiration": ""},
    {"x-sn-filename": "%"},
    {"x-sn-filename": "%zz"},
    {"x-sn-filename": "%ff"},
    {"x-sn-origin": "\xfc"},
    {"x-snme-a": "100%"},
    {"x-snme-": "no name"},
    {"x-snme-" + "n" * 65: "long name"},
    {"x-snme-a!b": "odd name"},
    {"x-snme-a": "v" * 3000},
    {"x-snme-a": "v" * 1000, "x-snme-b": "v" * 1000, "x-snme-c": "v" * 100},
    {"x-cc-sha256": "abc"},
    {"x-cc-write-id": "not an id"},
    {"if-match": "etag"},
    {"if-match": '"a", "b"'},
    {"if-none-match": '"a"'},
    {"if-none-match": "*", "if-match": '"a"'},
]


@pytest.mark.parametrize("headers", HEADERS, ids=str)
async def test_metadata(config, headers):
    """Headers that say nothing sound about an object."""
    async with refusing(config) as it:
        for method, path in (("PUT", f"{BASE}/k"), ("POST", f"{BASE}/")):
            answer = await it.ask(method, path, b"x", **headers)
            assert answer.status == 400, (method, headers)
            assert answer.detail.startswith("client error: ")
        assert await it.stored() == {}


@pytest.mark.parametrize(
    "header", ["x-snme-a", "x-sn-origin", "x-sn-expiration", "content-type", "if-match"]
)
async def test_headers_given_twice(header):
    """Of two values neither is right."""
    async with refusing() as it:
        answer = await it.send(
            f"PUT {BASE}/k HTTP/1.1\r\nhost: x\r\n{header}: a/b\r\n{header}: c/d\r\n"
            "content-length: 1\r\n\r\nx".encode()
        )
        assert answer.status == 400
        assert "twice" in answer.detail
        assert await it.stored() == {}


SMUGGLED = [
    b"x-snme-a: b\rx-snme-c: d",
    b"x-snme-a: b\nx-evil: 1",
    b"x-snme-a: b\x00c",
    b"x-snme-a: b\x0bc",
    b"x-snme-a : b",
    b" folded: x",
    b"content-length: 2",
    b"content-length: 1, 1",
    b"content-length: -1",
    b"content-length: +1",
    b"content-length: 0x1",
    b"content-length: 99999999999999999999999",
    b"transfer-encoding: chunked",
    b"transfer-encoding: gzip, chunked",
]


@pytest.mark.parametrize("line", SMUGGLED, ids=repr)
async def test_headers_that_are_no_headers(line):
    """Nothing that another reader of HTTP could take for something else."""
    async with refusing() as it:
        answer = await it.send(
            b"PUT %s/k HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n%s\r\n\r\nx"
            % (BASE.encode(), line)
        )
        assert answer.status == 400
        assert answer.detail
        assert await it.stored() == {}


async def test_no_http_at_all():
    """What is not HTTP is told so, and the service goes on."""
    async with refusing() as it:
        for sent in (
            b"\x16\x03\x01\x02\x00\x01",
            b"GET\r\n\r\n",
            b"GET / HTTP/9.9\r\n\r\n",
        ):
            answer = await it.send(sent + b"\r\n\r\n")
            assert answer.status == 400
            assert answer.detail
        assert (await it.ask("GET", "/health")).status == 200


@pytest.mark.parametrize("filler", [b"x-a: " + b"b" * 70_000, b"x-a: b\r\n" * 9_000])
async def test_heads_without_an_end(filler):
    """Neither one endless header nor endlessly many fill the memory."""
    async with refusing() as it:
        answer = await it.send(b"GET /health HTTP/1.1\r\n" + filler, end=False)
        assert answer.status == 400
        assert answer.detail


async def test_long_paths():
    """A path of 100 KB is no request."""
    async with refusing() as it:
        answer = await it.send(
            f"GET {BASE}/{'k' * 100_000} HTTP/1.1\r\nhost: x\r\n\r\n".encode()
        )
        assert answer.status == 400


BODIES = {
    "chunked, ends early": b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "chunked, cut in a chunk": b"transfer-encoding: chunked\r\n\r\n500\r\nhello",
    "content-length too large": b"content-length: 500\r\n\r\nhello",
}


@pytest.mark.parametrize("rest", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("hangs_up", [True, False])
async def test_bodies_that_end_early(config, rest, hangs_up):
    """Neither half a body nor a wait for the rest becomes an object."""
    async with refusing(config) as it:
        sent = b"PUT %s/k HTTP/1.1\r\nhost: x\r\n" % BASE.encode() + rest
        if hangs_up:
            with pytest.raises(asyncio.IncompleteReadError):
                await it.send(sent)
        else:
            answer = await it.send(sent, end=False)
            assert answer.status == 408
            assert answer.headers["connection"] == "close"
            assert "nothing of the body came" in answer.detail
        await it.idle()
        assert (await it.get("k")).status == 404
        assert await it.stored() == {}
        assert _drafts(config) == []


async def test_a_malformed_chunk(config):
    """What is no chunk ends the request."""
    async with refusing(config) as it:
        sent = b"transfer-encoding: chunked\r\n\r\nnonsense\r\nhello\r\n0\r\n\r\n"
        answer = await it.send(
            b"PUT %s/k HTTP/1.1\r\nhost: x\r\n" % BASE.encode() + sent
        )
        assert answer.status == 400
        await it.idle()
        assert await it.stored() == {}


async def test_content_length_too_small(config):
    """The object has the declared bytes, and the rest is no request."""
    async with serving(config) as it:
        reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
        writer.write(
            b"PUT %s/k HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nhello"
            % BASE.encode()
        )
        answers = await reader.read()
        writer.close()
        assert answers.startswith(b"HTTP/1.1 ")
        assert b"HTTP/1.1 400 " in answers
        body = (await it.get("k")).body
        assert body in (b"he", b"")
        assert list((await it.stored()).values()) in ([2], [])


async def test_bodies_without_an_end(config):
    """A body is cut off at the most that an object may have."""
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    async with serving(config) as it:
        _, writer = await asyncio.open_connection("127.0.0.1", it.port)
        writer.write(
            b"PUT %s/k HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
            % BASE.encode()
        )
        sent = 0
        with suppress(ConnectionError):
            while sent < 200_000_000:
                writer.write(chunk)
                sent += len(chunk)
                await writer.drain()
        assert sent < 200_000_000
        writer.close()
        await it.idle()
        assert await it.stored() == {}
        assert _drafts(config) == []


@pytest.mark.parametrize("declared", [True, False])
async def test_bodies_that_are_too_long(config, declared):
    """One byte more than an object may have is answered 413."""

    async def chunks():
        for _ in range(11):
            yield b"x" * 100_000

    async with refusing(config) as it:
        body = b"x" * 1_000_001 if declared else chunks()
        answer = await it.put("k", body)
        assert answer.status == 413
        assert "longer than 1000000" in answer.detail
        assert await it.stored() == {}
        assert (await it.put("k", b"x" * 1_000_000)).status == 200


PATCHES = [
    (b"", 400),
    (b"{", 400),
    (b"[" * 100_000, 400),
    (b"\xff", 400),
    (b"null", 422),
    (b"[]", 422),
    (b"{}", 422),
    (b'{"extend_expiry": {}}', 422),
    (b'{"extend_expiry": {"at": 5}}', 422),
    (b'{"extend_expiry": {"at": "tomorrow"}}', 422),
    (b'{"extend_expiry": {"at": "2030-01-01T00:00:00"}}', 422),
    (b'{"extend_expiry": {"after": "1h"}}', 422),
    (b'{"extend_expiry": {"after": "1h", "from": "then"}}', 422),
    (b'{"extend_expiry": {"after": "-1h", "from": "now"}}', 422),
    (
        b'{"extend_expiry": {"after": "1h", "from": "now", "at": "2030-01-01T00:00:00Z"}}',
        422,
    ),
    (b'{"extend_expiry": {"at": "2030-01-01T00:00:00Z"}, "more": 1}', 422),
    (b'{"extend_expiry": {"at": "2030-01-01T00:00:00Z", "more": 1}}', 422),
    (json.dumps(SOON).encode() + b" " * 2_000_001, 413),
]


@pytest.mark.parametrize(("body", "status"), PATCHES, ids=lambda each: repr(each)[:60])
async def test_patches(config, body, status):
    """JSON that is none, or says something else."""
    async with refusing(config) as it:
        await it.put("k", x_sn_expiration="ttl:1h")
        before = (await it.get("k")).headers["x-sn-time-expires"]
        answer = await it.ask("PATCH", f"{BASE}/k", body, **JSON)
        assert answer.status == status
        assert answer.detail.startswith("client error: ")
        assert (await it.get("k")).headers["x-sn-time-expires"] == before


@pytest.mark.parametrize("media", [None, "text/plain", "application/xml", "json"])
async def test_json_must_be_called_so(media):
    """Another content type is answered 415, for PATCH and for completion."""
    async with refusing() as it:
        headers = {} if media is None else {"content-type": media}
        answer = await it.ask("PATCH", f"{BASE}/k", json.dumps(SOON), **headers)
        assert answer.status == 415
        upload = (await it.ask("PUT", f"{MULTIPART}/k")).json()["upload_id"]
        answer = await it.ask(
            "POST", f"{COMPLETE}/k?upload_id={upload}", b'{"parts":[]}', **headers
        )
        assert answer.status == 415
        await it.ask("DELETE", f"{MULTIPART}/k?upload_id={upload}")


@pytest.mark.parametrize(
    "query",
    [
        "prefix=%00",
        "prefix=%ff",
        "delimiter=x",
        "limit=0",
        "limit=-1",
        "limit=x",
        "limit=1&limit=2",
    ],
)
async def test_scans(query):
    """Queries that ask for nothing sound."""
    async with refusing() as it:
        answer = await it.ask("GET", f"{SCAN}/?{query}")
        assert answer.status == 400
        assert answer.detail.startswith("client error: ")


async def test_it_goes_on_after_all_of_it(config):
    """After nothing but bad requests the service does its work."""
    async with refusing(config) as it:
        for key in KEYS:
            await it.put(key)
        for headers in HEADERS:
            await it.put("k", **headers)
        assert (await it.put("k", b"sound")).status == 200
        assert (await it.get("k")).body == b"sound"
        assert list(await it.stored()) == [f"{USECASE}/{SCOPE_FOLDER}/objects/k"]


SCOPE_FOLDER = SCOPE.replace("=", ".").replace(";", "/")


def _drafts(config) -> list[str]:
    """Return the temporary files of a storage on files."""
    if not config.storage.startswith("file:"):
        return []
    control = Path(config.storage.removeprefix("file:"), ".coatcheck", "buckets")
    return [str(path) for path in control.rglob("drafts/*")]
