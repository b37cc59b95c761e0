"""Multipart and resumable uploads over HTTP, where they go wrong."""

from __future__ import annotations

import asyncio
import hashlib
import json
from base64 import b64encode

import pytest
from tests.service.stage import BASE, SCOPE, USECASE, config_of, refusing, serving

pytestmark = pytest.mark.asyncio

MIB = 1024 * 1024
PART = bytes(range(256)) * 100
LAST = b"the last part"
JSON = {"content-type": "application/json"}
PLACE = f"{USECASE}/{SCOPE}"
MULTIPART = f"/v1/objects:multipart/{PLACE}"
PARTS = f"/v1/objects:multipart:parts/{PLACE}"
COMPLETE = f"/v1/objects:multipart:complete/{PLACE}"


@pytest.fixture(params=["memory", "files"])
def config(request, tmp_path):
    """A configuration on memory, and one on files."""
    fields = {"max_object_bytes": 20_000_000, "body_timeout": 2}
    if request.param == "files":
        fields |= {"storage": f"file:{tmp_path / 'root'}", "durable": False}
    return config_of(**fields)


async def begun(it, key="k", **headers):
    answer = await it.ask("PUT", f"{MULTIPART}/{key}", **headers)
    assert answer.status == 200
    assert answer.json()["key"] == key
    return answer.json()["upload_id"]


async def part_put(it, upload, number, body, key="k", **headers):
    path = f"{PARTS}/{key}?upload_id={upload}&part_number={number}"
    return await it.ask("PUT", path, body, **headers)


async def completed(it, upload, parts, key="k"):
    document = {"parts": [{"part_number": n, "etag": etag} for n, etag in parts]}
    return await it.ask(
        "POST", f"{COMPLETE}/{key}?upload_id={upload}", json.dumps(document), **JSON
    )


async def aborted(it, upload, key="k"):
    answer = await it.ask("DELETE", f"{MULTIPART}/{key}?upload_id={upload}")
    assert answer.status == 204


async def test_multipart(config):
    """Parts are listed page by page, joined, and gone afterwards."""
    async with serving(config) as it:
        upload = await begun(it, x_snme_a="b", content_type="video/mp4")
        etags = {}
        for number, body in ((3, LAST), (1, PART), (2, PART)):
            answer = await part_put(it, upload, number, body)
            assert answer.status == 200
            etags[number] = answer.json()["etag"]
        seen, marker = [], 0
        while marker is not None:
            path = (
                f"{PARTS}/k?upload_id={upload}&max_parts=2&part_number_marker={marker}"
            )
            page = (await it.ask("GET", path)).json()
            seen += page["parts"]
            assert page["is_truncated"] == (len(seen) < 3)
            marker = page.get("next_part_number_marker")
        assert [part["part_number"] for part in seen] == [1, 2, 3]
        assert [part["size"] for part in seen] == [len(PART), len(PART), len(LAST)]
        assert {part["part_number"]: part["etag"] for part in seen} == etags
        assert all(part["last_modified"].endswith("Z") for part in seen)
        answer = await completed(it, upload, sorted(etags.items()))
        assert (answer.status, answer.json()) == (200, {"key": "k"})
        found = await it.get("k")
        assert found.body == PART * 2 + LAST
        assert found.headers["x-snme-a"] == "b"
        assert list((await it.stored()).values()) == [len(PART) * 2 + len(LAST)]


async def test_the_answer_breathes(config, monkeypatch):
    """While parts are joined spaces keep the connection alive."""
    from coatcheck.service import _multipart

    monkeypatch.setattr(_multipart, "_BREATH", 0.05)
    async with serving(config) as it:
        upload = await begun(it)
        etag = (await part_put(it, upload, 1, LAST)).json()["etag"]
        bucket = it.bucket.inner.inner
        complete = bucket.complete

        async def slow(*args):
            await asyncio.sleep(0.5)
            return await complete(*args)

        monkeypatch.setattr(type(bucket), "complete", lambda _, *args: slow(*args))
        answer = await completed(it, upload, [(1, etag)])
        assert answer.body.startswith(b"  ")
        assert json.loads(answer.body) == {"key": "k"}


