"""The claim check, on memory and files."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from coatcheck import Address, Stash, TimeToIdle, TimeToLive
from coatcheck.errors import (
    ExpiryNotExtendable,
    IntegrityError,
    InvalidName,
    PayloadError,
    StashNotFound,
    UnsupportedBackend,
    UnsupportedOperation,
)

HOUR = timedelta(hours=1)
TEXT = "t" * 200


@pytest.mark.asyncio
async def test_the_vectors_hold(place):
    """Addresses are kstash's, to the byte."""
    async with place.opened(backends=(place.scheme,)) as cc:
        stash = await cc.create("object", {"data": 123})
        assert str(stash.address) == (
            f"{place.scheme}://default/object.34472d91b2f84052bf26d4eaa862ef86"
        )
        context = {"as_of": "today", "bin": b"0" * 1024 * 512}
        stash = await cc.create("context", context, "stashes")
        assert stash.digest == "c6ab205fe81dcad3eec3ab48b96b0618"
        assert (await cc.retrieve(str(stash.address))).data == context
    async with place.opened() as cc:
        stash = await cc.create("colorcode", 12, "stashes")
        assert str(stash.address) == "inline://stashes/colorcode?data=DA%3D%3D"
        assert (await cc.retrieve(str(stash.address))).data == 12
        assert place.stored() == 2


@pytest.mark.asyncio
async def test_what_comes_back_is_what_was_stored(place):
    """A stash tells all about itself, and does not share the caller's objects."""
    now = datetime(2026, 5, 17, 12, 30, 1, 123456, tzinfo=UTC)
    data = {"a": [1, 2.5, None, True, "text", b"bytes", now], "b": {"c": (1, 2)}}
    data["filler"] = TEXT
    async with place.opened() as cc:
        stash = await cc.create("name", data, "ns")
        loaded = await cc.retrieve(stash.address)
        assert loaded == stash
        assert hash(loaded) == hash(stash)
        assert loaded.data == stash.data == data | {"b": {"c": [1, 2]}}
        assert stash.data is not data
        data["a"].append("later")
        assert "later" not in stash.data["a"]
        assert (loaded.namespace, loaded.name) == ("ns", "name")
        assert loaded.size == stash.size > 200
        assert loaded.created == place.clock()
        assert loaded.deadline is None
        assert TEXT not in repr(loaded)


@pytest.mark.asyncio
async def test_equal_payloads_are_one_stash(place):
    """Creating twice stores once; another name or payload is another stash."""
    async with place.opened() as cc:
        first = await cc.create("name", TEXT)
        assert await cc.create("name", TEXT) == first
        assert place.stored() == 1
        assert await cc.create("other", TEXT) != first
        assert await cc.create("name", TEXT + "!") != first
        assert place.stored() == 3


@pytest.mark.asyncio
async def test_the_limit_between_inline_and_stored(place):
    """Up to max_inline_len characters of base64 a payload is its own address."""
    async with place.opened(max_inline_len=8) as cc:
        assert (await cc.create("n", b"1234")).address.scheme == "inline"
        assert (await cc.create("n", b"12345")).address.scheme == place.scheme
        live = await cc.create("n", b"1234", expires=TimeToLive(HOUR))
        assert live.address.scheme == place.scheme


@pytest.mark.asyncio
async def test_an_inline_stash_is_nothing_but_its_address(place):
    """It always exists, and cannot be touched, shared or deleted."""
    async with place.opened() as cc:
        stash = await cc.create("n", 1)
        assert await cc.exists(stash.address)
        for verb in (cc.touch, cc.delete, cc.share):
            with pytest.raises(UnsupportedOperation, match="inline"):
                await verb(stash.address)
        async with cc.open(stash.address) as reader:
            assert await reader.read() == b"\x01"
        assert place.stored() == 0


