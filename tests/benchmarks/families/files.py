"""16 KiB to and from files, 32 in flight, without waiting for the disk."""

from __future__ import annotations

from tests.benchmarks.loops import AT_ONCE, gets, puts
from tests.benchmarks.ours import coatcheck_files
from tests.benchmarks.peers.with_chuk_artifacts import chuk_files
from tests.benchmarks.peers.with_obstore import obstore_files
from tests.benchmarks.workloads import Peer, Workload

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
