"""The contract catches buckets that break it: each defect by the scenario named."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.subjects import MemorySubject

from coatcheck.abc import PutInfo, Update, Write
from coatcheck.errors import CoatcheckError
from coatcheck.testing import BackendContract
from coatcheck.wrappers import ForwardingBucket, ForwardingRead, ForwardingReader


class KeepsBuffers(ForwardingBucket):
    """Stores the caller's buffer itself, which may change until it is read."""

    def __init__(self, inner):
        super().__init__(inner)
        self.kept = {}

    async def put(self, key, body, **options):
        if isinstance(body, bytearray):
            self.kept[key] = body, options
        return await super().put(key, body, **options)

    def get(self, key, **options):
        bucket = self

        class Read(ForwardingRead):
            async def __aenter__(self):
                if key in bucket.kept:
                    body, given = bucket.kept[key]
                    await ForwardingBucket.put(bucket, key, body, **given)
                return await super().__aenter__()

        return Read(super().get(key, **options))


class IgnoresRanges(ForwardingBucket):
    """Answers a range with the whole object."""

    def get(self, key, *, byte_range=None, **options):
        return super().get(key, **options)


class CreateOverwrites(ForwardingBucket):
    """Takes If-None-Match and does not hold to it."""

    async def put(self, key, body, *, mode=Write.OVERWRITE, **options):
        mode = Write.OVERWRITE if mode is Write.CREATE else mode
        return await super().put(key, body, mode=mode, **options)


class UpdateOverwrites(ForwardingBucket):
    """Takes If-Match on writes and does not hold to it."""

    async def put(self, key, body, *, mode=Write.OVERWRITE, **options):
        mode = Write.OVERWRITE if isinstance(mode, Update) else mode
        return await super().put(key, body, mode=mode, **options)


class DeletesAnything(ForwardingBucket):
    """Takes If-Match on deletes and does not hold to it."""

    async def delete(self, key, *, if_match=None):
        await super().delete(key)


class DeleteOfAbsentFails(ForwardingBucket):
    """Finds it wrong to delete what is gone."""

    async def delete(self, key, *, if_match=None):
        await self.head(key)
        await super().delete(key, if_match=if_match)


class ForgetsCustom(ForwardingBucket):
    """Loses the user's own metadata."""

    async def put(self, key, body, *, info=PutInfo(), **options):  # noqa: B008
        return await super().put(key, body, info=replace(info, custom={}), **options)


class TrustsNothing(ForwardingBucket):
    """Does not compute a digest, so damage of equal length goes unseen."""

    async def put(self, key, body, *, info=PutInfo(), **options):  # noqa: B008
        return await super().put(key, body, info=replace(info, pinned=True), **options)


class EscapesTwice(ForwardingBucket):
    """Escapes what was escaped, so that two keys become one."""

    async def put(self, key, body, **options):
        return await super().put(key.replace("%41", "A"), body, **options)

    def get(self, key, **options):
        return super().get(key.replace("%41", "A"), **options)

    async def head(self, key):
        info = await super().head(key.replace("%41", "A"))
        return replace(info, key=key)


class TidiesKeys(ForwardingBucket):
    """Rewrites keys that should be refused."""

    async def put(self, key, body, **options):
        return await super().put(key.strip("/\n") or "x", body, **options)


class FoldsCase(ForwardingBucket):
    """Keeps keys as a case-insensitive file system does."""

    async def put(self, key, body, **options):
        return await super().put(key.lower(), body, **options)

    def get(self, key, **options):
        return super().get(key.lower(), **options)


class ScansBackwards(ForwardingBucket):
    """Lists in the order of its own."""

    async def scan(self, prefix="", **options):
        async for page in super().scan(prefix, **options):
            yield replace(page, entries=page.entries[::-1])


class ScansFirstPageOnly(ForwardingBucket):
    """Forgets the continuation token."""

    async def scan(self, prefix="", **options):
        async for page in super().scan(prefix, **options):
            yield page
            return


class StartsAtTheKey(ForwardingBucket):
    """Takes start_after for start_at."""

    async def scan(self, prefix="", *, start_after=None, **options):
        if start_after is not None and start_after.startswith(prefix or start_after):
            try:
                info = await self.head(start_after)
            except CoatcheckError:
                info = None
            if info is not None:
                async for page in super().scan(prefix, **options):
                    yield replace(
                        page,
                        entries=tuple(e for e in page.entries if e.key >= start_after),
                        prefixes=tuple(p for p in page.prefixes if p > start_after),
                    )
                return
        async for page in super().scan(prefix, start_after=start_after, **options):
            yield page


