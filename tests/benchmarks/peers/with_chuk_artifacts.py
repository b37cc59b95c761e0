"""chuk-artifacts: one open store, `store` and `retrieve` in one session.

Of its providers the faster ones: `s3` (`vfs-s3` takes several times as long), `memory`
and `filesystem`. The latter insists on a filename.
"""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from tests.benchmarks.clients import Client
from tests.benchmarks.workloads import BUCKET, REGION

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.benchmarks.workloads import Stage


@asynccontextmanager
async def chuk_s3(stage: Stage) -> AsyncIterator[Client]:
    from chuk_artifacts.config import configure_s3

    configure_s3(
        access_key=os.environ["AWS_ACCESS_KEY_ID"],
        secret_key=os.environ["AWS_SECRET_ACCESS_KEY"],
        bucket=BUCKET,
        endpoint_url=stage.url,
        region=REGION,
    )
    async with opened("s3") as client:
        yield client


@asynccontextmanager
async def chuk_files(stage: Stage) -> AsyncIterator[Client]:
    # It reads its root when it is imported.
    os.environ["ARTIFACT_FS_ROOT"] = str(stage.path / "chuk")
    async with opened("filesystem") as client:
        yield client


@asynccontextmanager
async def chuk_memory(_stage: Stage) -> AsyncIterator[Client]:
    async with opened("memory") as client:
        yield client


@asynccontextmanager
async def opened(provider: str) -> AsyncIterator[Client]:
    from chuk_artifacts import ArtifactStore

    async with ArtifactStore(storage_provider=provider) as store:
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
