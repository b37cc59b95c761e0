"""The one file of an object: body, footer, trailer."""

from __future__ import annotations

import json
import os
import stat
import struct
import zlib
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import pytest

from coatcheck._core.digests import DigestAlgorithm
from coatcheck._core.expiry import TimeToLive
from coatcheck.abc import ByteSpan, PutInfo, Verified
from coatcheck.errors import IntegrityError

BODY = b"hello, coats"
SHA = "dbc5dbf4889d09f871d40fc21bfb6ad46c45ab39ecb13a9b29c8536f741feb89"
MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
MICROS = 1_767_323_045_678_901
GOLDEN_FOOTER = (
    b'{"key":"a/Key","size":12,"headers":{'
    b'"x-sn-expiration":"ttl:1h",'
    b'"x-sn-time-expires":"2026-01-02T04:04:05.678901Z",'
    b'"x-sn-time-created":"2026-01-02T03:00:00Z",'
    b'"x-sn-origin":"10.0.0.1",'
    b'"x-sn-filename":"caf%C3%A9.txt",'
    b'"x-cc-write-id":"w1",'
    b'"x-snme-team":"blue"},'
    b'"content_type":"text/plain","tags":{"tier":"cold"}}'
)
GOLDEN = BODY + GOLDEN_FOOTER + b"\x00\x00\x01\x33" + b"\x33\x12\x77\xe4" + b"coatchk1"


def framed(footer, body=BODY):
    """Return a file whose frame is right whatever its footer says."""
    text = footer if isinstance(footer, bytes) else json.dumps(footer).encode()
    trailer = struct.pack(">II8s", len(text), zlib.crc32(text), b"coatchk1")
    return body + text + trailer


def fields(**changed):
    headers = {"x-cc-write-id": "w1", "x-sn-time-created": "2026-01-01T00:00:00Z"}
    return {"key": "k", "size": len(BODY), "headers": headers} | changed


