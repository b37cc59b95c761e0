"""Every system call of every verb fails once, and the outcome is told truly."""

from __future__ import annotations

import errno
import os
from datetime import timedelta

import pytest

from coatcheck._core.expiry import TimeToIdle
from coatcheck.abc import PutInfo, Update, Write
from coatcheck.errors import CoatcheckError, Outcome, OutcomeUnknown

OLD, NEW = b"the old body", b"the new body of another length"
HOUR = timedelta(hours=1)
# Neither fails on a descriptor of ours: the kernel frees it in any case.
SPARED = ("close", "unlock")


async def stream(body):
    yield body[:5]
    yield body[5:]


async def overwrite(bucket, etag):
    await bucket.put("a/k", NEW)


async def overwrite_streamed(bucket, etag):
    await bucket.put("a/k", stream(NEW))


async def create(bucket, etag):
    await bucket.put("new/deep/k", NEW, mode=Write.CREATE)


async def update(bucket, etag):
    await bucket.put("a/k", NEW, mode=Update(etag))


async def delete(bucket, etag):
    await bucket.delete("a/k")


async def delete_if(bucket, etag):
    await bucket.delete("a/k", if_match=etag)


async def update_info(bucket, etag):
    await bucket.update_info("a/k", PutInfo(origin="there"), if_match=etag)


async def touch(bucket, etag):
    info = (await bucket.head("a/k")).put_info()
    moved = PutInfo(
        expiry=info.expiry,
        deadline=info.deadline + HOUR,
        created=info.created,
        sha256=info.sha256,
    )
    await bucket.update_info("a/k", moved, if_match=etag)


async def copy(bucket, etag):
    await bucket.copy_from(bucket, "a/k", "copy/k")


async def upload(bucket, etag):
    begun = await bucket.initiate("a/k")
    part = await bucket.put_part(begun, 1, NEW, size=len(NEW))
    await bucket.complete(begun, [part])


async def sweep(bucket, etag):
    await bucket.sweep()


ACTS = (
    *(overwrite, overwrite_streamed, create, update, delete, delete_if),
    *(update_info, touch, copy, upload, sweep),
)


async def state_of(bucket, read, list_all):
    state = {}
    for key in await list_all(bucket):
        info = await bucket.head(key)
        left = info.deadline and info.deadline - bucket.backend.now()
        state[key] = (await read(bucket, key), info.origin, left)
    return state


class Trial:
    """One act on a root of its own, with a fault at one of its system calls."""

    def __init__(self, act, tmp_path, make_backend, calls, read, list_all, clock):
        self._act = act
        self._tmp_path = tmp_path
        self._make = make_backend
        self._calls = calls
        self._read = read
        self._list_all = list_all
        self._clock = clock

    async def run(self, nth, code, *, durable):
        """Return the names of the calls, and what became of the act."""
        root = self._tmp_path / f"{code}-{nth}-{durable}"
        self._calls.heal()
        options = {"durable": durable, "clock": self._clock}
        async with self._make(root, **options) as backend:
            bucket = backend.bucket("jobs")
            expiry = TimeToIdle(HOUR)
            info = PutInfo(expiry=expiry, deadline=backend.now() + HOUR)
            etag = (await bucket.put("a/k", OLD, info=info)).etag
            before = await state_of(bucket, self._read, self._list_all)
            done = len(self._calls.names)
            if nth:
                self._calls.fail(self._calls.ANY, code, nth=nth)
            error = await self._attempt(bucket, etag)
            names = self._calls.names[done:]
            self._calls.heal()
            after = await state_of(bucket, self._read, self._list_all)
            outcome = await self._outcome(error)
            await self._assert_usable(bucket, root)
        return names, (before, error, outcome, after)

    async def _attempt(self, bucket, etag):
        try:
            await self._act(bucket, etag)
        except CoatcheckError as error:
            return error
        return None

    async def _outcome(self, error):
        if error is None:
            return Outcome.APPLIED
        if isinstance(error, OutcomeUnknown):
            return await error.resolve()
        return error.outcome

    async def _assert_usable(self, bucket, root):
        """Nothing stays behind that a sweep does not take, and writing goes on."""
        self._clock.advance(timedelta(days=2))
        await bucket.sweep()
        assert [*root.glob(".coatcheck/buckets/*/drafts/*")] == []
        assert [*root.glob(".coatcheck/buckets/*/uploads/*")] == []
        for key in ("a/k", "new/deep/k"):
            await bucket.put(key, b"later")
            assert await self._read(bucket, key) == b"later"


