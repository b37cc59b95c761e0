"""Names that resolve to public addresses only."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from aiohttp.abc import AbstractResolver

from coatcheck._core.address import LINK
from coatcheck.errors import AccessDenied

from ._hosts import is_public

if TYPE_CHECKING:
    from aiohttp.abc import ResolveResult

    from ._trust import Origins


class PublicResolver(AbstractResolver):
    """A resolver that the connector connects with, and that refuses private answers.

    What it returns is what is connected to, so a name cannot lead elsewhere between
    the check and the connection.

    Args:
        origins: Whose configured origins may have any address.
        inner: Resolves the names.
    """

    def __init__(self, origins: Origins, inner: AbstractResolver) -> None:
        self._configured = {(each.host, each.port) for each in origins.configured}
        self._inner = inner

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,
    ) -> list[ResolveResult]:
        """Resolve a name.

        Args:
            host: The name.
            port: The port that will be connected to.
            family: The family of addresses that is wanted.

        Returns:
            The addresses, each of which may be connected to.

        Raises:
            AccessDenied: Any address of the name is not public, and the origin is
                not a configured one.
            OSError: The name does not resolve.
        """
        found = await self._inner.resolve(host, port, family=family)
        if not found:
            raise OSError(f"no address for {host}")
        if (host, port) in self._configured:
            return found
        if not all(is_public(each["host"]) for each in found):
            raise AccessDenied(
                f"host {host} has an address that is not public; links lead there only"
                " when a URL of the configuration names this host and port",
                backend=LINK,
            )
        return found

    async def close(self) -> None:
        """Release what the inner resolver holds."""
        await self._inner.close()
