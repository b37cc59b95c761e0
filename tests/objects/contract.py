"""All that a session promises, over any storage and through a service."""

from __future__ import annotations

from tests.objects.cases_expiry import ExpiryCases
from tests.objects.cases_multipart import MultipartCases
from tests.objects.cases_places import (
    BatchesCases,
    CopiesCases,
    DeletesCases,
    LifetimeCases,
    LinksCases,
    ScansCases,
    ScopesCases,
)
from tests.objects.cases_reads import CompressionCases, RangesCases, ReadsCases
from tests.objects.cases_writes import WritesCases


class SessionContract(
    WritesCases,
    ReadsCases,
    CompressionCases,
    RangesCases,
    ExpiryCases,
    ScopesCases,
    DeletesCases,
    ScansCases,
    CopiesCases,
    MultipartCases,
    BatchesCases,
    LinksCases,
    LifetimeCases,
):
    """The class that every subject passes."""
