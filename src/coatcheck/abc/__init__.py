"""The contracts between coatcheck's layers, for those who write a backend.

Test yours with the classes of `coatcheck.testing`.
"""

from __future__ import annotations

from coatcheck._core.digests import DigestAlgorithm
from coatcheck._core.extensions import Extension, FromCreation, FromNow, Until
from coatcheck._core.objects import ObjectEntry, ObjectInfo, Page, PutInfo
from coatcheck._core.ranges import ByteOffset, ByteRange, ByteSpan, ByteSuffix
from coatcheck._core.signing import SignedRequest, SignGet, SignPut
from coatcheck._core.writes import (
    Limits,
    Part,
    Receipt,
    Swept,
    Update,
    Upload,
    Write,
    WriteMode,
)

from ._access import Credentials, ServiceAccess
from ._at_once import AtOnce, Held, at_once
from ._backend import NO_INFO, AsyncReadable, Backend, Body, Bucket
from ._batches import BatchOutcome, BatchStep, BatchVerb, CanBatch
from ._capabilities import (
    CanCopy,
    CanExpire,
    CanScan,
    CanSign,
    CanSweep,
    CanUpdate,
    Capability,
    innermost,
    require,
)
from ._observer import Event, Observer
from ._one_step import Named, OneStep, in_one_step
from ._reader import Reader, Verified
from ._resource import AsyncResource
from ._uploads import CanMultipart, CanResume

__all__ = (
    "NO_INFO",
    "AsyncReadable",
    "AsyncResource",
    "AtOnce",
    "Backend",
    "BatchOutcome",
    "BatchStep",
    "BatchVerb",
    "Body",
    "Bucket",
    "ByteOffset",
    "ByteRange",
    "ByteSpan",
    "ByteSuffix",
    "CanBatch",
    "CanCopy",
    "CanExpire",
    "CanMultipart",
    "CanResume",
    "CanScan",
    "CanSign",
    "CanSweep",
    "CanUpdate",
    "Capability",
    "Credentials",
    "DigestAlgorithm",
    "Event",
    "Extension",
    "FromCreation",
    "FromNow",
    "Held",
    "Limits",
    "Named",
    "ObjectEntry",
    "ObjectInfo",
    "Observer",
    "OneStep",
    "Page",
    "Part",
    "PutInfo",
    "Reader",
    "Receipt",
    "ServiceAccess",
    "SignGet",
    "SignPut",
    "SignedRequest",
    "Swept",
    "Until",
    "Update",
    "Upload",
    "Verified",
    "Write",
    "WriteMode",
    "at_once",
    "in_one_step",
    "innermost",
    "require",
)
