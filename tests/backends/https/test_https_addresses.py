"""Which addresses a link may lead to, however they are written or resolved."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis.strategies import ip_addresses

from coatcheck.backends._https._hosts import is_public, normal_host
from coatcheck.backends._https._resolver import PublicResolver
from coatcheck.config import S3Config
from coatcheck.errors import AccessDenied

PUBLIC = ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"]
PRIVATE = [
    *("127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1"),
    *("192.168.1.1", "169.254.169.254", "100.64.0.1", "192.0.0.1", "192.0.2.1"),
    *("198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1"),
    *("240.0.0.1", "255.255.255.255", "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1"),
    *("::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe"),
    *("64:ff9b:1::808:808", "2002:7f00:1::", "2002:a00:1::1", "2001:0:7f00:1::"),
    *("2001:0:808:808:0:0:80ff:fffe", "2001:db8::1", "fc00::1", "fd00:ec2::254"),
    *("fe80::1", "fe80::1%eth0", "2606:4700::1%eth0", "fec0::1", "ff02::1", "100::1"),
    *("no address", "", "8.8.8.8 ", "0x7f000001"),
]
LOOPBACK = [
    *("127.0.0.1", "127.1", "127.0.1", "2130706433", "017700000001", "0x7f000001"),
    *("0x7f.1", "0177.0.0.1", "0x7f.0x0.0x0.0x1", "127.0.0.1.", "0X7F.1"),
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_public(address):
    """Global unicast addresses, also translated ones, may be connected to."""
    assert is_public(address)


@pytest.mark.parametrize("address", PRIVATE)
def test_all_others_are_not(address):
    """Addresses of this machine, network or of nobody are refused, wrapped or not."""
    assert not is_public(address)


@given(ip_addresses(v=4))
def test_wrapping_does_not_make_public(address):
    """An IPv4 address in an IPv6 one is as public as by itself, or less."""
    number = int(address)
    wrappings = {
        "::ffff:0:0": number,
        "64:ff9b::": number,
        "2002::": number << 80,
        "2001::": number << 64,
        "::": number,
    }
    for prefix, offset in wrappings.items():
        wrapped = IPv6Address(int(IPv6Address(prefix)) + offset)
        assert is_public(str(address)) or not is_public(str(wrapped))


@pytest.mark.parametrize("spelling", LOOPBACK)
def test_every_spelling_is_one_address(spelling):
    """What the operating system would connect to is what is checked."""
    assert normal_host(spelling) == "127.0.0.1"


@given(ip_addresses(v=4))
def test_spellings_are_read_as_the_system_reads_them(address):
    """Decimal, hexadecimal, octal and short forms give the address back."""
    number = int(address)
    a, b, c, d = address.packed
    for text in (
        f"{number}",
        f"{number:#x}",
        f"0{number:o}",
        f"{a}.{b}.{c}.{d}",
        f"{a:#x}.0{b:o}.{(c << 8) + d}",
        f"{a}.{number & 0xFFFFFF}",
    ):
        assert IPv4Address(normal_host(text)) == address


def test_a_trusted_address_must_be_public(origins):
    """Trusting a host does not open this machine; configuring a URL does."""
    trusted = origins(trusted_hosts=("127.0.0.1", "[::1]", "[::ffff:7f00:1]"))

    for host in (*LOOPBACK, "[::1]", "[0:0::1]", "[::ffff:127.0.0.1]"):
        with pytest.raises(AccessDenied, match="not a public address"):
            trusted.admit(f"https://{host}/k")
    configured = origins(s3=S3Config(endpoint_url="https://127.0.0.1"))
    assert configured.admit("https://0x7f.1/k").origin.host == "127.0.0.1"
    assert origins(trusted_hosts=("8.8.8.8",)).admit("https://8.8.8.8/k").path == "/k"


@pytest.mark.asyncio
async def test_every_address_of_a_name_must_be_public(origins, resolver):
    """One private address among public ones is enough to refuse."""
    trusting = origins(trusted_hosts=("a.example",))

    for address in PRIVATE:
        guarded = PublicResolver(trusting, resolver([*PUBLIC, address]))
        with pytest.raises(AccessDenied, match=r"a\.example has an address"):
            await guarded.resolve("a.example", 443)


@pytest.mark.asyncio
async def test_public_answers_are_passed_on(origins, resolver):
    """What was checked is returned, from one question."""
    inner = resolver(PUBLIC, ["127.0.0.1"])

    found = await PublicResolver(origins(), inner).resolve("a.example", 443)

    assert [each["host"] for each in found] == PUBLIC
    assert inner.asked == [("a.example", 443)]


@pytest.mark.asyncio
async def test_a_configured_origin_may_be_private(origins, resolver):
    """The host and port of a configured URL may have any address, others not."""
    trusting = origins(s3=S3Config(endpoint_url="https://store.example:9443"))
    guarded = PublicResolver(trusting, resolver(["10.0.0.1"]))

    assert await guarded.resolve("store.example", 9443)
    for host, port in (("store.example", 443), ("b.store.example", 9443)):
        with pytest.raises(AccessDenied):
            await guarded.resolve(host, port)


@pytest.mark.asyncio
async def test_a_name_without_addresses_does_not_resolve(origins, resolver):
    """No address is a failure to resolve, not permission."""
    with pytest.raises(OSError, match="no address"):
        await PublicResolver(origins(), resolver([])).resolve("a.example", 443)
