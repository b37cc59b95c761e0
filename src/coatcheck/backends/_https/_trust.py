"""From where links are fetched at all."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from coatcheck._core.address import LINK
from coatcheck.errors import AccessDenied, InvalidAddress, InvalidConfig

from ._hosts import is_address, is_public
from ._links import HTTPS, PORTS, Link, Origin, read_link, read_origin

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from coatcheck.config import Config

_REGION = r"[a-z]{2}(?:-[a-z]+)+-[0-9]{1,2}"
# Other names below amazonaws.com belong to Amazon's customers' machines.
_AWS = re.compile(
    r"(?:[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\.)?"
    rf"s3(?:(?:\.dualstack)?\.{_REGION})?\.amazonaws\.com(?:\.cn)?"
)
_ENVIRONMENT: Final = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_IGNORED: Final = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"


@dataclass(frozen=True, kw_only=True, slots=True)
class Origins:
    """The origins that share links are fetched from."""

    configured: frozenset[Origin]
    """Named in full by the configuration: plain http and private addresses are the
    operator's own choice here."""
    hosts: frozenset[tuple[str, int]]
    """Hosts with their ports that are trusted over https."""
    parents: frozenset[tuple[str, int]]
    """Hosts with their ports whose subdomains are trusted over https."""
    aws: bool
    """Whether Amazon S3 itself is trusted over https."""

    def admit(self, url: str) -> Link:
        """Read a link and refuse it unless it leads to a trusted origin.

        No name is resolved here; the addresses of names are checked on connecting.

        Args:
            url: The text of the link.

        Raises:
            InvalidAddress: The text is not a plain http or https URL.
            AccessDenied: Its origin is not trusted.
        """
        link = read_link(url)
        origin = link.origin
        if origin in self.configured:
            return link
        if not self._trusts(origin):
            raise self._refusal(link)
        if is_address(origin.host) and not is_public(origin.host):
            raise AccessDenied(
                f"host {origin.host} is not a public address; links lead there only"
                " when a URL of the configuration does, Config.trusted_hosts is not"
                " enough",
                address=link.redacted,
                backend=LINK,
            )
        return link

    def _trusts(self, origin: Origin) -> bool:
        if origin.scheme != HTTPS:
            return False
        host, port = origin.host, origin.port
        if (host, port) in self.hosts:
            return True
        if self.aws and port == PORTS[HTTPS] and _AWS.fullmatch(host) is not None:
            return True
        return not is_address(host) and any(
            (parent, port) in self.parents for parent in _parents_of(host)
        )

    def _refusal(self, link: Link) -> AccessDenied | InvalidAddress:
        origin = link.origin
        if origin.scheme != HTTPS:
            return AccessDenied(
                f"host {origin.authority} is no configured endpoint, and only these are"
                " read over plain http; share links over https from a host in"
                " Config.trusted_hosts",
                address=link.redacted,
                backend=LINK,
            )
        # The host itself would do, on a port that somebody else may listen on.
        if self._trusts_elsewhere(origin.host):
            return InvalidAddress(
                f"port {origin.port} of host {origin.host} is not trusted for share"
                " links; name it with its port in Config.trusted_hosts",
                address=link.redacted,
                backend=LINK,
            )
        return AccessDenied(
            f"host {origin.authority} is not trusted for share links; if it should be,"
            " name it in Config.trusted_hosts",
            address=link.redacted,
            backend=LINK,
        )

    def _trusts_elsewhere(self, host: str) -> bool:
        if self.aws and _AWS.fullmatch(host) is not None:
            return True
        above = set(_parents_of(host))
        return any(host == each for each, _ in self.hosts) or any(
            parent in above for parent, _ in self.parents
        )


def origins_of(config: Config, environ: Mapping[str, str]) -> Origins:
    """Return the origins that a configuration trusts.

    Args:
        config: The configuration.
        environ: The variables of the environment; the SDK's endpoints count as
            configured.

    Raises:
        InvalidConfig: A URL or host cannot be used; the message names its field.
    """
    stores = dict(_stores(config, environ))
    endpoints = {_configured(what, url) for what, url in stores.items()}
    configured = set(endpoints)
    if config.public_url is not None:
        configured.add(_configured("public_url", config.public_url))
    hosts, parents = _trusted(config.trusted_hosts)
    secure = [each for each in configured if each.scheme == HTTPS]
    hosts |= {(each.host, each.port) for each in secure}
    # Buckets may stand before the host of a store, never before an address.
    parents |= {
        (each.host, each.port)
        for each in endpoints
        if each.scheme == HTTPS and not is_address(each.host)
    }
    return Origins(
        configured=frozenset(configured),
        hosts=frozenset(hosts),
        parents=frozenset(parents),
        aws=stores.keys() <= {"s3.public_endpoint_url"},
    )


def _stores(config: Config, environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name in ("endpoint_url", "public_endpoint_url"):
        url = getattr(config.s3, name)
        if url is not None:
            yield f"s3.{name}", url
    if environ.get(_IGNORED, "").lower() == "true":
        return
    for name in _ENVIRONMENT:
        if environ.get(name):
            yield name, environ[name]


def _configured(what: str, url: str) -> Origin:
    try:
        return read_link(url).origin
    except InvalidAddress as error:
        raise InvalidConfig(f"{what} cannot be used: {error.message}") from None


def _trusted(
    names: tuple[str, ...],
) -> tuple[set[tuple[str, int]], set[tuple[str, int]]]:
    hosts: set[tuple[str, int]] = set()
    parents: set[tuple[str, int]] = set()
    for name in names:
        # `*.example.com` and `.example.com` mean what is below, not the name itself.
        bare = name.removeprefix("*").removeprefix(".")
        try:
            origin = read_origin(HTTPS, bare)
        except InvalidAddress as error:
            raise InvalidConfig(
                f"trusted_hosts cannot be used: {ascii(name)[:80]}: {error.message}"
            ) from None
        found = (origin.host, origin.port)
        if bare == name:
            hosts.add(found)
        elif name.startswith(("*.", ".")) and not is_address(origin.host):
            parents.add(found)
        else:
            raise InvalidConfig(
                f"trusted_hosts cannot be used: {ascii(name)[:80]} is neither a host,"
                " host:port nor *.host"
            )
    return hosts, parents


def _parents_of(host: str) -> Iterator[str]:
    while "." in host:
        host = host.partition(".")[2]
        yield host
