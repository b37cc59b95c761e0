"""Links to memory and files, fetched by plain HTTP and by `retrieve`."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from coatcheck import ByteSpan, TimeToIdle, TimeToLive
from coatcheck.abc import PutInfo, SignGet
from coatcheck.errors import IntegrityError, InvalidInput, StashNotFound

pytestmark = pytest.mark.asyncio
DATA = {"rows": list(range(500)), "bin": b"\x00\xff" * 200}
ODD_NAMES = (
    *("plain", "a/b/c", "sp ace", "ünï/cødé-💾", "100%", "%41%2F%2f", "a+b", "a;b=c"),
    *("a&b=c", "'quoted\"", "~tilde", "[x]{y}|z", "a:b@c", "back\\slash", "v1/links/x/y"),
    *("t=x", "dots...", "e" * 900),
)  # fmt: skip


async def test_a_link_opens_its_stash(services):
    """Plain HTTP gives the bytes; retrieve gives the stash, with all that it knew."""
    async with services.opened() as it:
        stash = await it.cc.create(
            "report", DATA, "jobs", expires=TimeToLive(timedelta(hours=1))
        )
        link = await stash.share(ttl_sec=60)
        assert re.fullmatch(
            rf"http://127\.0\.0\.1:\d+/v1/links/jobs/{stash.address.key}\?t=[\w.-]+",
            str(link),
        )
        assert "t=" not in repr(link)
        again = await it.cc.retrieve(str(link))
        assert again == stash == await it.cc.retrieve(link)
        assert again.data == DATA
        assert str(again.address) == str(link)
        assert (again.namespace, again.name) == ("jobs", "report")
        assert (again.created, again.deadline) == (stash.created, stash.deadline)
        assert await it.cc.exists(link)
        status, headers, body = await it.answer("GET", link)
        assert (status, len(body)) == (200, stash.size)
        assert headers["content-length"] == str(stash.size)
        assert headers["content-type"] == "application/msgpack"


async def test_answers_are_safe_for_browsers(services):
    """No sniffing, no scripts, a download, no shared cache, no referrer; not even errors."""
    async with services.opened() as it:
        stash = await it.cc.create("report", DATA)
        link = str(await stash.share(ttl_sec=60))
        for url in (link, link + "x"):
            for method in ("GET", "HEAD"):
                _, headers, _ = await it.answer(method, url)
                assert headers["x-content-type-options"] == "nosniff"
                assert (
                    headers["content-security-policy"] == "default-src 'none'; sandbox"
                )
                assert headers["referrer-policy"] == "no-referrer"
        _, headers, _ = await it.answer("GET", link)
        assert headers["content-disposition"] == "attachment"
        assert headers["cache-control"] == "private, no-cache"
        _, headers, _ = await it.answer("GET", link + "x")
        assert headers["cache-control"] == "no-store"


def escaped(text: str) -> str:
    """Return a path with every letter and digit escaped that is not yet."""
    return re.sub(
        "(%[0-9A-F]{2})|([a-zA-Z0-9])",
        lambda found: found[1] or f"%{ord(found[2]):02x}",
        text,
    )


async def test_odd_names(services):
    """Whatever a stash may be called, its link opens it and nothing else."""
    async with services.opened() as it:
        for name in ODD_NAMES:
            stash = await it.cc.create(name, [DATA, name], "na me+%;ü")
            link = str(await stash.share(ttl_sec=60))
            assert re.fullmatch(r"http://[!-~]+", link)
            again = await it.cc.retrieve(link)
            assert (again, again.data) == (stash, [DATA, name])
            assert (again.namespace, again.name) == ("na me+%;ü", name)
            # Escaped more than need be, it is the same link.
            before, place, query = re.fullmatch(
                r"(.*?/v1/links/)(.*)(\?.*)", link
            ).groups()
            status, _, _ = await it.answer("GET", before + escaped(place) + query)
            assert status == 200


async def test_streams(services):
    """A stream's link pins its bytes; retrieve, open and ranges read it."""
    body = bytes(range(256)) * 5000
    async with services.opened() as it:
        stash = await it.cc.create_stream(
            "film", body, "media", content_type="video/mp4"
        )
        link = str(await it.cc.share(stash.address, ttl_sec=60))
        assert link.endswith(f"#sha256={stash.address.sha256}&size={len(body)}")
        again = await it.cc.retrieve(link)
        assert (again.data, again.content_type) == (body, "video/mp4")
        async with it.cc.open(link, byte_range=ByteSpan(1000, 900_000)) as reader:
            assert await reader.read() == body[1000:900_000]
        for forged in (
            link.replace(stash.address.sha256, "0" * 64),
            re.sub("size=[0-9]+", "size=5", link),
            link.partition("#")[0],
        ):
            with pytest.raises(IntegrityError):
                await it.cc.retrieve(forged)