class PublishesEarly(ForwardingBucket):
    """Lets a write that fails half-way leave what it had."""

    async def put(self, key, body, *, size=None, **options):
        if not hasattr(body, "__aiter__"):
            return await super().put(key, body, size=size, **options)
        received = bytearray()
        try:
            async for chunk in body:
                received += chunk
        finally:
            receipt = await super().put(key, bytes(received), **options)
        return receipt


class UpdatesCreation(ForwardingBucket):
    """Takes an update for a new object."""

    async def update_info(self, key, info, *, if_match):
        info = replace(info, created=self.backend.now())
        return await super().update_info(key, info, if_match=if_match)


class UpdatesAnything(ForwardingBucket):
    """Updates whatever stands there."""

    async def update_info(self, key, info, *, if_match):
        etag = (await self.head(key)).etag
        return await super().update_info(key, info, if_match=etag)


class CopiesForget(ForwardingBucket):
    """Copies bytes without their metadata."""

    async def copy_from(self, source, source_key, key, *, info=None, **options):
        info = info or PutInfo()
        return await super().copy_from(source, source_key, key, info=info, **options)


class JoinsAllParts(ForwardingBucket):
    """Completes whatever it was given, in the order of numbers."""

    async def complete(self, upload, parts):
        held = [part async for part in self.list_parts(upload)]
        return await super().complete(upload, held)


class AbortsTheObject(ForwardingBucket):
    """Removes the object with the upload."""

    async def abort(self, upload):
        await super().abort(upload)
        await self.delete(upload.key)


class SweepsEverything(ForwardingBucket):
    """Sweeps uploads that are still in progress."""

    async def sweep(self, *, older_than):
        from datetime import timedelta

        return await super().sweep(older_than=timedelta(0))


class ReleasesUnverified(ForwardingBucket):
    """Hands out bytes and forgets to verify the last of them."""

    def get(self, key, **options):
        class Reader(ForwardingReader):
            async def __anext__(self):
                try:
                    return await super().__anext__()
                except CoatcheckError:
                    raise StopAsyncIteration from None

        class Read(ForwardingRead):
            async def __aenter__(self):
                return Reader(await super().__aenter__())

        return Read(super().get(key, **options))


DEFECTS = [
    (KeepsBuffers, "test_the_callers_buffers_are_not_kept"),
    (IgnoresRanges, "test_ranges"),
    (CreateOverwrites, "test_create_needs_a_free_key"),
    (CreateOverwrites, "test_one_creator_wins"),
    (UpdateOverwrites, "test_update_needs_the_etag_that_stands"),
    (UpdateOverwrites, "test_counting_by_update_loses_nothing"),
    (DeletesAnything, "test_conditional_deletes"),
    (DeleteOfAbsentFails, "test_absent_is_not_found"),
    (ForgetsCustom, "test_metadata_comes_back"),
    (TrustsNothing, "test_damage_is_noticed"),
    (EscapesTwice, "test_keys_stay_apart"),
    (TidiesKeys, "test_bad_keys_are_refused"),
    (FoldsCase, "test_keys_stay_apart"),
    (ScansBackwards, "test_scans_are_ordered_and_cut_as_asked"),
    (ScansFirstPageOnly, "test_many_objects_come_page_by_page"),
    (StartsAtTheKey, "test_scans_are_ordered_and_cut_as_asked"),
    (PublishesEarly, "test_a_failing_source_leaves_what_was"),
    (UpdatesCreation, "test_an_update_keeps_bytes_creation_and_digest"),
    (UpdatesAnything, "test_an_update_has_a_condition"),
    (CopiesForget, "test_a_copy_takes_over_or_gets_its_own"),
    (JoinsAllParts, "test_wrong_parts_are_refused"),
    (AbortsTheObject, "test_aborting"),
    (SweepsEverything, "test_uploads_are_listed_and_swept"),
    (ReleasesUnverified, "test_damage_is_noticed"),
]


def run(bucket_type, scenario, tmp_path, request):
    class Subject(MemorySubject):
        def bucket(self, backend, name="contract"):
            bucket = backend.bucket(name)
            return bucket if bucket_type is None else bucket_type(bucket)

    class Planted(BackendContract):
        subject = Subject

    getattr(Planted(), scenario)(tmp_path, request)


@pytest.mark.parametrize(
    ("bucket_type", "scenario"),
    DEFECTS,
    ids=lambda each: getattr(each, "__name__", None),
)
def test_a_defect_is_caught(bucket_type, scenario, tmp_path, request):
    """The scenario passes on a sound bucket, and fails on the broken one."""
    run(None, scenario, tmp_path, request)
    with pytest.raises((Exception, pytest.fail.Exception)):
        run(bucket_type, scenario, tmp_path, request)
