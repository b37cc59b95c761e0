"""What the wire takes from the SDK's client: credentials, URLs, connections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

import aiohttp

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_MOST_BUCKETS: Final = 1024
_SIGNED_HERE: Final = frozenset({"s3v4", "none"})


class Base(NamedTuple):
    """What stands before the keys of a bucket."""

    url: str
    """The URL, with a slash at its end."""
    host: str
    """The host as requests name it, with the port unless it is the scheme's."""
    path: str
    """The path, with a slash at its end."""
    region: str
    """The region that signatures name."""


class Loan:
    """A look into an open client of the SDK's.

    Args:
        client: The client.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._http = client._endpoint.http_session  # noqa: SLF001  # no other way in
        self._bases: dict[str, Base | None] = {}

    async def session(self) -> aiohttp.ClientSession:
        """Return a session of one's own on the client's connections.

        It has their certificates, limits and times, and keeps no cookies.
        """
        theirs = await self._http._get_session(None)  # noqa: SLF001
        session = aiohttp.ClientSession(
            connector=theirs.connector,
            connector_owner=False,
            timeout=self._http._timeout,  # noqa: SLF001
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            headers={
                "accept-encoding": "identity",
                "user-agent": "coatcheck",
            },
            skip_auto_headers=("accept", "content-type"),
        )
        session._retry_connection = False  # noqa: SLF001  # attempts are counted
        return session

    @property
    def credentials(self) -> Callable[[], Awaitable[Any]] | None:
        """What gives credentials, refreshed when they are about to expire.

        None when there are none.
        """
        found = self._client._request_signer._credentials  # noqa: SLF001
        return None if found is None else found.get_frozen_credentials

    async def base(self, bucket: str) -> Base | None:
        """Return what stands before a bucket's keys; None when only the SDK knows.

        It is asked of the SDK once, which knows styles, dots and regions.
        """
        if bucket not in self._bases:
            if len(self._bases) >= _MOST_BUCKETS:
                self._bases.clear()
            self._bases[bucket] = await self._base(bucket)
        return self._bases[bucket]

    def leave(self, bucket: str) -> None:
        """Remember that the SDK's requests to a bucket go another way."""
        self._bases[bucket] = None

    async def _base(self, bucket: str) -> Base | None:
        client = self._client
        context: dict[str, Any] = {}
        url, headers, _ = await client._resolve_endpoint_ruleset(  # noqa: SLF001
            client.meta.service_model.operation_model("HeadObject"),
            {"Bucket": bucket, "Key": "k"},
            context,
        )
        proxy = self._http._proxy_config.proxy_url_for(url)  # noqa: SLF001
        if headers or proxy or context["auth_type"] not in _SIGNED_HERE:
            return None
        region = context.get("signing", {}).get("region") or client.meta.region_name
        parts = urlsplit(f"{url.rstrip('/')}/")
        default = {"http": 80, "https": 443}[parts.scheme]
        host = parts.netloc.rpartition("@")[2]
        if parts.port == default:
            host = host.removesuffix(f":{default}")
        return Base(parts.geturl(), host, parts.path, region)