async def test_compressed_stashes(services):
    """What is stored compressed is sent as it is stored, and says so."""
    async with services.opened(compression="zstd") as it:
        stash = await it.cc.create("report", DATA)
        link = await stash.share(ttl_sec=60)
        assert (await it.cc.retrieve(link)).data == DATA
        _, headers, body = await it.answer("GET", link)
        assert headers["content-encoding"] == "zstd"
        assert len(body) == int(headers["content-length"]) < stash.size


async def test_head(services):
    """HEAD tells what GET would, and sends nothing."""
    async with services.opened() as it:
        stash = await it.cc.create("report", DATA)
        link = await stash.share(ttl_sec=60)
        _, got, _ = await it.answer("GET", link)
        status, told, body = await it.answer("HEAD", link)
        assert (status, body) == (200, b"")
        for headers in (got, told):
            assert headers["content-length"] == str(stash.size)
        assert {*told.items()} - {("Date", told["date"])} == {*got.items()} - {
            ("Date", got["date"])
        }


RANGES = [
    ("bytes=0-0", 206, range(1)),
    ("bytes=10-19", 206, range(10, 20)),
    ("bytes=990-", 206, range(990, 1000)),
    ("bytes=-5", 206, range(995, 1000)),
    ("bytes=-5000", 206, range(1000)),
    ("bytes=0-99999", 206, range(1000)),
    ("BYTES=1-2", 206, range(1, 3)),
    ("bytes=0-1,5-6", 200, range(1000)),
    ("bytes=1000-", 416, None),
    ("bytes=5000-6000", 416, None),
    *((f"bytes={bad}", 400, None) for bad in ("", "-", "5-1", "-0", "a-b", "1-2-3")),
    *((f"bytes={bad}", 400, None) for bad in ("0x1-2", "+1-2", "1", "9" * 40 + "-")),
    *((bad, 400, None) for bad in ("lines=1-2", "bytes", "1-2", "", "=", "bytes:1-2")),
]


async def test_ranges(services):
    """One range is answered by its bytes, several by all, nonsense by a reason."""
    body = bytes(number % 251 for number in range(1000))
    async with services.opened() as it:
        await (await it.bucket()).put("k", body)
        url = (await it.signed(SignGet(), "k")).url
        for asked, status, span in RANGES:
            found, headers, got = await it.answer("GET", url, headers={"range": asked})
            assert found == status, asked
            content_range = headers.get("content-range")
            if status == 206:
                assert content_range == f"bytes {span.start}-{span.stop - 1}/1000"
            else:
                assert content_range == ("bytes */1000" if status == 416 else None)
            if span is None:
                assert headers["content-type"] == "application/json"
            else:
                assert got == body[span.start : span.stop]


async def test_ranges_of_nothing(services):
    """An empty object has no range, and is read whole."""
    async with services.opened() as it:
        await (await it.bucket()).put("empty", b"")
        signed = await it.signed(SignGet(), "empty")
        assert (await it.answer("GET", signed.url))[::2] == (200, b"")
        for asked in ("bytes=0-", "bytes=-1"):
            status, headers, _ = await it.answer(
                "GET", signed.url, headers={"range": asked}
            )
            assert (status, headers["content-range"]) == (416, "bytes */0")


