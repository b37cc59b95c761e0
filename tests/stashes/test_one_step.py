"""Small stashes on files: one visit of a thread each, and all that holds elsewhere."""

from __future__ import annotations

import errno
import os
from datetime import timedelta
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from tests.stashes.conftest import Place

from coatcheck import Coatcheck, TimeToIdle, TimeToLive
from coatcheck.backends._filesystem import _backend, _calls
from coatcheck.backends._filesystem._lookup import SMALL
from coatcheck.backends._filesystem._pool import BatchPool
from coatcheck.errors import (
    AtCapacity,
    BackendUnavailable,
    IntegrityError,
    InvalidName,
    ObjectNotFound,
    OutcomeUnknown,
    StashNotFound,
)

pytestmark = pytest.mark.anyio
HOUR = timedelta(hours=1)
TEXT = "t" * 2000


@pytest.fixture
def place(tmp_path, clock):
    """A place in files."""
    return Place("file", tmp_path, clock)


@pytest.fixture
def visits(monkeypatch):
    """The calls that were handed to threads."""
    made, run = [], BatchPool.run

    async def counted(self, call, **options):
        made.append(self._name)
        return await run(self, call, **options)

    monkeypatch.setattr(BatchPool, "run", counted)
    return made


class PlantedCalls(_calls.Calls):
    """System calls of which one can be made to fail."""

    failing: str | None = None

    def link_nameless(self, descriptor, folder, name):
        if self.failing == "link":
            raise OSError(errno.ENOSPC, "planted")
        super().link_nameless(descriptor, folder, name)

    def sync(self, descriptor):
        if self.failing == "sync" and os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.EIO, "planted")


@pytest.fixture
def calls(monkeypatch):
    """The system calls that new backends make."""
    planted = PlantedCalls()
    monkeypatch.setattr(_backend, "Calls", lambda: planted)
    return planted


def path_of(place, stash):
    (path,) = Path(place.root, "default").glob(f"{stash.name}.*")
    return path


def drafts_of(place):
    return list(Path(place.root, ".coatcheck").glob("buckets/*/drafts/*"))


async def test_each_call_is_one_visit(place, visits):
    """Written, digested, read and verified without going back and forth."""
    async with place.opened() as cc:
        await cc.create("first", TEXT)
        visits.clear()
        stash = await cc.create("second", TEXT)
        assert visits == ["coatcheck-write"]
        assert (await cc.retrieve(stash.address)).data == TEXT
        assert visits == ["coatcheck-write", "coatcheck-read"]
        assert (await cc.retrieve(str(stash.address))) == stash


async def test_what_comes_back_is_the_same_whichever_way(place):
    """Size, type, time of creation and address do not depend on the way."""
    async with place.opened() as cc:
        for data in (TEXT, b"x" * SMALL, b"x" * (SMALL + 1)):
            stash = await cc.create("n", data)
            loaded = await cc.retrieve(stash.address)
            assert loaded == stash
            told = ("size", "content_type", "created", "deadline", "address")
            for name in told:
                assert getattr(loaded, name) == getattr(stash, name), name
            assert stash.created == place.clock()
            place.clock.advance(timedelta(seconds=1))
            again = await cc.create("n", data)
            assert again.created == stash.created


async def test_large_and_compressed_payloads_go_the_long_way(place, visits):
    """They take several steps, which none other waits behind."""
    async with place.opened(compression="zstd") as cc:
        stash = await cc.create("n", TEXT)
        assert (await cc.retrieve(stash.address)).data == TEXT
    async with place.opened() as cc:
        assert (await cc.retrieve(stash.address)).data == TEXT
        visits.clear()
        large = await cc.create("large", b"x" * (SMALL + 1))
        assert (await cc.retrieve(large.address)).data == b"x" * (SMALL + 1)
        assert len(visits) > 2


