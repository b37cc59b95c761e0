"""All workloads, in the order in which they are played and reported.

A new one goes into the module of its family; a new family into a module of its own
under `families`, with its `WORKLOADS` added here. A test holds names, peers and goals
against the table that was agreed.
"""

from __future__ import annotations

from tests.benchmarks.families import (
    files,
    footprint,
    growth,
    memory,
    s3_listing,
    s3_small,
    s3_streams,
    service_small,
)

WORKLOADS = (
    *s3_small.WORKLOADS,
    *s3_streams.WORKLOADS,
    *s3_listing.WORKLOADS,
    *service_small.WORKLOADS,
    *files.WORKLOADS,
    *memory.WORKLOADS,
    *growth.WORKLOADS,
    *footprint.WORKLOADS,
)
