"""Tokens for requests, signed once for as long as they are good."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import anyio

from coatcheck._core.objects import NOTHING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from coatcheck._core.scopes import Scope
    from coatcheck.abc import Credentials

HEADER: Final = "x-os-auth"
_MOST: Final = 1024


class _Kept(NamedTuple):
    token: str
    until: float


class Tokens:
    """Tokens of one client.

    Args:
        source: Signs tokens, or is the only one, or there are none.
    """

    def __init__(self, source: Credentials | str | None) -> None:
        self._source = source
        self._kept: dict[tuple[str, Scope], _Kept] = {}

    def headers(self, usecase: str, scope: Scope) -> Mapping[str, str]:
        """Return the header that authorises a request to a usecase and scope.

        Raises:
            InvalidConfig: There is a key that cannot sign.
        """
        if self._source is None:
            return NOTHING
        token = self._source
        if not isinstance(token, str):
            token = self._signed(token, usecase, scope)
        return {HEADER: f"Bearer {token}"}

    def _signed(self, source: Credentials, usecase: str, scope: Scope) -> str:
        now = anyio.current_time()
        kept = self._kept.get((usecase, scope))
        if kept is None or now >= kept.until:
            token = source.token_for_scope(usecase, scope)
            # Half of its time is left for the request and for clocks that differ.
            kept = _Kept(token, now + source.expiry_seconds / 2)
            self._kept.pop((usecase, scope), None)
            self._kept[usecase, scope] = kept
            if len(self._kept) > _MOST:
                del self._kept[next(iter(self._kept))]
        return kept.token