def plant(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


async def assert_damaged(bucket, key):
    """Every way to the object ends in IntegrityError, and none in bytes."""
    with pytest.raises(IntegrityError) as caught:
        await bucket.head(key)
    assert (caught.value.bucket, caught.value.key) == ("jobs", key)
    for span in (None, ByteSpan(0, 1)):
        with pytest.raises(IntegrityError):
            async with bucket.get(key, byte_range=span) as reader:
                await reader.read()


@pytest.mark.asyncio
async def test_a_file_written_by_hand_is_read(bucket, files, read):
    """The format is what is written down here, byte by byte."""
    path = files.of("a/Key")
    plant(path, GOLDEN)
    os.utime(path, ns=(MICROS * 1000, MICROS * 1000))
    info = await bucket.head("a/Key")
    assert await read(bucket, "a/Key") == BODY
    assert (info.key, info.size, info.etag) == ("a/Key", 12, f"w1-{MICROS:x}")
    assert (info.modified, info.created) == (
        MOMENT,
        MOMENT.replace(minute=0, second=0, microsecond=0),
    )
    assert info.expiry == TimeToLive(timedelta(hours=1))
    assert info.deadline == MOMENT + timedelta(hours=1)
    assert (info.origin, info.filename) == ("10.0.0.1", "café.txt")
    assert (info.content_type, info.write_id) == ("text/plain", "w1")
    assert (info.tags, info.custom) == ({"tier": "cold"}, {"team": "blue"})


@pytest.mark.asyncio
async def test_a_deadline_is_the_mtime_and_the_duration(bucket, files):
    """The footer's deadline gives way to what the last touch says."""
    plant(files.of("a/Key"), GOLDEN)
    later = (MICROS + 5_000_000) * 1000
    os.utime(files.of("a/Key"), ns=(later, later))
    info = await bucket.head("a/Key")
    assert info.deadline == MOMENT + timedelta(hours=1, seconds=5)


@pytest.mark.asyncio
async def test_the_same_write_makes_the_same_file(make_backend, files):
    """What is written is byte for byte what is read above."""
    async with make_backend(clock=lambda: MOMENT) as backend:
        info = PutInfo(
            content_type="text/plain",
            expiry=TimeToLive(timedelta(hours=1)),
            deadline=MOMENT + timedelta(hours=1),
            created=MOMENT.replace(minute=0, second=0, microsecond=0),
            origin="10.0.0.1",
            filename="café.txt",
            write_id="w1",
            tags={"tier": "cold"},
            custom={"team": "blue"},
            pinned=True,
        )
        await backend.bucket("jobs").put("a/Key", BODY, info=info)
    assert files.of("a/Key").read_bytes() == GOLDEN
    assert files.of("a/Key").stat().st_mtime_ns == MICROS * 1000


@pytest.mark.asyncio
@pytest.mark.parametrize("size", [0, 1, 255 * 1024, 700_000])
async def test_body_bytes_stand_first_and_unencoded(bucket, files, size):
    """Offsets in the body are offsets in the file."""
    body = os.urandom(size)
    await bucket.put("k", body)
    content = files.of("k").read_bytes()
    assert content[:size] == body
    assert content.endswith(b"coatchk1")
    assert json.loads(content[size:-16])["size"] == size


@pytest.mark.asyncio
async def test_a_body_that_looks_like_an_object_is_a_body(bucket, read):
    """Only the record at the end counts."""
    body = framed(fields())
    await bucket.put("k", body)
    assert await read(bucket, "k") == body


@pytest.mark.asyncio
async def test_nothing_is_open_to_other_users(make_backend, root):
    """Files are 0600 and folders 0700, whatever the umask."""
    before = os.umask(0)
    try:
        async with make_backend() as backend:
            bucket = backend.bucket("jobs")
            await bucket.put("a/b", BODY)
            await bucket.put("a/b", BODY)
            upload = await bucket.initiate("a/c")
            await bucket.put_part(upload, 1, BODY, size=len(BODY))
            modes = {
                (path.is_dir(), stat.S_IMODE(path.stat().st_mode))
                for path in [root, *root.rglob("*")]
            }
    finally:
        os.umask(before)
    assert modes == {(True, 0o700), (False, 0o600)}


@pytest.mark.asyncio
@pytest.mark.parametrize("pinned", [False, True])
async def test_a_file_cut_at_any_length_is_damaged(bucket, files, pinned):
    """No shorter file is an object."""
    await bucket.put("k", BODY, info=PutInfo(pinned=pinned))
    whole = files.of("k").read_bytes()
    for length in range(len(whole)):
        files.of("k").write_bytes(whole[:length])
        await assert_damaged(bucket, "k")


@pytest.mark.asyncio
@pytest.mark.parametrize("pinned", [False, True])
@pytest.mark.parametrize("mask", [0x01, 0x20, 0xFF])
async def test_any_flipped_byte_is_found(bucket, files, pinned, mask):
    """A whole read of other bytes than were stored never ends well."""
    await bucket.put("k", BODY, info=PutInfo(pinned=pinned))
    whole = files.of("k").read_bytes()
    for offset in range(len(whole)):
        flipped = bytearray(whole)
        flipped[offset] ^= mask
        files.of("k").write_bytes(flipped)
        if offset >= len(BODY):
            await assert_damaged(bucket, "k")
            continue
        async with bucket.get("k") as reader:
            if pinned:
                reader.pin(DigestAlgorithm.SHA256, SHA)
            with pytest.raises(IntegrityError):
                await reader.read()


@pytest.mark.asyncio
async def test_a_flipped_byte_of_a_large_body_holds_the_end_back(bucket, files):
    """The last chunk of a stream is not released before the digest matches."""
    body = bytes(2_000_000)
    await bucket.put("k", body)
    with files.of("k").open("r+b") as file:
        file.seek(1_000_000)
        file.write(b"x")
    async with bucket.get("k") as reader:
        assert reader.verified is Verified.SHA256
        assert len(await reader.read(1_000_000)) == 1_000_000
        with pytest.raises(IntegrityError):
            await reader.read()


@pytest.mark.asyncio
async def test_a_file_cut_while_it_is_read_is_damaged(bucket, files):
    """A reader that stands in the body meets the end as an error."""
    await bucket.put("k", bytes(2_000_000))
    async with bucket.get("k") as reader:
        await reader.read(10)
        os.truncate(files.of("k"), 600_000)
        with pytest.raises(IntegrityError):
            await reader.read()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "tail",
    [b"\0", b"x" * 16, bytes(100_000), GOLDEN, b"\0\0\0\0\0\0\0\0coatchk1"],
)
async def test_appended_bytes_are_found(bucket, files, tail):
    """What stands behind the record makes the file none of ours."""
    await bucket.put("k", BODY)
    with files.of("k").open("ab") as file:
        file.write(tail)
    await assert_damaged(bucket, "k")


@pytest.mark.asyncio
async def test_swapped_files_are_found(bucket, files):
    """A file under another key's name gives neither object."""
    await bucket.put("one", b"first")
    await bucket.put("two", b"other")
    spare = files.of("one").with_name("spare")
    files.of("one").rename(spare)
    files.of("two").rename(files.of("one"))
    spare.rename(files.of("two"))
    await assert_damaged(bucket, "one")
    await assert_damaged(bucket, "two")


@pytest.mark.asyncio
async def test_a_damaged_object_is_written_over_and_deleted(bucket, files, read):
    """Damage bars no key: a new write or a delete ends it."""
    plant(files.of("one"), b"junk")
    plant(files.of("two"), b"junk")
    await bucket.put("one", BODY)
    await bucket.delete("two")
    assert await read(bucket, "one") == BODY
    assert not files.of("two").exists()


@pytest.mark.asyncio
async def test_a_scan_leaves_damaged_objects_out(bucket, files, caplog):
    """One damaged file hides none of the others, and the log names it."""
    for key in "abc":
        await bucket.put(key, BODY)
    files.of("b").write_bytes(b"junk")
    async with aclosing(bucket.scan()) as pages:
        keys = [entry.key async for page in pages for entry in page.entries]
    assert keys == ["a", "c"]
    assert "'b' is not listed" in caplog.text
