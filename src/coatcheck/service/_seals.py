"""Texts that clients carry for the service and cannot change."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final, TypeAlias, cast

from itsdangerous import BadData, URLSafeSerializer

Told: TypeAlias = Mapping[str, str | int | None]

_LONGEST: Final = 4096


class Seal:
    """Seals what is told, for one purpose.

    Args:
        key: The key.
        purpose: What for; what is sealed for one purpose is nothing for another.
    """

    def __init__(self, key: str, purpose: str) -> None:
        self._serializer = URLSafeSerializer(
            key,
            salt=f"coatcheck.service.{purpose}",
            signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
        )

    def closed(self, told: Told) -> str:
        """Return a text of letters, digits and `_.-` that nobody else can make."""
        return self._serializer.dumps(dict(told))

    def opened(self, text: str) -> Told | None:
        """Return what a sealed text tells; None when it was not sealed so."""
        if len(text) > _LONGEST:
            return None
        try:
            return cast("Told", self._serializer.loads(text))
        except BadData:
            return None
