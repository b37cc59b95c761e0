"""Where the stashes of a namespace are, and how errors call them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from coatcheck._core.address import INLINE, LINK, Address
from coatcheck.errors import (
    BucketNotFound,
    CoatcheckError,
    InvalidAddress,
    InvalidInput,
    InvalidName,
    ObjectNotFound,
    StashNotFound,
    UnsupportedBackend,
    UnsupportedOperation,
)

if TYPE_CHECKING:
    from types import TracebackType

    from coatcheck.config import Config

from coatcheck.config import Place

_MAX_KNOWN: Final = 1024
"""The most places that are remembered; namespaces come without a bound."""


def place_of_new(config: Config, namespace: str) -> Place:
    """Return where new stashes of a namespace go.

    Raises:
        InvalidName: The namespaces are mapped, and this one is not.
        UnsupportedBackend: No configured backend keeps stashes.
    """
    mapped = config.place(namespace)
    if mapped is not None:
        return mapped
    for scheme in config.backends:
        if scheme not in (INLINE, LINK):
            return Place(scheme=scheme, bucket=namespace, prefix="")
    raise UnsupportedBackend(
        f"no backend of {config.backends} keeps stashes that are not inline; add 'mem',"
        " 'file' or 's3' to Config.backends"
    )


def place_of_address(config: Config, address: Address) -> Place:
    """Return where the stash behind a stored address is.

    Raises:
        InvalidAddress: The namespaces are mapped, and not to there.
        UnsupportedBackend: The address's backend is not configured.
    """
    check_admitted(config, address)
    try:
        mapped = config.place(address.namespace)
    except InvalidName as error:
        raise InvalidAddress(f"address {address.redacted!r}: {error.message}") from None
    if mapped is None:
        return Place(scheme=address.scheme, bucket=address.namespace, prefix="")
    if mapped.scheme != address.scheme:
        raise InvalidAddress(
            f"address {address.redacted!r}: its namespace is kept on"
            f" {mapped.scheme!r} here",
            address=address.redacted,
        )
    return mapped


class Places:
    """Where stashes are by one configuration; remembers what it found.

    Args:
        config: The configuration.
    """

    __slots__ = ("_config", "_known")

    def __init__(self, config: Config) -> None:
        self._config = config
        self._known: dict[tuple[str | None, str], Place] = {}

    def of_new(self, namespace: str) -> Place:
        """Return what `place_of_new` does."""
        place = self._known.get((None, namespace))
        if place is None:
            place = place_of_new(self._config, namespace)
            self._remember((None, namespace), place)
        return place

    def of_address(self, address: Address) -> Place:
        """Return what `place_of_address` does."""
        place = self.known(address)
        if place is None:
            place = place_of_address(self._config, address)
            self._remember((address.scheme, address.namespace), place)
        return place

    def known(self, address: Address) -> Place | None:
        """Return where the stash behind an address is, if that was asked before."""
        return self._known.get((address.scheme, address.namespace))

    def _remember(self, asked: tuple[str | None, str], place: Place) -> None:
        if len(self._known) >= _MAX_KNOWN:
            self._known.clear()
        self._known[asked] = place


def check_admitted(config: Config, address: Address) -> None:
    """Refuse an address whose backend is not configured.

    Raises:
        UnsupportedBackend: It is not.
    """
    if address.scheme not in config.backends:
        raise UnsupportedBackend(
            f"address {address.redacted!r} needs the backend {address.scheme!r}; add"
            f" it to Config.backends, which are {config.backends}",
            address=address.redacted,
        )


def parsed(address: str | Address) -> Address:
    """Return an address that may be given as text.

    Raises:
        InvalidAddress: It is neither an address nor the text of one.
    """
    return address if isinstance(address, Address) else Address.parse(address)


def refuse_unstored(address: Address, doing: str) -> None:
    """Refuse what can be done only to a stash whose store is at hand.

    Raises:
        UnsupportedOperation: The address is inline, or a share link.
    """
    if address.scheme == LINK:
        raise UnsupportedOperation(
            f"cannot {doing} {address.redacted!r}: a share link only reads",
            address=address.redacted,
            backend=LINK,
        )
    if address.scheme == INLINE:
        raise UnsupportedOperation(
            f"cannot {doing} {address.redacted!r}: an inline stash is nothing but its"
            " address",
            address=address.redacted,
            backend=INLINE,
        )


class naming:  # noqa: N801  # a context manager, read as a verb
    """Let errors of the storage speak of the stash that was asked for."""

    __slots__ = ("_address",)

    def __init__(self, address: Address) -> None:
        self._address = address

    def __enter__(self) -> None:
        """Do nothing: what counts is how the block ends."""

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(exc, ObjectNotFound | BucketNotFound):
            raise self._not_found(exc) from exc
        if isinstance(exc, CoatcheckError):
            exc.address = exc.address or self._address.redacted

    def _not_found(self, error: CoatcheckError) -> StashNotFound:
        address = self._address
        why = "it was never created, was deleted, or has expired"
        if address.scheme == LINK:
            why = error.message
        return StashNotFound(
            f"no stash at {address.redacted!r}: {why}",
            address=address.redacted,
            backend=address.scheme,
        )


def address_of_key(scheme: str, namespace: str, key: str) -> Address | None:
    """Return the address of a stored key, None when it is no stash's."""
    try:
        return Address.parse(f"{scheme}://{namespace}/{key}")
    except InvalidInput:
        return None
