"""What backends are tested with: yours as well as coatcheck's own.

Subclass `Subject` for your storage, and `BackendContract` for your tests:

    class MySubject(Subject):
        def backend(self): return MyBackend(self.folder, clock=self.clock)
        async def damage(self, bucket, key, body): ...

    class TestMine(BackendContract):
        subject = MySubject

This needs pytest and, for `run_machine`, hypothesis.
"""

from __future__ import annotations

from ._cancellation import cancel_at_every_point
from ._clock import ManualClock
from ._expiry import ExpiryContract
from ._faults import Fault, FaultyBucket
from ._listing import ListingContract
from ._proxy import FaultProxy, SeenRequest
from ._proxy_faults import (
    Answer,
    Drip,
    DropAnswer,
    ExtraHeader,
    FlipBit,
    HttpFault,
    ResetAfterSending,
    ResetBeforeSending,
    SkewDate,
    Stall,
    Truncate,
    WrongLength,
)
from ._reads import ReadsContract
from ._rules import BucketMachine, run_machine
from ._signing import SigningContract
from ._stage import Contract, Stage, Subject, WalkDeviation, scenario
from ._updates import UpdatesContract
from ._uploads import MultipartContract
from ._writes import WritesContract

__all__ = (
    "Answer",
    "BackendContract",
    "BucketMachine",
    "Contract",
    "Drip",
    "DropAnswer",
    "ExpiryContract",
    "ExtraHeader",
    "Fault",
    "FaultProxy",
    "FaultyBucket",
    "FlipBit",
    "HttpFault",
    "ListingContract",
    "ManualClock",
    "MultipartContract",
    "ReadsContract",
    "ResetAfterSending",
    "ResetBeforeSending",
    "SeenRequest",
    "SigningContract",
    "SkewDate",
    "Stage",
    "Stall",
    "Subject",
    "Truncate",
    "UpdatesContract",
    "WalkDeviation",
    "WritesContract",
    "WrongLength",
    "cancel_at_every_point",
    "run_machine",
    "scenario",
)


class BackendContract(
    ReadsContract,
    WritesContract,
    UpdatesContract,
    ListingContract,
    MultipartContract,
    ExpiryContract,
    SigningContract,
):
    """All that a backend promises."""
