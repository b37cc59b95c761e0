"""Addresses: the URIs that stand for stashes.

The forms are kstash's, so that either library claims what the other made:

    inline://{namespace}/{name}?data={urlencoded base64 of the encoded payload}
    mem|file|s3://{namespace}/{name}.{digest}
    mem|file|s3://{namespace}/{name}.{uuid4 hex}?sha256={hex}&size={n}    (streamed)

Namespace and name stand verbatim; only the query is escaped. A share link is an
address too: its scheme is `https` and its text is the URL. The links that coatcheck
answers itself have the form

    {public_url}/v1/links/{bucket}/{name}.{digest}?t={token}
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, unquote_plus

from coatcheck.errors import InvalidAddress, InvalidName, UnsupportedBackend

from .digests import DigestAlgorithm, is_digest
from .names import (
    PLAIN_KEY,
    PLAIN_NAMESPACE,
    check_key,
    check_name,
    check_namespace,
    plain_key,
    plain_namespace,
    shown,
)
from .signing import LINKS_PATH

INLINE: Final = "inline"
LINK: Final = "https"
STORED_SCHEMES: Final = frozenset({"file", "mem", "s3"})
MAX_ADDRESS: Final = 32 * 1024
_MAX_SIZE_DIGITS: Final = 15

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)/([^?#]*)(?:\?([^#]*))?")
_LINK = re.compile(r"https?://([^/?@]+)/([^?]*)(?:\?.*)?", re.IGNORECASE)
# Amazon's own form with the bucket before the host; the bucket may have dots.
_BUCKET_HOST = re.compile(
    r"(.+)\.s3(?:[.-](?:dualstack\.)?[a-z0-9-]+)?\.amazonaws\.com(?:\.cn)?(?::\d+)?"
)
_KEY = re.compile(r"(.+)\.([0-9a-f]{32}|[0-9a-f]{64})", re.DOTALL)
# What most addresses look like, read by one pattern; all others take the long way.
_MAX_PLAIN: Final = 255
"""Characters that a text has at most which is looked at only once."""
_PLAIN_STORED = re.compile(
    rf"(file|mem|s3)://({PLAIN_NAMESPACE})/({PLAIN_KEY})"
    r"\.([0-9a-f]{32}(?:[0-9a-f]{32})?)"
)
_PLAIN_INLINE = re.compile(
    rf"inline://({PLAIN_NAMESPACE})/({PLAIN_KEY})\?data=([0-9A-Za-z%]+)"
)


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where a stash is claimed; `str()` gives the text to pass on.

    Equal addresses stand for equal content. `repr()` shows neither an inline
    payload nor a link's signature; `str()` of such addresses does.
    """

    scheme: str
    """`inline`, `mem`, `file`, `s3`, or `https` for any share link."""
    namespace: str
    """The stash's namespace."""
    name: str
    """The stash's name."""
    digest: str | None = None
    """MD5 or SHA-256 of the encoded payload, or a streamed stash's uuid4, in hex."""
    data: bytes | None = None
    """The encoded payload of an inline stash."""
    url: str | None = None
    """The whole text of a share link."""
    sha256: str | None = None
    """A streamed stash's SHA-256 in hex."""
    size: int | None = None
    """A streamed stash's bytes."""

    @property
    def key(self) -> str:
        """The key of the stored object: name, dot, digest."""
        return f"{self.name}.{self.digest}"

    @property
    def streamed(self) -> bool:
        """Whether the stash was stored as a stream of raw bytes."""
        return self.sha256 is not None

    @property
    def redacted(self) -> str:
        """The text as errors and logs show it: without payload and signature."""
        if self.url is not None:
            return f"{self.url.partition('?')[0]}?..."
        if self.data is not None:
            return f"inline://{self.namespace}/{self.name}?data=..."
        return str(self)

    def __str__(self) -> str:
        if self.url is not None:
            return self.url
        base = f"{self.scheme}://{self.namespace}/{self.name}"
        if self.data is not None:
            return f"{base}?data={_escaped(b64encode(self.data).decode())}"
        if self.sha256 is not None:
            return f"{base}.{self.digest}?sha256={self.sha256}&size={self.size}"
        return f"{base}.{self.digest}"

    def __repr__(self) -> str:
        return f"Address({self.redacted!r})"

    @staticmethod
    def parse(text: str) -> Address:
        """Read an address.

        Args:
            text: At most 32 KiB of text.

        Returns:
            The address; `str()` of it is `text` again, save for the case of the
            scheme and how the query of an inline address is escaped.

        Raises:
            InvalidAddress: The text is not an address that coatcheck could make.
            UnsupportedBackend: The scheme is not one of coatcheck's.
        """
        given: object = text
        if isinstance(given, str) and len(given) <= _MAX_PLAIN:
            found = _PLAIN_STORED.fullmatch(given)
            if found is not None:
                scheme, namespace, name, digest = found.groups()
                return made_address(scheme, namespace, name, digest)
        return _parse(text)


