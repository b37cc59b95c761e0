"""Objects over HTTP: bytes, metadata, ranges and conditions."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from tests.service.stage import BASE, config_of, refusing, serving

from coatcheck._core.scopes import Location, Scope

pytestmark = pytest.mark.asyncio

BODY = bytes(range(256)) * 40


@pytest.fixture(params=["memory", "files"])
def config(request, tmp_path):
    """A configuration on memory, and one on files."""
    if request.param == "memory":
        return config_of()
    return config_of(storage=f"file:{tmp_path / 'root'}", durable=False)


async def test_put_and_get(config):
    """What was put is what get gives; the answer tells key, ETag and size."""
    async with serving(config) as it:
        put = await it.put("a/b%20c", BODY, content_type="image/png")
        assert (put.status, put.json()) == (200, {"key": "a/b c"})
        got = await it.get("a/b%20c")
        assert (got.status, got.body) == (200, BODY)
        assert got.headers["content-type"] == "image/png"
        assert got.headers["content-length"] == str(len(BODY))
        assert got.headers["etag"] == put.headers["etag"]
        assert put.headers["x-cc-created"] == "true"
        assert "x-cc-created" not in (await it.put("a/b%20c")).headers
        assert await it.stored() == {"attachments/org.42/project.1337/objects/a/b c": 1}


async def test_post_makes_a_key(config):
    """Both forms of the collection's path take a new object."""
    async with serving(config) as it:
        keys = set()
        for path in (BASE, f"{BASE}/"):
            answer = await it.ask("POST", path, b"x")
            assert answer.status == 201
            keys.add(answer.json()["key"])
        assert len(keys) == 2
        assert {len(key) for key in keys} == {36}
        assert [(await it.get(key)).body for key in keys] == [b"x", b"x"]


async def test_head_tells_what_get_tells(config):
    """The same headers and no body."""
    async with serving(config) as it:
        await it.put("k", BODY, x_sn_filename="f.txt", x_snme_a="b")
        got, head = await it.get("k"), await it.head("k")
        assert (head.status, head.body) == (200, b"")
        for answer in (got, head):
            for name in ("date", "x-request-id"):
                del answer.headers[name]
        assert head.headers == got.headers


async def test_delete(config):
    """A deleted object is gone, and so is one that never was."""
    async with serving(config) as it:
        await it.put("k")
        for _ in range(2):
            answer = await it.delete("k")
            assert (answer.status, answer.body) == (204, b"")
            assert "content-length" not in answer.headers
        answer = await it.get("k")
        assert (answer.status, answer.body) == (404, b"")
        assert (await it.head("k")).status == 404


async def test_metadata(config):
    """Escaped values come back escaped, and what only the service knows is its own."""
    async with serving(config) as it:
        await it.put(
            "k",
            BODY,
            content_encoding="zstd",
            x_sn_origin="203.0.113.42",
            x_sn_filename="%C3%BC%25.txt",
            x_snme_Source="upload service",
            x_sn_expiration="ttl:1d 2h",
            x_sn_time_created="nonsense",
            x_sn_time_expires="nonsense",
            x_sn_size="-1",
        )
        headers = (await it.get("k")).headers
        assert headers["content-encoding"] == "zstd"
        assert headers["content-type"] == "application/octet-stream"
        assert headers["x-sn-origin"] == "203.0.113.42"
        assert headers["x-sn-filename"] == "%C3%BC%25.txt"
        assert headers["x-snme-source"] == "upload service"
        assert headers["x-sn-expiration"] == "ttl:1d 2h"
        assert headers["x-sn-size"] == str(len(BODY))
        created = datetime.fromisoformat(headers["x-sn-time-created"])
        expires = datetime.fromisoformat(headers["x-sn-time-expires"])
        assert abs(created - datetime.now(UTC)) < timedelta(seconds=10)
        assert expires - created == timedelta(hours=26)


