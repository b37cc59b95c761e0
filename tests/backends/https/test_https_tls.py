"""Links over TLS: certificates that are trusted, and all others."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address

import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from coatcheck.config import S3Config
from coatcheck.errors import AccessDenied, BackendError

pytestmark = pytest.mark.asyncio


def certificate(names):
    """Return a self-signed certificate with its key, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a host")])
    today = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


@pytest.fixture(scope="module")
def pem(tmp_path_factory):
    path = tmp_path_factory.mktemp("tls") / "host.pem"
    names = [x509.DNSName("store.example"), x509.DNSName("*.store.example")]
    path.write_bytes(certificate([*names, x509.IPAddress(IPv4Address("127.0.0.1"))]))
    return path


@pytest_asyncio.fixture
async def port(host, pem):
    """The port where the host listens with TLS, too."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server = await asyncio.start_server(host._serve, "127.0.0.1", 0, ssl=context)
    yield server.sockets[0].getsockname()[1]
    server.close()
    for task in tuple(host._tasks):
        task.cancel()
    await server.wait_closed()


async def test_a_bundle_is_trusted(host, port, pem, make_backend):
    """With the certificates of `ca_bundle` a private store is read."""
    url = f"https://127.0.0.1:{port}"
    backend = await make_backend(
        config={"s3": S3Config(endpoint_url=url)}, ca_bundle=str(pem)
    )

    for _ in range(2):
        async with backend.get(f"{url}/k?s") as reader:
            assert await reader.read() == b"a coat"
    assert len(host.heads) == 2
    assert host.connections == 1


async def test_strange_certificates_are_refused(host, port, make_backend):
    """A certificate that nobody vouches for ends the read before it asks."""
    url = f"https://127.0.0.1:{port}"
    backend = await make_backend(config={"s3": S3Config(endpoint_url=url)})

    with pytest.raises(BackendError, match="over TLS") as caught:
        async with backend.get(f"{url}/k?s"):
            pass

    assert not caught.value.retryable
    assert host.heads == []


async def test_another_names_certificate_is_refused(
    host, port, pem, make_backend, resolver
):
    """A certificate counts for the names that stand in it."""
    url = f"https://other.example:{port}"
    backend = await make_backend(
        config={"s3": S3Config(endpoint_url=url)},
        ca_bundle=str(pem),
        resolver=resolver(["127.0.0.1"]),
    )

    with pytest.raises(BackendError, match="over TLS"):
        async with backend.get(f"{url}/k?s"):
            pass
    assert host.heads == []


async def test_a_buckets_host_must_be_public(host, port, pem, make_backend, resolver):
    """The endpoint may be private as it was named, a bucket before it may not."""
    url = f"https://store.example:{port}"
    backend = await make_backend(
        config={"s3": S3Config(endpoint_url=url)},
        ca_bundle=str(pem),
        resolver=resolver(["127.0.0.1"]),
    )

    async with backend.get(f"{url}/k?s") as reader:
        assert await reader.read() == b"a coat"
    with pytest.raises(AccessDenied):
        async with backend.get(f"https://b.store.example:{port}/k?s"):
            pass
    assert host.connections == 1


async def test_a_host_without_tls_is_a_failure(make_backend):
    """A link over https is never read in the clear."""

    async def plain(reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    backend = await make_backend(config={"s3": S3Config(endpoint_url=url)})

    with pytest.raises(BackendError, match="over TLS"):
        async with backend.get(f"{url}/k?s"):
            pass
    server.close()
    await server.wait_closed()