async def test_a_flipped_bit_is_found(place):
    """Wherever it is in the body: the address says what the bytes are."""
    async with place.opened() as cc:
        stash = await cc.create("n", TEXT)
        path = path_of(place, stash)
        sound = path.read_bytes()
        for at in (0, 1000, stash.size - 1):
            path.write_bytes(sound[:at] + bytes([sound[at] ^ 1]) + sound[at + 1 :])
            with pytest.raises(IntegrityError):
                await cc.retrieve(stash.address)
        path.write_bytes(sound[10:])
        with pytest.raises(IntegrityError):
            await cc.retrieve(stash.address)
        path.write_bytes(sound)
        assert (await cc.retrieve(stash.address)).data == TEXT


async def test_a_file_under_another_name_is_no_stash(place):
    """Right bytes with the record of another key were moved, not created."""
    async with place.opened() as cc:
        stash = await cc.create("n", TEXT)
        path = path_of(place, stash)
        path.rename(path.with_name(path.name.replace("n.", "m.", 1)))
        with pytest.raises(IntegrityError, match="its file was moved"):
            await cc.retrieve(str(stash.address).replace("/n.", "/m."))


async def test_a_create_finds_what_others_put_in_its_place(place):
    """Other bytes under the address are no success, and are left as they are."""
    async with place.opened() as cc:
        stash = await cc.create("n", TEXT)
        path = path_of(place, stash)
        sound = path.read_bytes()
        damaged = bytes([sound[0] ^ 1]) + sound[1:]
        path.write_bytes(damaged)
        with pytest.raises(IntegrityError) as caught:
            await cc.create("n", TEXT)
        assert caught.value.address == str(stash.address)
        assert path.read_bytes() == damaged


async def test_expiring_stashes_are_read_in_one_step_until_they_expire(place, visits):
    """A deadline is honoured, and only a renewal that is due takes another visit."""
    async with place.opened() as cc:
        live = await cc.create("live", TEXT, expires=TimeToLive(HOUR))
        idle = await cc.create("idle", TEXT, expires=TimeToIdle(HOUR))
        visits.clear()
        for stash in (live, idle):
            assert (await cc.retrieve(stash.address)).deadline == stash.deadline
        assert len(visits) == 2
        place.clock.advance(HOUR / 2)
        await cc.retrieve(idle.address)
        renewed = await cc.retrieve(idle.address)
        assert renewed.deadline == place.clock() + HOUR
        place.clock.advance(HOUR / 2)
        with pytest.raises(StashNotFound):
            await cc.retrieve(live.address)
        assert (await cc.retrieve(idle.address)).data == TEXT


async def test_equal_creates_are_one_write_and_others_are_not(place, visits):
    """Their digest is not known yet; their bodies are compared."""
    async with place.opened() as cc:
        await cc.create("first", TEXT)
        visits.clear()
        made = {}

        async def create(number, data, expires=None):
            made[number] = await cc.create("n", data, expires=expires)

        async with anyio.create_task_group() as tasks:
            for number in range(5):
                tasks.start_soon(create, number, TEXT)
        assert visits == ["coatcheck-write"]
        assert len({made[number].address for number in range(5)}) == 1
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(create, 5, TEXT + "!")
            tasks.start_soon(create, 6, TEXT + "?")
            tasks.start_soon(create, 7, TEXT + "?", TimeToLive(HOUR))
        assert made[5].address != made[6].address == made[7].address
        for number, end in ((0, ""), (5, "!"), (6, "?")):
            loaded = await cc.retrieve(made[number].address)
            assert loaded.data == TEXT + end
            assert loaded.deadline is None


async def test_a_stash_that_is_deleted_meanwhile_is_written_again(place):
    """A create that begins after a delete does not count on one before it."""
    async with place.opened() as cc:
        for _ in range(20):
            stash = await cc.create("n", TEXT)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(cc.create, "n", TEXT)
                await anyio.lowlevel.checkpoint()
                await cc.delete(stash.address)
                tasks.start_soon(cc.create, "n", TEXT)
            assert (await cc.retrieve(stash.address)).data == TEXT


