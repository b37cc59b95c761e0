"""The text that a presigned request is signed over.

The form is that of Sentry's objectstore: what the client sent, undecoded, so that a
signature covers the method, the path and every parameter exactly as they travel.
"""

from __future__ import annotations

from typing import Final

SIGNATURE: Final = "os_sig"
"""The parameter that carries the signature; the one thing it does not cover."""


def canonical_request(method: str, raw_path: str, raw_query: str) -> str:
    """Return what is signed of a request: method, path and query, one a line.

    HEAD counts as GET. Pairs of the query are sorted as bytes, duplicates stay, the
    names are taken in lower case, and nothing is decoded.

    Args:
        method: The HTTP method.
        raw_path: The path as it is sent, percent-escapes and prefixes included.
        raw_query: The query as it is sent, without its question mark.
    """
    verb = method.upper()
    pairs = [_canonical_pair(pair) for pair in raw_query.split("&") if _counts(pair)]
    pairs.sort(key=str.encode)
    return "\n".join(("GET" if verb == "HEAD" else verb, raw_path, "&".join(pairs)))


def _counts(pair: str) -> bool:
    return bool(pair) and pair.partition("=")[0] != SIGNATURE


def _canonical_pair(pair: str) -> str:
    name, equals, text = pair.partition("=")
    return name.lower() + equals + text
