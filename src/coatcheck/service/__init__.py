"""What answers over HTTP; needs the extra `coatcheck[service]`."""

from __future__ import annotations

from ._links import links_router
from ._links_app import create_links_app

__all__ = ("create_links_app", "links_router")
