"""The service on every storage, and the published client that talks to it.

The client is installed by `nox -s objectstore` alone, so it is imported late.
"""

from __future__ import annotations

import os
from contextlib import contextmanager

import pytest
from tests.integration import servers
from tests.service.processes import KeyPair, served

KEY = KeyPair()
STORAGES = ["memory", "files", "seaweedfs"]


@pytest.fixture(scope="session")
def seaweed_url(tmp_path_factory):
    with servers.seaweedfs(tmp_path_factory.mktemp("seaweedfs")) as url:
        yield url


def s3_environ(url: str) -> dict[str, str]:
    """Return the environment in which the service finds a store."""
    return {
        **servers.CREDENTIALS,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "COATCHECK_S3__ENDPOINT_URL": url,
        "COATCHECK_S3__CREATE_BUCKETS": "true",
    }


class Place:
    """A storage, on which services can be started again and again."""

    def __init__(self, kind, folder, seaweed_url):
        self.kind = kind
        self.folder = folder
        self.seaweed_url = seaweed_url

    @contextmanager
    def served(self, *options, key=KEY):
        environ = {}
        storage = "memory:"
        if self.kind == "files":
            storage = f"file:{self.folder / 'root'}"
        elif self.kind == "seaweedfs":
            storage = f"s3://{self.folder.name.replace('_', '-')}/objects/"
            environ = s3_environ(self.seaweed_url)
        given = ("--storage", storage, *options)
        if key is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            given += key.options(self.folder)
        with served(self.folder, *given, **environ) as service:
            yield service


@pytest.fixture(scope="session", params=STORAGES)
def place(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    url = None
    if request.param == "seaweedfs":
        url = request.getfixturevalue("seaweed_url")
    return Place(request.param, folder, url)


@pytest.fixture(scope="session")
def service(place):
    """One service for the run, on one of the storages."""
    with place.served() as running:
        yield running


@pytest.fixture(scope="session")
def secret():
    """What the published client signs with."""
    from objectstore_client import SecretKey

    return SecretKey(KEY.kid, KEY.private_pem)


# Its connect timeout of 100 ms is too short for a machine with work to do.
PATIENT = {"timeout": 30.0}


@pytest.fixture
def connect(service, secret):
    """Make a client, by default one that may do everything."""
    from objectstore_client import Client

    def make(url=service.url, *, token=secret, **options):
        options.setdefault("connection_kwargs", PATIENT)
        return Client(url, token=token, **options)

    return make


@pytest.fixture
def session(connect):
    """A session of a usecase and two scopes."""
    from objectstore_client import Usecase

    return connect().session(Usecase("attachments"), org=42, project=1337)
