"""The operations of an S3 bucket, and what each of them shall have done."""

from __future__ import annotations

import urllib.request
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from typing import Any

import anyio.to_thread

from coatcheck.abc import ByteSpan, PutInfo, SignGet, Update, Write

OLD = b"the old bytes" * 10
NEW = b"the new bytes" * 20
LONG = bytes(range(256)) * 1200
STREAM = bytes(range(255)) * 82_000  # 20 MiB: three parts
COUNT = 5
"""Keys that are listed and deleted two at a time, in three requests."""


@dataclass
class Scene:
    """What an operation meets: the bucket behind the proxy, and the store itself."""

    bucket: Any
    direct: Any
    listed: Any
    key: str
    keys: list[str] = field(default_factory=list)
    made: Any = None
    """What `prepare` left for `run`."""


async def _nothing(scene: Scene) -> None:
    del scene


async def _anything(scene: Scene, result: Any) -> bool:
    del scene, result
    return True


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One call, how it is prepared, and what it shall have done."""

    name: str
    run: Callable[[Scene], Awaitable[Any]]
    prepare: Callable[[Scene], Awaitable[None]] = _nothing
    applied: Callable[[Scene, Any], bool] | None = None
    """Tells from a snapshot whether it was done; None for what only reads."""
    right: Callable[[Scene, Any], Awaitable[bool]] = _anything
    """Tells whether the result is right."""
    requests: int = 1
    over: str = "objects"
    """What it changes: objects, or uploads."""


async def old(scene: Scene) -> None:
    scene.made = await scene.direct.put(scene.key, OLD)


async def long(scene: Scene) -> None:
    scene.made = await scene.direct.put(scene.key, LONG)


async def three(scene: Scene) -> None:
    """Three objects among five keys, so that each request has one to delete."""
    scene.keys = many(scene)[::2]
    for key in scene.keys:
        await scene.direct.put(key, OLD)


async def source(scene: Scene) -> None:
    scene.made = await scene.direct.put(f"{scene.key}-source", LONG)


async def upload(scene: Scene) -> None:
    scene.made = await scene.direct.initiate(scene.key, mode=Write.CREATE)


async def part(scene: Scene) -> None:
    await upload(scene)
    sent = await scene.direct.put_part(scene.made, 1, NEW, size=len(NEW))
    scene.made = (scene.made, sent)


def holds(body: bytes) -> Callable[[Scene, Any], bool]:
    wanted = sha256(body).hexdigest()
    return lambda scene, seen: (
        seen[scene.key] is not None and seen[scene.key][0] == wanted
    )


def gone(scene: Scene, seen: Any) -> bool:
    return all(seen[key] is None for key in scene.keys or [scene.key])


async def is_receipt(scene: Scene, receipt: Any) -> bool:
    info = await scene.direct.head(scene.key)
    told = (receipt.etag, receipt.size, receipt.write_id)
    return told == (info.etag, info.size, info.write_id)


async def is_info(scene: Scene, info: Any) -> bool:
    return info == await scene.direct.head(scene.key)


async def is_long(scene: Scene, body: Any) -> bool:
    del scene
    return body == LONG


async def is_middle(scene: Scene, body: Any) -> bool:
    del scene
    return body == LONG[1000:200_000]


async def is_all_listed(scene: Scene, keys: Any) -> bool:
    del scene
    return keys == [f"{number}" for number in range(COUNT)]


async def is_none_failed(scene: Scene, results: Any) -> bool:
    del scene
    return len(results) == COUNT and not any(results.values())


async def is_link(scene: Scene, signed: Any) -> bool:
    del scene

    def fetch() -> bytes:
        with urllib.request.urlopen(signed.url, timeout=10) as answer:
            return answer.read()

    return await anyio.to_thread.run_sync(fetch) == OLD


async def is_its_part(scene: Scene, parts: Any) -> bool:
    return parts == [scene.made[1]]


async def is_its_upload(scene: Scene, uploads: Any) -> bool:
    return [each.upload_id for each in uploads] == [scene.made.upload_id]


async def first_create(scene: Scene) -> Any:
    """Create where nobody asked yet whether the store holds to conditions."""
    scene.bucket.s3.keeps_conditions = None
    return await scene.bucket.put(scene.key, NEW, mode=Write.CREATE)


async def whole(scene: Scene, **options: Any) -> bytes:
    async with scene.bucket.get(scene.key, **options) as reader:
        return await reader.read()


async def all_pages(scene: Scene) -> list[str]:
    return [entry.key async for page in scene.listed.scan() for entry in page.entries]


async def every(iterator: Any) -> list[Any]:
    return [each async for each in iterator]


async def chunks() -> Any:
    for start in range(0, len(STREAM), 2**20):
        yield STREAM[start : start + 2**20]


def many(scene: Scene) -> list[str]:
    return [f"{scene.key}/{number}" for number in range(COUNT)]


def copied(scene: Scene, mode: Any) -> Awaitable[Any]:
    return scene.bucket.copy_from(
        scene.bucket, f"{scene.key}-source", scene.key, mode=mode
    )


OPERATIONS = {
    each.name: each
    for each in (
        Operation(
            name="put",
            prepare=old,
            run=lambda s: s.bucket.put(s.key, NEW),
            applied=holds(NEW),
            right=is_receipt,
        ),
        Operation(
            name="put CREATE",
            run=lambda s: s.bucket.put(s.key, NEW, mode=Write.CREATE),
            applied=holds(NEW),
            right=is_receipt,
        ),
        Operation(
            name="first CREATE",
            run=first_create,
            applied=holds(NEW),
            right=is_receipt,
            requests=4,
        ),
        Operation(
            name="put Update",
            prepare=old,
            run=lambda s: s.bucket.put(s.key, NEW, mode=Update(s.made.etag)),
            applied=holds(NEW),
            right=is_receipt,
        ),
        Operation(name="get", prepare=long, run=whole, right=is_long),
        Operation(
            name="get range",
            prepare=long,
            run=lambda s: whole(s, byte_range=ByteSpan(1000, 200_000)),
            right=is_middle,
        ),
        Operation(
            name="head", prepare=old, run=lambda s: s.bucket.head(s.key), right=is_info
        ),
        Operation(
            name="delete",
            prepare=old,
            run=lambda s: s.bucket.delete(s.key),
            applied=gone,
        ),
        Operation(
            name="delete if_match",
            prepare=old,
            run=lambda s: s.bucket.delete(s.key, if_match=s.made.etag),
            applied=gone,
        ),
        Operation(name="scan", run=all_pages, right=is_all_listed, requests=3),
        Operation(
            name="delete_many",
            prepare=three,
            run=lambda s: s.bucket.delete_many(many(s)),
            applied=gone,
            right=is_none_failed,
            requests=3,
        ),
        Operation(
            name="update_info",
            prepare=old,
            run=lambda s: s.bucket.update_info(
                s.key, PutInfo(custom={"v": "2"}), if_match=s.made.etag
            ),
            applied=lambda s, seen: seen[s.key] is not None and seen[s.key][1],
            right=is_receipt,
            requests=2,
        ),
        Operation(
            name="copy_from",
            prepare=source,
            run=lambda s: copied(s, Write.OVERWRITE),
            applied=holds(LONG),
            right=is_receipt,
            requests=2,
        ),
        Operation(
            name="copy_from CREATE",
            prepare=source,
            run=lambda s: copied(s, Write.CREATE),
            applied=holds(LONG),
            right=is_receipt,
            requests=4,
        ),
        Operation(
            name="initiate",
            run=lambda s: s.bucket.initiate(s.key),
            applied=lambda _, seen: bool(seen["uploads"]),
            over="uploads",
        ),
        Operation(
            name="put_part",
            prepare=upload,
            run=lambda s: s.bucket.put_part(s.made, 1, NEW, size=len(NEW)),
            applied=lambda _, seen: len(seen["uploads"]) == 1 and seen["uploads"][0][1],
            over="uploads",
        ),
        Operation(
            name="list_parts",
            prepare=part,
            run=lambda s: every(s.bucket.list_parts(s.made[0])),
            right=is_its_part,
        ),
        Operation(
            name="complete",
            prepare=part,
            run=lambda s: s.bucket.complete(s.made[0], [s.made[1]]),
            applied=holds(NEW),
            right=is_receipt,
        ),
        Operation(
            name="abort",
            prepare=upload,
            run=lambda s: s.bucket.abort(s.made),
            applied=lambda _, seen: not seen["uploads"],
            over="uploads",
        ),
        Operation(
            name="list_uploads",
            prepare=upload,
            run=lambda s: every(s.bucket.list_uploads(s.key)),
            right=is_its_upload,
        ),
        Operation(
            name="put 20 MiB",
            run=lambda s: s.bucket.put(s.key, chunks()),
            applied=holds(STREAM),
            right=is_receipt,
            requests=5,
        ),
        Operation(
            name="sign",
            prepare=old,
            run=lambda s: s.bucket.sign(
                SignGet(), s.key, expires_in=timedelta(minutes=1)
            ),
            right=is_link,
        ),
    )
}
