"""Nothing outside the root is reached, whatever somebody plants inside it."""

from __future__ import annotations

import os
import shutil
from datetime import timedelta

import pytest

from coatcheck.abc import Update, Write
from coatcheck.errors import AlreadyExists, IntegrityError

# A call that waits for a FIFO would wait for ever, and cancelling would not help.
pytestmark = pytest.mark.timeout(20, method="thread")

BODY = b"coat"


def link(path, target):
    """Put a symlink where something of ours may stand."""
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


OBJECT_VERBS = ("head", "get", "put", "create", "update", "scan")


@pytest.mark.asyncio
async def test_a_symlink_as_bucket_folder_is_refused(bucket, root, canary, refusals):
    """Every verb on the objects answers, and none goes through it."""
    link(root / "jobs", canary.path)
    verbs = (*OBJECT_VERBS, "delete", "delete_if", "sweep")
    assert await refusals(bucket, verbs) == dict.fromkeys(verbs, IntegrityError)


@pytest.mark.asyncio
async def test_a_symlink_as_folder_of_keys_is_refused(bucket, root, canary, refusals):
    """So does one further down; a sweep leaves it alone."""
    (root / "jobs").mkdir()
    link(root / "jobs" / "a+", canary.path)
    verbs = (*OBJECT_VERBS, "delete", "delete_if")
    assert await refusals(bucket, verbs) == dict.fromkeys(verbs, IntegrityError)
    assert (await bucket.sweep(older_than=timedelta(0))).folders == 0
    assert (root / "jobs" / "a+").is_symlink()


@pytest.mark.asyncio
async def test_a_symlink_as_object_is_neither_read_nor_followed(
    bucket, files, canary, refusals, read, list_all
):
    """Reading it is refused; writing and deleting change the link itself."""
    link(files.of("a/k"), canary.path / "k")
    assert await refusals(bucket, ("head", "get", "create", "update", "delete_if")) == {
        "head": IntegrityError,
        "get": IntegrityError,
        "create": AlreadyExists,
        "update": IntegrityError,
        "delete_if": IntegrityError,
    }
    assert await list_all(bucket) == []
    await bucket.put("a/k", BODY)
    assert await read(bucket, "a/k") == BODY
    link(files.of("a/k"), canary.path / "k")
    await bucket.delete("a/k")
    assert not files.of("a/k").is_symlink()


@pytest.mark.asyncio
async def test_a_dangling_symlink_as_object_makes_no_file(
    bucket, files, canary, refusals, read
):
    """A link to a name that is free is not written through."""
    link(files.of("a/k"), canary.path / "new")
    assert (await refusals(bucket, ("head", "get"))) == {
        "head": IntegrityError,
        "get": IntegrityError,
    }
    await bucket.put("a/k", BODY)
    assert await read(bucket, "a/k") == BODY


@pytest.mark.asyncio
async def test_a_hard_link_to_a_foreign_file_gives_none_of_it(
    bucket, files, tmp_path, refusals, read
):
    """A file of somebody else is damage, not a body, and writing replaces the name."""
    foreign = tmp_path / "foreign"
    foreign.write_bytes(b"a canary" * 100)
    files.of("a/k").parent.mkdir(parents=True)
    os.link(foreign, files.of("a/k"))
    assert await refusals(bucket, ("head", "get")) == {
        "head": IntegrityError,
        "get": IntegrityError,
    }
    await bucket.put("a/k", BODY)
    assert await read(bucket, "a/k") == BODY
    assert foreign.read_bytes() == b"a canary" * 100


@pytest.mark.asyncio
@pytest.mark.parametrize("below", ["", "locks", "buckets"])
async def test_a_symlink_as_control_folder_bars_the_root(
    make_backend, refusal, root, canary, below
):
    """A root whose control folders lead elsewhere does not open."""
    link(root.joinpath(".coatcheck", below), canary.path)
    assert await refusal(make_backend()) is IntegrityError


@pytest.mark.asyncio
@pytest.mark.parametrize("below", ["", "buckets", "buckets/jobs"])
async def test_a_symlink_as_control_folder_stops_writes(
    bucket, files, canary, below, refusals, read
):
    """One planted later stops what needs the folder, and nothing else."""
    standing = await bucket.put("a/k", BODY)
    link(files.control / below, canary.path)
    verbs = ("put", "sweep", "initiate", "list_uploads")
    assert await refusals(bucket, verbs) == dict.fromkeys(verbs, IntegrityError)
    with pytest.raises(IntegrityError):
        await bucket.put("a/k", BODY, mode=Update(standing.etag))
    await bucket.put("a/new", BODY, mode=Write.CREATE)
    assert await read(bucket, "a/k") == await read(bucket, "a/new") == BODY


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["drafts", "uploads"])
async def test_a_symlink_among_the_control_folders_is_not_swept(
    bucket, files, canary, name, refusals
):
    """A sweep of drafts and uploads removes nothing elsewhere."""
    link(files.control / "buckets" / "jobs" / name, canary.path)
    needed = ("sweep", "initiate") if name == "uploads" else ("sweep",)
    refused = await refusals(bucket, ("sweep", "initiate"))
    assert refused == dict.fromkeys(needed, IntegrityError)


@pytest.mark.asyncio
async def test_a_symlink_as_upload_is_not_emptied(bucket, files, canary, refusals):
    """Aborting refuses, and sweeping passes over, what a planted upload points to."""
    upload = await bucket.initiate("a/k")
    link(files.uploads() / upload.upload_id, canary.path / "a+")
    with pytest.raises(IntegrityError):
        await bucket.abort(upload)
    with pytest.raises(IntegrityError):
        await bucket.put_part(upload, 1, BODY, size=4)
    assert await refusals(bucket, ("sweep",)) == {}


@pytest.mark.asyncio
@pytest.mark.parametrize("as_folder", [False, True])
async def test_a_symlink_as_lock_is_not_opened(
    bucket, files, canary, as_folder, refusals, read
):
    """A write that needs the lock is refused; one that does not goes on."""
    for slot in range(64):
        if not as_folder:
            link(files.control / "locks" / f"{slot:02d}", canary.path / "00")
    if as_folder:
        link(files.control / "locks", canary.path)
    await bucket.put("a/k", BODY)
    assert await refusals(bucket, ("put", "update", "delete")) == {
        "put": IntegrityError,
        "update": IntegrityError,
        "delete": IntegrityError,
    }
    assert await read(bucket, "a/k") == BODY


@pytest.mark.asyncio
async def test_folders_as_locks_are_refused(bucket, files, refusals):
    """Something else under a lock's name answers with a typed error."""
    for slot in range(64):
        (files.control / "locks" / f"{slot:02d}").mkdir()
    await bucket.put("a/k", BODY)
    assert await refusals(bucket, ("put", "delete")) == {
        "put": IntegrityError,
        "delete": IntegrityError,
    }
