"""Share links taken apart, without asking whether they are trusted."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

from coatcheck._core.address import MAX_ADDRESS
from coatcheck.errors import InvalidAddress

from ._hosts import normal_host

HTTPS: Final = "https"
PORTS: Final = {"http": 80, HTTPS: 443}
_MAX_PORT: Final = 65_535
_SHOWN: Final = 300
_PRINTABLE = re.compile(r"[\x21-\x7e]*")
_LINK = re.compile(r"(https?)://([^/?]*)(/[^?]*)?(?:\?(.*))?", re.IGNORECASE)
_AUTHORITY = re.compile(r"(\[[^\[\]]*\]|[^\[\]:]*)(?::([1-9][0-9]{0,4}))?")


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port, each in its one spelling."""

    scheme: str
    """`http` or `https`."""
    host: str
    """A name in lower case, or an address without brackets."""
    port: int
    """The port, the scheme's own included."""

    @property
    def authority(self) -> str:
        """Host and port as a URL has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """A share link that may be fetched."""

    origin: Origin
    """Where it leads."""
    path: str
    """The path as it stood, percent-encoded."""
    query: str = field(repr=False)
    """The query as it stood; it holds the signature."""

    @property
    def redacted(self) -> str:
        """The link as errors show it: without its signature."""
        text = f"{self.origin}{self.path}"
        return f"{text[:_SHOWN]}?..." if self.query else text[:_SHOWN]

    @property
    def key(self) -> str:
        """The decoded path without its first slash."""
        return unquote(self.path).removeprefix("/")


def read_link(url: str) -> Link:
    """Take a link apart; nothing of what is refused here is shown.

    Raises:
        InvalidAddress: The text is not a plain http or https URL.
    """
    if not isinstance(url, str):
        raise InvalidAddress(f"a share link is text, not {type(url).__name__}")
    if len(url) > MAX_ADDRESS:
        raise InvalidAddress(f"a share link has at most {MAX_ADDRESS} characters")
    if _PRINTABLE.fullmatch(url) is None or "\\" in url:
        raise InvalidAddress(
            "a share link has no spaces, backslashes, control or non-ASCII characters;"
            " they are percent-encoded"
        )
    if "#" in url:
        raise InvalidAddress("a share link is fetched without a fragment")
    found = _LINK.fullmatch(url)
    if found is None:
        raise InvalidAddress("a share link is a URL that begins with https://")
    scheme, authority, path, query = found.groups()
    origin = read_origin(scheme.lower(), authority)
    return Link(origin=origin, path=path or "/", query=query or "")


def read_origin(scheme: str, authority: str) -> Origin:
    """Read a host with or without a port.

    Raises:
        InvalidAddress: It has a user, a malformed host or a malformed port.
    """
    if "@" in authority:
        raise InvalidAddress("a share link carries no user or password")
    found = _AUTHORITY.fullmatch(authority)
    if found is None or not found[1]:
        raise InvalidAddress("a share link has a host, and a port that is a number")
    port = PORTS[scheme] if found[2] is None else int(found[2])
    if port > _MAX_PORT:
        raise InvalidAddress(f"a share link's port is at most {_MAX_PORT}")
    return Origin(scheme, normal_host(found[1]), port)