@pytest.mark.parametrize(
    ("filename", "disposition"),
    [
        (None, "attachment"),
        ("a.txt", 'attachment; filename="a.txt"'),
        ('a"b', r'attachment; filename="a\"b"'),
        (r"..%2f\x", 'attachment; filename="..--x"'),
        ("...", 'attachment; filename="---"'),
        (
            "%C3%BC.txt",
            "attachment; filename=\"_.txt\"; filename*=UTF-8''%C3%BC.txt",
        ),
        ("a%0D%0Ab", 'attachment; filename="a__b"'),
    ],
)
async def test_content_disposition(filename, disposition):
    """Every object is a download, under a name that ends no header."""
    async with serving() as it:
        given = {} if filename is None else {"x_sn_filename": filename}
        await it.put("k", **given)
        assert (await it.get("k")).headers["content-disposition"] == disposition


RANGES = [
    ("bytes=0-0", 206, slice(0, 1)),
    ("bytes=2-5", 206, slice(2, 6)),
    ("BYTES=2-", 206, slice(2, None)),
    ("bytes=-3", 206, slice(-3, None)),
    ("bytes=-99999999", 206, slice(None)),
    ("bytes=5-99999999", 206, slice(5, None)),
    ("bytes=0-1,3-4", 200, slice(None)),
    ("bytes=0-1, 3-4, x", 200, slice(None)),
]


@pytest.mark.parametrize(("text", "status", "part"), RANGES)
async def test_ranges(config, text, status, part):
    """One range of stored bytes; several are none."""
    async with serving(config) as it:
        await it.put("k", BODY)
        answer = await it.get("k", range=text)
        assert (answer.status, answer.body) == (status, BODY[part])
        assert answer.headers["content-length"] == str(len(BODY[part]))
        if status == 206:
            start, stop, _ = part.indices(len(BODY))
            told = f"bytes {start}-{stop - 1}/{len(BODY)}"
            assert answer.headers["content-range"] == told


@pytest.mark.parametrize(
    "text",
    [
        *("bytes=5-1", "bytes=-0", "bytes=a-b", "bytes=", "bytes=-", "bytes", "0-1"),
        *("items=0-1", "bytes=0--1", "bytes=1-2;3", "bytes=--1", "bytes=0x1-2"),
        *("bytes=" + "9" * 30 + "-", "=1-2", "bytes=\u0661-2"),
    ],
)
async def test_malformed_ranges(text):
    """Whatever is no range is told so."""
    async with refusing() as it:
        await it.put("k", BODY)
        answer = await it.get("k", range=text)
        assert answer.status == 400
        assert "range" in answer.detail


@pytest.mark.parametrize("text", ["bytes=10240-", "bytes=10240-10241"])
async def test_unsatisfiable_ranges(config, text):
    """Beyond the end there is nothing, in an empty object nowhere anything."""
    async with refusing(config) as it:
        await it.put("k", BODY)
        await it.put("empty", b"")
        for key, asked, size in (("k", text, 10240), ("empty", "bytes=0-0", 0)):
            answer = await it.get(key, range=asked)
            assert answer.status == 416
            assert answer.headers["content-range"] == f"bytes */{size}"
            assert "range" in answer.detail
        assert (await it.get("absent", range=text)).status == 404


async def test_conditions_on_reads(config):
    """An ETag that is known saves the bytes; another one refuses them."""
    async with serving(config) as it:
        etag = (await it.put("k", BODY)).headers["etag"]
        for answer in (
            await it.get("k", if_none_match=etag),
            await it.get("k", if_none_match=f"W/{etag}"),
            await it.head("k", if_none_match=etag),
        ):
            assert (answer.status, answer.body) == (304, b"")
            assert answer.headers["etag"] == etag
        assert (await it.get("k", if_none_match='"other"')).status == 200
        assert (await it.get("k", if_match=etag)).body == BODY
        assert (await it.get("k", if_match='"other"')).status == 412
        assert (await it.head("k", if_match='"other"')).status == 412
        assert (await it.get("k", if_match=etag, if_none_match=etag)).status == 400


