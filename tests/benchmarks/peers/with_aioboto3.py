"""aioboto3: one open client, with as many connections as ours has.

Its documentation opens a client for a whole block of work, puts with `put_object`, reads
with `async with response["Body"]`, reads large bodies with `read(n)`, uploads large
files with `upload_fileobj`, and lists with the paginator.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from tests.benchmarks.clients import Client, Streams
from tests.benchmarks.workloads import BUCKET, MIB

from coatcheck import Address, StashEntry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from tests.benchmarks.workloads import Stage


def open_client(stage: Stage) -> AbstractAsyncContextManager[Any]:
    import aioboto3
    from aiobotocore.config import AioConfig

    return aioboto3.Session().client(
        "s3", endpoint_url=stage.url, config=AioConfig(max_pool_connections=50)
    )


@asynccontextmanager
async def aioboto3_s3(stage: Stage) -> AsyncIterator[Client]:
    async with open_client(stage) as client:

        async def put(name: str, body: bytes) -> str:
            await client.put_object(Bucket=BUCKET, Key=name, Body=body)
            return name

        async def get(key: str) -> bytes:
            response = await client.get_object(Bucket=BUCKET, Key=key)
            async with response["Body"] as body:
                return await body.read()

        yield Client(put=put, get=get)


@asynccontextmanager
async def aioboto3_streams(stage: Stage) -> AsyncIterator[Streams]:
    async with open_client(stage) as client:

        async def put(name: str, path: Path) -> str:
            with path.open("rb") as file:
                await client.upload_fileobj(file, BUCKET, name)
            return name

        async def get(key: str) -> AsyncIterator[bytes]:
            response = await client.get_object(Bucket=BUCKET, Key=key)
            while chunk := await response["Body"].read(MIB):
                yield chunk

        yield Streams(put=put, get=get)


async def paginated(client: Any) -> list[StashEntry]:
    """List with the paginator; each object becomes an entry as ours."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    return [entry_of(found) async for page in pages for found in page["Contents"]]


def entry_of(found: dict[str, Any]) -> StashEntry:
    name, _, digest = found["Key"].rpartition(".")
    return StashEntry(
        address=Address(scheme="s3", namespace=BUCKET, name=name, digest=digest),
        size=found["Size"],
        modified=found["LastModified"],
    )
