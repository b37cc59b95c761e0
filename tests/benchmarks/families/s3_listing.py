"""Listing a bucket of 10 000 stashes."""

from __future__ import annotations

import hashlib
import os
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import msgpack
from tests.benchmarks.loops import AT_ONCE
from tests.benchmarks.ours import s3_config, scanned
from tests.benchmarks.peers.with_aioboto3 import open_client, paginated
from tests.benchmarks.peers.with_obstore import obstore_s3
from tests.benchmarks.timing import Watch, in_tasks
from tests.benchmarks.workloads import BUCKET, Loop, Peer, Workload

from coatcheck import Coatcheck

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.benchmarks.workloads import Stage

    from coatcheck import StashEntry

OBJECTS = 10_000
SIZE = 100
STORED = SIZE + 2
"""What msgpack makes of so many bytes."""


def names() -> list[str]:
    return [f"listed-{number:05}" for number in range(OBJECTS)]


def stash_of(name: str) -> tuple[str, bytes]:
    """Return the key and body of a stash, as `create` stores it."""
    body = msgpack.packb(os.urandom(SIZE))
    return f"{name}.{hashlib.md5(body).hexdigest()}", body


async def fill(stage: Stage) -> None:
    """Put what `create` would, with the client that takes the least time for it."""
    async with obstore_s3(stage) as client:
        filling = Watch([stash_of(name) for name in names()])
        await in_tasks(lambda stash: client.put(*stash), filling, AT_ONCE)


def is_whole(entry: StashEntry) -> bool:
    """Tell whether an entry can be claimed, and says what it is."""
    return (
        (entry.address.scheme, entry.address.namespace) == ("s3", BUCKET)
        and len(entry.address.digest) == 32
        and entry.size == STORED
        and entry.modified.tzinfo is not None
    )


@asynccontextmanager
async def listing(
    opened: Callable[[Stage], Any], scan: Callable[[Any], Any], stage: Stage
) -> AsyncIterator[Loop]:
    """List all of the bucket into a list of entries, again and again."""
    async with opened(stage) as client:
        yield Loop(
            config=getattr(client, "config", None),
            jobs=lambda wanted: [client] * wanted,
            operate=scan,
            is_right=lambda _job, entries: (
                [entry.address.name for entry in entries] == names()
                and all(is_whole(entry) for entry in entries)
            ),
        )


def coatcheck_listed(stage: Stage) -> Coatcheck:
    return Coatcheck(s3_config(stage))


WORKLOADS = (
    Workload(
        name="list.10k",
        title="list 10 000 stashes (as_listed)",
        ours=partial(listing, coatcheck_listed, scanned),
        unit="entries/s",
        amount=OBJECTS,
        ops=1,
        needs_s3=True,
        prepare=fill,
        peers=(
            Peer(
                name="aioboto3",
                setup=partial(listing, open_client, paginated),
                goal=1.0,
            ),
        ),
    ),
)
