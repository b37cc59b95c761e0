"""Sweeping what killed processes left, and scanning what stands."""

from __future__ import annotations

import os
from contextlib import aclosing
from datetime import timedelta

import anyio
import pytest

from coatcheck._core.writes import Swept
from coatcheck.backends._filesystem import _scan
from coatcheck.backends._filesystem._record import to_micros
from coatcheck.errors import BackendUnavailable, Outcome

BODY = b"coat"
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
NOTHING = Swept()


@pytest.fixture
def make_bucket(make_backend, clock):
    """Open a backend whose time stands still."""
    return lambda **options: make_backend(clock=clock, **options)


def still_open(calls):
    """Return how many descriptors were opened and not closed."""
    opening = ("open_root", "open_folder", "open_file", "new_file", "nameless_file")
    opened = sum(calls.counts[name] for name in (*opening, "lock_file"))
    # Opening a folder that is missing, to make it, opens nothing.
    return opened - calls.counts["make_folder"] - calls.counts["close"]


def draft_name(moment, tail="a" * 32):
    return f"{to_micros(moment):016x}-{tail}"


def leave(folder, name, content=b"half"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    return folder / name


@pytest.mark.asyncio
async def test_old_drafts_go_and_young_ones_stay(make_bucket, files, clock):
    """A draft's age is in its name; whatever is exactly as old goes too."""
    async with make_bucket() as backend:
        bucket = backend.bucket("jobs")
        now = clock()
        ages = (timedelta(0), HOUR, DAY - timedelta(microseconds=1), DAY, 9 * DAY)
        drafts = [leave(files.drafts(), draft_name(now - age)) for age in ages]
        assert await bucket.sweep() == Swept(files=2)
        assert [path.exists() for path in drafts] == [True, True, True, False, False]
        assert await bucket.sweep(older_than=HOUR) == Swept(files=2)
        assert await bucket.sweep(older_than=timedelta(0)) == Swept(files=1)
        assert await bucket.sweep(older_than=timedelta(0)) == NOTHING


@pytest.mark.asyncio
async def test_drafts_of_other_names_stay(make_bucket, files, clock):
    """What does not tell its age is not ours to remove."""
    async with make_bucket() as backend:
        names = ("draft", "zzzz-1", ".nfs0001", "-a", "0001", "")
        left = [leave(files.drafts(), name) for name in names if name]
        assert await backend.bucket("jobs").sweep(older_than=timedelta(0)) == NOTHING
        assert all(path.exists() for path in left)


@pytest.mark.asyncio
async def test_old_uploads_go_and_young_ones_stay(make_bucket, files, clock, read):
    """An upload goes whole, however old its last part is."""
    async with make_bucket() as backend:
        bucket = backend.bucket("jobs")
        old = await bucket.initiate("old")
        clock.advance(DAY)
        await bucket.put_part(old, 1, BODY, size=len(BODY))
        young = await bucket.initiate("young")
        part = await bucket.put_part(young, 1, BODY, size=len(BODY))
        assert await bucket.sweep() == Swept(uploads=1)
        assert os.listdir(files.uploads()) == [young.upload_id]
        await bucket.complete(young, [part])
        assert await read(bucket, "young") == BODY


@pytest.mark.asyncio
async def test_uploads_that_are_not_whole_go_by_their_age(make_bucket, files, clock):
    """A folder without its metadata, or with a damaged one, is an upload to sweep."""
    async with make_bucket() as backend:
        bucket = backend.bucket("jobs")
        old, young = (draft_name(clock() - age) for age in (2 * DAY, HOUR))
        leave(files.uploads() / old, "00001")
        leave(files.uploads() / young, "meta", b"junk")
        (files.uploads() / "somebody-else").mkdir()
        assert await bucket.sweep() == Swept(uploads=1)
        assert sorted(os.listdir(files.uploads())) == sorted([young, "somebody-else"])
        assert await bucket.sweep(older_than=HOUR) == Swept(uploads=1)


@pytest.mark.asyncio
async def test_empty_folders_go_innermost_first(make_bucket, files, list_all):
    """A key's folders go with its last object; those that hold something stay."""
    async with make_bucket() as backend:
        bucket = backend.bucket("jobs")
        for key in ("a/b/c/k", "a/b/k", "x/y/k"):
            await bucket.put(key, BODY)
        await bucket.delete("a/b/c/k")
        await bucket.delete("x/y/k")
        assert await bucket.sweep() == Swept(folders=3)
        assert await list_all(bucket) == ["a/b/k"]
        assert sorted(os.listdir(files.of("k").parent)) == ["a+"]


@pytest.mark.asyncio
async def test_folders_that_are_not_keys_stay(make_bucket, files):
    """An empty folder without the mark is somebody else's."""
    async with make_bucket() as backend:
        (files.of("k").parent / "lost").mkdir(parents=True)
        assert await backend.bucket("jobs").sweep() == NOTHING
        assert (files.of("k").parent / "lost").is_dir()


@pytest.mark.asyncio
async def test_a_sweep_touches_no_object_and_no_other_bucket(make_bucket, files, clock):
    """However old they are, objects are no litter; and each bucket sweeps its own."""
    async with make_bucket() as backend:
        bucket = backend.bucket("jobs")
        assert await bucket.sweep() == NOTHING
        await bucket.put("a/k", BODY)
        before = files.of("a/k").stat()
        other = leave(files.drafts("other"), draft_name(clock() - 9 * DAY))
        clock.advance(400 * DAY)
        assert await bucket.sweep(older_than=timedelta(0)) == NOTHING
        assert files.of("a/k").stat() == before
        assert other.exists()


@pytest.mark.asyncio
@pytest.mark.parametrize("call", ["open_folder", "link_nameless", "rename"])
@pytest.mark.parametrize("times", [1, 3])
async def test_a_folder_swept_under_a_write_is_made_again(
    bucket, calls, files, read, call, times
):
    """A write whose folder vanishes, with or without an object, makes it once more."""
    swept = []

    def sweep(*_):
        folder = files.of("a/k").parent
        if folder.is_dir() and len(swept) < times:
            files.of("a/k").unlink(missing_ok=True)
            folder.rmdir()
            swept.append(folder)

    if call == "rename":
        await bucket.put("a/k", BODY)
        times = 1
    calls.before(call, sweep, times=1_000)
    await bucket.put("a/k", b"new")
    assert await read(bucket, "a/k") == b"new"
    assert len(swept) == times


@pytest.mark.asyncio
async def test_a_folder_that_always_vanishes_ends_the_write(bucket, calls, files):
    """Trying again has an end, and leaves nothing behind."""
    calls.before("link_nameless", lambda *_: files.of("a/k").parent.rmdir(), times=99)
    with pytest.raises(BackendUnavailable) as caught:
        await bucket.put("a/k", BODY)
    assert caught.value.outcome is Outcome.NOT_APPLIED
    assert files.litter() == []


@pytest.mark.asyncio
async def test_a_sweep_takes_nothing_that_is_in_progress(make_backend, read, list_all):
    """Writers, uploads and sweeps of the usual age run together, and all succeed."""
    async with make_backend() as backend:
        bucket = backend.bucket("jobs")
        swept = []

        async def write(number):
            for turn in range(15):
                key = f"deep/{number % 2}/{turn % 3}/k{number}"
                await bucket.put(key, b"%d" % turn)
                assert await read(bucket, key) == b"%d" % turn
                await bucket.delete(key)
            await bucket.put(f"kept/{number}", BODY)

        async def upload(number):
            for _ in range(5):
                begun = await bucket.initiate(f"up/{number}")
                part = await bucket.put_part(begun, 1, BODY, size=len(BODY))
                await bucket.complete(begun, [part])

        async def sweep():
            while len(swept) < 100:
                swept.append(await bucket.sweep())

        async with anyio.create_task_group() as tasks:
            for number in range(6):
                tasks.start_soon(write, number)
                tasks.start_soon(upload, number)
            tasks.start_soon(sweep)
        assert sum(each.files + each.uploads for each in swept) == 0
        assert await list_all(bucket) == sorted(
            [f"{kind}/{number}" for kind in ("kept", "up") for number in range(6)]
        )


@pytest.mark.asyncio
async def test_a_scan_reads_no_bodies(bucket, calls):
    """One short read an object, at its end, whatever its body's size."""
    sizes = {"big": 3_000_000, "empty": 0, "small": 1_000}
    for key, size in sizes.items():
        await bucket.put(key, bytes(size))
    reads = []
    calls.before("read_at", lambda *args: reads.append(args), times=100)
    async with aclosing(bucket.scan()) as pages:
        entries = [entry async for page in pages for entry in page.entries]
    assert {entry.key: entry.size for entry in entries} == sizes
    assert len(reads) == len(sizes)
    assert all(count <= 4096 for _, count, _ in reads)


@pytest.mark.asyncio
async def test_a_head_reads_no_body(bucket, calls):
    """Nor does a look at one object."""
    await bucket.put("k", bytes(3_000_000))
    reads = []
    calls.before("read_at", lambda *args: reads.append(args), times=100)
    assert (await bucket.head("k")).size == 3_000_000
    assert [count for _, count, _ in reads] == [4096]


@pytest.mark.asyncio
async def test_a_scan_is_in_the_order_of_utf_8(bucket):
    """Names on the disk sort otherwise than the keys that they stand for."""
    keys = [
        *("A", "Z", "a", "a!", "a+", "a-", "a.", "a/b", "a/~", "a0", "aA", "aé", "a🧥"),
        *("%", "~", "\uffee", "🧥", "x" * 300, "x" * 300 + "/k", "x" * 299 + "y", "Xx"),
        *("B/" + "y" * 250 + "/k", "B/" + "y" * 250 + "!", "B.x", "B0", "é", "e", "_"),
    ]
    for key in keys:
        await bucket.put(key, BODY)
    in_order = sorted(keys, key=str.encode)
    async with aclosing(bucket.scan()) as pages:
        listed = [entry.key async for page in pages for entry in page.entries]
    assert listed == in_order
    for start in range(len(in_order)):
        async with aclosing(bucket.scan(start_after=in_order[start])) as pages:
            rest = [entry.key async for page in pages for entry in page.entries]
        assert rest == in_order[start + 1 :]


@pytest.mark.asyncio
async def test_a_scan_that_is_left_early_closes_its_folders(bucket, calls, monkeypatch):
    """Leaving after one page frees every folder that the scan stood in."""
    monkeypatch.setattr(_scan, "PAGE_SIZE", 2)
    for number in range(5):
        await bucket.put(f"a/b/{number}", b"")
    before = still_open(calls)
    async with aclosing(bucket.scan()) as pages:
        page = await anext(pages)
        assert [entry.key for entry in page.entries] == ["a/b/0", "a/b/1"]
        assert still_open(calls) == before + 3
    assert still_open(calls) == before
