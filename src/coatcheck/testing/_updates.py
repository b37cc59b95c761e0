"""Changing metadata, copying, generations."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import anyio
import pytest

from coatcheck._core.expiry import TimeToIdle
from coatcheck.abc import Capability, PutInfo, Update, Write
from coatcheck.errors import (
    AlreadyExists,
    InvalidName,
    ObjectNotFound,
    PreconditionFailed,
)

from ._bodies import LARGE, pattern
from ._stage import Contract, Stage, scenario

HOUR = timedelta(hours=1)


class UpdatesContract(Contract):
    """What a backend promises to those who change what is there."""

    @scenario(Capability.UPDATE)
    async def test_an_update_keeps_bytes_creation_and_digest(self, it: Stage) -> None:
        """Metadata is replaced as a whole; bytes, creation time and digest stay."""
        body = pattern(LARGE)
        first = await it.bucket.put("k", body, info=PutInfo(origin="o", filename="f"))
        created = it.backend.now()
        it.clock.advance(3600)
        second = await it.bucket.update_info(
            "k", PutInfo(origin="p"), if_match=first.etag
        )
        info = await it.bucket.head("k")
        assert (info.origin, info.filename, info.created) == ("p", None, created)
        assert (info.sha256, info.size) == (first.sha256, LARGE)
        assert (info.etag, info.write_id) == (second.etag, second.write_id)
        assert await it.read("k") == body

    @scenario(Capability.UPDATE)
    async def test_an_update_has_a_condition(self, it: Stage) -> None:
        """An ETag that does not stand, or an absent object, changes nothing."""
        first = await it.bucket.put("k", b"x")
        await it.bucket.put("k", b"y")
        with pytest.raises(PreconditionFailed):
            await it.bucket.update_info("k", PutInfo(origin="o"), if_match=first.etag)
        with pytest.raises(ObjectNotFound):
            await it.bucket.update_info("none", PutInfo(), if_match=first.etag)
        assert (await it.bucket.head("k")).origin is None

    @scenario(Capability.UPDATE, Capability.GENERATION)
    async def test_one_updater_wins(self, it: Stage) -> None:
        """Of many that change the same generation exactly one succeeds."""
        etag = (await it.bucket.put("k", b"x")).etag
        won: list[str] = []

        async def update(name: str) -> None:
            info = PutInfo(origin=name)
            try:
                await it.bucket.update_info("k", info, if_match=etag)
            except PreconditionFailed:
                return
            won.append(name)

        async with anyio.create_task_group() as tasks:
            for number in range(10):
                tasks.start_soon(update, str(number))
        assert won == [(await it.bucket.head("k")).origin]

    @scenario(Capability.UPDATE)
    async def test_only_the_deadline_may_move(self, it: Stage) -> None:
        """A touch is an update of the deadline; everything else stays."""
        idle = TimeToIdle(HOUR)
        info = PutInfo(
            origin="o", custom={"a": "b"}, expiry=idle, deadline=it.clock() + HOUR
        )
        await it.bucket.put("k", b"body", info=info)
        for _ in range(3):
            it.clock.advance(600)
            standing = await it.bucket.head("k")
            moved = replace(standing.put_info(), deadline=it.clock() + HOUR)
            receipt = await it.bucket.update_info("k", moved, if_match=standing.etag)
            now = await it.bucket.head("k")
            assert now.etag == receipt.etag
            if Capability.GENERATION in it.bucket.capabilities:
                assert now.etag != standing.etag
            assert now.deadline == it.clock() + HOUR
            assert (now.created, now.custom) == (standing.created, {"a": "b"})
            assert await it.read("k") == b"body"

    @scenario(Capability.GENERATION)
    async def test_every_mutation_is_a_generation(self, it: Stage) -> None:
        """Equal bytes and equal metadata still get another ETag."""
        etags = [(await it.bucket.put("k", b"x")).etag for _ in range(3)]
        if Capability.UPDATE in it.bucket.capabilities:
            for _ in range(2):
                info = await it.bucket.head("k")
                receipt = await it.bucket.update_info(
                    "k", info.put_info(), if_match=info.etag
                )
                etags.append(receipt.etag)
        await it.bucket.delete("k")
        etags.append((await it.bucket.put("k", b"x")).etag)
        assert len(set(etags)) == len(etags)
        assert (await it.bucket.head("k")).etag == etags[-1]

    @scenario(Capability.COPY)
    async def test_a_copy_takes_over_or_gets_its_own(self, it: Stage) -> None:
        """Metadata is the source's, its creation time excepted, or what was given."""
        body = pattern(LARGE)
        first = await it.bucket.put("k", body, info=PutInfo(origin="o"))
        it.clock.advance(3600)
        target = it.second_bucket()
        assert target.can_copy_from(it.bucket)
        await target.copy_from(it.bucket, "k", "in/same")
        await it.bucket.copy_from(it.bucket, "k", "own", info=PutInfo(filename="f"))
        same, own = await target.head("in/same"), await it.bucket.head("own")
        assert (same.origin, same.sha256, same.size) == ("o", first.sha256, LARGE)
        assert same.created == it.backend.now()
        assert (own.origin, own.filename, own.sha256) == (None, "f", first.sha256)
        assert await it.read("own") == body
        assert await it.read("k") == body

    @scenario(Capability.COPY)
    async def test_copies_have_conditions(self, it: Stage) -> None:
        """The source's ETag, the target's mode and its key are held to."""
        first = await it.bucket.put("k", b"x")
        copy = it.bucket.copy_from
        with pytest.raises(PreconditionFailed):
            await copy(it.bucket, "k", "copy", if_match="other")
        with pytest.raises(ObjectNotFound):
            await copy(it.bucket, "absent", "copy")
        with pytest.raises(AlreadyExists):
            await copy(it.bucket, "k", "k", mode=Write.CREATE)
        with pytest.raises(PreconditionFailed):
            await copy(it.bucket, "k", "copy", mode=Update("none"))
        with pytest.raises(InvalidName):
            await copy(it.bucket, "k", "a//b")
        await copy(it.bucket, "k", "copy", mode=Write.CREATE, if_match=first.etag)
        assert await it.read("copy") == b"x"

    @scenario(Capability.COPY)
    async def test_an_object_copied_onto_itself(self, it: Stage) -> None:
        """It keeps its bytes and gets the metadata that was given."""
        await it.bucket.put("k", b"body", info=PutInfo(origin="o"))
        await it.bucket.copy_from(it.bucket, "k", "k", info=PutInfo(origin="p"))
        assert await it.read("k") == b"body"
        assert (await it.bucket.head("k")).origin == "p"
