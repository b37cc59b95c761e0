"""16 KiB through `coatcheck serve` on S3, beside the ways without it.

The service is a process of its own, whose CPU is not in our figures; nor is that of
SeaweedFS in anybody's. A hop more costs what it costs: no ratio was agreed.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from tests.benchmarks.clients import Client
from tests.benchmarks.loops import AT_ONCE, gets, puts
from tests.benchmarks.ours import s3_config
from tests.benchmarks.peers.with_aioboto3 import aioboto3_s3
from tests.benchmarks.workloads import BUCKET, NO_GOAL, Peer, Workload
from tests.service.processes import served

from coatcheck.backends import open_backend
from coatcheck.objects import Client as Objects
from coatcheck.objects import Usecase

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.benchmarks.workloads import Stage

    from coatcheck.objects import Session

# Random bytes are not worth compressing, and the peer does not compress.
USECASE = Usecase("benchmark", compression="none")
PREFIX = "objects/"


def client_over(session: Session) -> Client:
    """Put by key, and read all of an object."""

    async def put(name: str, body: bytes) -> str:
        return await session.put(body, key=name)

    return Client(put=put, get=session.get_bytes)


@asynccontextmanager
async def through_the_service(stage: Stage) -> AsyncIterator[Client]:
    """A session over HTTP, to `coatcheck serve --no-auth` on the bucket."""
    config = s3_config(stage)
    environ = {
        "COATCHECK_S3__ENDPOINT_URL": stage.url,
        "COATCHECK_S3__REGION": config.s3.region,
    }
    storage = f"s3://{BUCKET}/{PREFIX}"
    options = ("--storage", storage, "--no-auth", "--log-level", "warning")
    with served(stage.path / "service", *options, **environ) as service:
        async with Objects(service.url) as client:
            yield client_over(client.session(USECASE, org=1))


@asynccontextmanager
async def straight_to_the_bucket(stage: Stage) -> AsyncIterator[Client]:
    """The same session over the bucket itself."""
    async with (
        open_backend("s3:", config=s3_config(stage)) as backend,
        Objects(backend.bucket(BUCKET, PREFIX)) as client,
    ):
        yield client_over(client.session(USECASE, org=1))


WORKLOADS = (
    Workload(
        name="service.put.16k.c32",
        title="put 16 KiB through the service",
        ours=puts(through_the_service),
        at_once=AT_ONCE,
        needs_s3=True,
        peers=(
            Peer(name="direct", setup=puts(straight_to_the_bucket), goal=NO_GOAL),
            Peer(name="aioboto3", setup=puts(aioboto3_s3), goal=NO_GOAL),
        ),
    ),
    Workload(
        name="service.get.16k.c32",
        title="get 16 KiB through the service",
        ours=gets(through_the_service),
        at_once=AT_ONCE,
        needs_s3=True,
        peers=(
            Peer(name="direct", setup=gets(straight_to_the_bucket), goal=NO_GOAL),
            Peer(name="aioboto3", setup=gets(aioboto3_s3), goal=NO_GOAL),
        ),
    ),
)
