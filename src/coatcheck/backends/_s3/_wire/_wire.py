"""Sending what the SDK would send, and giving back what it would return."""

from __future__ import annotations

import re
from base64 import b64decode
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from yarl import URL

from coatcheck.backends._s3._attempts import count
from coatcheck.backends._s3._bodies import SharedBytes
from coatcheck.backends._s3._errors import refusal, was_not_sent
from coatcheck.payloads._integrity import feed

from ._incoming import Body, answer_of, headers_of
from ._outgoing import Outgoing, outgoing_of
from ._sdk import Loan
from ._signer import EMPTY, UNSIGNED, Signer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._sdk import Base

_LARGE: Final = 1024 * 1024
"""Bytes from which aiohttp wants a body as a file."""
_MOST_SAID: Final = 64 * 1024
_FOUND: Final = frozenset({200, 206})
_CODE: Final = re.compile(rb"<Code>([A-Za-z]{1,64})</Code>")
_REFUSED: Final = range(300, 500)
_ELSEWHERE: Final = frozenset({301, 302, 307, 308})
# Refusals that say all there is to say; asking again would be told the same.
_REFUSALS: Final = frozenset({(404, "NoSuchKey"), (412, "PreconditionFailed")})
_NO_SUCH_KEY: Final = 404


class Wire:
    """The hot path beside an open client of the SDK's.

    Args:
        client: The client.
        anonymous: Sign nothing.
    """

    def __init__(self, client: Any, *, anonymous: bool = False) -> None:
        self._loan = Loan(client)
        self._anonymous = anonymous
        self._signer = Signer()
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Open it; its connections are the client's."""
        self._session = await self._loan.session()

    async def close(self) -> None:
        """Close it; the connections are left to the client."""
        if self._session is not None:
            await self._session.close()

    async def call(
        self, operation: str, parameters: Mapping[str, Any]
    ) -> Mapping[str, Any] | None:
        """Make a request in one attempt, which is counted when it leaves.

        Args:
            operation: The SDK's name of it.
            parameters: What the SDK would be given.

        Returns:
            What the SDK would return of a success; None when the SDK shall be asked.

        Raises:
            botocore.exceptions.ClientError: The store refused it for good.
        """
        request = outgoing_of(operation, parameters)
        if request is None:
            return None
        bucket = parameters["Bucket"]
        base = await self._loan.base(bucket)
        if base is None:
            return None
        if not self._anonymous:
            give = self._loan.credentials
            if give is None:
                return None
            await self._sign(request, base, await give())
        response = await self._send(request, base)
        if response is None:
            return None
        try:
            return await self._settled(operation, bucket, request, response)
        except (aiohttp.ClientError, TimeoutError, OSError):
            response.close()
            return None
        except BaseException:
            response.close()
            raise

    async def _sign(self, request: Outgoing, base: Base, credentials: Any) -> None:
        headers = request.headers
        headers["host"] = base.host
        payload = EMPTY
        if request.body is not None:
            payload = await _payload(request.body, headers, base.url)
        self._signer.sign(
            request.method,
            base.path + request.path,
            request.query,
            headers,
            payload,
            credentials,
            base.region,
        )

    async def _send(
        self, request: Outgoing, base: Base
    ) -> aiohttp.ClientResponse | None:
        assert self._session is not None  # noqa: S101  # set on opening
        query = f"?{request.query}" if request.query else ""
        body: Any = request.body
        if body is not None and len(body) >= _LARGE:
            body = SharedBytes(body)
        count(+1)
        try:
            return await self._session.request(
                request.method,
                URL(f"{base.url}{request.path}{query}", encoded=True),
                data=body,
                headers=request.headers,
                allow_redirects=False,
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if was_not_sent(error):
                count(-1)
            return None

    async def _settled(
        self,
        operation: str,
        bucket: str,
        request: Outgoing,
        response: aiohttp.ClientResponse,
    ) -> Mapping[str, Any] | None:
        status, headers = response.status, headers_of(response)
        answer = answer_of(status, headers) if status in _FOUND else None
        if answer is not None and request.method == "GET":
            if "content-length" not in headers:
                response.close()
                return None
            answer["Body"] = Body(response)
            return answer
        said = await _said(response)
        if answer is not None:
            return answer
        if status in _REFUSED:
            # It is known what became of this attempt: nothing.
            count(-1)
        self._heed(bucket, status, said)
        code = _code(request.method, status, said)
        if (status, code) in _REFUSALS:
            raise refusal(operation, status, code, headers)
        return None

    def _heed(self, bucket: str, status: int, said: bytes) -> None:
        """Leave a bucket that is elsewhere to the SDK, which finds out where."""
        if status in _ELSEWHERE or b"AuthorizationHeaderMalformed" in said:
            self._loan.leave(bucket)


async def _payload(body: bytes, headers: Mapping[str, str], url: str) -> str:
    """Return what the signature says of the body.

    TLS keeps it as it is, and the store holds it against a checksum of ours.
    """
    if url.startswith("https:"):
        return UNSIGNED
    checksum = headers.get("x-amz-checksum-sha256")
    if checksum is not None:
        return b64decode(checksum).hex()
    running = sha256()
    await feed(running, body)
    return running.hexdigest()


async def _said(response: aiohttp.ClientResponse) -> bytes:
    """Read the little that an answer says, so that its connection can be used again."""
    said = b""
    while not response.content.at_eof() and len(said) < _MOST_SAID:
        said += await response.content.read(_MOST_SAID)
    if not response.content.at_eof():
        response.close()
    return said


def _code(method: str, status: int, said: bytes) -> str:
    if method == "HEAD" and status == _NO_SUCH_KEY:
        # An answer to HEAD says nothing else.
        return "NoSuchKey"
    found = _CODE.search(said)
    return "" if found is None else found[1].decode()
