"""Listing a bucket of 10 000 stashes."""

from __future__ import annotations

import os
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING

from tests.benchmarks.families.s3_small import s3_config
from tests.benchmarks.workloads import BUCKET, Loop, Peer, Workload

from coatcheck import Address, Coatcheck, StashEntry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Any

    from tests.benchmarks.workloads import Stage

OBJECTS = 10_000


def names() -> list[str]:
    return [f"listed-{number:05}" for number in range(OBJECTS)]


async def fill(stage: Stage) -> None:
    async with Coatcheck(s3_config(stage)) as cc:
        await cc.create_many(((name, os.urandom(100)) for name in names()), BUCKET)


def listing(scan: Any, config: Any = None) -> Loop:
    """Return a loop of whole listings."""
    return Loop(
        config=config,
        jobs=lambda wanted: [None] * wanted,
        operate=lambda _job: scan(),
        is_right=lambda _job, entries: (
            [entry.address.name for entry in entries] == names()
            and all(is_whole(entry) for entry in entries)
        ),
    )


def is_whole(entry: StashEntry) -> bool:
    """Tell whether an entry can be claimed, and says what it is."""
    return (
        (entry.address.scheme, entry.address.namespace) == ("s3", BUCKET)
        and len(entry.address.digest) == 32
        and entry.size == 102
        and entry.modified.tzinfo is not None
    )


@asynccontextmanager
async def coatcheck_scan(stage: Stage) -> AsyncIterator[Loop]:
    """Ours: `scan`."""
    config = s3_config(stage)
    async with Coatcheck(config) as cc:

        async def scan() -> list[StashEntry]:
            async with aclosing(cc.scan(BUCKET)) as entries:
                return [entry async for entry in entries]

        yield listing(scan, config)


@asynccontextmanager
async def aioboto3_paginator(stage: Stage) -> AsyncIterator[Loop]:
    """The SDK's paginator; each object becomes an entry as ours."""
    import aioboto3

    session = aioboto3.Session()
    async with session.client("s3", endpoint_url=stage.url) as client:
        paginator = client.get_paginator("list_objects_v2")

        async def scan() -> list[StashEntry]:
            return [
                entry_of(found)
                async for page in paginator.paginate(Bucket=BUCKET)
                for found in page["Contents"]
            ]

        def entry_of(found: dict[str, Any]) -> StashEntry:
            name, _, digest = found["Key"].rpartition(".")
            return StashEntry(
                address=Address(
                    scheme="s3", namespace=BUCKET, name=name, digest=digest
                ),
                size=found["Size"],
                modified=found["LastModified"],
            )

        yield listing(scan)


WORKLOADS = (
    Workload(
        name="list.10k",
        title="list 10 000 stashes",
        ours=coatcheck_scan,
        unit="entries/s",
        amount=OBJECTS,
        needs_s3=True,
        prepare=fill,
        peers=(Peer(name="aioboto3", setup=aioboto3_paginator, goal=1.0),),
    ),
)
