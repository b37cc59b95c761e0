"""Deadlines, slots and events."""

from __future__ import annotations

from datetime import timedelta

import anyio
import pytest

from coatcheck.abc import FromNow, ObjectInfo, PutInfo, SignGet, Upload
from coatcheck.backends._memory import MemoryBackend
from coatcheck.errors import ErrorKind, ObjectNotFound, Outcome, Timeout
from coatcheck.wrappers._forwarding import (
    ForwardingBucket,
)

SOON = timedelta(milliseconds=250)
NEVER = timedelta(hours=1)
# No test waits so long: it is what keeps a failing one from hanging.
PATIENCE = 10


async def read(bucket, key):
    async with bucket.get(key) as reader:
        return await reader.read()


async def exhaust(items):
    return [item async for item in items]


async def stream(*chunks):
    for chunk in chunks:
        yield chunk


UPLOAD = Upload(key="k", upload_id="u", started=MemoryBackend().now())
CALLS = {
    "put": lambda bucket: bucket.put("k", b"x"),
    "head": lambda bucket: bucket.head("k"),
    "get": lambda bucket: read(bucket, "k"),
    "delete": lambda bucket: bucket.delete("k"),
    "scan": lambda bucket: exhaust(bucket.scan()),
    "delete_many": lambda bucket: bucket.delete_many(["k"]),
    "update_info": lambda bucket: bucket.update_info("k", PutInfo(), if_match="e"),
    "copy_from": lambda bucket: bucket.copy_from(bucket, "k", "copy"),
    "sign": lambda bucket: bucket.sign(SignGet(), "k", expires_in=NEVER),
    "initiate": lambda bucket: bucket.initiate("k"),
    "put_part": lambda bucket: bucket.put_part(UPLOAD, 1, b"", size=0),
    "list_parts": lambda bucket: exhaust(bucket.list_parts(UPLOAD)),
    "complete": lambda bucket: bucket.complete(UPLOAD, []),
    "abort": lambda bucket: bucket.abort(UPLOAD),
    "list_uploads": lambda bucket: exhaust(bucket.list_uploads()),
    "put_resumable": lambda bucket: bucket.put_resumable("k", b"", size=0),
    "batch": lambda bucket: bucket.batch([]),
    "sweep": lambda bucket: bucket.sweep(),
    "extend_expiry": lambda bucket: bucket.extend_expiry("k", FromNow(SOON)),
    "renew": lambda bucket: bucket.renew(INFO),
}
INFO = ObjectInfo.of(PutInfo(), key="k", size=0, etag="e", modified=UPLOAD.started)
READS = {"head", "get", "scan", "sign", "list_parts", "list_uploads"}


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
@pytest.mark.parametrize("name", CALLS)
def test_every_call_has_a_deadline(name, loop, guarded, hanging):
    """A call that hangs ends in a Timeout that names it, and leaves nothing running."""

    async def scenario():
        async with MemoryBackend() as backend:
            inner = hanging(backend.bucket("b"), name)
            await backend.bucket("b").put("k", b"x")
            bucket = guarded(inner)
            with anyio.fail_after(PATIENCE), pytest.raises(Timeout) as caught:
                await CALLS[name](bucket)
            assert (inner.running, inner.cancelled) == (0, [name])
            inner.hangs.clear()
            # The only slot was given back.
            with anyio.fail_after(PATIENCE):
                await bucket.head("k")
        return caught.value

    error = anyio.run(scenario, backend=loop)
    assert name in str(error)
    assert (error.bucket, error.backend, error.kind) == ("b", "mem", ErrorKind.TIMEOUT)
    expected = Outcome.NOT_APPLIED if name in READS else Outcome.UNKNOWN
    assert error.outcome is expected


def test_every_call_is_in_the_table():
    """No verb of a bucket is left out above."""
    verbs = {
        name
        for name, member in vars(ForwardingBucket).items()
        if callable(member) and not name.startswith("_")
    }
    assert verbs - {"inner_key", "can_copy_from"} == set(CALLS)


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
@pytest.mark.parametrize("whole", [True, False])
def test_every_read_of_a_body_has_a_deadline(loop, whole, guarded, hanging):
    """A body that stalls ends in a Timeout, and the slot is given back."""

    async def scenario():
        async with MemoryBackend() as backend:
            inner = hanging(backend.bucket("b"), "read")
            await inner.put("k", b"x")
            bucket = guarded(inner)
            with anyio.fail_after(PATIENCE):
                async with bucket.get("k") as reader:
                    with pytest.raises(Timeout) as caught:
                        await (reader.read() if whole else anext(reader))
                await bucket.head("k")
        return caught.value

    assert anyio.run(scenario, backend=loop).outcome is Outcome.NOT_APPLIED


@pytest.mark.asyncio
async def test_the_time_between_reads_does_not_count(backend, waiting, guarded):
    """The deadline is one of each read, and not of what the reader does in between."""
    async with backend:
        bucket = guarded(waiting(backend.bucket("b")), timeout=SOON)
        await bucket.put("k", b"x" * 1_000_000)
        async with bucket.get("k") as reader:
            first = await anext(reader)
            await anyio.sleep(SOON.total_seconds() * 2)
            assert len(first) + len(await reader.read()) == 1_000_000


@pytest.mark.asyncio
@pytest.mark.parametrize("verb", ["put", "put_part"])
async def test_a_body_that_flows_moves_the_deadline(backend, waiting, verb, guarded):
    """A slow body may take longer than the timeout, as long as it goes on."""
    pause = SOON.total_seconds() / 2

    async def slow():
        for _ in range(5):
            await anyio.sleep(pause)
            yield b"x"

    async with backend:
        bucket = guarded(waiting(backend.bucket("b")), timeout=SOON)
        if verb == "put":
            receipt = await bucket.put("k", slow())
            assert receipt.size == 5
        else:
            upload = await bucket.initiate("k")
            part = await bucket.put_part(upload, 1, slow(), size=5)
            assert part.size == 5


@pytest.mark.asyncio
async def test_a_body_that_stalls_ends_the_call(backend, waiting, guarded):
    """A body that gives nothing for the length of the timeout ends in a Timeout."""

    async def stalled():
        yield b"x"
        await anyio.sleep_forever()

    async with backend:
        bucket = guarded(waiting(backend.bucket("b")))
        with anyio.fail_after(PATIENCE), pytest.raises(Timeout) as caught:
            await bucket.put("k", stalled())
        assert caught.value.outcome is Outcome.UNKNOWN
        with pytest.raises(ObjectNotFound):
            await bucket.head("k")
