"""Links to buckets that make none of their own: a service answers them."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from coatcheck._core.names import check_key
from coatcheck._core.objects import NOTHING, PutInfo
from coatcheck._core.signing import (
    LONGEST_LINK,
    LinkGrant,
    SignedRequest,
    SignGet,
    SignPut,
)
from coatcheck.abc import (
    AsyncResource,
    Capability,
    at_once,
    in_one_step,
    innermost,
)
from coatcheck.errors import Closed, InvalidConfig, InvalidInput

from ._forwarding import ForwardingBucket

if TYPE_CHECKING:
    from collections.abc import Mapping

    from coatcheck.abc import AtOnce, Bucket, OneStep

    from ._link_tokens import LinkSigner

_PUBLIC_URL: Final = re.compile(r"https?://[!-~]+", re.IGNORECASE)


def linked(bucket: Bucket, *, public_url: str, signer: LinkSigner) -> LinkedBucket:
    """Return a bucket that signs links which a service answers.

    Args:
        bucket: The bucket.
        public_url: Where the service is found, perhaps below a path.
        signer: Signs the links; the service has one with the same key.

    Raises:
        InvalidConfig: The URL is none that links can begin with.
    """
    plain = _PUBLIC_URL.fullmatch(public_url) is not None
    if not plain or any(char in public_url for char in "?#@\\"):
        raise InvalidConfig(
            "public_url cannot begin a link: it is http:// or https://, a host, and"
            " perhaps a path of printable ASCII"
        )
    return LinkedBucket(bucket, public_url.rstrip("/"), signer)


class LinkedBucket(ForwardingBucket):
    """A bucket with SIGN.

    A link carries what it allows in a signed token, so that nothing is kept of it,
    and it cannot be taken back before its end. A link to write works until an object
    stands under its key.

    Args:
        inner: The bucket that is wrapped.
        public_url: What links begin with, without a slash at its end.
        signer: Signs them.
    """

    def __init__(self, inner: Bucket, public_url: str, signer: LinkSigner) -> None:
        super().__init__(inner)
        self._public_url = public_url
        self._signer = signer

    @property
    def capabilities(self) -> frozenset[Capability]:
        return self._inner.capabilities | {Capability.SIGN}

    @property
    def at_once(self) -> AtOnce | None:
        """See `coatcheck.abc.AtOnce`."""
        return at_once(self._inner)

    @property
    def in_one_step(self) -> OneStep | None:
        """See `coatcheck.abc.OneStep`."""
        return in_one_step(self._inner)

    async def sign(
        self, what: SignGet | SignPut, key: str, *, expires_in: timedelta
    ) -> SignedRequest:
        self._check_open()
        check_key(key, canonical=isinstance(what, SignPut))
        _check(what)
        if not timedelta(0) < expires_in <= LONGEST_LINK:
            raise InvalidInput(
                f"a link works for up to {LONGEST_LINK.days} days, not for {expires_in}"
            )
        bucket, inner_key = innermost(self._inner, key)
        grant = LinkGrant(
            method="GET" if isinstance(what, SignGet) else "PUT",
            backend=bucket.backend.scheme,
            bucket=bucket.name,
            key=inner_key,
            expires_at=self.backend.now() + expires_in,
            content_type=what.content_type,
        )
        match what:
            case SignGet(content_disposition=disposition):
                grant = replace(grant, content_disposition=disposition)
            case SignPut(max_size=max_size):
                grant = replace(grant, max_size=max_size)
        return SignedRequest(
            method=grant.method,
            url=f"{self._public_url}{grant.path}?t={self._signer.sign(grant)}",
            headers=_demanded(what),
            expires_at=grant.expires_at,
        )

    def _check_open(self) -> None:
        backend = self.backend
        if isinstance(backend, AsyncResource) and not backend.is_open:
            raise Closed(f"bucket {self.name!a} signs no links: its backend is closed")


def _check(what: SignGet | SignPut) -> None:
    """Refuse what no header could carry, and a size that is none.

    Raises:
        InvalidInput: It is such a thing.
    """
    match what:
        case SignGet(content_type=content_type, content_disposition=disposition):
            PutInfo(content_type=content_type, content_disposition=disposition)
        case SignPut(content_type=content_type, max_size=max_size):
            PutInfo(content_type=content_type)
            if max_size is not None and max_size < 0:
                raise InvalidInput(f"an upload of at most {max_size} bytes is none")


def _demanded(what: SignGet | SignPut) -> Mapping[str, str]:
    if isinstance(what, SignGet) or what.content_type is None:
        return NOTHING
    return {"Content-Type": what.content_type}
