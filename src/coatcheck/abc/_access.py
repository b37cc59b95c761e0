"""How a service is reached, and with which credentials."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

from coatcheck._core.objects import NOTHING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coatcheck._core.permissions import Permission
    from coatcheck._core.scopes import Scope


class Credentials(Protocol):
    """Signs tokens and links, as `coatcheck.objects.SecretKey` does."""

    @property
    def kid(self) -> str:
        """The name under which the service knows the key."""
        ...

    def token_for_scope(
        self,
        usecase: str,
        scope: Scope,
        permissions: Sequence[Permission] | None = None,
        expiry_seconds: int | None = None,
    ) -> str:
        """Return a token for one usecase and scope.

        Args:
            usecase: The usecase's name.
            scope: The scope.
            permissions: What it allows; None is all that these credentials may.
            expiry_seconds: How long it is good; None is the default.

        Raises:
            InvalidInput: These credentials may not all of that.
        """
        ...

    def request_token(self, usecase: str, scope: Scope) -> str:
        """Return a token for a request that is sent now, which others had, too."""
        ...

    def signature_for_canonical_form(self, canonical_form: str) -> str:
        """Return the signature of a presigned request."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceAccess:
    """How a service is reached."""

    token: str | Credentials | None = field(default=None, repr=False)
    """Sent with every request: a token as it is, or what signs them."""
    retries: int = 3
    """How often a request is tried again that did not reach the service, or that may
    be repeated."""
    timeout: timedelta | None = None
    """The longest wait for the next bytes of an answer; None is the default."""
    connection: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of `aiohttp.ClientSession`; its headers join the defaults."""
    headers: Callable[[], Mapping[str, str]] = lambda: NOTHING
    """Returns headers for the request that is about to be sent."""
    meter: Callable[[str, str, float], object] | None = None
    """Told of each step of a resumable upload: its name, usecase and seconds."""
