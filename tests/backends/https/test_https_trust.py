"""Which links are trusted, before anything is resolved or connected."""

from __future__ import annotations

import pytest

from coatcheck.config import S3Config
from coatcheck.errors import AccessDenied, InvalidAddress, InvalidConfig

AWS = [
    "https://s3.amazonaws.com/b/k?s",
    "https://S3.AMAZONAWS.COM./b/k?s",
    "https://s3.amazonaws.com:443/b/k?s",
    "https://s3.eu-central-1.amazonaws.com/b/k",
    "https://s3.us-gov-west-1.amazonaws.com/b/k",
    "https://my.bucket-1.s3.amazonaws.com/k",
    "https://bucket.s3.eu-central-1.amazonaws.com/k",
    "https://bucket.s3.dualstack.eu-central-1.amazonaws.com/k",
    "https://s3.cn-north-1.amazonaws.com.cn/b/k",
    "https://bucket.s3.cn-north-1.amazonaws.com.cn/k",
]
NOT_AWS = [
    "https://amazonaws.com/k",
    "https://ec2-1-2-3-4.compute-1.amazonaws.com/k",
    "https://bucket.s3.evil.amazonaws.com/k",
    "https://bucket.s3.eu-central-1.evil.amazonaws.com/k",
    "https://s3.amazonaws.com.evil.example/k",
    "https://s3.amazonaws.com.cn.evil/k",
    "https://evils3.amazonaws.com/k",
    "https://s3-amazonaws.com/k",
    "https://s3.amazonaws.co/k",
    "http://s3.amazonaws.com/k",
]
MALFORMED = [
    "",
    "s3://b/k",
    "file:///etc/passwd",
    "ftp://s3.amazonaws.com/k",
    "gopher://s3.amazonaws.com/k",
    "//s3.amazonaws.com/k",
    "https:/s3.amazonaws.com/k",
    "https:s3.amazonaws.com/k",
    "https://",
    "https:///k",
    "https://?k",
    "https://:443/k",
    "https://canary@s3.amazonaws.com/k",
    "https://u:canary@s3.amazonaws.com/k",
    "https://@s3.amazonaws.com/k",
    "https://s3.amazonaws.com@evil.example/k",
    "https://evil.example\\@s3.amazonaws.com/k",
    "https://s3.amazonaws.com\\.evil.example/k",
    "https:\\\\s3.amazonaws.com\\k",
    "https://s3.amazonaws.com/k#f",
    "https://s3.amazonaws.com#@evil.example/k",
    "https://s3.amazonaws.com/k\r\nHost: evil",
    "https://s3.amazonaws.com/k\n",
    "https://s3.amazonaws.com/\0",
    "https://s3.amazonaws.com/a b",
    "https://s3.amazonaws.com\t/k",
    " https://s3.amazonaws.com/k",
    "https://s3.amazonaws.com/\x7f",
    "https://s3.amazonaws.com/ä",
    "https://ｓ3.amazonaws.com/k",
    "https://s3。amazonaws。com/k",
    "https://s3.amazonaws.cоm/k",
    "https://s3.amazonaws.com\u2044k/k",
    "https://%733.amazonaws.com/k",
    "https://s3%2eamazonaws.com/k",
    "https://s3..amazonaws.com/k",
    "https://s3.amazonaws.com../k",
    "https://.s3.amazonaws.com/k",
    "https://-s3.amazonaws.com/k",
    "https://s_3.amazonaws.com/k",
    "https://*.s3.amazonaws.com/k",
    f"https://{'a' * 64}.s3.amazonaws.com/k",
    f"https://{'a.' * 130}s3.amazonaws.com/k",
    "https://s3.amazonaws.com:/k",
    "https://s3.amazonaws.com:0/k",
    "https://s3.amazonaws.com:0443/k",
    "https://s3.amazonaws.com:+443/k",
    "https://s3.amazonaws.com:443:443/k",
    "https://s3.amazonaws.com:65536/k",
    "https://s3.amazonaws.com:999999/k",
    "https://s3.amazonaws.com:canary/k",
    "https://1.2.3.4.5/k",
    "https://1.2.3.4.0/k",
    "https://256.1.1.1/k",
    "https://4294967296/k",
    "https://1.2.3.09/k",
    "https://::1/k",
    "https://[::1/k",
    "https://[]/k",
    "https://[1.2.3.4]/k",
    "https://[fe80::1%25lo]/k",
    "https://[fe80::1%lo]/k",
    "https://[::1]x/k",
    f"https://s3.amazonaws.com/{'k' * 33_000}",
]
STORE = S3Config(endpoint_url="https://store.example:9443")


