"""Sessions keep the contract through a service over memory and over files."""

from __future__ import annotations

from tests.objects.contract import SessionContract
from tests.objects.serving import ServiceOverFiles, ServiceSubject


class TestServedFromMemory(SessionContract):
    """A client of a service over memory."""

    subject = ServiceSubject


class TestServedFromFiles(SessionContract):
    """A client of a service over files."""

    subject = ServiceOverFiles