async def test_if_range(config):
    """The range of the object that was seen, else the whole of the other one."""
    async with serving(config) as it:
        old = (await it.put("k", BODY)).headers["etag"]
        answer = await it.get("k", range="bytes=0-1", if_range=old)
        assert (answer.status, answer.body) == (206, BODY[:2])
        await it.put("k", BODY[::-1])
        for seen in (old, f"W/{old}", "Wed, 21 Oct 2015 07:28:00 GMT"):
            answer = await it.get("k", range="bytes=0-1", if_range=seen)
            assert (answer.status, answer.body) == (200, BODY[::-1])


async def test_conditions_on_writes(config):
    """Create once, replace what was seen, delete what was seen."""
    async with serving(config) as it:
        first = await it.put("k", b"1", if_none_match="*")
        assert first.status == 200
        answer = await it.put("k", b"2", if_none_match="*")
        assert answer.status == 412
        assert "exists" in answer.detail
        etag = first.headers["etag"]
        second = await it.put("k", b"2", if_match=etag)
        assert second.status == 200
        assert (await it.put("k", b"3", if_match=etag)).status == 412
        assert (await it.put("absent", b"3", if_match=etag)).status == 412
        assert (await it.delete("k", if_match=etag)).status == 412
        assert (await it.get("k")).body == b"2"
        assert (await it.delete("k", if_match=second.headers["etag"])).status == 204


async def test_a_declared_digest(config):
    """A body that is not what its SHA-256 says is refused, small or large."""
    async with serving(config) as it:
        for body in (BODY, BODY * 200):
            digest = sha256(body).hexdigest()
            wrong = sha256(b"other").hexdigest()
            answer = await it.put("k", body, x_cc_sha256=wrong)
            assert answer.status == 400
            assert "SHA-256" in answer.detail
            assert (await it.get("k")).status == 404
            answer = await it.put("k", body, x_cc_sha256=digest)
            assert answer.headers["x-cc-sha256"] == digest
            assert (await it.get("k")).headers["x-cc-sha256"] == digest
            await it.delete("k")


async def test_write_ids(config):
    """A write that is sent again is recognised by its id, and no conflict."""
    async with serving(config) as it:
        for _ in range(2):
            answer = await it.put("k", if_none_match="*", x_cc_write_id="write-1")
            assert answer.status == 200
        assert (await it.get("k")).headers["x-cc-write-id"] == "write-1"
        assert (await it.put("k", if_none_match="*")).status == 412


async def test_every_answer_is_inert(config):
    """No answer can act in this origin's name, be sniffed, or be cached for others."""
    async with serving(config) as it:
        await it.put("k", b"<script>", content_type="text/html")
        for answer in (
            await it.get("k"),
            await it.head("k"),
            await it.get("absent"),
            await it.put("..", b"x"),
            await it.ask("GET", "/health"),
            await it.ask("GET", "/nowhere"),
        ):
            assert answer.headers["x-content-type-options"] == "nosniff"
            policy = answer.headers["content-security-policy"]
            assert policy == "sandbox; default-src 'none'"
            assert answer.headers["cache-control"] == "private, no-cache"
            assert "x-os-auth" in answer.headers["vary"]
            assert answer.headers["server"].startswith("coatcheck/")


async def test_nothing_is_negotiated(config):
    """Stored bytes with the stored encoding, whatever the client accepts."""
    async with serving(config) as it:
        await it.put("k", BODY, content_encoding="zstd")
        for accepted in ("identity", "gzip", "zstd;q=0"):
            answer = await it.get("k", accept_encoding=accepted)
            assert answer.headers["content-encoding"] == "zstd"
            assert answer.body == BODY


async def test_a_chunked_body(config):
    """A body of unknown length is stored whole."""

    async def chunks():
        for _ in range(100):
            yield BODY

    async with serving(config) as it:
        assert (await it.put("k", chunks())).status == 200
        assert (await it.get("k")).body == BODY * 100