@pytest.fixture(params=[True, False], ids=["nameless", "named"])
def nameless(request, calls, monkeypatch):
    if not request.param:

        def nameless_file(folder):
            raise OSError(errno.EOPNOTSUPP, "not on this file system")

        monkeypatch.setattr(calls, "nameless_file", nameless_file)
    return request.param


async def check_every_fault(trial, act, code, *, durable):
    names, healthy = await trial.run(0, code, durable=durable)
    assert healthy[1] is None
    for nth, name in enumerate(names, 1):
        if name in SPARED:
            continue
        _, (before, error, outcome, after) = await trial.run(nth, code, durable=durable)
        where = f"call {nth} of {names}: {error!r}"
        wanted = {Outcome.NOT_APPLIED: before, Outcome.APPLIED: healthy[3]}[outcome]
        assert after == wanted, where


@pytest.mark.asyncio
@pytest.mark.parametrize("act", ACTS)
async def test_no_failing_call_is_told_wrongly(
    act, nameless, tmp_path, make_backend, calls, read, list_all, clock
):
    """Whichever call fails, the store is as the error says, whole and usable."""
    trial = Trial(act, tmp_path, make_backend, calls, read, list_all, clock)
    await check_every_fault(trial, act, errno.EIO, durable=nameless)


@pytest.mark.asyncio
async def test_a_delete_that_the_disk_did_not_confirm_is_told(make_backend, calls):
    """The object is gone, so the delete was applied."""
    async with make_backend(durable=True) as backend:
        bucket = backend.bucket("jobs")
        await bucket.put("k", OLD)
        calls.fail("sync", errno.EIO)
        with pytest.raises(OutcomeUnknown) as caught:
            await bucket.delete("k")
        assert await caught.value.resolve() is Outcome.APPLIED


@pytest.mark.asyncio
async def test_a_completed_upload_that_is_not_cleaned_up_is_told(bucket, calls, read):
    """The object stands, whatever becomes of the parts."""
    begun = await bucket.initiate("k")
    part = await bucket.put_part(begun, 1, NEW, size=len(NEW))
    calls.fail("unlink", errno.EIO)
    receipt = await bucket.complete(begun, [part])
    assert (await bucket.head("k")).etag == receipt.etag


@pytest.mark.asyncio
@pytest.mark.parametrize("swept", [False, True])
async def test_a_published_draft_that_keeps_its_name_is_told(
    make_backend, monkeypatch, calls, swept
):
    """The object stands, though removing the draft's own name fails."""

    def nameless_file(folder):
        raise OSError(errno.EOPNOTSUPP, "not on this file system")

    def hinder(folder, name):
        if not swept:
            raise OSError(errno.EIO, "planted")
        os.unlink(name, dir_fd=folder)

    monkeypatch.setattr(calls, "nameless_file", nameless_file)
    async with make_backend() as backend:
        bucket = backend.bucket("jobs")
        calls.before("unlink", hinder)
        receipt = await bucket.put("k", NEW)
        assert (await bucket.head("k")).etag == receipt.etag


@pytest.mark.asyncio
async def test_a_touch_that_the_disk_did_not_confirm_is_told(make_backend, calls):
    """The deadline has moved, so it cannot be said that it has not."""
    async with make_backend(durable=True) as backend:
        bucket = backend.bucket("jobs")
        info = PutInfo(expiry=TimeToIdle(HOUR), deadline=backend.now() + HOUR)
        etag = (await bucket.put("a/k", OLD, info=info)).etag
        calls.fail("sync", errno.EIO)
        with pytest.raises(CoatcheckError) as caught:
            await touch(bucket, etag)
        assert (await bucket.head("a/k")).etag != etag
        assert caught.value.outcome is not Outcome.NOT_APPLIED
