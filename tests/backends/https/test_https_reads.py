"""Reading share links: what comes back, and what is told about it."""

from __future__ import annotations

import gzip
import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from coatcheck._core.ranges import ByteOffset, ByteSpan, ByteSuffix
from coatcheck.abc import Verified
from coatcheck.errors import Closed, IntegrityError, InvalidRange

pytestmark = pytest.mark.asyncio
DIGITS = b"0123456789"
RANGES = [
    (ByteSpan(2, 5), "bytes=2-4", b"234"),
    (ByteSpan(8, 99), "bytes=8-98", b"89"),
    (ByteOffset(7), "bytes=7-", b"789"),
    (ByteSuffix(4), "bytes=-4", b"6789"),
    (ByteOffset(0), "bytes=0-", DIGITS),
]


async def test_a_link_gives_the_bytes(host, read):
    """The body of a trusted link comes back whole."""
    assert await read(host.link()) == b"a coat"


async def test_the_request_says_only_what_it_must(host, read):
    """The target is sent verbatim, without cookies, credentials or compression."""
    target = "/b/a%2Fb%20c+d/../x.1?X-Amz-Signature=%2Fa+b%20c&x=%7e&y"

    await read(host.url + target)

    lines = host.heads[0].lower().splitlines()
    assert host.heads[0].startswith(f"GET {target} HTTP/1.1\r\n")
    names = {line.partition(":")[0] for line in lines[1:] if line}
    assert names <= {"host", "accept", "accept-encoding", "user-agent"}
    assert "accept-encoding: identity" in lines


async def test_a_cookie_is_not_kept(host, scripted, read):
    """What a host sets is not sent back to it."""
    host.script = scripted(headers=[("Set-Cookie", "canary=1; Path=/")])

    await read(host.link())
    await read(host.link())

    assert "cookie" not in "".join(host.heads).lower()


async def test_headers_describe_the_object(host, scripted, backend):
    """Key, size, ETag, times, type, encoding and metadata are in the info."""
    host.script = scripted(
        headers=[
            ("ETag", '"abc"'),
            ("Last-Modified", "Wed, 21 Oct 2015 07:28:00 GMT"),
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Encoding", "aws-chunked, zstd"),
            ("x-amz-meta-x-cc-codec", "msgpack"),
            ("X-Amz-Meta-X-Sn-Filename", "co%C3%A4t.txt"),
            ("x-amz-meta-x-snme-owner", "me"),
            ("x-amz-meta-x-sn-expiration", "ttl:1h"),
        ]
    )

    async with backend.get(host.link("/stashes/n%20m.1")) as reader:
        info = reader.info

    modified = datetime(2015, 10, 21, 7, 28, tzinfo=UTC)
    assert (info.key, info.size, info.etag) == ("stashes/n m.1", 6, '"abc"')
    assert (info.modified, info.created) == (modified, modified)
    assert info.content_type == "text/plain; charset=utf-8"
    assert (info.encoding, info.codec) == ("zstd", "msgpack")
    assert (info.filename, dict(info.custom)) == ("coät.txt", {"owner": "me"})
    assert info.deadline == modified + timedelta(hours=1)


async def test_malformed_headers_are_left_out(host, scripted, make_backend):
    """A header that means nothing costs only itself."""
    now = datetime(2026, 1, 2, tzinfo=UTC)
    host.script = scripted(
        headers=[
            ("Last-Modified", "yesterday"),
            ("Content-Type", "no type"),
            ("Content-Encoding", "gzip"),
            ("x-amz-meta-x-cc-sha256", "zz"),
            ("x-amz-meta-x-sn-time-created", "never"),
            ("x-amz-meta-x-sn-expiration", "ttl:forever"),
            ("x-amz-meta-x-snme-UPPER", "kept"),
            ("x-amz-meta-x-snme-bad", "%zz"),
            ("x-amz-meta-x-cc-codec", "raw"),
        ]
    )

    backend = await make_backend(clock=lambda: now)
    async with backend.get(host.link()) as reader:
        info = reader.info

    assert (info.etag, info.modified, info.created) == ("", now, now)
    assert (info.content_type, info.encoding, info.sha256) == (None, None, None)
    assert (info.codec, info.deadline) == ("raw", None)
    assert dict(info.custom) == {"upper": "kept"}


async def test_the_digest_in_the_metadata_is_held(host, scripted, backend):
    """A whole read is verified by the object's own SHA-256 where it has one."""
    digest = hashlib.sha256(b"another coat").hexdigest()
    host.script = scripted(headers=[("x-amz-meta-x-cc-sha256", digest)])

    async with backend.get(host.link()) as reader:
        assert reader.verified is Verified.SHA256
        with pytest.raises(IntegrityError, match="does not match its sha256"):
            await reader.read()


