"""Plays one operation against one fault, and judges what came of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from tests.integration.s3_fault_cases import COUNT, OPERATIONS, Scene

from coatcheck import S3Config
from coatcheck.backends._s3 import S3Backend
from coatcheck.errors import (
    CoatcheckError,
    IntegrityError,
    NotFound,
    Outcome,
    OutcomeUnknown,
)
from coatcheck.testing import FaultProxy

if TYPE_CHECKING:
    from tests.integration.s3_fault_cases import Operation
    from tests.integration.s3_fault_kinds import Fault

SECONDS = 90
"""No call takes longer, whatever its requests meet."""
PER_REQUEST = 2
"""Keys in a page of a listing; for deletions set `_bucket._DELETE_STEP` to it."""
_LISTED = "faults-listed"
# What nobody can see who has but the answer: why.
UNDETECTABLE = {
    ("get range", "bit flipped"): "a digest covers the whole object only",
    ("head", "length"): "the length is all that HEAD tells of the size",
    ("copy_from", "length"): "the length is all that HEAD tells of the size",
    ("copy_from CREATE", "length"): "the length is all that HEAD tells of the size",
    ("update_info", "length"): "the length is all that HEAD tells of the size",
    ("delete", "no bucket"): "what is in no bucket is deleted",
    ("delete if_match", "no bucket"): "what is in no bucket is deleted",
}


@dataclass(kw_only=True)
class Verdict:
    """What came of one cell."""

    operation: str
    fault: str
    position: int
    ended: str = ""
    outcome: str = ""
    resolved: str = ""
    attempts: int = 0
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)
    excused: str = ""


@dataclass
class Stage:
    """A store, seen directly, and the proxy before it."""

    proxy: FaultProxy
    direct: S3Backend
    bucket: str
    session: Any = None

    @asynccontextmanager
    async def behind(self, **fields: Any) -> Any:
        """Open a backend that talks through the proxy."""
        config = S3Config(endpoint_url=self.proxy.url, **fields)
        async with S3Backend(config, session=self.session) as backend:
            backend.clients.talking.meta.events.register(
                "provide-client-params.s3.ListObjectsV2",
                lambda params, **_: {**params, "MaxKeys": PER_REQUEST},
            )
            backend.keeps_conditions = True
            yield backend


@asynccontextmanager
async def stage(url: str, bucket: str, session: Any = None) -> Any:
    """Open a stage; the bucket is made."""
    config = S3Config(endpoint_url=url, create_buckets=True)
    async with FaultProxy(url) as proxy, S3Backend(config, session=session) as direct:
        await direct.bucket(bucket).put("first", b"makes the bucket")
        yield Stage(proxy, direct, bucket, session)


async def fill_listing(url: str) -> None:
    """Write what the scans list."""
    config = S3Config(endpoint_url=url, create_buckets=True)
    async with S3Backend(config) as backend:
        bucket = backend.bucket(_LISTED)
        for number in range(COUNT):
            await bucket.put(f"{number}", b"")


async def snapshot(scene: Scene) -> dict[str, Any]:
    """Return what the store holds of a scene."""
    seen: dict[str, Any] = {}
    for key in scene.keys or [scene.key]:
        try:
            async with scene.direct.get(key) as reader:
                digest = sha256(await reader.read()).hexdigest()
                seen[key] = (digest, dict(reader.info.custom))
        except NotFound:
            seen[key] = None
        except IntegrityError:
            seen[key] = ("damaged", {})
    seen["uploads"] = [
        (each.upload_id, [part.etag async for part in scene.direct.list_parts(each)])
        async for each in scene.direct.list_uploads(scene.key)
    ]
    return seen


async def play(
    on: Stage, operation: str, fault_name: str, fault: Fault, position: int
) -> Verdict:
    """Let one operation meet one fault on one of its requests."""
    played = OPERATIONS[operation]
    verdict = Verdict(operation=operation, fault=fault_name, position=position)
    verdict.excused = UNDETECTABLE.get(
        (operation, fault_name.rpartition(" ")[0].rstrip("+-10 ")), ""
    )
    on.proxy.clear()
    async with on.behind() as backend:
        scene = Scene(
            bucket=backend.bucket(on.bucket),
            direct=on.direct.bucket(on.bucket),
            listed=backend.bucket(_LISTED),
            key=f"k{uuid4().hex}",
        )
        await played.prepare(scene)
        before = await snapshot(scene)
        slots, tasks = backend._slots.value, _tasks(on.proxy)
        seen_before = len(on.proxy.requests)
        on.proxy.plan(*[None] * position, *fault.first)
        if fault.then is not None:
            on.proxy.always(fault.then)
        result, error = await _ended(played, scene, verdict)
        on.proxy.clear()
        verdict.attempts = len(on.proxy.requests) - seen_before
        if backend._slots.value != slots:
            verdict.wrong.append(f"{slots - backend._slots.value} slots lost")
        if left := await _left(on.proxy, tasks):
            verdict.wrong.append(f"tasks left: {left}")
        await _judge(played, scene, before, verdict, result, error)
        await _sweep(scene, verdict)
    return verdict


async def _ended(played: Operation, scene: Scene, verdict: Verdict) -> Any:
    start = time.monotonic()
    result = error = None
    try:
        async with asyncio.timeout(SECONDS):
            result = await played.run(scene)
        verdict.ended = "ok"
    except CoatcheckError as caught:
        error = caught
        verdict.ended, verdict.outcome = type(error).__name__, error.outcome.value
    except TimeoutError:
        verdict.ended = "no end"
        verdict.wrong.append(f"no end within {SECONDS} s")
    except Exception as stranger:  # noqa: BLE001  # what leaves is what is judged
        verdict.ended = type(stranger).__name__
        verdict.wrong.append(f"{stranger!r} left the library")
    verdict.seconds = round(time.monotonic() - start, 2)
    if verdict.seconds > SECONDS + 1 and verdict.ended != "no end":
        verdict.wrong.append("went on although it was cancelled")
    return result, error


async def _judge(
    played: Operation,
    scene: Scene,
    before: dict[str, Any],
    verdict: Verdict,
    result: Any,
    error: CoatcheckError | None,
) -> None:
    after = await snapshot(scene)
    if played.over == "objects":
        before, after = _objects(before), _objects(after)
    is_done = played.applied is not None and bool(played.applied(scene, after))
    is_as_before = after == before
    if verdict.ended == "ok" and is_partial(result):
        # Each key was told for itself: what was told deleted is gone.
        told = [key for key, failure in result.items() if failure is None]
        if any(after.get(key) is not None for key in told):
            verdict.wrong.append("told deleted what stands")
    elif verdict.ended == "ok":
        if played.applied is not None and not is_done:
            verdict.wrong.append("succeeded without effect")
        elif not await played.right(scene, result):
            verdict.wrong.append("the result is wrong")
    if error is not None:
        outcome = await _resolved(error, verdict)
        _hold_to(outcome, verdict, is_done=is_done, is_as_before=is_as_before)
    if played.applied is None and not is_as_before:
        verdict.wrong.append("a read changed the store")


async def _resolved(error: CoatcheckError, verdict: Verdict) -> Outcome:
    if not isinstance(error, OutcomeUnknown):
        return error.outcome
    resolved = await error.resolve()
    verdict.resolved = resolved.value
    return resolved


def _hold_to(
    outcome: Outcome, verdict: Verdict, *, is_done: bool, is_as_before: bool
) -> None:
    match outcome:
        case Outcome.NOT_APPLIED:
            if not is_as_before:
                verdict.wrong.append("told NOT_APPLIED, but the store has changed")
        case Outcome.APPLIED:
            if not is_done:
                verdict.wrong.append("told APPLIED, but it was not done")
        case Outcome.UNKNOWN:
            halfway = verdict.operation == "delete_many"
            if not (is_done or is_as_before or halfway):
                verdict.wrong.append("the store is neither as before nor as after")


def _objects(seen: dict[str, Any]) -> dict[str, Any]:
    return {key: held for key, held in seen.items() if key != "uploads"}


def _tasks(proxy: FaultProxy) -> set[asyncio.Task[Any]]:
    return asyncio.all_tasks() - set(proxy._clients)


async def _left(proxy: FaultProxy, tasks: set[asyncio.Task[Any]]) -> list[str]:
    """Return the tasks that do not end in a while; the proxy's own are no matter."""
    for _ in range(100):
        left = [each for each in _tasks(proxy) - tasks if not _is_proxys(each)]
        if not left:
            return []
        await asyncio.sleep(0.01)
    return [repr(each.get_coro()) for each in left]


