"""Records that somebody else wrote, with a frame that is right."""

from __future__ import annotations

import json
import os
import struct
import zlib
from contextlib import aclosing
from itertools import count
from types import SimpleNamespace

import pytest

from coatcheck.errors import CoatcheckError, IntegrityError

BODY = b"hello, coats"


def framed(footer, body=BODY):
    """Return a file whose frame is right whatever its footer says."""
    text = footer if isinstance(footer, bytes) else json.dumps(footer).encode()
    trailer = struct.pack(">II8s", len(text), zlib.crc32(text), b"coatchk1")
    return body + text + trailer


def fields(**changed):
    headers = {"x-cc-write-id": "w1", "x-sn-time-created": "2026-01-01T00:00:00Z"}
    return {"key": "k", "size": len(BODY), "headers": headers} | changed


def with_headers(**changed):
    names = {name.replace("_", "-"): value for name, value in changed.items()}
    return fields(headers=fields()["headers"] | names)


def without(name):
    return {held: value for held, value in fields().items() if held != name}


def plant(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


async def assert_damaged(bucket, key="k"):
    """Every way to the object ends in IntegrityError, and none in bytes."""
    with pytest.raises(IntegrityError):
        await bucket.head(key)
    with pytest.raises(IntegrityError):
        async with bucket.get(key) as reader:
            await reader.read()
    async with aclosing(bucket.scan()) as pages:
        assert [entry async for page in pages for entry in page.entries] == []


@pytest.mark.asyncio
async def test_the_plain_record_of_these_tests_is_read(bucket, files, read):
    """What the other tests change is a record that works."""
    plant(files.of("k"), framed(fields()))
    assert await read(bucket, "k") == BODY


@pytest.mark.asyncio
@pytest.mark.parametrize("length", [0, 1, 13, 0x7FFFFFFF, 0xFFFFFFFF])
@pytest.mark.parametrize("body", [b"", BODY, bytes(300_000)])
async def test_a_length_that_lies_is_damage(bucket, files, length, body):
    """No length makes the reader look elsewhere, or allocate what it says."""
    text = json.dumps(fields(size=len(body))).encode()
    trailer = struct.pack(">II8s", length, zlib.crc32(text), b"coatchk1")
    plant(files.of("k"), body + text + trailer)
    await assert_damaged(bucket)


@pytest.mark.asyncio
async def test_a_footer_longer_than_any_of_ours_is_damage(bucket, files):
    """A footer beyond the limit is not even parsed."""
    plant(files.of("k"), framed(fields(pad="x" * 300_000)))
    await assert_damaged(bucket)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"12",
        b'"key"',
        b"\xff\xfe{}",
        b"NaN",
        b"[" * 100_000,
        b'{"size":' + b"9" * 5_000 + b"}",
        b'{"key":"k","key":5,"size":12,"headers":{}}',
    ],
    ids=count(),
)
async def test_a_footer_that_is_no_record_is_damage(bucket, files, text):
    """JSON of any other form answers with IntegrityError, also where it is deep."""
    plant(files.of("k"), framed(text))
    await assert_damaged(bucket)


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["key", "size", "headers"])
@pytest.mark.parametrize("wrong", [None, 5, 1.5, "x", [], ["k"], {"k": 1}, False])
async def test_a_field_of_another_type_is_damage(bucket, files, name, wrong):
    """Each field has one type."""
    plant(files.of("k"), framed(fields(**{name: wrong})))
    await assert_damaged(bucket)


@pytest.mark.asyncio
async def test_a_size_that_is_a_boolean_is_damage(bucket, files):
    """True is no size, though Python counts with it."""
    plant(files.of("k"), framed(fields(size=True), b"x"))
    await assert_damaged(bucket)


@pytest.mark.asyncio
@pytest.mark.parametrize("size", [0, 11, 13, -12, 2**31, 2**70])
async def test_a_size_that_is_not_the_files_is_damage(bucket, files, size):
    """The size in the record and the file's length must agree."""
    plant(files.of("k"), framed(fields(size=size)))
    await assert_damaged(bucket)


@pytest.mark.asyncio
@pytest.mark.parametrize("key", ["K", "k/", "", "../k", "k\0", "\ud800", "k" * 2_000])
async def test_the_record_of_another_key_is_damage(bucket, files, key):
    """A record is believed under the name of its own key only."""
    plant(files.of("k"), framed(fields(key=key)))
    await assert_damaged(bucket)


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["key", "size", "headers"])
async def test_a_missing_field_is_damage(bucket, files, name):
    """All three fields are needed."""
    plant(files.of("k"), framed(without(name)))
    await assert_damaged(bucket)