BAD_PARTS = [
    ("part_number=0", PART, {}, 400),
    ("part_number=-1", PART, {}, 400),
    ("part_number=x", PART, {}, 400),
    ("part_number=10001", PART, {}, 400),
    ("part_number=999999999999", PART, {}, 400),
    ("", PART, {}, 400),
    ("part_number=1&part_number=2", PART, {}, 400),
    ("part_number=1", PART, {"content-md5": "nonsense"}, 400),
    ("part_number=1", PART, {"content-md5": b64encode(b"short").decode()}, 400),
    ("part_number=1", PART, {"content-md5": b64encode(b"0" * 16).decode()}, 400),
    ("part_number=1", b"x" * 20_000_001, {}, 413),
]


@pytest.mark.parametrize(("query", "body", "headers", "status"), BAD_PARTS)
async def test_bad_parts(config, query, body, headers, status):
    """Numbers, sizes and digests that cannot be; no part is left of them."""
    async with refusing(config) as it:
        upload = await begun(it)
        answer = await it.ask(
            "PUT", f"{PARTS}/k?upload_id={upload}&{query}", body, **headers
        )
        assert answer.status == status
        assert answer.detail.startswith("client error: ")
        listed = await it.ask("GET", f"{PARTS}/k?upload_id={upload}")
        assert listed.json() == {"parts": [], "is_truncated": False}
        await aborted(it, upload)
        assert await it.stored() == {}


async def test_a_part_without_a_length(config):
    """Parts are announced with their length."""

    async def chunks():
        yield PART

    async with refusing(config) as it:
        upload = await begun(it)
        answer = await part_put(it, upload, 1, chunks())
        assert answer.status == 400
        assert "content-length" in answer.detail
        await aborted(it, upload)


async def test_a_sound_md5(config):
    """A part that is what its MD5 says is taken."""
    async with serving(config) as it:
        upload = await begun(it)
        digest = b64encode(hashlib.md5(PART).digest()).decode()
        answer = await part_put(it, upload, 1, PART, content_md5=digest)
        assert answer.status == 200
        await aborted(it, upload)


UPLOAD_IDS = [None, "", "nonsense", "../../etc", "a.b", "%00", "x" * 5000]


@pytest.mark.parametrize("upload_id", UPLOAD_IDS, ids=str)
async def test_upload_ids(config, upload_id):
    """An id that was not made here is refused on every route."""
    async with refusing(config) as it:
        query = "" if upload_id is None else f"upload_id={upload_id}"
        for method, path, body in (
            ("PUT", f"{PARTS}/k?part_number=1&{query}", PART),
            ("GET", f"{PARTS}/k?{query}", None),
            ("POST", f"{COMPLETE}/k?{query}", '{"parts":[]}'),
            ("DELETE", f"{MULTIPART}/k?{query}", None),
        ):
            answer = await it.ask(method, path, body, **JSON)
            assert answer.status == 400, method
            assert "upload_id" in answer.detail
        assert await it.stored() == {}


async def test_an_upload_of_another_key(config):
    """An id is good for its own key and scope alone."""
    async with serving(config) as it:
        upload = await begun(it)
        answer = await part_put(it, upload, 1, PART, key="other")
        assert answer.status == 404
        other = f"/v1/objects:multipart/{USECASE}/_/k?upload_id={upload}"
        assert (await it.ask("DELETE", other)).status == 404
        assert (await part_put(it, upload, 1, PART)).status == 200
        await aborted(it, upload)


COMPLETIONS = [
    (b"", 400),
    (b"{", 400),
    (b"[]", 422),
    (b"{}", 422),
    (b'{"parts": {}}', 422),
    (b'{"parts": [{"part_number": 0, "etag": "x"}]}', 422),
    (b'{"parts": [{"part_number": "1", "etag": "x"}]}', 422),
    (b'{"parts": [{"part_number": 1}]}', 422),
    (b'{"parts": [{"part_number": 1, "etag": 5}]}', 422),
    (b'{"parts": [' + b" " * 2_000_001, 413),
]


@pytest.mark.parametrize(
    ("body", "status"), COMPLETIONS, ids=lambda each: repr(each)[:50]
)
async def test_completions(config, body, status):
    """Documents that name no parts; the upload stays as it is."""
    async with refusing(config) as it:
        upload = await begun(it)
        etag = (await part_put(it, upload, 1, LAST)).json()["etag"]
        answer = await it.ask("POST", f"{COMPLETE}/k?upload_id={upload}", body, **JSON)
        assert answer.status == status
        assert answer.detail.startswith("client error: ")
        assert (await it.get("k")).status == 404
        assert (await completed(it, upload, [(1, etag)])).json() == {"key": "k"}


