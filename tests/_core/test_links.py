"""Share links are addresses, as far as a URL tells."""

from __future__ import annotations

import pytest

from coatcheck._core.address import Address
from coatcheck.errors import InvalidAddress

MD5 = "34472d91b2f84052bf26d4eaa862ef86"
SHA256 = "a" * 64


@pytest.mark.parametrize(
    ("url", "namespace", "name"),
    [
        (f"https://host/ns/n.{MD5}?X-Amz-Signature=s", "ns", "n"),
        (f"http://127.0.0.1:9000/ns/a/b.{MD5}?X-Amz-Signature=s", "ns", "a/b"),
        (
            f"https://ns.s3.amazonaws.com/n.{MD5}?AWSAccessKeyId=k&Signature=s",
            "ns",
            "n",
        ),
        (f"https://ns.s3.eu-west-1.amazonaws.com/a/b.{MD5}?s=t", "ns", "a/b"),
        (f"https://my.dotted.s3.us-east-2.amazonaws.com/n.{MD5}?s", "my.dotted", "n"),
        (f"https://s3.us-east-2.amazonaws.com/my.dotted/n.{MD5}?s", "my.dotted", "n"),
        (f"https://ns.s3.dualstack.eu-west-1.amazonaws.com/n.{MD5}?s", "ns", "n"),
        (f"https://ns.s3.cn-north-1.amazonaws.com.cn/n.{MD5}?s", "ns", "n"),
        (f"https://ns.store.example/n.{MD5}?s", "ns", "n"),
        (f"https://host/ns/sp%20ace%2B%C3%BC.{MD5}?s", "ns", "sp ace+ü"),
        (f"HTTPS://host/ns/n.{MD5}", "ns", "n"),
        (f"https://host/v1/links/ns/a/b.{MD5}?t=x.y", "ns", "a/b"),
        (f"http://h:8000/be/low/v1/links/n%2Bs/%C3%BC%2Fa.{MD5}?t=x.y", "n+s", "ü/a"),
        (f"https://ns.s3.amazonaws.com/v1/links/a/n.{MD5}?t=x.y", "a", "n"),
        (f"https://host/v1/links/ns/v1/links/n.{MD5}?t=x.y", "ns", "v1/links/n"),
        (f"https://host/v1/links/ns/n.{MD5}?X-Amz-Signature=s", "v1", "links/ns/n"),
    ],
)
def test_links_are_read(url, namespace, name):
    """Path style, virtual hosts, dotted buckets and escaped names."""
    address = Address.parse(url)
    assert (address.scheme, address.digest) == ("https", MD5)
    assert (address.namespace, address.name) == (namespace, name)
    assert str(address) == url
    assert "Signature" not in repr(address)
    assert Address.parse(str(address)) == address


def test_a_link_to_a_stream_pins_it():
    """The one fragment that a link may have names digest and length."""
    url = f"https://host/ns/n.{MD5}?X-Amz-Signature=s#sha256={SHA256}&size=5"
    address = Address.parse(url)
    assert address.streamed
    assert (address.sha256, address.size) == (SHA256, 5)
    assert str(address) == url


def test_long_links_are_read_at_once():
    """A link of the greatest length that leads nowhere costs no more than its length."""
    for text in ("v1/links/" * 3600, "v1/links/" * 3600 + "?t=", "/" * 32_000 + "?t=x"):
        with pytest.raises(InvalidAddress):
            Address.parse(f"https://host/{text}"[: 32 * 1024])


@pytest.mark.parametrize(
    "url",
    [
        *("https://", "https://host", "https://host/", "https://host/ns/n", "http://"),
        *(f"https://host/ns/n.{MD5.upper()}", f"https://user@host/ns/n.{MD5}?s=t"),
        *(f"https://u:p@host/ns/n.{MD5}", f"https://host/ns/../n.{MD5}"),
        *(f"https://host/ns/%2e%2e/n.{MD5}", f"https://host/ns/n.{MD5}#fragment"),
        *(f"https://host/ns/n.{MD5}#sha256={SHA256}", f"https://host/ns/a%00.{MD5}"),
        *(f"https://host/ns/n.{MD5}?s=t#size=5&sha256={SHA256}", "https://h/ns/%FF"),
    ],
)
def test_bad_links_are_refused(url):
    """What leads to no stash is no address, and its query is not shown."""
    with pytest.raises(InvalidAddress) as caught:
        Address.parse(url)
    assert "s=t" not in str(caught.value)
    assert "u:p" not in str(caught.value)
