"""Who asks, and what they may do."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from ._grants import Everything
from ._keys import Keyring
from ._presigned import is_presigned, presigned_grant
from ._refusals import Refusal
from ._tokens import Tokens

if TYPE_CHECKING:
    from datetime import datetime

    from ._config import ServiceConfig
    from ._exchange import Exchange
    from ._grants import Grant
    from ._targets import Target

_EVERYTHING: Final = Everything()
_BEARER: Final = "bearer "
_log = logging.getLogger("coatcheck.service.auth")


class Auth:
    """Reads credentials.

    Args:
        config: The keys, and how strictly they are asked for.

    Raises:
        InvalidConfig: A key cannot be used.
    """

    def __init__(self, config: ServiceConfig) -> None:
        self._mode = config.auth
        self._missing = 400 if config.compat_status else 401
        self._keys = Keyring(config.auth_keys)
        self._tokens = Tokens(self._keys, config)

    def grant(self, exchange: Exchange, now: datetime) -> Grant:
        """Return what a request may do by its credentials.

        Raises:
            Refusal: They are missing or not valid, or there are two of them.
        """
        if self._mode == "off":
            return _EVERYTHING
        try:
            grant = self._proven(exchange, now)
        except Refusal as refusal:
            if self._mode == "enforce":
                raise
            _log.warning("would be refused: %s", refusal.detail)
            return _EVERYTHING
        return grant if self._mode == "enforce" else _Reporting(grant)

    def _proven(self, exchange: Exchange, now: datetime) -> Grant:
        token = _token(exchange)
        signed = is_presigned(exchange.raw_query)
        if signed and token is not None:
            raise Refusal(400, "auth error: a presigned URL takes no token beside it")
        if signed:
            return presigned_grant(
                self._keys,
                method=exchange.method,
                raw_path=exchange.raw_path,
                raw_query=exchange.raw_query,
                now=now,
            )
        if token is None:
            raise Refusal(
                self._missing,
                "auth error: no token; send x-os-auth: Bearer TOKEN",
                {"www-authenticate": "Bearer"} if self._missing == 401 else {},  # noqa: PLR2004
            )
        return self._tokens.grant(token, now)


def _token(exchange: Exchange) -> str | None:
    in_header = _bearer(exchange.header("x-os-auth"))
    if in_header is None:
        in_header = _bearer(exchange.header("authorization"))
    if "os_auth" not in exchange.raw_query:
        return in_header
    in_query = exchange.query.get("os_auth")
    if in_header is not None and in_query is not None:
        raise Refusal(400, "auth error: a token in a header and one in the URL")
    return in_header if in_query is None else in_query


def _bearer(text: str | None) -> str | None:
    if text is None or text[: len(_BEARER)].lower() != _BEARER:
        return None
    return text[len(_BEARER) :].strip()


class _Reporting:
    """A grant that logs what it would refuse, and allows it."""

    def __init__(self, grant: Grant) -> None:
        self._grant = grant

    def check(self, permission: str, target: Target | None) -> None:
        try:
            self._grant.check(permission, target)
        except Refusal as refusal:
            _log.warning("would be refused: %s", refusal.detail)