def refusal(origins, url):
    with pytest.raises((AccessDenied, InvalidAddress)) as caught:
        origins.admit(url)
    return caught.value


@pytest.mark.parametrize("url", AWS)
def test_amazon_is_trusted_by_default(origins, url):
    """Without an endpoint, links to S3's own hosts are admitted."""
    assert (
        origins()
        .admit(url)
        .origin.host.endswith((".amazonaws.com", ".amazonaws.com.cn"))
    )


@pytest.mark.parametrize("url", NOT_AWS)
def test_what_only_looks_like_amazon_is_not(origins, url):
    """Customers' machines, look-alikes and plain http are refused."""
    error = refusal(origins(), url)

    assert isinstance(error, AccessDenied)
    assert "Config.trusted_hosts" in error.message
    assert url.split("/")[2] in error.message


@pytest.mark.parametrize("url", MALFORMED)
def test_a_malformed_link_is_invalid(origins, url):
    """What is not a plain URL is refused, and nothing of it is shown."""
    error = refusal(origins(trusted_hosts=("evil.example",)), url)

    assert isinstance(error, InvalidAddress)
    assert "canary" not in error.message


@pytest.mark.parametrize("url", [None, b"https://s3.amazonaws.com/k", 7])
def test_a_link_is_text(origins, url):
    """What is not text is refused as an address."""
    assert isinstance(refusal(origins(), url), InvalidAddress)


def test_amazon_is_not_trusted_beside_an_endpoint(origins):
    """With an endpoint of one's own, from wherever, S3's hosts are strangers."""
    for fields in (
        {"s3": STORE},
        {"environ": {"AWS_ENDPOINT_URL": "https://store.example"}},
        {"environ": {"AWS_ENDPOINT_URL_S3": "http://store.example"}},
    ):
        for url in AWS:
            assert isinstance(refusal(origins(**fields), url), AccessDenied)


def test_a_configured_origin_is_trusted_exactly(origins):
    """Scheme, host and port of a configured URL are admitted, others are not."""
    for fields in (
        {"s3": S3Config(endpoint_url="http://store.example:9000")},
        {"s3": S3Config(public_endpoint_url="http://STORE.example:9000/")},
        {"public_url": "http://store.example:9000/files"},
        {"environ": {"AWS_ENDPOINT_URL": "http://store.example:9000"}},
        {"environ": {"AWS_ENDPOINT_URL_S3": "http://store.example:9000"}},
    ):
        trusting = origins(**fields)
        assert trusting.admit("http://store.example:9000/b/k?s").path == "/b/k"
        assert trusting.admit("HTTP://Store.Example.:9000/b/k?s").query == "s"
        for url in (
            "http://store.example/b/k",
            "http://store.example:9001/b/k",
            "https://store.example:9000/b/k",
            "https://store.example/b/k",
            "http://b.store.example:9000/k",
            "http://store.example.evil:9000/k",
        ):
            assert isinstance(refusal(trusting, url), AccessDenied)