HOSTILE_HEADERS = [
    {"x_snme_note": "one\r\nSet-Cookie: two"},
    {"x_snme_note": "tab\there"},
    {"x_snme_note": "naïve"},
    {"x_snme_note": "%zz"},
    {"x_snme_note": "%ff"},
    {"x_snme_note": 5},
    {"x_snme_note": None},
    {"x_snme_": "no name"},
    {"x_snme_Two words": "x"},
    {"x_snme_line\r\nend": "x"},
    {"x_sn_origin": "a\nb"},
    {"x_sn_filename": "a\0b"},
    {"x_cc_write_id": "a%0d%0ab"},
    {"x_cc_write_id": ""},
    {"x_cc_write_id": "w" * 65},
    {"x_cc_codec": "%0d%0a"},
    {"x_cc_sha256": "00"},
    {"x_cc_sha256": "G" * 64},
    {"x_sn_time_created": "yesterday"},
    {"x_sn_time_created": "2026-01-01T00:00:00"},
    {"x_sn_time_created": 1_767_225_600},
    {"x_sn_expiration": "ttl:-1s"},
    {"x_sn_expiration": "ttl:99999999d"},
    {"x_sn_expiration": "tti:"},
    {"x_sn_expiration": {}},
    {"x_sn_expiration": "ttl:1h", "x_sn_time_expires": "soon"},
]


@pytest.mark.asyncio
@pytest.mark.parametrize("headers", HOSTILE_HEADERS, ids=count())
async def test_metadata_that_headers_cannot_carry_is_damage(bucket, files, headers):
    """Line ends, broken escapes and other types never come out as metadata."""
    plant(files.of("k"), framed(with_headers(**headers)))
    await assert_damaged(bucket)


HOSTILE_FIELDS = [
    {"content_type": "text/plain\r\nX-Evil: 1"},
    {"content_type": 5},
    {"content_type": "x" * 2_000},
    {"encoding": "zstd\n"},
    {"cache_control": "no-store\r\nX-Evil: 1"},
    {"content_disposition": "attachment\r\n\r\n<html>"},
    {"storage_class": "a b"},
    {"tags": 5},
    {"tags": {"a": 1}},
    {"tags": [[[], []]]},
    {"tags": {str(number): "x" for number in range(11)}},
]


@pytest.mark.asyncio
@pytest.mark.parametrize("changed", HOSTILE_FIELDS, ids=count())
async def test_standard_fields_that_cannot_be_are_damage(bucket, files, changed):
    """What HTTP's own headers could not carry is refused as well."""
    plant(files.of("k"), framed(fields(**changed)))
    await assert_damaged(bucket)


@pytest.mark.asyncio
@pytest.mark.parametrize("missing", ["x-cc-write-id", "x-sn-time-created"])
async def test_a_record_without_its_write_is_damage(bucket, files, missing):
    """Every record names its write and its time."""
    headers = fields()["headers"]
    del headers[missing]
    plant(files.of("k"), framed(fields(headers=headers)))
    await assert_damaged(bucket)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "moment", ["0001-01-01T00:00:00+23:00", "9999-12-31T23:59:59-23:00"]
)
async def test_a_time_outside_the_calendar_is_damage(bucket, files, moment):
    """A time that UTC cannot express is malformed."""
    plant(files.of("k"), framed(with_headers(x_sn_time_created=moment)))
    await assert_damaged(bucket)


@pytest.mark.asyncio
async def test_an_mtime_outside_the_calendar_is_damage(
    bucket, calls, files, monkeypatch
):
    """A touch in the year 20 000 answers with a typed error."""

    def stat_then(descriptor):
        real = os.fstat(descriptor)
        far = 569_000_000_000 * 10**9
        return SimpleNamespace(
            st_mode=real.st_mode, st_size=real.st_size, st_mtime_ns=far
        )

    plant(files.of("k"), framed(fields()))
    monkeypatch.setattr(calls, "stat", stat_then)
    await assert_damaged(bucket)


@pytest.mark.asyncio
async def test_damaged_metadata_of_an_upload_is_found(bucket, files):
    """A flipped byte anywhere in an upload's metadata is a typed error."""
    upload = await bucket.initiate("k")
    part = await bucket.put_part(upload, 1, BODY, size=len(BODY))
    meta = files.uploads() / upload.upload_id / "meta"
    whole = meta.read_bytes()
    for offset in range(len(whole)):
        flipped = bytearray(whole)
        flipped[offset] ^= 0x01
        meta.write_bytes(flipped)
        with pytest.raises(CoatcheckError):
            await bucket.complete(upload, [part])
        assert [each async for each in bucket.list_uploads()] == []