def made_address(
    scheme: str,
    namespace: str,
    name: str,
    digest: str | None,
    data: bytes | None = None,
) -> Address:
    """Return what the constructor makes, at a third of its price.

    A frozen dataclass sets every field through a call that looks whether it may, and
    every create and retrieve makes an address.
    """
    address = object.__new__(Address)
    fields = address.__dict__
    fields["scheme"] = scheme
    fields["namespace"] = namespace
    fields["name"] = name
    fields["digest"] = digest
    fields["data"] = data
    return address


def _parse(text: object) -> Address:
    """Read an address that is not of the commonest form."""
    if not isinstance(text, str):
        raise InvalidAddress(f"an address is text, not {type(text).__name__}")
    if len(text) > MAX_ADDRESS:
        raise InvalidAddress(
            f"address {_bare(text)} is longer than {MAX_ADDRESS} characters"
        )
    plain = _parse_plain_inline(text)
    if plain is not None:
        return plain
    if text[:8].lower().startswith(("https://", "http://")):
        return _parse_link(text)
    found = _ADDRESS.fullmatch(text)
    if found is None:
        raise InvalidAddress(
            f"address {_bare(text)} has not the form scheme://namespace/name"
        )
    scheme, namespace, path, query = found.groups()
    scheme = scheme.lower()
    if "@" in namespace:
        raise InvalidAddress(f"address {_bare(text)} carries a user or password")
    if scheme == INLINE:
        return _parse_inline(namespace, path, query)
    if scheme in STORED_SCHEMES:
        return _parse_stored(scheme, namespace, path, query)
    raise UnsupportedBackend(
        f"no backend reads addresses of scheme {scheme[:20]!r}: {_bare(text)}",
        address=_bare(text),
    )


def _parse_plain_inline(text: str) -> Address | None:
    """Read an inline address of a common form, None when it takes a closer look."""
    found = _PLAIN_INLINE.fullmatch(text)
    if found is None:
        return None
    namespace, name, escaped = found.groups()
    data = _from_base64(_unescaped(escaped))
    if data is None or max(len(namespace), len(name)) > _MAX_PLAIN:
        return None
    return made_address(INLINE, namespace, name, None, data)


def _escaped(text: str) -> str:
    """Return base64 as the query of a URL has it."""
    return text.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")


def _unescaped(text: str) -> str:
    """Return base64 whose query was escaped as `_escaped` does."""
    return text.replace("%3D", "=").replace("%2F", "/").replace("%2B", "+")


def _from_base64(text: str) -> bytes | None:
    """Read standard base64, None when it is none, or empty."""
    try:
        data = b64decode(text, validate=True)
    except (Base64Error, ValueError):
        return None
    # Re-encoding also refuses padding bits that no encoder would have set.
    return data if data and b64encode(data).decode() == text else None


def _parse_inline(namespace: str, name: str, query: str | None) -> Address:
    shown_text = shown(f"inline://{namespace}/{name}")
    _check_parts(namespace, name, shown_text)
    fields = _query_fields(query, ("data",), shown_text)
    data = _from_base64(unquote_plus(fields["data"]))
    if data is None:
        raise InvalidAddress(f"address {shown_text} has data that is not base64")
    return Address(scheme=INLINE, namespace=namespace, name=name, data=data)


def _parse_stored(scheme: str, namespace: str, path: str, query: str | None) -> Address:
    shown_text = shown(f"{scheme}://{namespace}/{path}")
    found = _KEY.fullmatch(path)
    if found is None:
        raise InvalidAddress(
            f"address {shown_text} does not end in a dot and a lower-case hex digest"
        )
    name, digest = found.groups()
    _check_parts(namespace, name, shown_text)
    if query is None:
        return Address(scheme=scheme, namespace=namespace, name=name, digest=digest)
    fields = _pin_fields(query, shown_text)
    return Address(
        scheme=scheme,
        namespace=namespace,
        name=name,
        digest=digest,
        sha256=fields["sha256"],
        size=int(fields["size"]),
    )