async def test_conditions(services):
    """A known ETag is not sent again; a range goes on only with the same object."""
    async with services.opened() as it:
        bucket = await it.bucket()
        await bucket.put("k", b"one" * 100)
        signed = await it.signed(SignGet(), "k")
        _, headers, _ = await it.answer("GET", signed.url)
        etag = headers["etag"]
        assert re.fullmatch(r'"[^"]+"', etag)
        for known in (etag, f'"x", W/{etag}', "*"):
            asked = {"if-none-match": known}
            status, headers, body = await it.answer("GET", signed.url, headers=asked)
            assert (status, headers["etag"], body) == (304, etag, b"")
        asked = {"range": "bytes=1-2", "if-range": etag}
        assert (await it.answer("GET", signed.url, headers=asked))[::2] == (206, b"ne")
        await bucket.put("k", b"two" * 100)
        assert (await it.answer("GET", signed.url, headers=asked))[::2] == (
            200,
            b"two" * 100,
        )
        asked = {"if-none-match": etag}
        assert (await it.answer("GET", signed.url, headers=asked))[0] == 200
        asked = {"range": "bytes=1-2", "if-range": "Wed, 21 Oct 2015 07:28:00 GMT"}
        assert (await it.answer("GET", signed.url, headers=asked))[0] == 200


async def test_what_is_told_of_an_object(services):
    """Type, name, times and digest are told; who stored it and custom metadata are not."""
    async with services.opened() as it:
        bucket = await it.bucket()
        info = PutInfo(
            content_type="text/html; charset=utf-8",
            content_disposition="inline",
            cache_control="public, max-age=9999",
            filename='Bericht "für/dich".html',
            origin="203.0.113.42",
            custom={"secret": "canary"},
        )
        await bucket.put("k", b"<script>", info=info)
        signed = await it.signed(SignGet(), "k")
        _, headers, _ = await it.answer("GET", signed.url)
        assert headers["content-type"] == "text/html; charset=utf-8"
        assert headers["cache-control"] == "private, no-cache"
        assert headers["content-disposition"] == (
            'attachment; filename="Bericht \\"f_r-dich\\".html";'
            " filename*=UTF-8''Bericht%20%22f%C3%BCr-dich%22.html"
        )
        assert "x-cc-sha256" in headers
        assert not {"x-sn-origin", "x-snme-secret"} & {name.lower() for name in headers}
        assert "canary" not in str(headers)
        what = SignGet(
            content_type="text/plain", content_disposition='inline; filename="a.txt"'
        )
        _, headers, _ = await it.answer("GET", (await it.signed(what, "k")).url)
        assert headers["content-type"] == "text/plain"
        assert headers["content-disposition"] == 'inline; filename="a.txt"'


@pytest.mark.parametrize(
    ("filename", "disposition"),
    [
        ("a.txt", 'attachment; filename="a.txt"'),
        ("../a\\b", 'attachment; filename="..-a-b"'),
        ("..", 'attachment; filename="--"'),
        ("a\r\nset-cookie: x", 'attachment; filename="a__set-cookie: x"'),
        (
            "\u00fc\r\nset-cookie: x",
            (
                'attachment; filename="___set-cookie: x";'
                " filename*=UTF-8''%C3%BC%0D%0Aset-cookie%3A%20x"
            ),
        ),
    ],
)
async def test_names_of_downloads(on_memory, filename, disposition):
    """A name is no path, and ends no header."""
    async with on_memory.opened() as it:
        await (await it.bucket()).put("k", b"x", info=PutInfo(filename=filename))
        _, headers, _ = await it.answer("GET", (await it.signed(SignGet(), "k")).url)
        assert headers["content-disposition"] == disposition
        assert "set-cookie" not in headers


async def test_a_link_ends_to_the_microsecond(services):
    """Up to its end a link opens its stash, from then on nothing."""
    async with services.opened() as it:
        stash = await it.cc.create("report", DATA)
        link = str(await stash.share(ttl_sec=5))
        it.clock.advance(timedelta(seconds=5, microseconds=-1))
        assert await it.cc.retrieve(link) == stash
        it.clock.advance(timedelta(microseconds=1))
        assert await it.code("GET", link) == (403, "link_expired")
        with pytest.raises(StashNotFound, match="share link expired"):
            await it.cc.retrieve(link)
        assert not await it.cc.exists(link)
        assert (await it.answer("HEAD", link))[0] == 403
        assert await it.cc.retrieve(stash.address) == stash


