"""The SDK's client: made once, off the event loop's time, with one configuration."""

from __future__ import annotations

import asyncio
import io
import re
from contextlib import AsyncExitStack
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import aioboto3
from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.parsers import AioResponseParserFactory as _Parsers
from botocore import UNSIGNED
from botocore.handlers import add_expect_header
from botocore.utils import parse_timestamp

from coatcheck.payloads._threads import in_thread

from ._attempts import count
from ._bodies import SharedBytes
from ._errors import was_not_sent
from ._wire import Wire

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    from coatcheck.config import S3Config

_DEFAULT_REGION: Final = "us-east-1"
_CONNECT_SECONDS: Final = 10
_READ_SECONDS: Final = 60
_ATTEMPTS: Final = 3
_ISO_TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{3,6})?Z"
)


class _CheckedSession(AIOHTTPSession):
    """The SDK's connections, to hosts that have the certificate's name.

    The SDK turns the check of names off, because urllib3 makes its own; aiohttp makes
    none, so that any trusted certificate would do for any host. And aiohttp sends a
    request again without a word when a connection breaks, which the SDK does anyway:
    here every attempt is counted.
    """

    async def _get_session(self, proxy_url: str | None) -> Any:
        session = await super()._get_session(proxy_url)
        session._retry_connection = False  # noqa: SLF001  # there is no other switch
        return session

    async def send(self, request: Any) -> Any:
        count(+1)
        if type(request.body) is io.BytesIO:
            request.body = SharedBytes(request.body.getvalue())
        try:
            return await super().send(request)
        except Exception as error:
            if was_not_sent(error):
                count(-1)
            raise

    def _get_ssl_context(self) -> ssl.SSLContext:
        context: ssl.SSLContext = super()._get_ssl_context()
        context.check_hostname = True
        return context


class Clients:
    """The client that talks, and the one that signs links for a public endpoint.

    Args:
        config: How the store is reached.
        session: Where credentials come from; None is the SDK's own chain.
        client: An open client of somebody else's, which is used and not closed.
    """

    def __init__(
        self, config: S3Config, *, session: Any = None, client: Any = None
    ) -> None:
        self._config = config
        self._session = session
        self._stack = AsyncExitStack()
        self._wire: Wire | None = None
        self.talking: Any = client
        self.signing: Any = client

    async def open(self) -> None:
        """Open what is not given."""
        public = self._config.public_endpoint_url
        if self.talking is None or public is not None:
            if self._session is None:
                self._session = await in_thread(aioboto3.Session)
            await in_thread(self._warm_up)
        try:
            if self.talking is None:
                self.talking = await self._enter(self._config.endpoint_url)
                self.signing = self.talking
                # With it a store that accepts and stays silent is waited for without
                # an end, since time counts only from the answer to the expectation.
                self.talking.meta.events.unregister("before-call.s3", add_expect_header)
                await self._open_wire()
            if public is not None:
                self.signing = await self._enter(public)
        except BaseException:
            await self._stack.aclose()
            raise

    async def close(self) -> None:
        """Close what was opened here."""
        self._wire = None
        await self._stack.aclose()

    async def call(
        self, operation: str, parameters: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Make a request: on the wire when it can, else as the SDK does.

        Args:
            operation: The SDK's name of it.
            parameters: What the SDK is given.
        """
        if self._wire is not None:
            answer = await self._wire.call(operation, parameters)
            if answer is not None:
                return answer
        answered: Mapping[str, Any] = await getattr(self.talking, operation)(
            **parameters
        )
        return answered

    async def _open_wire(self) -> None:
        if self._config.wire == "sdk":
            return
        wire = Wire(self.talking, anonymous=self._config.anonymous)
        await wire.open()
        self._stack.push_async_callback(wire.close)
        self._wire = wire

    def _warm_up(self) -> None:
        """Make a client in this thread's own loop.

        The first one reads and compiles the service's model, which takes a fifth of
        a second; after it the session has all of that.
        """

        async def make() -> None:
            async with self._make(self._config.endpoint_url):
                pass

        asyncio.run(make())

    async def _enter(self, endpoint_url: str | None) -> Any:
        client = await self._stack.enter_async_context(self._make(endpoint_url))
        client.meta.events.register_first(
            "before-endpoint-resolution.s3", _stay_in_region
        )
        _read_times_quickly(client)
        return client

    def _make(self, endpoint_url: str | None) -> Any:
        config = self._config
        region = config.region
        if region is None and endpoint_url is not None:
            # A store of one's own has no regions, but signatures need one.
            region = self._session.region_name or _DEFAULT_REGION
        return self._session.client(
            "s3",
            region_name=region,
            endpoint_url=endpoint_url,
            verify=config.ca_bundle,
            config=AioConfig(
                signature_version=UNSIGNED if config.anonymous else "s3v4",
                s3={"addressing_style": config.addressing_style},
                retries={"mode": "standard", "max_attempts": _ATTEMPTS},
                max_pool_connections=config.max_pool_connections,
                http_session_cls=_CheckedSession,
                connect_timeout=_CONNECT_SECONDS,
                read_timeout=_READ_SECONDS,
                # We send digests of our own; the SDK's come as trailers over TLS,
                # which some stores refuse and some keep as part of the object.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    async def credentials_end(self) -> datetime | None:
        """Return when the credentials expire, None when they do not or nobody tells."""
        signer = getattr(self.signing, "_request_signer", None)
        credentials = getattr(signer, "_credentials", None)
        if credentials is not None and hasattr(credentials, "get_frozen_credentials"):
            # Refreshes those that are about to expire.
            await credentials.get_frozen_credentials()
        end: datetime | None = getattr(credentials, "_expiry_time", None)
        return end


def _read_times_quickly(client: Any) -> None:
    """Let a client of ours read times, of which a listing has a thousand a page, fast.

    The SDK takes two thirds of a listing's time to find out how each one is written.
    What makes its parsers belongs to the session; the client gets one of its own.
    """
    # There is no public switch; without it, times are read as the SDK reads them.
    endpoint: Any = getattr(client, "_endpoint", None)
    factory: Any = getattr(endpoint, "_response_parser_factory", None)
    if isinstance(factory, _Parsers):
        parsers = _Parsers()
        parsers.set_parser_defaults(timestamp_parser=_time_of)
        endpoint._response_parser_factory = parsers  # noqa: SLF001


def _time_of(text: Any) -> datetime:
    """Read a time as S3 writes it, whatever else as the SDK does."""
    if isinstance(text, str) and _ISO_TIME.fullmatch(text):
        return datetime.fromisoformat(text)
    found: datetime = parse_timestamp(text)
    return found


def _stay_in_region(context: dict[str, Any], **_: Any) -> None:
    """Let links name the bucket's own region.

    The SDK signs them for the global host, which redirects for a day after a bucket
    was made, and nobody follows a redirect with a signature.
    """
    context["use_global_endpoint"] = False
