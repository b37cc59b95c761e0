"""What a request may do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from coatcheck._core.permissions import Permission

from ._refusals import Refusal
from ._targets import Kind

if TYPE_CHECKING:
    from ._targets import Target

_ANY: Final = "*"


class Grant(Protocol):
    """What whoever asks has proven to be allowed."""

    def check(self, permission: str, target: Target | None) -> None:
        """Refuse what is not allowed.

        Args:
            permission: What is to be done.
            target: To what; None is all usecases and scopes.

        Raises:
            Refusal: It is not allowed.
        """
        ...


class Everything:
    """Allows everything: nobody is asked who they are."""

    def check(self, permission: str, target: Target | None) -> None:
        """Allow it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenGrant:
    """What a token allows within one usecase and scope."""

    permissions: frozenset[str]
    """What it allows."""
    usecase: str
    """The usecase."""
    scopes: Mapping[str, str]
    """Names and values; `*` is any value."""
    opens_wider: bool
    """Whether it also opens scopes that lack some of the names."""

    def check(self, permission: str, target: Target | None) -> None:
        if permission not in self.permissions:
            raise Refusal(403, f"auth error: the token does not allow {permission}")
        if target is not None and not self._covers(target):
            raise Refusal(403, "auth error: the token is for another usecase or scope")

    def _covers(self, target: Target) -> bool:
        if target.usecase != self.usecase:
            return False
        pairs = target.scope.pairs
        if not self.opens_wider and len(pairs) != len(self.scopes):
            return False
        return all(self.scopes.get(name) in (value, _ANY) for name, value in pairs)


class ReadGrant:
    """Allows one read: the very URL was signed."""

    def check(self, permission: str, target: Target | None) -> None:
        is_one = target is not None and target.kind is Kind.OBJECTS and target.key
        if permission != Permission.OBJECT_READ or not is_one:
            raise Refusal(403, "auth error: a presigned URL reads one object")
