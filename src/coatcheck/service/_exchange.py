"""One request and its answer, as little around ASGI as will do."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import unquote_to_bytes

from coatcheck._core.objects import NOTHING

from ._refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIScope: TypeAlias = MutableMapping[str, Any]

Headers: TypeAlias = list[tuple[bytes, bytes]]
NO_CONTENT: Final = 204
JSON: Final = (b"content-type", b"application/json")


class Exchange:
    """A request, undecoded, and the way to answer it.

    Args:
        scope: ASGI's scope of the request.
        receive: ASGI's receive.
        send: ASGI's send.
    """

    def __init__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.receive = receive
        self.send = send
        self.method: str = scope["method"]
        self._headers: dict[str, str] = {}
        self._twice: set[str] = set()
        for raw_name, raw_value in scope["headers"]:
            name = raw_name.decode("latin-1")
            if name in self._headers:
                self._twice.add(name)
            self._headers[name] = raw_value.decode("latin-1")

    @property
    def raw_path(self) -> str:
        """The whole path as it was sent."""
        raw_path: bytes = self.scope["raw_path"]
        return raw_path.decode("latin-1")

    @cached_property
    def raw_query(self) -> str:
        """The query as it was sent."""
        query: bytes = self.scope["query_string"]
        return query.decode("latin-1")

    def header(self, name: str) -> str | None:
        """Return a header that may stand once.

        Raises:
            Refusal: It is given twice.
        """
        if name in self._twice:
            raise Refusal(400, f"client error: header {name} is given twice")
        return self._headers.get(name)

    def headers_from(self, *prefixes: str) -> dict[str, str]:
        """Return the headers whose names begin with one of these.

        Raises:
            Refusal: One of them is given twice.
        """
        names = [name for name in self._headers if name.startswith(prefixes)]
        return {name: self.header(name) or "" for name in names}

    @cached_property
    def query(self) -> Mapping[str, str]:
        """The decoded parameters, of which each stands once.

        Raises:
            Refusal: One is given twice, or is not UTF-8.
        """
        found: dict[str, str] = {}
        for pair in filter(None, self.raw_query.split("&")):
            raw_name, _, raw_value = pair.partition("=")
            name = _decoded(raw_name)
            if name in found:
                raise Refusal(400, f"client error: {name[:40]!a} is given twice")
            found[name] = _decoded(raw_value)
        return found

    async def answer(
        self, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes = b""
    ) -> None:
        """Send a whole answer; HEAD and 204 get no body."""
        listed = list(headers)
        if status != NO_CONTENT and not any(
            name == b"content-length" for name, _ in listed
        ):
            listed.append((b"content-length", b"%d" % len(body)))
        await self.start(status, listed)
        await self.send(
            {"type": "http.response.body", "body": b"" if self.is_head else body}
        )

    @property
    def is_head(self) -> bool:
        """Whether only headers are wanted."""
        return self.method == "HEAD"

    async def start(self, status: int, headers: Headers) -> None:
        """Send status and headers."""
        await self.send(
            {"type": "http.response.start", "status": status, "headers": headers}
        )

    async def answer_json(
        self, status: int, document: object, headers: Mapping[str, str] = NOTHING
    ) -> None:
        """Send a JSON document."""
        body = json.dumps(document, separators=(",", ":")).encode()
        await self.answer(status, [JSON, *encoded(headers)], body)


def encoded(headers: Mapping[str, str]) -> Headers:
    """Return headers as ASGI wants them."""
    return [(name.encode(), text.encode("latin-1")) for name, text in headers.items()]


def _decoded(text: str) -> str:
    try:
        return unquote_to_bytes(text.replace("+", " ")).decode()
    except UnicodeDecodeError:
        raise Refusal(400, "client error: the query is not UTF-8") from None
