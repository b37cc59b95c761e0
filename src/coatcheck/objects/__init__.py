"""Objects of usecases and scopes: sessions over a service, or straight over a bucket.

What expiry, compression and metadata mean is as in Sentry's objectstore, whose service
this client speaks to as well as to coatcheck's own.
"""

from __future__ import annotations

from coatcheck._core.expiry import TimeToIdle, TimeToLive
from coatcheck._core.media import accepted_encodings, media_type_of
from coatcheck._core.permissions import Permission
from coatcheck._core.ranges import ByteOffset, ByteRange, ByteSpan, ByteSuffix
from coatcheck._core.scopes import Scope

from ._auth import SecretKey
from ._batch import BatchOperation, BatchResult, Delete, Get, Head, Put
from ._client import Client
from ._metadata import Metadata
from ._multipart import CompletePart, MultipartUpload, PartInfo
from ._payload import GetResponse, Payload
from ._session import Session
from ._telemetry import MetricsBackend, NoOpMetricsBackend
from ._usage import Amount, ScopeDeletion, ScopeUsage, delete_scope, usage
from ._usecase import Compression, Default, Usecase

__all__ = (
    "Amount",
    "BatchOperation",
    "BatchResult",
    "ByteOffset",
    "ByteRange",
    "ByteSpan",
    "ByteSuffix",
    "Client",
    "CompletePart",
    "Compression",
    "Default",
    "Delete",
    "Get",
    "GetResponse",
    "Head",
    "Metadata",
    "MetricsBackend",
    "MultipartUpload",
    "NoOpMetricsBackend",
    "PartInfo",
    "Payload",
    "Permission",
    "Put",
    "Scope",
    "ScopeDeletion",
    "ScopeUsage",
    "SecretKey",
    "Session",
    "TimeToIdle",
    "TimeToLive",
    "Usecase",
    "accepted_encodings",
    "delete_scope",
    "media_type_of",
    "usage",
)