async def test_failed_completions(config):
    """They are told in a 200, with a code, and the upload lives on."""
    async with refusing(config) as it:
        upload = await begun(it)
        etags = [
            (number, (await part_put(it, upload, number, LAST)).json()["etag"])
            for number in (1, 2)
        ]
        for parts in (
            [],
            [(1, "wrong"), etags[1]],
            [*etags, (3, etags[0][1])],
            [etags[1], etags[0]],
            [etags[0], etags[0]],
        ):
            answer = await completed(it, upload, parts)
            assert answer.status == 200
            assert answer.json()["error"]["code"] == "InvalidPart"
        assert (await it.get("k")).status == 404
        assert (await completed(it, upload, etags)).json() == {"key": "k"}
        # The object stands, so that this is the same completion again.
        assert (await completed(it, upload, etags)).json() == {"key": "k"}
        await it.delete("k")
        answer = await completed(it, upload, etags)
        assert answer.json()["error"]["code"] == "NoSuchUpload"
        assert await it.stored() == {}


async def test_a_completed_object_that_is_too_large(config):
    """Parts that are too much together are not joined."""
    async with serving(config) as it:
        upload = await begun(it)
        body = b"x" * 11_000_000
        etags = [
            (number, (await part_put(it, upload, number, body)).json()["etag"])
            for number in (1, 2)
        ]
        answer = await completed(it, upload, etags)
        assert answer.json()["error"]["code"] == "EntityTooLarge"
        await aborted(it, upload)
        assert await it.stored() == {}


async def test_bodies_where_none_belong(config):
    """Initiation, session creation and offset queries take no body."""
    async with refusing(config) as it:
        for method, path in (("PUT", f"{MULTIPART}/k"), ("POST", f"{MULTIPART}/")):
            answer = await it.ask(method, path, b"body")
            assert answer.status == 400
        answer = await it.put("k?upload_type=resumable", b"body", upload_length="4")
        assert answer.status == 400
        session, _ = await opened(it, 10)
        answer = await it.put(f"k?session={session}", b"body", upload_offset="*")
        assert answer.status == 400
        await it.delete(f"k?session={session}")
        assert await it.stored() == {}


async def opened(it, total, key="k", **headers):
    """Begin a session; return its token and granularity."""
    answer = await it.put(
        f"{key}?upload_type=resumable", None, upload_length=str(total), **headers
    )
    assert answer.status == 200
    assert answer.json()["key"] == key
    return answer.json()["session"], answer.json()["granularity"]


async def appended(it, session, offset, body, key="k"):
    return await it.put(f"{key}?session={session}", body, upload_offset=str(offset))