async def test_what_vanishes_while_it_is_compared_is_written_again(place, monkeypatch):
    """A create that found an equal stash does not fail because others delete it."""
    async with place.opened() as cc:
        stash = await cc.create("n", TEXT)
        path, compare = path_of(place, stash), cc._read

        async def vanishing(bucket, address):
            path.unlink()
            return await compare(bucket, address)

        monkeypatch.setattr(cc, "_read", vanishing)
        assert (await cc.create("n", TEXT)) == stash
        monkeypatch.undo()
        assert (await cc.retrieve(stash.address)).data == TEXT


async def test_what_vanishes_again_and_again_is_given_up(place, monkeypatch):
    """After some attempts, with an error that says so."""
    async with place.opened() as cc:
        await cc.create("n", TEXT)

        async def vanished(bucket, address):
            raise ObjectNotFound("planted")

        monkeypatch.setattr(cc, "_read", vanished)
        with pytest.raises(BackendUnavailable, match="changed by others"):
            await cc.create("n", TEXT)


async def test_errors_name_the_stash(place, calls):
    """Its address, as if the digest had been known from the beginning."""
    async with place.opened() as cc:
        stash = await cc.create("n", TEXT)
        await cc.delete(stash.address)
        calls.failing = "link"
        with pytest.raises(AtCapacity) as caught:
            await cc.create("n", TEXT)
        assert caught.value.address == str(stash.address)
        calls.failing = None
        with pytest.raises(StashNotFound) as caught:
            await cc.retrieve(stash.address)
        assert caught.value.address == str(stash.address)
        assert (await cc.create("n", TEXT)).address == stash.address


async def test_a_write_that_no_disk_confirmed_can_be_asked_for(place, calls):
    """Its outcome is told by what stands."""
    async with place.opened(durable=True) as cc:
        await cc.create("first", TEXT)
        calls.failing = "sync"
        with pytest.raises(OutcomeUnknown) as caught:
            await cc.create("n", TEXT)
        calls.failing = None
        assert (await caught.value.resolve()).value == "applied"


@pytest.mark.parametrize("observed", [False, True])
async def test_an_observer_hears_of_each_step(place, visits, observed):
    """By the whole key, and without another visit."""
    events = []
    observer = events.append if observed else None
    cc = Coatcheck(
        place.config(), clock=place.clock, memory=place.memory, observer=observer
    )
    async with cc:
        await cc.create("first", TEXT)
        visits.clear()
        events.clear()
        stash = await cc.create("n", TEXT)
        await cc.retrieve(stash.address)
        assert len(visits) == 2
    told = [("put", stash.address.key), ("get", stash.address.key)]
    assert [(event.name, event.key) for event in events] == told * observed


async def test_a_prefix_counts_for_the_length_of_a_key(place):
    """A mapped namespace puts its prefix before the name."""
    prefix = "p" * 500 + "/"
    async with place.opened(namespaces={"jobs": f"file://bucket/{prefix}"}) as cc:
        fits = 1024 - len(prefix) - 33
        stash = await cc.create("n" * fits, TEXT, namespace="jobs")
        assert (await cc.retrieve(stash.address)).data == TEXT
        with pytest.raises(InvalidName):
            await cc.create("n" * (fits + 1), TEXT, namespace="jobs")


async def test_one_step_is_within_the_limit_of_payloads(place):
    """What another configuration stored is refused by this one's limit."""
    async with place.opened() as cc:
        stash = await cc.create("n", TEXT)
    async with place.opened(max_payload_bytes=1000) as cc:
        with pytest.raises(Exception, match=r"max_payload_bytes is 1000; use open\(\)"):
            await cc.retrieve(stash.address)


async def test_cancelling_leaves_a_whole_stash_or_none(place):
    """At any moment; and the next create succeeds."""
    async with place.opened() as cc:
        await cc.create("first", TEXT)
        for number in range(40):
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(cc.create, f"n{number}", TEXT)
                    for _ in range(number % 8):
                        await anyio.lowlevel.checkpoint()
                    scope.cancel()
            stash = await cc.create(f"n{number}", TEXT)
            assert (await cc.retrieve(stash.address)).data == TEXT
    assert drafts_of(place) == []