@pytest.mark.parametrize(("byte_range", "asked", "expected"), RANGES)
async def test_a_range_is_asked_for(
    host, scripted, backend, byte_range, asked, expected
):
    """A range is one request, and its reader tells offsets and the whole size."""
    start = DIGITS.index(expected)
    told = f"bytes {start}-{start + len(expected) - 1}/10"
    host.script = scripted(
        expected, status="206 Partial Content", headers=[("Content-Range", told)]
    )

    async with backend.get(host.link(), byte_range=byte_range) as reader:
        assert await reader.read() == expected

    assert f"range: {asked}\r\n" in host.heads[0].lower()
    assert reader.range == range(start, start + len(expected))
    assert (reader.info.size, reader.verified) == (10, Verified.LENGTH)


@pytest.mark.parametrize(("byte_range", "_", "expected"), RANGES)
async def test_a_host_without_ranges_is_cut(
    host, scripted, backend, byte_range, _, expected
):
    """Of a whole answer to a range only the range is given."""
    host.script = scripted(DIGITS)

    async with backend.get(host.link(), byte_range=byte_range) as reader:
        assert await reader.read() == expected
        assert await reader.read() == b""


async def test_a_cut_range_may_lie_in_many_chunks(host, scripted, backend):
    """Skipping and cutting hold across the chunks of a large body."""
    body = bytes(range(256)) * 4096
    host.script = scripted(body)

    async with backend.get(host.link(), byte_range=ByteSpan(300_001, 900_003)) as it:
        assert await it.read() == body[300_001:900_003]


@pytest.mark.parametrize("coding", ["gzip", "zstd", "deflate"])
async def test_bytes_come_as_they_are_stored(host, scripted, read, coding):
    """Whatever the encoding, decoding is the reader's own matter."""
    body = gzip.compress(b"a coat")
    host.script = scripted(body, headers=[("Content-Encoding", coding)])

    assert await read(host.link()) == body


@pytest.mark.parametrize("size", [0, 1, 1_000_000])
async def test_bodies_of_any_size_come_whole(host, scripted, read, size):
    """Nothing, little and much are read alike."""
    host.script = scripted(b"x" * size)

    assert await read(host.link()) == b"x" * size


@pytest.mark.parametrize(
    "told", ["", "bytes 3-5/10", "bytes 2-4/3", "bytes 4-2/10", "bytes 2-4/*", "2-4/10"]
)
async def test_a_wrong_range_is_refused(host, scripted, read, told):
    """An answer with another range, or none that can be read, is no answer."""
    host.script = scripted(
        b"234", status="206 Partial Content", headers=[("Content-Range", told)]
    )

    with pytest.raises(IntegrityError):
        await read(host.link(), byte_range=ByteSpan(2, 5))


async def test_another_range_is_not_taken_for_the_one_asked(host, scripted, read):
    """As many bytes from elsewhere in the object are refused before the first."""
    host.script = scripted(
        b"345", status="206 Partial Content", headers=[("Content-Range", "bytes 3-5/9")]
    )

    with pytest.raises(IntegrityError, match="another range"):
        await read(host.link(), byte_range=ByteSpan(0, 3))


async def test_the_whole_may_come_as_a_range(host, scripted, read):
    """A 206 with all there is is cut as a 200 would be."""
    host.script = scripted(
        DIGITS, status="206 Partial", headers=[("Content-Range", "bytes 0-9/10")]
    )

    assert await read(host.link(), byte_range=ByteSpan(2, 5)) == b"234"


async def test_a_range_of_unknown_size_needs_the_known_one(host, scripted, read):
    """A host may leave the size out when the caller knows it."""
    host.script = scripted(
        b"234", status="206 Partial Content", headers=[("Content-Range", "bytes 2-4/*")]
    )

    got = await read(host.link(), byte_range=ByteSpan(2, 5), known_size=10)

    assert got == b"234"


async def test_a_range_outside_is_invalid(host, scripted, refused, read):
    """What the host refuses, and what a whole answer shows, are one error."""
    host.script = refused(416, "InvalidRange")
    with pytest.raises(InvalidRange):
        await read(host.link(), byte_range=ByteOffset(10))

    host.script = scripted(DIGITS)
    with pytest.raises(InvalidRange):
        await read(host.link(), byte_range=ByteOffset(10))


async def test_a_read_is_entered_once(host, backend):
    """A second entering, and reading after the end, are refused."""
    reading = backend.get(host.link())
    async with reading as reader:
        pass

    with pytest.raises(Closed, match="entered once"):
        await reading.__aenter__()
    with pytest.raises(Closed, match="the read has ended"):
        await reader.read()
