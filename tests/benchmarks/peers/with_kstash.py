"""kstash: its two functions, which block; several at once take threads.

It makes a client for each call, and takes none from outside.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.benchmarks.clients import Client
from tests.benchmarks.workloads import BUCKET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.benchmarks.workloads import Stage


@contextmanager
def kstash_s3(_stage: Stage) -> Iterator[Client]:
    import kstash

    yield Client(
        put=lambda name, body: kstash.create(name, body, namespace=BUCKET),
        get=kstash.retrieve,
        key_of=lambda stash: str(stash.address),
        content=lambda stash: stash.data,
    )


def kstash_pairing(backend: str) -> Callable[[tuple[str, Any]], Any]:
    """Return what creates, and retrieves by the address, on one backend."""
    import kstash

    config = kstash.Config(backends=[backend])

    def pair(job: tuple[str, Any]) -> Any:
        stash = kstash.create(*job, config=config)
        return kstash.retrieve(stash.address, config=config)

    return pair
