"""What sessions promise to those who upload in parts."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from datetime import timedelta

import anyio
import pytest
from tests.objects.stage import case, keys, stream

from coatcheck.errors import IntegrityError, InvalidInput, InvalidName, ObjectNotFound
from coatcheck.objects import TimeToLive

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

HOUR = timedelta(hours=1)
LAST = b"the last part"


class MultipartCases:
    """Uploading in parts."""

    async def uploaded(self, it, key="key", **options):
        """Begin an upload and send two parts, the later one first."""
        upload = await it.session.initiate_multipart_upload(key=key, **options)
        late = await upload.put_part(LAST, part_number=7)
        early = await upload.put_part(
            it.part, part_number=2, content_length=len(it.part)
        )
        return upload, [late, early]

    @case
    async def test_parts_are_joined_by_number(self, it):
        """Nothing shows before completion, then all of it in the order of numbers."""
        await it.session.put(b"old", "key")
        upload, parts = await self.uploaded(it)
        assert await it.session.get_bytes("key") == b"old"
        assert await upload.complete(parts) == "key"
        assert await it.session.get_bytes("key") == it.part + LAST

    @case
    async def test_parts_are_sent_at_the_same_time(self, it):
        """Tasks share an upload."""
        upload = await it.session.initiate_multipart_upload()
        bodies = {1: it.part, 2: it.part[::-1], 3: LAST}
        parts = []

        async def send(number, body):
            parts.append(await upload.put_part(body, part_number=number))

        async with anyio.create_task_group() as tasks:
            for number, body in bodies.items():
                tasks.start_soon(send, number, body)
        key = await upload.complete(parts)
        assert key == upload.key
        assert await it.session.get_bytes(key) == b"".join(bodies.values())

    @case
    async def test_uploads_go_on_elsewhere(self, it):
        """Who knows key and id goes on, sees what is there, and completes it."""
        upload, _ = await self.uploaded(it)
        async with it.make_client() as client:
            session = client.session(it.session.usecase, org=1, project=2)
            resumed = session.resume_multipart_upload(upload.key, upload.upload_id)
            parts = await resumed.list_parts()
            assert [(part.part_number, part.size) for part in parts] == [
                (2, len(it.part)),
                (7, len(LAST)),
            ]
            assert all(part.etag and part.last_modified for part in parts)
            added = await resumed.put_part(it.part, part_number=1)
            await resumed.complete([*parts, added])
        assert await it.session.get_bytes("key") == it.part + it.part + LAST

    @case
    async def test_aborted_uploads_leave_nothing(self, it):
        """After an abort there is neither object nor upload; aborting repeats."""
        upload, parts = await self.uploaded(it)
        await upload.abort()
        await upload.abort()
        assert await keys(it.session) == []
        with pytest.raises(ObjectNotFound):
            await upload.complete(parts)

    @case
    async def test_wrong_parts_are_refused(self, it):
        """No parts, twice, missing, or with another ETag: the upload stays alive."""
        upload, (late, early) = await self.uploaded(it)
        for parts in (
            [],
            [late, late],
            [replace(early, etag=late.etag), late],
            [early, replace(late, part_number=9)],
        ):
            with pytest.raises(InvalidInput):
                await upload.complete(parts)
        assert await keys(it.session) == []
        await upload.complete([early, late])
        assert await it.session.get_bytes("key") == it.part + LAST

    @case
    async def test_a_part_may_be_sent_again(self, it):
        """The last part with a number counts."""
        upload, (late, _) = await self.uploaded(it)
        again = await upload.put_part(it.part[::-1], part_number=2)
        await upload.complete([late, again])
        assert await it.session.get_bytes("key") == it.part[::-1] + LAST

    @case
    async def test_parts_are_held_against_their_md5(self, it):
        """A part with another MD5 than declared is refused and not kept."""
        upload = await it.session.initiate_multipart_upload()
        right = hashlib.md5(LAST, usedforsecurity=False).digest()
        for contents in (LAST, stream(LAST, 3)):
            with pytest.raises(IntegrityError):
                await upload.put_part(
                    contents,
                    part_number=1,
                    content_length=len(LAST),
                    content_md5=b"\0" * 16,
                )
        with pytest.raises(InvalidInput):
            await upload.put_part(LAST, part_number=1, content_md5=b"short")
        part = await upload.put_part(
            stream(LAST, 3),
            part_number=1,
            content_length=len(LAST),
            content_md5=right,
        )
        key = await upload.complete([part])
        assert await it.session.get_bytes(key) == LAST

    @case
    async def test_parts_have_the_length_that_was_declared(self, it):
        """Longer and shorter contents are refused, and a stream must be declared."""
        upload = await it.session.initiate_multipart_upload()
        for length in (len(LAST) - 1, len(LAST) + 1):
            for contents in (LAST, stream(LAST, 3)):
                with pytest.raises((IntegrityError, InvalidInput)):
                    await upload.put_part(
                        contents, part_number=1, content_length=length
                    )
        with pytest.raises(InvalidInput):
            await upload.put_part(stream(LAST, 3), part_number=1)
        assert await upload.list_parts() == []

    @case
    async def test_part_numbers_begin_at_one(self, it):
        """Zero, negative and enormous numbers are refused."""
        upload = await it.session.initiate_multipart_upload()
        for number in (0, -1, 10_001):
            with pytest.raises(InvalidInput):
                await upload.put_part(LAST, part_number=number)

    @case
    async def test_metadata_is_given_at_the_beginning(self, it):
        """So are the policy, and the moment that it counts from."""
        begun = it.now
        upload, parts = await self.uploaded(
            it,
            content_type="text/plain",
            metadata={"a": "\u00e9"},
            origin="o",
            filename="f.txt",
            expiration_policy=TimeToLive(HOUR),
        )
        it.clock.advance(60)
        await upload.complete(parts)
        metadata = await it.session.head("key")
        assert metadata.content_type == "text/plain"
        assert (metadata.origin, metadata.filename) == ("o", "f.txt")
        assert metadata.custom == {"a": "\u00e9"}
        assert metadata.time_created == begun
        assert metadata.time_expires == begun + HOUR
        assert metadata.size == len(it.part) + len(LAST)
        assert metadata.compression is None

    @case
    async def test_compressed_parts_are_decoded(self, it):
        """Parts that are zstd frames are recorded as such, and read as one payload."""
        upload = await it.session.initiate_multipart_upload(compression="zstd")
        frames = [zstd.compress(it.part), zstd.compress(LAST)]
        parts = [
            await upload.put_part(frame, part_number=number)
            for number, frame in enumerate(frames, 1)
        ]
        key = await upload.complete(parts)
        assert (await it.session.head(key)).compression == "zstd"
        assert await it.session.get_bytes(key) == it.part + LAST

    @case
    async def test_completing_is_repeatable(self, it):
        """Who lost the answer asks again, as long as the object stands."""
        upload, parts = await self.uploaded(it)
        await upload.complete(parts)
        assert await upload.complete(parts) == "key"
        assert await it.session.get_bytes("key") == it.part + LAST

    @case
    async def test_uploads_get_keys(self, it):
        """Without a key the object to come gets a new one; bad ones are refused."""
        upload = await it.session.initiate_multipart_upload()
        assert len(upload.key) == 36
        assert upload.upload_id
        with pytest.raises(InvalidName):
            await it.session.initiate_multipart_upload(key="a//b")
        with pytest.raises(InvalidInput):
            await it.session.initiate_multipart_upload(compression="gzip")

    @case
    async def test_unknown_uploads(self, it):
        """An id that names no upload, or one to another key, finds nothing."""
        upload, parts = await self.uploaded(it)
        other = it.session.resume_multipart_upload("other", upload.upload_id)
        with pytest.raises(ObjectNotFound):
            await other.put_part(LAST, part_number=1)
        with pytest.raises(ObjectNotFound):
            await other.complete(parts)
        assert not await it.session.exists("other")
