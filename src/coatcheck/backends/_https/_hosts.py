"""Hosts in one spelling each, and which addresses are public."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final

from coatcheck.errors import InvalidAddress

_MAX_HOST: Final = 253
_MAX_PARTS: Final = 4
_NAME = re.compile(
    r"(?!-)[a-z0-9-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9-]{1,63}(?<!-))*", re.ASCII
)
_NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*")
_TRANSLATED: Final = IPv6Network("64:ff9b::/96")
_UNICAST: Final = IPv6Network("2000::/3")


def normal_host(text: str) -> str:
    """Return a host in the one spelling that is compared, resolved and sent.

    Names are lower case without the root's dot. Addresses are written as Python
    writes them, whatever stood there: an octal, hexadecimal, decimal or short IPv4
    address would otherwise be checked as a name and connected to as an address.

    Args:
        text: What stands between `://` and the port; IPv6 in brackets.

    Raises:
        InvalidAddress: It is neither an address nor an ASCII host name.
    """
    if text.startswith("["):
        return _normal_v6(text)
    host = text.lower().removesuffix(".")
    if len(host) > _MAX_HOST or _NAME.fullmatch(host) is None:
        raise InvalidAddress(
            "a share link's host must be an IP address or a name of ASCII letters,"
            " digits, hyphens and dots; write other names in punycode"
        )
    last = host.rpartition(".")[2]
    return host if _NUMERIC.fullmatch(last) is None else _normal_v4(host)


def _normal_v4(host: str) -> str:
    """Read an address as `inet_aton` does: up to four parts, the last one wide."""
    try:
        numbers = [_number(part) for part in host.split(".")]
        leading = bytes(numbers[:-1])
        width = max(_MAX_PARTS - len(leading), 1)
        return str(IPv4Address(leading + numbers[-1].to_bytes(width, "big")))
    except (ValueError, OverflowError):
        raise InvalidAddress(
            "a share link's host ends in a number and is no IPv4 address"
        ) from None


def _number(part: str) -> int:
    if part.startswith("0x"):
        return int(part[2:] or "0", 16)
    return int(part, 8 if part.startswith("0") else 10)


def _normal_v6(text: str) -> str:
    # A zone names an interface of this machine, so it has no place in a link.
    try:
        address = IPv6Address(text.removeprefix("[").removesuffix("]"))
    except ValueError:
        address = None
    if address is None or address.scope_id is not None:
        raise InvalidAddress(
            "a share link's host in brackets must be an IPv6 address without a zone"
        )
    return str(address)


def is_address(host: str) -> bool:
    """Tell whether a normal host is an address and not a name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def is_public(text: str) -> bool:
    """Tell whether an address, with all that is wrapped in it, is a public one.

    Args:
        text: An address as resolvers write it; anything else is not public.
    """
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv4Address):
        return _is_public_v4(address)
    return address.scope_id is None and _is_public_v6(address)


def _is_public_v4(address: IPv4Address) -> bool:
    return address.is_global and not address.is_multicast


def _is_public_v6(address: IPv6Address) -> bool:
    if address.ipv4_mapped is not None:
        return _is_public_v4(address.ipv4_mapped)
    if address in _TRANSLATED:
        return _is_public_v4(IPv4Address(address.packed[12:]))
    wrapped = list(address.teredo or ())
    if address.sixtofour is not None:
        wrapped.append(address.sixtofour)
    return (
        address in _UNICAST
        and address.is_global
        and all(_is_public_v4(each) for each in wrapped)
    )
