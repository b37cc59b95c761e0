"""The service: objects and links over HTTP, on memory, files or S3.

It speaks the wire of Sentry's objectstore, so that its published clients work with it
as `coatcheck.objects` does. It needs the extra `coatcheck[service]`.
"""

from __future__ import annotations

from coatcheck.wrappers import LinkSigner

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
from ._links import BucketFinder, links_router
from ._links_app import create_links_app

__all__ = (
    "AuthKey",
    "BucketFinder",
    "ExpiryRule",
    "Killswitch",
    "LinkSigner",
    "RateLimits",
    "RateRule",
    "ServiceConfig",
    "UsecasePolicy",
    "create_app",
    "create_links_app",
    "links_router",
)
