"""16 KiB to and from S3: 32 in flight, and one blocking caller."""

from __future__ import annotations

from tests.benchmarks.loops import (
    AT_ONCE,
    blocking_gets,
    blocking_puts,
    gets,
    puts,
)
from tests.benchmarks.ours import coatcheck_s3, coatcheck_sync
from tests.benchmarks.peers.with_aioboto3 import aioboto3_s3
from tests.benchmarks.peers.with_chuk_artifacts import chuk_s3
from tests.benchmarks.peers.with_kstash import kstash_s3
from tests.benchmarks.peers.with_obstore import obstore_s3
from tests.benchmarks.workloads import Peer, Workload

# A call takes the slow ones a fifth of a second: a round is one wave, without warm-up.
SLOW = AT_ONCE

WORKLOADS = (
    Workload(
        name="s3.put.16k.c32",
        title="create 16 KiB, 32 in flight",
        ours=puts(coatcheck_s3),
        at_once=AT_ONCE,
        needs_s3=True,
        peers=(
            Peer(name="aioboto3", setup=puts(aioboto3_s3), goal=2.5),
            Peer(name="obstore", setup=puts(obstore_s3), goal=0.85, aim=1.0),
            Peer(
                name="kstash",
                setup=blocking_puts(kstash_s3),
                goal=100,
                ops=SLOW,
            ),
            Peer(name="chuk-artifacts", setup=puts(chuk_s3), goal=100, ops=SLOW),
        ),
    ),
    Workload(
        name="s3.get.16k.c32",
        title="retrieve 16 KiB, 32 in flight",
        ours=gets(coatcheck_s3),
        at_once=AT_ONCE,
        needs_s3=True,
        peers=(
            Peer(name="aioboto3", setup=gets(aioboto3_s3), goal=3.5),
            Peer(name="obstore", setup=gets(obstore_s3), goal=1.1, aim=1.3),
            Peer(
                name="kstash",
                setup=blocking_gets(kstash_s3, stored=SLOW),
                goal=100,
                ops=SLOW,
            ),
            Peer(
                name="chuk-artifacts",
                setup=gets(chuk_s3, stored=SLOW),
                goal=100,
                ops=SLOW,
            ),
        ),
    ),
    Workload(
        name="sync.s3.get.16k",
        title="retrieve 16 KiB, blocking, one caller",
        ours=blocking_gets(coatcheck_sync, stored=SLOW),
        needs_s3=True,
        peers=(
            Peer(name="kstash", setup=blocking_gets(kstash_s3, stored=SLOW), goal=20),
        ),
    ),
)
