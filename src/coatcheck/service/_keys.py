"""The public keys that tokens and URLs are held against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from coatcheck.errors import InvalidConfig

from ._refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._config import AuthKey


@dataclass(frozen=True, kw_only=True, slots=True)
class Signer:
    """One key id: its public keys, and the most that they may allow."""

    keys: tuple[Ed25519PublicKey, ...]
    """The public keys, tried in turn."""
    permissions: frozenset[str]
    """The most that what is signed with them may allow."""

    def signed(self, signature: bytes, text: bytes) -> bool:
        """Tell whether one of the keys made this signature of the text."""
        return any(_verifies(key, signature, text) for key in self.keys)


class Keyring:
    """Signers by key id; an id is looked up, and never used as a path or URL.

    Args:
        keys: The configured keys.

    Raises:
        InvalidConfig: One of them is no Ed25519 public key.
    """

    def __init__(self, keys: Mapping[str, AuthKey]) -> None:
        self._signers = {
            kid: Signer(
                keys=tuple(_loaded(kid, pem) for pem in key.public_keys),
                permissions=key.permissions,
            )
            for kid, key in keys.items()
        }

    def __getitem__(self, kid: str) -> Signer:
        signer = self._signers.get(kid)
        if signer is None:
            raise Refusal(401, "auth error: the key id is unknown")
        return signer


def _verifies(key: Ed25519PublicKey, signature: bytes, text: bytes) -> bool:
    try:
        key.verify(signature, text)
    except InvalidSignature:
        return False
    return True


def _loaded(kid: str, pem: str) -> Ed25519PublicKey:
    if "PRIVATE KEY" in pem:
        raise InvalidConfig(
            f"auth_keys: {kid[:40]!a} is a private key; give its public key, and keep"
            " the private one with those who sign"
        )
    try:
        key = load_pem_public_key(pem.encode())
    except ValueError:
        raise InvalidConfig(f"auth_keys: {kid[:40]!a} is no PEM public key") from None
    if not isinstance(key, Ed25519PublicKey):
        raise InvalidConfig(f"auth_keys: {kid[:40]!a} is no Ed25519 key")
    return key