def test_buckets_stand_before_a_store(origins):
    """Subdomains of an endpoint over https are trusted, of public_url not."""
    trusting = origins(s3=STORE, public_url="https://app.example")

    assert trusting.admit("https://my.bucket.store.example:9443/k").path == "/k"
    assert trusting.admit("https://app.example/v1/links").query == ""
    for url in (
        "https://evilstore.example:9443/k",
        "https://x.app.example/k",
        "https://example:9443/k",
    ):
        assert isinstance(refusal(trusting, url), AccessDenied)


def test_nothing_stands_before_an_address(origins):
    """An address has no subdomains."""
    trusting = origins(s3=S3Config(endpoint_url="https://8.8.8.8"))

    assert trusting.admit("https://8.8.8.8/b/k").origin.host == "8.8.8.8"
    assert isinstance(refusal(trusting, "https://b.8.8.8.8/k"), InvalidAddress)


def test_an_odd_port_of_a_trusted_host_is_invalid(origins):
    """A trusted host is trusted on the port it was named with, 443 without one."""
    trusting = origins(s3=STORE, trusted_hosts=("a.example", "*.b.example"))

    for url in (
        "https://store.example:22/k",
        "https://store.example/k",
        "https://x.store.example:8443/k",
        "https://a.example:8443/k",
        "https://x.b.example:80/k",
    ):
        assert isinstance(refusal(trusting, url), InvalidAddress)
    assert isinstance(
        refusal(origins(), "https://s3.amazonaws.com:8443/k"), InvalidAddress
    )


def test_trusted_hosts_are_hosts_ports_and_patterns(origins):
    """A name means itself, a leading dot or star what stands below it."""
    trusting = origins(
        trusted_hosts=("A.example.", "b.example:8443", "*.c.example", ".d.example:81")
    )

    for url in (
        "https://a.example/k",
        "https://b.example:8443/k",
        "https://x.y.c.example/k",
        "https://x.d.example:81/k",
    ):
        assert trusting.admit(url).path == "/k"
    for url in (
        "http://a.example/k",
        "https://x.a.example/k",
        "https://c.example/k",
        "https://xc.example/k",
        "https://d.example:81/k",
    ):
        assert isinstance(refusal(trusting, url), AccessDenied)


@pytest.mark.parametrize(
    "name",
    [
        *("", "*", ".", "*.", "*a.example", "a.*.example", "https://a.example"),
        *("a.example/", "u@a.example", "a.example:x", "a b", "ä.example", "*.1.2.3.4"),
    ],
)
def test_a_wrong_trusted_host_is_named(origins, name):
    """What is no host, host with port or pattern is refused with its field."""
    with pytest.raises(InvalidConfig, match="trusted_hosts"):
        origins(trusted_hosts=(name,))


def test_a_wrong_url_is_named(origins):
    """An endpoint that is no URL is refused with the variable's name, unshown."""
    with pytest.raises(InvalidConfig, match="AWS_ENDPOINT_URL cannot") as caught:
        origins(environ={"AWS_ENDPOINT_URL": "https://u:canary@store.example"})
    assert "canary" not in caught.value.message

    with pytest.raises(InvalidConfig, match=r"s3\.endpoint_url"):
        origins(s3=S3Config(endpoint_url="https://störe.example"))


def test_the_sdks_switch_counts(origins):
    """Endpoints that the SDK is told to ignore, and empty ones, are not configured."""
    ignored = {
        "AWS_ENDPOINT_URL": "https://store.example",
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
    }

    for environ in (ignored, {"AWS_ENDPOINT_URL": ""}):
        trusting = origins(environ=environ)
        assert trusting.admit(AWS[0]).path == "/b/k"
        assert isinstance(refusal(trusting, "https://store.example/k"), AccessDenied)


def test_a_link_does_not_show_its_query(origins, secret):
    """Neither the repr nor the redacted text of a link has the signature."""
    link = origins().admit(f"https://s3.amazonaws.com/b/k%20k?X={secret}")

    assert secret not in repr(link)
    assert link.redacted == "https://s3.amazonaws.com/b/k%20k?..."
    assert link.key == "b/k k"
