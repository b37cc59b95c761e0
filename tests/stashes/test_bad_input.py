"""Bad input gets one typed error, and nothing is written."""

from __future__ import annotations

import hashlib
from datetime import datetime

import msgpack
import pytest
from backports import zstd

from coatcheck.abc import PutInfo
from coatcheck.errors import (
    CoatcheckError,
    IntegrityError,
    InvalidAddress,
    InvalidInput,
    InvalidName,
    PayloadError,
    UnsupportedBackend,
)

SECRET = "correct horse battery staple"
TEXT = "t" * 200
DIGEST = "0" * 32

BAD_NAMES = [
    *("", ".", "..", "a/../b", "./a", "/a", "a/", "a//b", "//", "a\0b", "a\nb", "\n"),
    *("\ud800", "a\udfff", "x" * 1025, "\u00e9" * 600, "e\u0301", "a?b", "a#b", "?"),
    *("x" * 1000, "a\x7fb", "a\u2028b", None, 5, b"bytes"),
]
BAD_NAMESPACES = [
    *("", ".", "..", "a/b", "/", "a\0", "a\n", "\ud800", "x" * 256, "e\u0301", "a?"),
    *("a#", "u@h", "a:b", "[a]", "a\\b", " a", "a ", None, 5),
]
BAD_ADDRESSES = [
    *("", "n", "://", "mem:", "mem://", "mem://ns", "mem://ns/", "mem:///n." + DIGEST),
    *(f"mem://ns/n{DIGEST}", "mem://ns/n.", "mem://ns/n.0", f"mem://ns/.{DIGEST}"),
    *(f"mem://ns/n.{'A' * 32}", f"mem://ns/n.{DIGEST}0", f"mem://ns/n.{'g' * 32}"),
    *(
        f"mem://user@ns/n.{DIGEST}",
        f"mem://u:p@ns/n.{DIGEST}",
        f"mem://ns/n.{DIGEST}#f",
    ),
    *(f"mem://ns/../n.{DIGEST}", f"mem://ns//n.{DIGEST}", f"mem://ns/a\0.{DIGEST}"),
    *(
        "inline://ns/n",
        "inline://ns/n?data=",
        "inline://ns/n?data=DA",
        "inline://ns/n?",
    ),
    *("inline://ns/n?data=DA%3D%3D&data=DA%3D%3D", "inline://ns/n?data=D!%3D%3D"),
    *("inline://ns/n?data=DB%3D%3D", "inline://ns/n?date=DA%3D%3D", "inline://ns/n?x"),
    *(f"mem://ns/n.{DIGEST}?sha256=0&size=1", f"mem://ns/n.{DIGEST}?versionId=1"),
    *("x" * 2**20, "mem://" + "n" * 2**20, f"mem://ns/n.{DIGEST}\n", None, 5, b"mem:"),
]
UNKNOWN_SCHEMES = ["ftp://ns/n." + DIGEST, "gs://ns/n." + DIGEST, "javascript://a/b"]
BAD_PAYLOADS = [
    *({1: "key"}, {None: 1}, {("a",): 1}, 2**64, -(2**63) - 1, "\ud800", {"\udfff": 1}),
    *(object(), {1, 2}, 1j, datetime(2026, 1, 1), [SECRET, {2: SECRET}]),  # noqa: DTZ001
    {"secret": [SECRET, object()]},
]


def deep(levels):
    nested = []
    for _ in range(levels):
        nested = [nested]
    return nested


@pytest.mark.asyncio
@pytest.mark.parametrize("verb", ["create", "create_stream"])
async def test_bad_names(place, verb):
    """Names and namespaces that no address carries are refused by both creators."""
    async with place.opened() as cc:
        create = getattr(cc, verb)
        payload = TEXT if verb == "create" else TEXT.encode()
        for name in BAD_NAMES:
            with pytest.raises(InvalidName):
                await create(name, payload)
        for namespace in BAD_NAMESPACES:
            with pytest.raises(InvalidName):
                await create("n", payload, namespace)
            if namespace not in (None, 5):
                with pytest.raises(InvalidName):
                    await create("n", 1 if verb == "create" else b"", namespace)
    assert place.stored() == 0


@pytest.mark.asyncio
async def test_bad_addresses(place, tmp_path):
    """What is no address is refused by every verb, with a short message."""
    async with place.opened() as cc:

        async def read(address):
            async with cc.open(address):
                pass

        async def download(address):
            await cc.download(address, tmp_path / "file")

        for verb in (cc.retrieve, cc.exists, cc.touch, cc.delete, read, download):
            for address in BAD_ADDRESSES:
                with pytest.raises(InvalidAddress) as caught:
                    await verb(address)
                assert len(str(caught.value)) < 600
            for address in UNKNOWN_SCHEMES:
                with pytest.raises(UnsupportedBackend):
                    await verb(address)
    assert not (tmp_path / "file").exists()
    assert place.stored() == 0


@pytest.mark.asyncio
async def test_bad_payloads(place):
    """What would not come back is refused, and the message does not show it."""
    async with place.opened(max_payload_bytes=100_000) as cc:
        for payload in (*BAD_PAYLOADS, deep(2000), deep(100_000), "x" * 100_001):
            with pytest.raises(PayloadError) as caught:
                await cc.create("n", payload)
            assert SECRET not in str(caught.value)
            assert len(str(caught.value)) < 1000
    assert place.stored() == 0