def _pin_fields(query: str, shown_text: str) -> dict[str, str]:
    """Return the SHA-256 and the length that pin a streamed stash."""
    fields = _query_fields(query, ("sha256", "size"), shown_text)
    sha256 = fields["sha256"]
    if not is_digest(sha256) or len(sha256) != DigestAlgorithm.SHA256.hex_length:
        raise InvalidAddress(f"address {shown_text} has a sha256 that is none")
    if not _is_size(fields["size"]):
        raise InvalidAddress(f"address {shown_text} has a size that is none")
    return fields


def _parse_link(url: str) -> Address:
    """Read a share link: namespace and name as far as a URL tells them."""
    shown_text = _bare(url)
    link, _, fragment = url.partition("#")
    found = _LINK.fullmatch(link)
    if found is None:
        raise InvalidAddress(
            f"address {shown_text} is no link of the form https://host/path?query"
        )
    namespace, key = _place_of_link(link, found[1].lower(), unquote(found[2]))
    stored = _KEY.fullmatch(key)
    if stored is None:
        raise InvalidAddress(
            f"address {shown_text} does not lead to a name, a dot and a digest"
        )
    _check_parts(namespace, stored[1], shown_text)
    pinned: dict[str, str] = {}
    if fragment:
        pinned = _pin_fields(fragment, shown_text)
    return Address(
        scheme=LINK,
        namespace=namespace,
        name=stored[1],
        digest=stored[2],
        url=url,
        sha256=pinned.get("sha256"),
        size=int(pinned["size"]) if pinned else None,
    )


def _place_of_link(link: str, host: str, path: str) -> tuple[str, str]:
    """Return the namespace and the key that a link seems to lead to."""
    bare, _, query = link.partition("?")
    _, own, place = bare.partition(LINKS_PATH)
    if own and query.startswith("t="):
        # Taken apart before it is decoded, perhaps below a path of the public URL.
        namespace, _, key = place.partition("/")
        return unquote(namespace), unquote(key)
    bucket_host = _BUCKET_HOST.fullmatch(host)
    if bucket_host is not None:
        return bucket_host[1], path
    namespace, _, key = path.partition("/")
    return (namespace, key) if key else (host.partition(".")[0], path)


def _is_size(text: str) -> bool:
    if not text.isascii() or not text.isdecimal() or len(text) > _MAX_SIZE_DIGITS:
        return False
    return str(int(text)) == text


def _check_parts(namespace: str, name: str, shown_text: str) -> None:
    try:
        check_namespace(namespace)
        # Other programs may have stored what is not in normal form C.
        check_name(name, canonical=False)
    except InvalidName as error:
        raise InvalidAddress(f"address {shown_text}: {error.message}") from None


def _query_fields(
    query: str | None, wanted: tuple[str, ...], shown_text: str
) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in (query or "").split("&")]
    if tuple(name for name, _, _ in pairs) != wanted:
        raise InvalidAddress(
            f"address {shown_text} must have the query {'&'.join(wanted)}"
            " and nothing else"
        )
    return {name: value for name, _, value in pairs}


def _bare(text: str) -> str:
    """Return what may be shown of a text that might hold a payload or a secret."""
    before_query = re.split(r"[?#]", text, maxsplit=1)[0]
    scheme, separator, rest = before_query.partition("://")
    return shown(f"{scheme}{separator}{rest.rpartition('@')[2]}")


def check_stash_name(namespace: str, name: str, digest_length: int) -> None:
    """Refuse a namespace and name that no address could carry.

    Args:
        namespace: The namespace.
        name: The name.
        digest_length: Characters of the digest that will stand behind the name.

    Raises:
        InvalidName: One of them breaks its rules, or the key would be too long.
    """
    try:
        plain = (
            len(namespace) <= _MAX_PLAIN
            and len(name) <= _MAX_PLAIN
            and plain_namespace(namespace) is not None
            and plain_key(name) is not None
        )
    except TypeError:  # it is no text
        plain = False
    if plain:
        return
    check_namespace(namespace)
    check_name(name)
    check_key(f"{name}.{'0' * digest_length}", what="name with its digest")
