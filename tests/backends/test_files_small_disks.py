"""File systems that lack O_TMPFILE or space, the real ones among them."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys

import pytest
from anyio import to_thread

from coatcheck.abc import Update, Write
from coatcheck.errors import AlreadyExists, PreconditionFailed

OLD, NEW = b"the old body", b"the new body of another length"


@pytest.fixture
def lacks(calls, monkeypatch):
    """Let the file system lack O_TMPFILE, or the links that it needs."""

    def lack(call, code):
        def fail(*_):
            raise OSError(code, "not on this file system")

        monkeypatch.setattr(calls, call, fail)

    return lack


LACKING = [
    ("nameless_file", errno.EOPNOTSUPP),
    ("nameless_file", errno.EISDIR),
    ("link_nameless", errno.ENOENT),
    ("link_nameless", errno.EXDEV),
]


@pytest.mark.asyncio
@pytest.mark.parametrize(("call", "code"), LACKING)
async def test_without_nameless_files_drafts_have_names(
    make_backend, lacks, files, calls, read, call, code
):
    """Every mode works on such a file system, and no draft stays."""
    lacks(call, code)
    async with make_backend() as backend:
        bucket = backend.bucket("jobs")
        etag = (await bucket.put("k", OLD, mode=Write.CREATE)).etag
        with pytest.raises(AlreadyExists):
            await bucket.put("k", NEW, mode=Write.CREATE)
        await bucket.put("k", NEW, mode=Update(etag))
        with pytest.raises(PreconditionFailed):
            await bucket.put("k", OLD, mode=Update(etag))
        assert await read(bucket, "k") == NEW
        await bucket.put("k", OLD)
        await bucket.copy_from(bucket, "k", "copy")
        assert await read(bucket, "copy") == OLD
        assert calls.counts["new_file"] >= 6
        assert files.litter() == []


@pytest.mark.asyncio
async def test_a_named_draft_is_no_object(make_backend, lacks, files, list_all):
    """While a stream flows its draft has a name among the drafts and nowhere else."""
    lacks("nameless_file", errno.EOPNOTSUPP)
    async with make_backend() as backend:
        bucket = backend.bucket("jobs")
        seen = []

        async def body():
            yield OLD
            drafts = await to_thread.run_sync(files.litter)
            seen.append((len(drafts), await list_all(bucket)))

        await bucket.put("k", body())
        assert seen == [(1, [])]
        assert files.litter() == []


@pytest.mark.asyncio
async def test_a_probe_that_was_left_behind_bars_no_root(make_backend, files, read):
    """A process killed while it tried O_TMPFILE leaves nothing that matters."""
    files.control.mkdir(parents=True)
    (files.control / "probe").write_bytes(b"")
    async with make_backend() as backend:
        assert backend._disk.nameless
        await backend.bucket("jobs").put("k", OLD)
        assert await read(backend.bucket("jobs"), "k") == OLD
    assert files.litter() == []


PROGRAMME = """
import asyncio, glob, json, os, resource, sys
from coatcheck.backends._filesystem import FilesystemBackend
from coatcheck.errors import CoatcheckError

async def read(bucket, key):
    async with bucket.get(key) as reader:
        return await reader.read()

async def attempt(call):
    try:
        await call
    except CoatcheckError as error:
        return [error.kind, error.outcome]
    return None

async def stream(size):
    for _ in range(size // 65536):
        yield bytes(65536)

async def main(root):
    old, new, told = os.urandom(100_000), os.urandom(150_000), {}
    async with FilesystemBackend(root) as backend:
        bucket = backend.bucket("jobs")
        await bucket.put("k", old)
        told["whole"] = await attempt(bucket.put("k", bytes(4_000_000)))
        told["stream"] = await attempt(bucket.put("k", stream(4_000_000)))
        told["kept"] = await read(bucket, "k") == old
        told["drafts"] = glob.glob(f"{root}/.coatcheck/buckets/jobs/drafts/*")
        await bucket.put("k", new)
        told["later"] = await read(bucket, "k") == new
        number, filled = 0, None
        while filled is None and number < 100:
            number += 1
            filled = await attempt(bucket.put(f"fill/{number}", bytes(60_000)))
        told["filled"] = filled
    async with FilesystemBackend(root) as backend:
        bucket = backend.bucket("jobs")
        told["reopened"] = await read(bucket, "k") == new
        gone = await bucket.delete_many(f"fill/{i}" for i in range(1, number + 1))
        told["deleted"] = set(gone.values()) == {None}
        await bucket.put("k", old)
        told["freed"] = await read(bucket, "k") == old
    print(json.dumps(told))

if sys.argv[2] == "limit":
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
asyncio.run(main(sys.argv[1]))
"""


def on_a_small_disk(tmp_path):
    """Run the programme on a tmpfs of a megabyte, which goes with its process."""
    mount = f"mount -t tmpfs -o size=1m none {tmp_path}"
    script = f'{mount} && exec "$0" -c "$1" {tmp_path}/root disk'
    return subprocess.run(
        ["unshare", "-m", "sh", "-c", script, sys.executable, PROGRAMME],
        capture_output=True,
        check=False,
        timeout=60,
    )


def below_a_limit(tmp_path):
    """Run the programme where no file may grow beyond a megabyte."""
    return subprocess.run(
        [sys.executable, "-c", PROGRAMME, f"{tmp_path}/root", "limit"],
        capture_output=True,
        check=True,
        timeout=60,
    )


def can_mount(tmp_path):
    mount = f"mount -t tmpfs none {tmp_path}"
    try:
        probed = subprocess.run(
            ["unshare", "-m", "sh", "-c", mount],
            capture_output=True,
            check=False,
            timeout=60,
        )
    except FileNotFoundError:
        return False
    return probed.returncode == 0


def test_a_disk_that_is_really_full_keeps_what_stands(tmp_path):
    """ENOSPC of the kernel itself: the old object stays, and space can be freed."""
    full = ["at_capacity", "not_applied"]
    if can_mount(tmp_path):
        ran = on_a_small_disk(tmp_path)
        assert ran.returncode == 0, ran.stderr
        told, filled = json.loads(ran.stdout), full
    else:
        # Without the right to mount, the limit of a file stands in for the disk.
        told, filled = json.loads(below_a_limit(tmp_path).stdout), None
        full = ["backend", "not_applied"]
    assert told == {
        "whole": full,
        "stream": full,
        "kept": True,
        "drafts": [],
        "later": True,
        "filled": filled,
        "reopened": True,
        "deleted": True,
        "freed": True,
    }


def test_a_file_beyond_the_limit_of_its_process_is_an_error(tmp_path):
    """EFBIG is typed, and the old object stays."""
    told = json.loads(below_a_limit(tmp_path).stdout)
    assert told["whole"] == told["stream"] == ["backend", "not_applied"]
    assert told["kept"]
    assert told["drafts"] == []
    assert told["later"]


@pytest.mark.asyncio
async def test_copying_without_copy_file_range(bucket, monkeypatch, read):
    """Where the kernel cannot copy, the bytes are read and written."""

    def refuse(*_, **__):
        raise OSError(errno.EXDEV, "not here")

    body = os.urandom(2_500_000)
    await bucket.put("k", body)
    monkeypatch.setattr(os, "copy_file_range", refuse, raising=False)
    await bucket.copy_from(bucket, "k", "copy")
    assert await read(bucket, "copy") == body
