"""The service: objects over HTTP, on memory, files or S3.

It speaks the wire of Sentry's objectstore, so that its published clients work with it
as `coatcheck.objects` does.
"""

from __future__ import annotations

from ._app import create_app
from ._config import (
    AuthKey,
    ExpiryRule,
    Killswitch,
    RateLimits,
    RateRule,
    ServiceConfig,
    UsecasePolicy,
)

__all__ = (
    "AuthKey",
    "ExpiryRule",
    "Killswitch",
    "RateLimits",
    "RateRule",
    "ServiceConfig",
    "UsecasePolicy",
    "create_app",
)
