"""Sessions through a service that runs in the case's own event loop."""

from __future__ import annotations

from contextlib import asynccontextmanager

from tests.objects.stage import Subject
from tests.service.stage import KEY, serving, with_keys

from coatcheck.objects import Client, SecretKey


class ServiceSubject(Subject):
    """A client with a key of its own, a service that trusts it, and a storage."""

    serves = True
    signs = True

    def config(self):
        """Return the service's configuration."""
        return with_keys(storage=self.storage(), durable=False)

    def storage(self):
        return "memory:"

    @asynccontextmanager
    async def opened(self):
        key = SecretKey(KEY.kid, KEY.private_pem, clock=self.clock)
        async with serving(self.config(), clock=self.clock) as stage:
            yield lambda **options: Client(
                stage.url, **{"token": key, "reap_every": None, **options}
            )


class ServiceOverFiles(ServiceSubject):
    """The service keeps its objects in a folder."""

    def storage(self):
        return f"file:{self.folder / 'root'}"
