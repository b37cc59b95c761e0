"""One request on its way to the upstream, and its answer on the way back."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from http.client import responses
from typing import TYPE_CHECKING, Final

from ._proxy_faults import Answer, DropAnswer, ResetAfterSending
from ._proxy_messages import STATUS, Head, answer_extent, request_extent
from ._proxy_relay import relay

if TYPE_CHECKING:
    from ._proxy_faults import AnswerFault
    from ._proxy_wire import Wire

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


async def answer_instead(client: Wire, request: Head, answer: Answer) -> bool:
    """Answer a request in the upstream's place, after all of it was read.

    Returns:
        Whether the client's connection may serve another request.
    """
    if _awaits_continue(request):
        await client.write(_CONTINUE)
    await client.skip(request_extent(request))
    head = Head(
        start=f"HTTP/1.1 {answer.status} {responses.get(answer.status, 'Unknown')}",
        fields=("Content-Type: application/xml", f"Content-Length: {len(answer.body)}"),
    )
    for name, value in answer.headers.items():
        head = head.replaced(name, value)
    silent = request.start.startswith("HEAD ") or answer.status in (204, 304)
    await client.write(head.encoded() + (b"" if silent else answer.body))
    return request.is_persistent and head.is_persistent


class Exchange:
    """Forwards a request, and lets its answer meet a fault.

    Args:
        client: Where the request's head came from; its body is still to come.
        upstream: A fresh connection.
        request: The head.
    """

    def __init__(self, client: Wire, upstream: Wire, request: Head) -> None:
        self._client = client
        self._upstream = upstream
        self._request = request
        self._body_comes = not _awaits_continue(request)

    async def run(self, fault: AnswerFault | None) -> bool:
        """Carry it out.

        The request's body and the answer travel at the same time: the upstream may
        ask for the body first, or refuse it.

        Returns:
            Whether the client's connection may serve another request.

        Raises:
            ExceptionGroup: Of OSError, EOFError and BadMessage: one side broke off.
        """
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(self._send())
            answering = group.create_task(self._answer_head())
            if isinstance(fault, ResetAfterSending):
                await asyncio.wait(
                    {sending, answering}, return_when=asyncio.FIRST_COMPLETED
                )
                await self._settle(sending)
                self._client.reset()
            answer = await answering
            if fault is not None:
                await self._settle(sending)
            keep = await self._pass_back(answer, fault)
            await self._settle(sending)
        return keep and not sending.cancelled()

    async def _send(self) -> None:
        listens = True
        with suppress(OSError):
            await self._upstream.write(self._request.encoded())
        async with aclosing(self._client.blocks(request_extent(self._request))) as body:
            async for block in body:
                # Who has answered may hang up; the client is heard to the end.
                if listens:
                    try:
                        await self._upstream.write(block.data)
                    except OSError:
                        listens = False

    async def _answer_head(self) -> Head:
        while answer := await self._upstream.head(STATUS):
            if answer.status >= 200:  # below it more is to come
                return answer
            self._body_comes = True
            if not self._client.is_closing:
                await self._client.write(answer.encoded())
        raise EOFError("the upstream closed without an answer")

    async def _settle(self, sending: asyncio.Task[None]) -> None:
        """Wait for the request's end, unless the client was told to keep its body."""
        if not self._body_comes:
            sending.cancel()
        await asyncio.wait({sending})

    async def _pass_back(self, answer: Head, fault: AnswerFault | None) -> bool:
        extent = answer_extent(answer, method=self._request.start.split(" ")[0])
        if isinstance(fault, ResetAfterSending | DropAnswer):
            await self._upstream.skip(extent)
            self._client.reset()
            return False
        keep = await relay(self._client, self._upstream, answer, extent, fault)
        return keep and self._request.is_persistent and answer.is_persistent


def _awaits_continue(request: Head) -> bool:
    return "100-continue" in request.headers.get("expect", "").lower()