async def replaced(place, cc, body, **info):
    """Store a body that claims to be a stash, as a hostile writer would."""
    digest = hashlib.md5(body).hexdigest()
    bucket = await place.bucket(cc)
    await bucket.put(f"n.{digest}", body, info=PutInfo(pinned=True, **info))
    return f"{place.scheme}://default/n.{digest}"


HOSTILE_BODIES = {
    "nothing": b"",
    "trailing": msgpack.packb(1) + b"\xc0",
    "cut": msgpack.packb([1, 2, 3])[:-1],
    "ext": msgpack.packb(msgpack.ExtType(5, b"code")),
    "reserved ext": b"\xd4\xfe\x00",
    "bad timestamp": b"\xc7\x03\xff\x00\x00\x00",
    "never used": b"\xc1",
    "deep": b"\x91" * 100_000 + b"\xc0",
    "deep maps": b"\x81\xa1a" * 100_000 + b"\xc0",
    "claimed length": b"\xdd\xff\xff\xff\xff",
    "claimed map": b"\xdf\xff\xff\xff\xff",
    "claimed text": b"\xdb\xff\xff\xff\xff",
    "integer keys": msgpack.packb({1: 2}),
    "not UTF-8": b"\xa2\xff\xfe",
    "node bomb": b"\xdd\x00\x7a\x12\x00" + b"\xc0" * 8_000_000,
    "too large": b"\xc6\x01\x00\x00\x00" + bytes(2**24),
}


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", HOSTILE_BODIES)
async def test_hostile_bodies(place, kind):
    """Bytes under their right digest that are no payload are refused."""
    limit = 2**24 if kind == "too large" else 2**26
    async with place.opened(max_payload_bytes=limit) as cc:
        address = await replaced(place, cc, HOSTILE_BODIES[kind])
        with pytest.raises(PayloadError):
            await cc.retrieve(address)


def frame(body, **options):
    return zstd.compress(body, options={zstd.CompressionParameter.checksum_flag: 1})


BOMB = frame(bytes(256 * 2**20))
# A frame header that claims 2**40 bytes: no checksum, single segment, 8-byte size.
CLAIM = b"\x28\xb5\x2f\xfd\xe4" + (2**40).to_bytes(8, "little") + b"\x01\x00\x00"
HOSTILE_FRAMES = {
    "bomb": BOMB,
    "a terabyte": CLAIM,
    "second frame": frame(b"\xa1a") + frame(b"\xa1b"),
    "appended": frame(b"\xa1a") + b"!",
    "cut": frame(b"\xa1a" * 50)[:-1],
    "no frame": b"\xa1a",
    "nothing": b"",
}


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", HOSTILE_FRAMES)
async def test_hostile_frames(place, kind):
    """A compressed body is exactly one whole frame within the limit."""
    assert len(BOMB) < 32 * 1024
    async with place.opened() as cc:
        address = await replaced(place, cc, HOSTILE_FRAMES[kind], encoding="zstd")
        with pytest.raises((IntegrityError, PayloadError)):
            await cc.retrieve(address)
        with pytest.raises((IntegrityError, PayloadError)):
            async with cc.open(address) as reader:
                await reader.read()


@pytest.mark.asyncio
async def test_every_flipped_byte_is_seen(place):
    """Whichever byte of a stored payload is flipped, it is not served."""
    async with place.opened() as cc:
        stash = await cc.create("n", "t" * 120)
        bucket = await place.bucket(cc)
        async with bucket.get(stash.address.key) as reader:
            body = await reader.read()
        for place_of_byte in range(len(body)):
            flipped = bytearray(body)
            flipped[place_of_byte] ^= 1 << place_of_byte % 8
            await bucket.put(stash.address.key, bytes(flipped))
            with pytest.raises(IntegrityError):
                await cc.retrieve(stash.address)


@pytest.mark.asyncio
async def test_bad_streams(place, tmp_path):
    """A source that cannot be read, or fails half-way, leaves nothing."""

    async def failing():
        yield b"x" * 1000
        raise ZeroDivisionError

    async with place.opened() as cc:
        for source in (tmp_path / "none", tmp_path, 5, "text", ["list"]):
            with pytest.raises(InvalidInput):
                await cc.create_stream("n", source)
        with pytest.raises(ZeroDivisionError):
            await cc.create_stream("n", failing())
        for content_type in ("text", "a/b\r\nx: y", "a/b;" * 1000):
            with pytest.raises(InvalidInput, match="content_type"):
                await cc.create_stream("n", b"x", content_type=content_type)
        with pytest.raises(InvalidInput, match="policy|expir|duration"):
            await cc.create("n", TEXT, expires="tomorrow")
    assert place.stored() == 0


@pytest.mark.asyncio
async def test_all_refusals_are_ours(place):
    """Random text as an address or a name raises nothing but CoatcheckError."""
    async with place.opened() as cc:
        for number in range(2000):
            text = "".join(
                chr((number * 7919 + step * 104729) % 0x2FFF) for step in range(12)
            )
            for call in (cc.retrieve(text), cc.retrieve(f"mem://{text}")):
                with pytest.raises(CoatcheckError):
                    await call
