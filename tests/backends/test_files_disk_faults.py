"""Disks that are full, broken, read-only or without a feature."""

from __future__ import annotations

import errno
import os

import pytest

from coatcheck.errors import (
    AccessDenied,
    AtCapacity,
    BackendError,
    BackendUnavailable,
    Outcome,
    OutcomeUnknown,
)

OLD, NEW = b"the old body", b"the new body of another length"
CHANGES = (
    *("make_root", "make_folder", "remove_folder", "new_file", "nameless_file"),
    *("lock_file", "write", "copy", "set_time", "link", "link_nameless"),
    *("rename", "unlink"),
)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("call", "code", "kind"),
    [
        ("write", errno.ENOSPC, AtCapacity),
        ("write", errno.EDQUOT, AtCapacity),
        ("write", errno.EIO, BackendUnavailable),
        ("write", errno.EFBIG, BackendError),
        ("nameless_file", errno.ENOSPC, AtCapacity),
        ("nameless_file", errno.EMFILE, AtCapacity),
        ("nameless_file", errno.ENFILE, AtCapacity),
        ("open_folder", errno.EMFILE, AtCapacity),
        ("open_folder", errno.EACCES, AccessDenied),
        ("open_folder", errno.ESTALE, BackendUnavailable),
        ("set_time", errno.EPERM, AccessDenied),
        ("link_nameless", errno.ENOSPC, AtCapacity),
        ("link_nameless", errno.EDQUOT, AtCapacity),
        ("link_nameless", errno.EMLINK, BackendError),
        ("lock_file", errno.ENOSPC, AtCapacity),
        ("try_lock", errno.ENOLCK, BackendError),
        ("rename", errno.ENOSPC, AtCapacity),
        ("rename", errno.EROFS, BackendUnavailable),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_write_that_fails_leaves_the_old_object(
    bucket, calls, files, read, call, code, kind, streamed
):
    """The error's type says what to do, and the store is as it was."""

    async def stream():
        yield NEW

    await bucket.put("k", OLD)
    calls.fail(call, code)
    with pytest.raises(kind) as caught:
        await bucket.put("k", stream() if streamed else NEW)
    assert type(caught.value) is kind
    assert caught.value.outcome is Outcome.NOT_APPLIED
    assert (caught.value.bucket, caught.value.key) == ("jobs", "k")
    assert isinstance(caught.value.__cause__, OSError)
    assert await read(bucket, "k") == OLD
    assert files.litter() == []
    await bucket.put("k", NEW)
    assert await read(bucket, "k") == NEW


@pytest.mark.asyncio
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
async def test_a_folder_that_does_not_fit_is_at_capacity(
    bucket, calls, files, list_all, code
):
    """A key in a new folder fails as the bytes would."""
    await bucket.put("k", OLD)
    calls.fail("make_folder", code)
    with pytest.raises(AtCapacity, match="the disk is full"):
        await bucket.put("deep/er/k", NEW)
    assert await list_all(bucket) == ["k"]
    assert files.litter() == []


@pytest.mark.asyncio
async def test_a_part_that_does_not_fit_leaves_the_earlier_one(bucket, calls, read):
    """A full disk spares the upload, which goes on when there is space."""
    upload = await bucket.initiate("k")
    part = await bucket.put_part(upload, 1, OLD, size=len(OLD))
    calls.fail("write", errno.ENOSPC)
    with pytest.raises(AtCapacity):
        await bucket.put_part(upload, 1, NEW, size=len(NEW))
    assert [each async for each in bucket.list_parts(upload)] == [part]
    await bucket.complete(upload, [part])
    assert await read(bucket, "k") == OLD


@pytest.mark.asyncio
async def test_deleting_needs_no_space(bucket, calls, list_all):
    """A full disk can be emptied through the backend."""
    await bucket.put("k", OLD)
    for call in ("write", "make_folder", "nameless_file", "new_file"):
        calls.fail(call, errno.ENOSPC, times=1_000)
    await bucket.delete("k")
    assert await list_all(bucket) == []


@pytest.mark.asyncio
@pytest.mark.parametrize("call", ["nameless_file", "link_nameless", "make_folder"])
async def test_a_full_disk_opens_for_reading_and_deleting(
    make_backend, calls, read, root, call
):
    """Who opens a full disk, after a crash say, can still free space on it."""
    async with make_backend() as backend:
        await backend.bucket("jobs").put("k", OLD)
    (root / ".coatcheck" / "buckets").rename(root / ".coatcheck" / "away")
    calls.fail(call, errno.ENOSPC, times=1_000)
    backend = make_backend()
    try:
        async with backend:
            assert await read(backend.bucket("jobs"), "k") == OLD
            await backend.bucket("jobs").delete("k")
    finally:
        await backend._writers.aclose()


@pytest.mark.asyncio
async def test_a_file_that_was_not_brought_to_the_disk_is_not_published(
    make_backend, calls, read
):
    """EIO of the file's fsync comes before the name: nothing has happened."""
    async with make_backend(durable=True) as backend:
        bucket = backend.bucket("jobs")
        await bucket.put("k", NEW)
        await bucket.put("k", OLD)  # an overwrite makes folders once
        calls.fail("sync", errno.EIO)
        with pytest.raises(BackendUnavailable) as caught:
            await bucket.put("k", NEW)
        assert caught.value.outcome is Outcome.NOT_APPLIED
        assert await read(bucket, "k") == OLD


@pytest.mark.asyncio
async def test_a_folder_that_was_not_brought_to_the_disk_is_unknown(
    make_backend, calls, read
):
    """EIO of the folder's fsync comes after the name; asking tells that it stands."""
    async with make_backend(durable=True) as backend:
        bucket = backend.bucket("jobs")
        await bucket.put("k", NEW)
        await bucket.put("k", OLD)  # an overwrite makes folders once
        calls.fail("sync", errno.EIO, nth=2)
        with pytest.raises(OutcomeUnknown) as caught:
            await bucket.put("k", NEW)
        assert await caught.value.resolve() is Outcome.APPLIED
        assert await read(bucket, "k") == NEW
        await bucket.put("k", OLD)
        assert await caught.value.resolve() is Outcome.UNKNOWN
        await bucket.delete("k")
        assert await caught.value.resolve() is Outcome.NOT_APPLIED


@pytest.mark.asyncio
async def test_a_read_only_disk_is_read(make_backend, calls, read, list_all, refusals):
    """Opening and reading go on; what changes anything is unavailable."""
    async with make_backend() as backend:
        await backend.bucket("jobs").put("a/k", OLD)
    for call in CHANGES[1:]:
        calls.fail(call, errno.EROFS, times=1_000)
    async with make_backend() as backend:
        bucket = backend.bucket("jobs")
        assert await read(bucket, "a/k") == OLD
        assert await list_all(bucket) == ["a/k"]
        verbs = ("put", "create", "update", "delete", "delete_if", "initiate")
        assert await refusals(bucket, verbs) == dict.fromkeys(verbs, BackendUnavailable)
        assert await refusals(bucket, ("sweep", "list_uploads")) == {}
        with pytest.raises(BackendUnavailable):
            await backend.check()
        assert await read(bucket, "a/k") == OLD


@pytest.mark.asyncio
async def test_a_root_that_cannot_be_made_is_refused(make_backend, calls, refusal):
    """A read-only place without a root is an error at once."""
    calls.fail("make_root", errno.EROFS)
    assert await refusal(make_backend()) is BackendUnavailable


@pytest.mark.asyncio
async def test_a_backend_that_did_not_open_leaves_no_thread(make_backend, calls):
    """Failing to open gives back the threads that were started for it."""
    backend = make_backend()
    calls.fail("make_root", errno.EROFS)
    with pytest.raises(BackendUnavailable):
        await backend.__aenter__()
    alive = backend._writers._alive
    await backend._writers.aclose()
    assert alive == 0


@pytest.mark.asyncio
async def test_reads_at_the_limit_of_open_files_are_at_capacity(bucket, calls, read):
    """EMFILE is a limit of this machine, and passes."""
    await bucket.put("a/k", OLD)
    for call in ("open_folder", "open_file"):
        calls.fail(call, errno.EMFILE)
        with pytest.raises(AtCapacity):
            await read(bucket, "a/k")
        assert await read(bucket, "a/k") == OLD


@pytest.mark.asyncio
@pytest.mark.parametrize("code", [errno.EMFILE, errno.EIO, errno.EACCES])
async def test_a_scan_does_not_hide_what_it_cannot_open(bucket, calls, list_all, code):
    """An object that stands is listed, or the scan fails; it is not left out."""
    await bucket.put("k", OLD)
    calls.fail("open_file", code)
    with pytest.raises((AtCapacity, BackendUnavailable, AccessDenied)):
        await list_all(bucket)


@pytest.mark.asyncio
async def test_writes_that_are_cut_short_go_on(make_backend, calls, monkeypatch, read):
    """A system call that takes three bytes at a time loses none."""
    monkeypatch.setattr(
        calls, "write", lambda target, parts: os.write(target, parts[0][:3])
    )
    monkeypatch.setattr(
        calls,
        "copy",
        lambda source, offset, count, target: os.write(
            target, os.pread(source, min(count, 3), offset)
        ),
    )
    async with make_backend() as backend:
        bucket = backend.bucket("jobs")
        await bucket.put("k", NEW)
        assert await read(bucket, "k") == NEW
        await bucket.copy_from(bucket, "k", "other")
        assert await read(bucket, "other") == NEW