@pytest.mark.asyncio
async def test_absent_is_not_found(place):
    """What was never there, or was deleted, is not found; deleting is repeatable."""
    async with place.opened() as cc:
        stash = await cc.create("n", TEXT)
        await stash.delete()
        await cc.delete(stash.address)
        assert not await cc.exists(stash.address)
        for call in (cc.retrieve, cc.touch):
            with pytest.raises(StashNotFound, match=r"n\."):
                await call(str(stash.address))
        other = f"{place.scheme}://nobucket/n.{stash.digest}"
        with pytest.raises(StashNotFound):
            await cc.retrieve(other)


@pytest.mark.asyncio
async def test_expiring_stashes(place):
    """From its deadline a stash is not there for any verb."""
    async with place.opened() as cc:
        stash = await cc.create("n", TEXT, expires=TimeToLive(HOUR))
        assert stash.deadline == place.clock() + HOUR
        with pytest.raises(ExpiryNotExtendable):
            await cc.touch(stash.address)
        place.clock.advance(HOUR)
        assert not await cc.exists(stash.address)
        assert [entry async for entry in cc.scan()] == []
        assert [entry async for entry in cc.scan(as_listed=True)] == []
        for call in (cc.retrieve, cc.touch):
            with pytest.raises(StashNotFound):
                await call(stash.address)
        assert place.stored() == 1
        report = await cc.reap()
        assert (report.scanned, report.deleted, report.failed) == (1, 1, 0)
        assert place.stored() == 0


@pytest.mark.asyncio
async def test_the_later_deadline_holds(place):
    """Creating the same payload again extends its life, and never shortens it."""
    async with place.opened() as cc:
        short, long = TimeToLive(HOUR), TimeToIdle(2 * HOUR)
        await cc.create("n", TEXT, expires=short)
        assert (await cc.create("n", TEXT, expires=long)).deadline is not None
        stash = await cc.create("n", TEXT, expires=short)
        assert stash.deadline == place.clock() + 2 * HOUR
        place.clock.advance(HOUR)
        assert await cc.touch(stash.address) == place.clock() + 2 * HOUR
        assert (await cc.create("n", TEXT)).deadline is None
        place.clock.advance(100 * HOUR)
        assert (await cc.retrieve(stash.address)).data == TEXT


@pytest.mark.asyncio
async def test_many_at_once(place):
    """Order is kept, whatever ends first; the first failure is raised."""
    async with place.opened(concurrency=4) as cc:
        items = [(f"n{number}", [number] * 100) for number in range(40)]
        stashes = await cc.create_many(iter(items), "ns")
        assert [stash.name for stash in stashes] == [name for name, _ in items]
        loaded = await cc.retrieve_many(reversed([each.address for each in stashes]))
        assert loaded == stashes[::-1]
        assert await cc.create_many([]) == []
        with pytest.raises(PayloadError):
            await cc.create_many([("good", TEXT), ("bad", object())], "ns")
        gone = f"{place.scheme}://ns/gone.{'0' * 32}"
        with pytest.raises(StashNotFound, match="gone"):
            await cc.retrieve_many([stashes[0].address, gone])


@pytest.mark.asyncio
async def test_scanning(place):
    """A scan gives addresses that can be claimed, by prefix, and skips what is none."""
    async with place.opened() as cc:
        for name in ("a/1", "a/2", "b"):
            await cc.create(name, TEXT, "ns")
        stream = await cc.create_stream("stream", b"bytes", "ns", content_type="a/b")
        await (await place.bucket(cc, "ns")).put("no stash", b"x")
        entries = [entry async for entry in cc.scan("ns")]
        assert [entry.address.name for entry in entries] == [
            "a/1",
            "a/2",
            "b",
            "stream",
        ]
        assert entries[-1].address == stream.address
        assert entries[-1].content_type == "a/b"
        for entry in entries:
            assert (await cc.retrieve(entry.address)).address == entry.address
        assert entries == [each async for each in cc.scan("ns", as_listed=True)]
        few = [entry.address.name async for entry in cc.scan("ns", prefix="a/")]
        assert few == ["a/1", "a/2"]
        assert [entry async for entry in cc.scan("nobody")] == []


@dataclass
class Report:
    """What a program thinks in."""

    rows: list[int]


