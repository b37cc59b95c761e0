"""16 KiB to and from files, 32 in flight, without waiting for the disk."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from tests.benchmarks.clients import AT_ONCE, Client, coatcheck_client, gets, puts
from tests.benchmarks.workloads import Peer, Workload

from coatcheck import Config

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.benchmarks.workloads import Stage


def coatcheck_files(stage: Stage):
    """Ours; obstore and chuk-artifacts do not wait for the disk either."""
    root = stage.path / "coatcheck"
    root.mkdir()
    return coatcheck_client(
        Config(backends=("inline", "file"), filesystem_root=str(root), durable=False)
    )


@asynccontextmanager
async def obstore_files(stage: Stage) -> AsyncIterator[Client]:
    """One LocalStore; it keeps no digest, so nothing is verified."""
    from obstore.store import LocalStore

    store = LocalStore(stage.path / "obstore", mkdir=True)

    async def put(name: str, body: bytes) -> str:
        await store.put_async(name, body)
        return name

    async def get(key: str):
        response = await store.get_async(key)
        return await response.bytes_async()

    yield Client(put=put, get=get, content=bytes)


@asynccontextmanager
async def chuk_files(stage: Stage) -> AsyncIterator[Client]:
    """One open store on the provider `filesystem`, which insists on a filename."""
    # It reads its root when it is imported.
    os.environ["ARTIFACT_FS_ROOT"] = str(stage.path / "chuk")
    from chuk_artifacts import ArtifactStore

    async with ArtifactStore(storage_provider="filesystem") as store:
        session = await store.create_session()

        async def put(name: str, body: bytes) -> str:
            return await store.store(
                body,
                mime="application/octet-stream",
                summary=name,
                filename=name,
                session_id=session,
            )

        yield Client(put=put, get=store.retrieve)


WORKLOADS = (
    Workload(
        name="file.put.16k.c32",
        title="create 16 KiB, 32 in flight",
        ours=puts(coatcheck_files),
        at_once=AT_ONCE,
        peers=(
            Peer(name="obstore", setup=puts(obstore_files), goal=1.2, aim=1.8),
            Peer(name="chuk-artifacts", setup=puts(chuk_files), goal=5),
        ),
    ),
    Workload(
        name="file.get.16k.c32",
        title="retrieve 16 KiB, 32 in flight",
        ours=gets(coatcheck_files),
        at_once=AT_ONCE,
        peers=(
            Peer(name="obstore", setup=gets(obstore_files), goal=2.0, aim=3.0),
            Peer(name="chuk-artifacts", setup=gets(chuk_files), goal=5),
        ),
    ),
)
