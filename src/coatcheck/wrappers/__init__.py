"""Buckets around buckets: what is added by wrapping works on every backend."""

from __future__ import annotations

from coatcheck.payloads._parallel import in_parallel

from ._bounds import emit
from ._expiring import ExpiringBucket, expiring_info
from ._expiry import expiring
from ._forwarding import AnyBucket, ForwardingBucket, closed_after
from ._guarded import Guard, GuardedBucket
from ._reading import ForwardingRead, ForwardingReader
from ._reaping import Reaped, reap
from ._scoped import scoped

__all__ = (
    "AnyBucket",
    "ExpiringBucket",
    "ForwardingBucket",
    "ForwardingRead",
    "ForwardingReader",
    "Guard",
    "GuardedBucket",
    "Reaped",
    "closed_after",
    "emit",
    "expiring",
    "expiring_info",
    "in_parallel",
    "reap",
    "scoped",
)
