"""Multipart uploads, and sweeping what was left of them."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from coatcheck.abc import Capability, PutInfo, Update, Verified, Write
from coatcheck.errors import (
    AlreadyExists,
    IntegrityError,
    InvalidInput,
    InvalidName,
    ObjectNotFound,
    PreconditionFailed,
)

from ._bodies import pattern, stream
from ._stage import Contract, Stage, scenario

if TYPE_CHECKING:
    from coatcheck.abc import Part, Upload, WriteMode

MULTIPART = Capability.MULTIPART


class MultipartContract(Contract):
    """What a backend promises to those who upload in parts."""

    async def uploaded(
        self,
        it: Stage,
        key: str = "k",
        *,
        info: PutInfo | None = None,
        mode: WriteMode = Write.OVERWRITE,
    ) -> tuple[Upload, list[Part], bytes]:
        """Upload two parts, the later one first."""
        first, second = pattern(max(it.bucket.limits.min_part, 1000)), b"the last part"
        upload = await it.bucket.initiate(key, info=info or PutInfo(), mode=mode)
        late = await it.bucket.put_part(upload, 7, stream(second, 5), size=len(second))
        early = await it.bucket.put_part(upload, 2, first, size=len(first))
        return upload, [early, late], first + second

    @scenario(MULTIPART)
    async def test_parts_are_joined_by_number(self, it: Stage) -> None:
        """Nothing shows before completion; then the whole object does."""
        begun = it.backend.now()
        upload, parts, body = await self.uploaded(it, info=PutInfo(origin="o"))
        it.clock.advance(60)
        with pytest.raises(ObjectNotFound):
            await it.bucket.head("k")
        listed = [part async for part in it.bucket.list_parts(upload)]
        assert listed == parts
        assert all(part.modified is not None for part in listed)
        receipt = await it.bucket.complete(upload, parts)
        assert receipt.size == len(body)
        assert await it.read("k") == body
        info = await it.bucket.head("k")
        assert (info.origin, info.created) == ("o", begun)
        assert [each async for each in it.bucket.list_uploads()] == []

    @scenario(MULTIPART)
    async def test_a_part_may_be_replaced(self, it: Stage) -> None:
        """The last part with a number counts, and only by its own ETag."""
        upload, parts, body = await self.uploaded(it)
        other = body[:1000][::-1] + body[1000 : parts[0].size]
        again = await it.bucket.put_part(upload, 2, other, size=len(other))
        with pytest.raises(InvalidInput):
            await it.bucket.complete(upload, parts)
        await it.bucket.complete(upload, [again, parts[1]])
        assert await it.read("k") == other + b"the last part"

    @scenario(MULTIPART)
    async def test_a_declared_digest_is_kept(self, it: Stage) -> None:
        """An object of parts is verified when its digest was declared."""
        _, _, body = await self.uploaded(it, "other")
        digest = hashlib.sha256(body).hexdigest()
        upload, parts, _ = await self.uploaded(it, info=PutInfo(sha256=digest))
        await it.bucket.complete(upload, parts)
        async with it.bucket.get("k") as reader:
            assert reader.verified is Verified.SHA256
            assert await reader.read() == body

    @scenario(MULTIPART)
    async def test_completing_is_repeatable(self, it: Stage) -> None:
        """Completing again gives the same receipt as long as the object stands."""
        upload, parts, _ = await self.uploaded(it)
        receipt = await it.bucket.complete(upload, parts)
        again = await it.bucket.complete(upload, parts)
        assert replace(again, created=receipt.created) == receipt
        await it.bucket.put("k", b"replaced")
        with pytest.raises(ObjectNotFound):
            await it.bucket.complete(upload, parts)
        with pytest.raises(ObjectNotFound):
            await it.bucket.put_part(upload, 1, b"", size=0)
        assert await it.read("k") == b"replaced"

    @scenario(MULTIPART)
    async def test_wrong_parts_are_refused(self, it: Stage) -> None:
        """No parts, wrong order, twice, missing, or another ETag: nothing is made."""
        upload, (first, second), _ = await self.uploaded(it)
        for parts in (
            [],
            [second, first],
            [first, first],
            [replace(first, etag=second.etag), second],
            [first, replace(second, number=9)],
        ):
            with pytest.raises(InvalidInput):
                await it.bucket.complete(upload, parts)
        with pytest.raises(ObjectNotFound):
            await it.bucket.head("k")
        await it.bucket.complete(upload, [first, second])

    @scenario(MULTIPART)
    async def test_parts_are_checked(self, it: Stage) -> None:
        """Numbers, lengths and MD5s that do not fit are refused."""
        upload = await it.bucket.initiate("k")
        for number in (0, -1, it.bucket.limits.max_parts + 1):
            with pytest.raises(InvalidInput):
                await it.bucket.put_part(upload, number, b"ab", size=2)
        with pytest.raises(InvalidInput):
            await it.bucket.put_part(upload, 1, b"", size=-1)
        for size, md5 in ((1, None), (3, None), (2, bytes(16))):
            for body in (b"ab", stream(b"ab", 1)):
                with pytest.raises(IntegrityError):
                    await it.bucket.put_part(
                        upload, 1, body, size=size, content_md5=md5
                    )
        assert [part async for part in it.bucket.list_parts(upload)] == []
        right = hashlib.md5(b"ab", usedforsecurity=False).digest()
        await it.bucket.put_part(upload, 1, b"ab", size=2, content_md5=right)
        await it.bucket.abort(upload)

    @scenario(MULTIPART, Capability.CREATE, Capability.REPLACE_IF)
    async def test_modes_hold_at_completion(self, it: Stage) -> None:
        """CREATE and Update are decided when the upload is completed."""
        created, created_parts, _ = await self.uploaded(it, mode=Write.CREATE)
        standing = await it.bucket.put("k", b"other")
        with pytest.raises(AlreadyExists):
            await it.bucket.complete(created, created_parts)
        updated, parts, body = await self.uploaded(it, mode=Update(standing.etag))
        late, late_parts, _ = await self.uploaded(it, mode=Update(standing.etag))
        await it.bucket.complete(updated, parts)
        with pytest.raises(PreconditionFailed):
            await it.bucket.complete(late, late_parts)
        assert await it.read("k") == body

    @scenario(MULTIPART)
    async def test_an_upload_is_known_by_id_and_key(self, it: Stage) -> None:
        """Under another key, or with an id from elsewhere, it is not there."""
        upload, parts, _ = await self.uploaded(it)
        for other in (
            replace(upload, key="other"),
            *(replace(upload, upload_id=each) for each in ("x", "", "../..", "a/b")),
        ):
            with pytest.raises(ObjectNotFound):
                await it.bucket.put_part(other, 1, b"", size=0)
            with pytest.raises(ObjectNotFound):
                await it.bucket.complete(other, parts)
            with pytest.raises(ObjectNotFound):
                assert [part async for part in it.bucket.list_parts(other)]
            await it.bucket.abort(other)
        await it.bucket.complete(upload, parts)

    @scenario(MULTIPART)
    async def test_aborting(self, it: Stage) -> None:
        """An aborted upload is gone; aborting again or too late touches nothing."""
        upload, parts, body = await self.uploaded(it)
        await it.bucket.complete(upload, parts)
        await it.bucket.abort(upload)
        assert await it.read("k") == body
        dropped, parts, _ = await self.uploaded(it, "other")
        await it.bucket.abort(dropped)
        await it.bucket.abort(dropped)
        with pytest.raises(ObjectNotFound):
            await it.bucket.complete(dropped, parts)

    @scenario(MULTIPART)
    async def test_bad_uploads_are_refused(self, it: Stage) -> None:
        """An upload to what is no key is refused when it begins."""
        for key in ("", "a//b", "a\n", "x" * 1025):
            with pytest.raises(InvalidName):
                await it.bucket.initiate(key)

    @scenario(MULTIPART)
    async def test_uploads_survive_reopening(self, it: Stage) -> None:
        """Another backend over the same storage can go on with an upload."""
        upload, parts, body = await self.uploaded(it)
        await it.reopen()
        assert [each async for each in it.bucket.list_uploads()] == [upload]
        await it.bucket.complete(upload, parts)
        assert await it.read("k") == body

    @scenario(MULTIPART, Capability.SWEEP)
    async def test_uploads_are_listed_and_swept(self, it: Stage) -> None:
        """They are listed by key and age; a sweep takes the old ones and no object."""
        hour = timedelta(hours=1)
        for key in ("b", "a/1", "c", "a/0"):
            await it.bucket.initiate(key)
            it.clock.advance(hour)
        await it.bucket.put("object", b"x")
        listing = it.bucket.list_uploads
        assert [each.key async for each in listing()] == ["a/0", "a/1", "b", "c"]
        assert [each.key async for each in listing("a/")] == ["a/0", "a/1"]
        old = [each.key async for each in listing(older_than=3 * hour)]
        assert old == ["a/1", "b"]
        assert (await it.bucket.sweep(older_than=3 * hour)).uploads == 2
        assert (await it.bucket.sweep(older_than=3 * hour)).uploads == 0
        assert [each.key async for each in listing()] == ["a/0", "c"]
        assert await it.read("object") == b"x"