def _is_proxys(task: asyncio.Task[Any]) -> bool:
    code = getattr(task.get_coro(), "cr_code", None)
    name = "" if code is None else code.co_filename
    return "_proxy" in name or name.endswith("streams.py")


async def _sweep(scene: Scene, verdict: Verdict) -> None:
    await scene.direct.sweep(older_than=timedelta(0))
    left = [each async for each in scene.direct.list_uploads(scene.key)]
    if left:
        # Uploads began within the second that the store counts in.
        await asyncio.sleep(1.1)
        await scene.direct.sweep(older_than=timedelta(0))
        left = [each async for each in scene.direct.list_uploads(scene.key)]
    if left:
        verdict.wrong.append(f"{len(left)} uploads left after a sweep")


def is_partial(result: Any) -> bool:
    """Tell whether a result says of some keys that they could not be deleted."""
    return isinstance(result, Mapping) and any(
        isinstance(failure, CoatcheckError) for failure in result.values()
    )


def unexcused(verdict: Verdict) -> list[str]:
    """Return what is wrong, save what nobody could have seen."""
    excused = {"the result is wrong", "succeeded without effect"}
    return [
        each for each in verdict.wrong if not verdict.excused or each not in excused
    ]


__all__ = (
    "PER_REQUEST",
    "Stage",
    "Verdict",
    "fill_listing",
    "play",
    "stage",
    "unexcused",
)