@pytest.mark.asyncio
async def test_payloads_as_types(place):
    """`as_type` validates, and its refusal shows nothing of the payload."""
    async with place.opened() as cc:
        stash = await cc.create("n", {"rows": [1] * 300})
        typed = await cc.retrieve(stash.address, as_type=Report)
        assert typed.data == Report([1] * 300)
        secret = await cc.create("n", {"rows": "hunter2" * 100})
        with pytest.raises(PayloadError) as caught:
            await cc.retrieve(secret.address, as_type=Report)
        assert "hunter2" not in str(caught.value)


@pytest.mark.asyncio
@pytest.mark.parametrize("digest", ["md5", "sha256"])
@pytest.mark.parametrize("compression", ["none", "zstd"])
async def test_digests_and_compression(place, digest, compression):
    """Whoever reads needs to know neither: the address and the object say it."""
    payload = [TEXT] * 1000
    async with place.opened(digest=digest, compression=compression) as cc:
        stash = await cc.create("n", payload)
        assert len(stash.digest) == {"md5": 32, "sha256": 64}[digest]
        info = await (await place.bucket(cc)).head(stash.address.key)
        assert (info.size < 5000) == (compression == "zstd")
        assert stash.size > 200_000
    async with place.opened() as cc:
        assert (await cc.retrieve(stash.address)).data == payload
        async with cc.open(stash.address) as reader:
            assert len(await reader.read()) == stash.size


@pytest.mark.asyncio
async def test_mapped_namespaces(place):
    """A mapped namespace has its own place, and no others are admitted."""
    mapped = {"jobs": f"{place.scheme}://company/jobs/"}
    async with place.opened(namespaces=mapped) as cc:
        stash = await cc.create("n", TEXT, "jobs")
        assert str(stash.address).startswith(f"{place.scheme}://jobs/n.")
        assert (await cc.retrieve(stash.address)).data == TEXT
        bucket = await place.bucket(cc, "company")
        assert (await bucket.head(f"jobs/{stash.address.key}")).size == stash.size
        with pytest.raises(InvalidName, match=r"Config\.namespaces"):
            await cc.create("n", TEXT, "company")
        with pytest.raises(InvalidName):
            await cc.create("n", 1, "company")


@pytest.mark.asyncio
async def test_backends_that_are_not_configured(place):
    """An address of another backend is refused by name, before anything is read."""
    other = {"mem": "file", "file": "mem"}[place.scheme]
    address = f"{other}://ns/n.{'0' * 32}"
    async with place.opened(backends=(place.scheme,)) as cc:
        for verb in (cc.retrieve, cc.exists, cc.touch, cc.delete):
            for text in (address, "inline://ns/n?data=DA%3D%3D"):
                with pytest.raises(UnsupportedBackend, match=r"Config\.backends"):
                    await verb(text)


@pytest.mark.asyncio
async def test_stashes_are_values(place):
    """They survive pickling; what was pickled uses the default instance."""
    async with place.opened() as cc:
        stash = await cc.create("n", TEXT, expires=TimeToLive(HOUR))
        again = pickle.loads(pickle.dumps(stash))
        assert isinstance(again, Stash)
        assert again == stash
        assert again.data == TEXT
        assert (again.deadline, again.created) == (stash.deadline, stash.created)


@pytest.mark.asyncio
async def test_other_bytes_under_an_address(place):
    """Bytes that are not those of the address are seen by readers and creators."""
    async with place.opened() as cc:
        stash = await cc.create("n", TEXT)
        other = await cc.create("m", TEXT[::-1] + "!")
        bucket = await place.bucket(cc)
        for body in (b"", b"\xa0", b"x" * stash.size):
            await bucket.put(stash.address.key, body)
            for call in (
                cc.retrieve(stash.address),
                cc.create("n", TEXT),
                cc.retrieve(Address.parse(str(stash.address))),
            ):
                with pytest.raises(IntegrityError, match=r"n\."):
                    await call
        await bucket.copy_from(bucket, other.address.key, stash.address.key)
        with pytest.raises(IntegrityError):
            await cc.retrieve(stash.address)
