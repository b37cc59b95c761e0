"""obstore: one store, `put_async` and `get_async`.

What it read stays in Rust's memory: nothing is copied into Python's own bytes. Files go
by their path to `put_async`, which sends them in parts; large objects come by `stream`.
"""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from tests.benchmarks.clients import Client, Streams
from tests.benchmarks.workloads import BUCKET, REGION

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from obstore.store import LocalStore, S3Store
    from tests.benchmarks.workloads import Stage


def s3_store(stage: Stage) -> S3Store:
    from obstore.store import S3Store

    return S3Store(
        BUCKET,
        endpoint=stage.url,
        region=REGION,
        access_key_id=os.environ["AWS_ACCESS_KEY_ID"],
        secret_access_key=os.environ["AWS_SECRET_ACCESS_KEY"],
        client_options={"allow_http": True},
    )


def client_over(store: S3Store | LocalStore) -> Client:
    async def put(name: str, body: bytes) -> str:
        await store.put_async(name, body)
        return name

    async def get(key: str) -> Any:
        response = await store.get_async(key)
        return await response.bytes_async()

    return Client(put=put, get=get, content=bytes)


@asynccontextmanager
async def obstore_s3(stage: Stage) -> AsyncIterator[Client]:
    yield client_over(s3_store(stage))


@asynccontextmanager
async def obstore_files(stage: Stage) -> AsyncIterator[Client]:
    """LocalStore keeps no digest, so nothing is verified."""
    from obstore.store import LocalStore

    yield client_over(LocalStore(stage.path / "obstore", mkdir=True))


@asynccontextmanager
async def obstore_streams(stage: Stage) -> AsyncIterator[Streams]:
    store = s3_store(stage)

    async def put(name: str, path: Path) -> str:
        await store.put_async(name, path)
        return name

    async def get(key: str) -> AsyncIterator[Any]:
        response = await store.get_async(key)
        async for chunk in response.stream():
            yield chunk

    yield Streams(put=put, get=get)
