"""The hot path to S3: requests that are signed here and sent on the SDK's connections.

The SDK spends two thirds of a call on endpoint rules, user agents, hooks and parsing.
What is asked for most often goes past them; whatever ends in another way than expected
goes back through the SDK, which knows redirects, retries, throttling and error codes.
"""

from __future__ import annotations

from ._wire import Wire

__all__ = ("Wire",)
