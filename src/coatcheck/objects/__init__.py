"""Objects of usecases and scopes: sessions over a service, or straight over a bucket.

Everything about expiry, compression and metadata is Sentry objectstore's, so that one
client serves both.
"""

from __future__ import annotations

from coatcheck._core.scopes import Scope

from ._usage import Amount, ScopeDeletion, ScopeUsage, delete_scope, usage

__all__ = (
    "Amount",
    "Scope",
    "ScopeDeletion",
    "ScopeUsage",
    "delete_scope",
    "usage",
)
