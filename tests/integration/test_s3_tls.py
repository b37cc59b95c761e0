"""S3 over TLS: its own certificate is trusted by name, and no other."""

from __future__ import annotations

import datetime as dt

import pytest
import trustme
from tests.integration import servers

from coatcheck import ByteSpan, Coatcheck, Config, S3Config
from coatcheck.errors import BackendUnavailable

TEXT = "t" * 200


@pytest.fixture(scope="module")
def authority():
    """An authority of one's own."""
    return trustme.CA()


@pytest.fixture(scope="module")
def serve(authority, tmp_path_factory):
    """Run SeaweedFS with a certificate for some hosts."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def serving(*hosts, **options):
            folder = tmp_path_factory.mktemp("tls")
            issued = authority.issue_cert(*hosts, **options)
            issued.private_key_pem.write_to_path(str(folder / "key.pem"))
            chain = folder / "cert.pem"
            for blob in issued.cert_chain_pems:
                blob.write_to_path(str(chain), append=True)
            return stack.enter_context(
                servers.seaweedfs(
                    folder,
                    f"-s3.key.file={folder}/key.pem",
                    f"-s3.cert.file={chain}",
                    scheme="https",
                )
            )

        yield serving


@pytest.fixture(scope="module")
def bundle(authority, tmp_path_factory):
    """The path of the authority's own certificate."""
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture(scope="module")
def tls_url(serve):
    """SeaweedFS behind a certificate that its client can check."""
    return serve("127.0.0.1")


def config(url, ca_bundle):
    return Config(
        s3=S3Config(endpoint_url=url, ca_bundle=ca_bundle, create_buckets=True)
    )


@pytest.mark.asyncio
async def test_everything_works_over_tls(tls_url, bundle, tmp_path):
    """Creates, streams, ranges, listings and links, without trailers or encodings."""
    body = bytes(range(256)) * 50_000
    async with Coatcheck(config(tls_url, bundle)) as cc:
        await cc.check()
        stash = await cc.create("n", TEXT, "tls")
        assert (await cc.retrieve(stash.address)).data == TEXT
        (tmp_path / "body").write_bytes(body)
        stream = await cc.create_stream("s", tmp_path / "body", "tls")
        async with cc.open(stream.address) as reader:
            assert reader.info.encoding is None
            assert b"".join([chunk async for chunk in reader]) == body
        async with cc.open(stream.address, byte_range=ByteSpan(3, 9)) as reader:
            assert await reader.read() == body[3:9]
        names = [entry.address.name async for entry in cc.scan("tls")]
        assert sorted(names) == ["n", "s"]
        link = await stash.share(ttl_sec=60)
        assert str(link).startswith("https://127.0.0.1:")
        assert (await cc.retrieve(str(link))).data == TEXT


@pytest.mark.asyncio
async def test_an_unknown_authority_is_refused(tls_url):
    """Without the bundle the certificate is nobody's."""
    async with Coatcheck(config(tls_url, None)) as cc:
        with pytest.raises(BackendUnavailable, match="ca_bundle|reached"):
            await cc.create("n", TEXT, "tls")


@pytest.mark.asyncio
async def test_another_authority_is_refused(tls_url, tmp_path):
    """A bundle of somebody else does not do either."""
    path = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(path))
    async with Coatcheck(config(tls_url, str(path))) as cc:
        with pytest.raises(BackendUnavailable, match="ca_bundle|reached"):
            await cc.create("n", TEXT, "tls")


@pytest.mark.asyncio
async def test_a_certificate_for_another_host_is_refused(serve, bundle):
    """The name counts."""
    url = serve("store.example")
    async with Coatcheck(config(url, bundle)) as cc:
        with pytest.raises(BackendUnavailable, match="ca_bundle|reached"):
            await cc.create("n", TEXT, "tls")


@pytest.mark.asyncio
async def test_an_expired_certificate_is_refused(serve, bundle):
    """The date counts."""
    yesterday = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    url = serve("127.0.0.1", not_after=yesterday)
    async with Coatcheck(config(url, bundle)) as cc:
        with pytest.raises(BackendUnavailable, match="ca_bundle|reached"):
            await cc.create("n", TEXT, "tls")