async def test_a_link_ends_with_its_stash(services):
    """A link lives no longer than its stash, were it touched afterwards or not."""
    async with services.opened() as it:
        mortal = await it.cc.create(
            "a", DATA, expires=TimeToLive(timedelta(seconds=10))
        )
        idle = await it.cc.create("b", DATA, expires=TimeToIdle(timedelta(seconds=10)))
        links = [await each.share(ttl_sec=60) for each in (mortal, idle)]
        it.clock.advance(5)
        await it.cc.touch(idle.address)
        it.clock.advance(timedelta(seconds=5, microseconds=-1))
        for link in links:
            assert (await it.cc.retrieve(link)).data == DATA
        it.clock.advance(timedelta(microseconds=1))
        for link in links:
            with pytest.raises(StashNotFound, match="share link expired"):
                await it.cc.retrieve(link)
        assert (await it.cc.retrieve(idle.address)).data == DATA
        with pytest.raises(StashNotFound, match="has expired"):
            await mortal.share(ttl_sec=60)


async def test_reading_by_a_link_renews_what_is_idle(services):
    """A read is a read, by whichever way."""
    async with services.opened() as it:
        stash = await it.cc.create(
            "a", DATA, expires=TimeToIdle(timedelta(seconds=100))
        )
        link = await stash.share(ttl_sec=90)
        it.clock.advance(80)
        assert (await it.answer("GET", link))[0] == 200
        it.clock.advance(80)
        assert await it.cc.exists(stash.address)


async def test_links_live_from_a_second_to_a_week(services):
    """Times outside are refused where the link is made."""
    async with services.opened() as it:
        stash = await it.cc.create("report", DATA)
        for seconds in (0, -1, 604_801):
            with pytest.raises(InvalidInput):
                await it.cc.share(stash.address, ttl_sec=seconds)
        link = await it.cc.share(stash.address, ttl_sec=604_800)
        it.clock.advance(604_799)
        assert await it.cc.retrieve(link) == stash


async def test_what_is_gone(services):
    """A link to a stash that was deleted is not found, and says why."""
    async with services.opened() as it:
        stash = await it.cc.create("report", DATA)
        link = await stash.share(ttl_sec=60)
        await stash.delete()
        assert await it.code("GET", link) == (404, "object_not_found")
        assert (await it.answer("HEAD", link))[0] == 404
        with pytest.raises(StashNotFound, match="its object is not there"):
            await it.cc.retrieve(link)
        with pytest.raises(StashNotFound, match="never created"):
            await it.cc.share(stash.address)


async def test_mapped_namespaces(services):
    """A namespace that is kept elsewhere has links to there."""
    places = {"jobs": f"{services.scheme}://company/jobs/"}
    async with services.opened(namespaces=places) as it:
        stash = await it.cc.create("report", DATA, "jobs")
        link = str(await stash.share(ttl_sec=60))
        assert f"/v1/links/company/jobs/{stash.address.key}?t=" in link
        assert (await it.cc.retrieve(link)).data == DATA


@pytest.mark.parametrize("path", ["/coats", "/a%20b/c", "/v1/links"])
async def test_below_a_path(services, path):
    """A public URL with a path is answered there, and where a proxy takes it away."""
    async with services.opened(path=path) as it:
        stash = await it.cc.create("report", DATA, "jobs")
        link = str(await stash.share(ttl_sec=60))
        assert f"{path}/v1/links/jobs/" in link
        assert (await it.cc.retrieve(link)).data == DATA
        for url, status in (
            (link.replace(path, "", 1), 200),
            (link.replace(path, "/elsewhere", 1), 404),
        ):
            assert (await it.answer("GET", url))[0] == status


async def test_below_a_root_path(on_memory):
    """A server that knows its own path strips it, as behind a proxy."""
    async with on_memory.opened(path="/coats", server={"root_path": "/coats"}) as it:
        stash = await it.cc.create("report", DATA, "jobs")
        link = str(await stash.share(ttl_sec=60))
        assert (await it.answer("GET", link.replace("/coats", "", 1)))[0] == 200