async def test_resumable(config):
    """Pieces are kept in whole units, and the last one makes the object."""
    async with serving(config) as it:
        session, unit = await opened(it, 10 * MIB, x_snme_a="b")
        body = bytes(range(256)) * (10 * MIB // 256)
        answer = await appended(it, session, 0, body[: unit + 5])
        assert (answer.status, answer.headers["upload-offset"]) == (204, str(unit))
        answer = await appended(it, session, "*", None)
        assert (answer.status, answer.headers["upload-offset"]) == (204, str(unit))
        answer = await appended(it, session, unit, b"")
        assert (answer.status, answer.headers["upload-offset"]) == (204, str(unit))
        assert (await it.get("k")).status == 404
        answer = await appended(it, session, unit, body[unit:])
        assert (answer.status, answer.json()) == (201, {"key": "k"})
        found = await it.get("k")
        assert found.body == body
        assert found.headers["x-snme-a"] == "b"
        for again in (
            await appended(it, session, "*", None),
            await appended(it, session, unit, body[unit:]),
        ):
            assert (again.status, again.json()) == (201, {"key": "k"})
        assert list((await it.stored()).values()) == [len(body)]


async def test_a_session_for_a_new_key(config):
    """The collection makes the key."""
    async with serving(config) as it:
        answer = await it.ask(
            "POST", f"{BASE}/?upload_type=resumable", upload_length="5"
        )
        key, session = answer.json()["key"], answer.json()["session"]
        assert len(key) == 36
        answer = await appended(it, session, 0, b"hello", key=key)
        assert (answer.status, answer.json()) == (201, {"key": key})
        assert (await it.get(key)).body == b"hello"


@pytest.mark.parametrize("offset", [5, MIB, 4 * MIB - 1, 4 * MIB + 1, 9 * MIB])
async def test_offsets_that_skip(config, offset):
    """A piece at another offset is refused, and the right one is told."""
    async with refusing(config) as it:
        session, unit = await opened(it, 10 * MIB)
        await appended(it, session, 0, b"x" * unit)
        answer = await appended(it, session, offset, b"y" * 10)
        assert answer.status == 409
        assert answer.headers["upload-offset"] == str(unit)
        assert str(unit) in answer.detail
        await it.delete(f"k?session={session}")
        assert await it.stored() == {}


BAD_PIECES = [
    (None, b"x"),
    ("", b"x"),
    ("-1", b"x"),
    ("x", b"x"),
    ("1.0", b"x"),
    ("**", b""),
    ("+0", b"x"),
    ("9" * 19, b"x"),
    ("0", b"x" * (10 * MIB + 1)),
    (str(10 * MIB), b"x"),
    (str(11 * MIB), b""),
]


@pytest.mark.parametrize(
    ("offset", "body"), BAD_PIECES, ids=lambda each: repr(each)[:20]
)
async def test_bad_pieces(config, offset, body):
    """Offsets that are none, and pieces beyond the announced end."""
    async with refusing(config) as it:
        session, _ = await opened(it, 10 * MIB)
        headers = {} if offset is None else {"upload-offset": offset}
        answer = await it.put(f"k?session={session}", body, **headers)
        assert answer.status == 400
        assert answer.detail.startswith("client error: ")
        answer = await appended(it, session, "*", None)
        assert answer.headers["upload-offset"] == "0"
        await it.delete(f"k?session={session}")
        assert await it.stored() == {}


async def test_a_piece_without_a_length(config):
    """Pieces are announced with their length."""

    async def chunks():
        yield b"x"

    async with refusing(config) as it:
        session, _ = await opened(it, 10)
        answer = await appended(it, session, 0, chunks())
        assert answer.status == 400
        assert "content-length" in answer.detail
        await it.delete(f"k?session={session}")


BAD_SESSIONS = [
    ("PUT", "k?upload_type=resumable", {}, 400),
    ("PUT", "k?upload_type=resumable", {"upload-length": "x"}, 400),
    ("PUT", "k?upload_type=resumable", {"upload-length": "-1"}, 400),
    ("PUT", "k?upload_type=resumable", {"upload-length": "0"}, 501),
    ("PUT", "k?upload_type=resumable", {"upload-length": "20000001"}, 413),
    ("PUT", "k?upload_type=other", {"upload-length": "1"}, 400),
    ("POST", "?upload_type=other", {"upload-length": "1"}, 400),
    ("POST", "?session=x", {"upload-offset": "*"}, 400),
    ("DELETE", "k?upload_type=resumable", {}, 400),
    ("PUT", "k?session=nonsense", {"upload-offset": "*"}, 404),
    ("PUT", "k?session=", {"upload-offset": "*"}, 404),
    ("PUT", "k?session=../..&upload_type=resumable", {"upload-offset": "*"}, 404),
    ("DELETE", "k?session=nonsense", {}, 404),
    ("PUT", "k?upload_type=resumable", {"upload-length": "1", "x-snme-a": "%"}, 400),
]


@pytest.mark.parametrize(("method", "path", "headers", "status"), BAD_SESSIONS)
async def test_bad_sessions(config, method, path, headers, status):
    """Lengths, kinds and tokens that cannot be; nothing is begun."""
    async with refusing(config) as it:
        answer = await it.ask(method, f"{BASE}/{path}", **headers)
        assert answer.status == status
        assert answer.detail.startswith("client error: ")
        assert await it.stored() == {}


async def test_tokens_are_not_interchangeable(config):
    """A multipart id is no session, and a session no multipart id."""
    async with serving(config) as it:
        upload = await begun(it)
        session, _ = await opened(it, 10)
        assert (await appended(it, upload, "*", None)).status == 404
        assert (await part_put(it, session, 1, PART)).status == 400
        await aborted(it, upload)
        await it.delete(f"k?session={session}")
        assert await it.stored() == {}


async def test_a_cancelled_session(config):
    """It is over, twice as well, and nothing is left."""
    async with serving(config) as it:
        session, unit = await opened(it, 10 * MIB)
        await appended(it, session, 0, b"x" * unit)
        for _ in range(2):
            assert (await it.delete(f"k?session={session}")).status == 204
        answer = await appended(it, session, "*", None)
        assert answer.status == 404
        assert "session" in answer.detail
        assert await it.stored() == {}


async def test_a_connection_lost_in_a_piece(config):
    """What came before in whole units is held; the rest comes again."""
    async with serving(config) as it:
        session, unit = await opened(it, 10 * MIB)
        body = bytes(range(256)) * (10 * MIB // 256)
        reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
        writer.write(
            f"PUT {BASE}/k?session={session} HTTP/1.1\r\nhost: x\r\nupload-offset: 0\r\n"
            f"content-length: {len(body)}\r\n\r\n".encode()
        )
        writer.write(body[: unit + 1000])
        await writer.drain()
        async with asyncio.timeout(20):
            while True:
                answer = await appended(it, session, "*", None)
                if answer.headers["upload-offset"] == str(unit):
                    break
                await asyncio.sleep(0.05)
        writer.close()
        assert await reader.read() == b""
        await it.idle()
        answer = await appended(it, session, unit, body[unit:])
        assert answer.status == 201
        assert (await it.get("k")).body == body


async def test_concurrent_pieces(config):
    """Two who send the same piece end with one whole object."""
    async with serving(config) as it:
        session, unit = await opened(it, 8 * MIB)
        body = bytes(range(256)) * (8 * MIB // 256)
        await appended(it, session, 0, body[:unit])
        answers = await asyncio.gather(
            *(appended(it, session, unit, body[unit:]) for _ in range(4))
        )
        assert {answer.status for answer in answers} <= {201, 409}
        assert 201 in {answer.status for answer in answers}
        assert (await it.get("k")).body == body
        assert list((await it.stored()).values()) == [len(body)]


@pytest.mark.parametrize("then", ["nothing", "replaced", "deleted", "a day later"])
async def test_a_lost_last_answer(config, clock, then):
    """Who lost it asks again and is told, for a day, whatever became of the object."""
    async with serving(config, clock=clock) as it:
        session, _ = await opened(it, 5)
        assert (await appended(it, session, 0, b"hello")).status == 201
        if then == "replaced":
            await it.put("k", b"other")
        if then in ("deleted", "a day later"):
            await it.delete("k")
        if then == "a day later":
            clock.advance(86_400)
        for answer in (
            await appended(it, session, "*", None),
            await appended(it, session, 0, b"hello"),
        ):
            assert answer.status == (404 if then == "a day later" else 201)
        if then == "replaced":
            assert (await it.get("k")).body == b"other"


async def test_a_store_that_fails_at_the_end(config, monkeypatch):
    """When the object cannot appear the session stays, and asking again finishes it."""
    from coatcheck.errors import BackendUnavailable

    async with serving(config) as it:
        session, _ = await opened(it, 5)
        driver = type(it.bucket.inner.inner)
        complete, failures = driver.complete, [True]

        async def failing(self, *args):
            if failures:
                failures.pop()
                raise BackendUnavailable("not now")
            return await complete(self, *args)

        monkeypatch.setattr(driver, "complete", failing)
        answer = await appended(it, session, 0, b"hello")
        assert answer.status == 503
        assert answer.headers["retry-after"] == "1"
        assert (await it.get("k")).status == 404
        answer = await appended(it, session, "*", None)
        assert (answer.status, answer.json()) == (201, {"key": "k"})
        assert (await it.get("k")).body == b"hello"


async def test_a_session_of_another_key(config):
    """A token is good for its own key and scope alone."""
    async with serving(config) as it:
        session, _ = await opened(it, 5)
        assert (await appended(it, session, 0, b"hello", key="other")).status == 404
        path = f"/v1/objects/{USECASE}/_/k?session={session}"
        assert (await it.ask("PUT", path, upload_offset="*")).status == 404
        assert (await it.ask("DELETE", path)).status == 404
        assert (await appended(it, session, 0, b"hello")).status == 201
        assert list((await it.stored()).values()) == [5]
