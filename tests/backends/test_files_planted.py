"""What is no file or no folder where ours should stand, and roots that vanish."""

from __future__ import annotations

import os
import shutil
import socket
from datetime import timedelta

import pytest

from coatcheck.errors import (
    AlreadyExists,
    BackendUnavailable,
    CoatcheckError,
    IntegrityError,
)

# A call that waits for a FIFO would wait for ever, and cancelling would not help.
pytestmark = pytest.mark.timeout(20, method="thread")

BODY = b"coat"
OBJECT_VERBS = ("head", "get", "put", "create", "update", "scan")
ALL_VERBS = (
    *OBJECT_VERBS,
    *("delete", "delete_if", "sweep", "initiate", "list_uploads"),
)


def make_socket(path):
    holder = os.open(path.parent, os.O_RDONLY)
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(f"/proc/self/fd/{holder}/{path.name}")
    finally:
        os.close(holder)


def make_device(path):
    try:
        os.mknod(path, 0o600 | 0o020000, os.makedev(1, 5))
    except PermissionError:
        make_socket(path)


PLANTS = {
    "fifo": os.mkfifo,
    "folder": os.mkdir,
    "socket": make_socket,
    "device": make_device,
}


@pytest.mark.asyncio
@pytest.mark.parametrize("plant", PLANTS.values(), ids=PLANTS)
async def test_no_file_under_an_objects_name(bucket, files, plant, refusals, list_all):
    """What is no file is refused at once, and not listed."""
    files.of("a/k").parent.mkdir(parents=True)
    plant(files.of("a/k"))
    assert await refusals(bucket, ("head", "get", "create", "update", "delete_if")) == {
        "head": IntegrityError,
        "get": IntegrityError,
        "create": AlreadyExists,
        "update": IntegrityError,
        "delete_if": IntegrityError,
    }
    assert await list_all(bucket) == []
    assert files.litter() == []


@pytest.mark.asyncio
@pytest.mark.parametrize("plant", PLANTS.values(), ids=PLANTS)
async def test_no_file_under_an_objects_name_when_writing(
    bucket, files, plant, refusals
):
    """A folder stands in the way; anything else a write or delete removes."""
    files.of("a/k").parent.mkdir(parents=True)
    for verb in ("put", "delete"):
        files.of("a/k").unlink(missing_ok=True)
        plant(files.of("a/k"))
        refused = await refusals(bucket, (verb,))
        if plant is os.mkdir:
            assert refused == {verb: IntegrityError}
            files.of("a/k").rmdir()
        else:
            assert refused == {}
    assert files.litter() == []


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["meta", "00001"])
@pytest.mark.parametrize("plant", PLANTS.values(), ids=PLANTS)
async def test_no_file_in_an_upload(bucket, files, name, plant):
    """A FIFO among the parts makes nobody wait."""
    upload = await bucket.initiate("a/k")
    part = await bucket.put_part(upload, 1, BODY, size=4)
    path = files.uploads() / upload.upload_id / name
    path.unlink()
    plant(path)
    with pytest.raises(CoatcheckError):
        await bucket.complete(upload, [part])
    with pytest.raises(CoatcheckError):
        [each async for each in bucket.list_parts(upload)]


@pytest.mark.asyncio
@pytest.mark.parametrize("plant", [os.mkfifo, lambda path: path.write_bytes(b"x")])
async def test_no_folder_under_a_folders_name(bucket, files, plant, refusals):
    """A file or FIFO where keys have their folder is refused."""
    files.of("k").parent.mkdir()
    plant(files.of("a/k").parent)
    verbs = (*OBJECT_VERBS, "delete")
    assert await refusals(bucket, verbs) == dict.fromkeys(verbs, IntegrityError)


@pytest.mark.asyncio
async def test_a_root_replaced_by_a_symlink_is_not_left(bucket, root, canary, list_all):
    """An open backend keeps the folder that it opened, wherever its name leads."""
    await bucket.put("a/k", BODY)
    moved = root.rename(root.with_name("moved"))
    root.symlink_to(canary.path)
    await bucket.put("b", BODY)
    assert await list_all(bucket) == ["a/k", "b"]
    await bucket.sweep(older_than=timedelta(0))
    assert (moved / "jobs" / "b").exists()


@pytest.mark.asyncio
async def test_a_root_removed_while_open_is_unavailable(
    backend, bucket, root, refusals
):
    """No verb takes a lost root for an empty one."""
    await bucket.put("a/k", BODY)
    shutil.rmtree(root)
    assert await refusals(bucket) == dict.fromkeys(ALL_VERBS, BackendUnavailable)
    with pytest.raises(BackendUnavailable):
        await backend.check()
    assert not root.exists()


@pytest.mark.asyncio
async def test_a_root_removed_and_made_again_is_not_taken_over(bucket, root, refusals):
    """A new folder of the same name is another root."""
    await bucket.put("a/k", BODY)
    shutil.rmtree(root)
    root.mkdir()
    assert await refusals(bucket) == dict.fromkeys(ALL_VERBS, BackendUnavailable)
    assert list(root.iterdir()) == []


@pytest.mark.asyncio
async def test_a_control_folder_removed_while_open_comes_back(bucket, files, list_all):
    """Writes make what they need again; objects never depended on it."""
    await bucket.put("a/k", BODY)
    shutil.rmtree(files.control)
    await bucket.put("b", BODY)
    assert await list_all(bucket) == ["a/k", "b"]


@pytest.mark.asyncio
@pytest.mark.parametrize("plant", [os.mkfifo, lambda path: path.write_bytes(b"x")])
async def test_a_root_that_is_no_folder_is_refused(make_backend, refusal, root, plant):
    """Opening tells that something else stands there."""
    plant(root)
    assert issubclass(await refusal(make_backend()), CoatcheckError)


@pytest.mark.asyncio
async def test_a_root_may_itself_be_behind_a_symlink(make_backend, root, tmp_path):
    """Who names the root may name a link; only what is inside is not trusted."""
    (tmp_path / "real").mkdir()
    root.symlink_to(tmp_path / "real")
    async with make_backend() as backend:
        await backend.bucket("jobs").put("a/k", BODY)
    assert (tmp_path / "real" / "jobs" / "a+" / "k").exists()