async def test_deadlines(config, clock):
    """From its deadline on an object is absent; TTI counts from the last access."""
    async with serving(config, clock=clock) as it:
        await it.put("ttl", x_sn_expiration="ttl:1h")
        for key in ("got", "headed"):
            await it.put(key, x_sn_expiration="tti:1h")
        first = (await it.get("ttl")).headers["x-sn-time-expires"]
        clock.advance(1800)
        shown = (await it.get("got")).headers["x-sn-time-expires"]
        await it.head("headed")
        assert shown == first  # from before it was moved
        clock.advance(1799.999999)
        assert (await it.get("ttl")).status == 200
        clock.advance(0.000001)
        assert (await it.get("ttl")).status == 404
        assert (await it.head("ttl")).status == 404
        assert (await it.get("got")).status == 200
        assert (await it.get("headed")).status == 200
        clock.advance(3601)
        assert (await it.get("got")).status == 404


async def test_extending(config, clock):
    """A deadline moves to a later time and never to an earlier one."""

    async def patch(key, **what):
        return await it.ask(
            "PATCH",
            f"{BASE}/{key}",
            json.dumps({"extend_expiry": what}),
            content_type="application/json",
        )

    async def deadline():
        return datetime.fromisoformat((await it.get("k")).headers["x-sn-time-expires"])

    async with serving(config, clock=clock) as it:
        created = clock()
        await it.put("k", x_sn_expiration="ttl:1h")
        at = "2099-01-01T00:00:00.123456+00:00"
        for given, expected in (
            ({"after": "3h", "from": "creation"}, created + timedelta(hours=3)),
            ({"after": "1h", "from": "now"}, created + timedelta(hours=3)),
        ):
            answer = await patch("k", **given)
            assert (answer.status, answer.body) == (204, b"")
            assert await deadline() == expected
        assert (await patch("k", at=at)).status == 204
        asked = datetime.fromisoformat(at)
        assert asked <= await deadline() <= asked + timedelta(seconds=1)
        await it.put("manual")
        answer = await patch("manual", after="1h", **{"from": "now"})
        assert answer.status == 409
        assert "never expires" in answer.detail
        answer = await patch("absent", at=at)
        assert (answer.status, answer.body) == (404, b"")


async def test_usecases_and_scopes_are_apart(config):
    """Equal keys of other scopes, orders of scopes, or usecases are other objects."""
    paths = [
        "/v1/objects/one-usecase/_/k",
        "/v1/objects/one-usecase/a=1/k",
        "/v1/objects/one-usecase/a=1;b=2/k",
        "/v1/objects/one-usecase/b=2;a=1/k",
        "/v1/objects/two-usecase/_/k",
    ]
    async with serving(config) as it:
        for path in paths:
            await it.ask("PUT", path, path.encode())
        for path in paths:
            assert (await it.ask("GET", path)).body == path.encode()
        stored = Location("one-usecase", Scope.of(a="1", b="2"), "k").stored_key
        assert stored in await it.stored()


@pytest.mark.parametrize(
    ("raw", "key"),
    [
        ("looks%2520encoded", "looks%20encoded"),
        ("a%2Fb", "a/b"),
        ("a+b", "a+b"),
        ("100%25", "100%"),
        ("%C3%BC", "ü"),
        ("semi;colon=x", "semi;colon=x"),
    ],
)
async def test_keys_are_decoded_once(config, raw, key):
    """Exactly once: what still looks encoded is the key."""
    async with serving(config) as it:
        assert (await it.put(raw, key.encode())).json() == {"key": key}
        assert (await it.get(raw)).body == key.encode()
        (stored,) = await it.stored()
        assert Location.parse(stored).key == key


async def test_request_ids(config):
    """One that is sound is taken over, any other replaced."""
    async with serving(config) as it:
        answer = await it.get("k", x_request_id="trace-1")
        assert answer.headers["x-request-id"] == "trace-1"
        answer = await it.get("k", x_request_id="not <sound>")
        assert len(answer.headers["x-request-id"]) == 32
