"""What answers over HTTP; needs the extra `coatcheck[service]`."""

from __future__ import annotations

from coatcheck.wrappers import LinkSigner

from ._links import BucketFinder, links_router
from ._links_app import create_links_app

__all__ = ("BucketFinder", "LinkSigner", "create_links_app", "links_router")
