"""The servers that tests share, and the credentials for them."""

from __future__ import annotations

import pytest
from tests.integration import servers


@pytest.fixture(scope="session")
def seaweed_url(tmp_path_factory):
    """SeaweedFS, for the whole run."""
    with servers.seaweedfs(tmp_path_factory.mktemp("seaweedfs")) as url:
        yield url


@pytest.fixture(scope="session")
def moto_url():
    """Moto's server, for the whole run."""
    with servers.moto() as url:
        yield url


@pytest.fixture(scope="session")
def rclone_url(tmp_path_factory):
    """The store that lies, for the whole run."""
    with servers.rclone(tmp_path_factory.mktemp("rclone")) as url:
        yield url


@pytest.fixture(autouse=True)
def credentials(monkeypatch, clean_environment):
    """Let the SDK find what the servers take."""
    for name, text in servers.CREDENTIALS.items():
        monkeypatch.setenv(name, text)
