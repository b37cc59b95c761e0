"""What all usecases and scopes hold, for an operator."""

from __future__ import annotations

import json
from contextlib import aclosing
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from coatcheck._core.permissions import ADMIN_USAGE
from coatcheck._core.scopes import Scope
from coatcheck.objects import usage

from ._exchange import JSON, Exchange
from ._refusals import Refusal

if TYPE_CHECKING:
    from coatcheck.objects import ScopeUsage

    from ._exchange import ASGIScope, Receive, Send
    from ._service import Service

PATH: Final = "/admin/usage"
_SWITCH: Final = {"": False, "0": False, "false": False, "1": True, "true": True}


class UsageRoute:
    """Answers `GET /admin/usage` to who has the permission for it.

    Args:
        service: The service.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        """Answer a request, scope by scope while they are counted."""
        exchange = Exchange(scope, receive, send)
        service = self._service
        grant = service.auth.grant(exchange, service.bucket.now())
        query = exchange.query
        by_day = _SWITCH.get(query.get("by_day", "").lower())
        if by_day is None:
            raise Refusal(400, "client error: by_day is true or false")
        named = query.get("scope")
        within = None if named is None else Scope.parse(named)
        grant.check(ADMIN_USAGE, None)
        async with service.slots.one():
            counted = usage(
                service.bucket,
                usecase=query.get("usecase"),
                scope=within,
                by_day=by_day,
            )
            async with aclosing(counted):
                # The first is counted before the answer begins, so that it can fail.
                first = await anext(counted, None)
                await exchange.start(200, [JSON])
                await _piece(exchange, b'{"scopes":[')
                if first is not None:
                    await _piece(exchange, _encoded(first))
                async for each in counted:
                    await _piece(exchange, b"," + _encoded(each))
        await _piece(exchange, b"]}", more=False)


async def _piece(exchange: Exchange, body: bytes, *, more: bool = True) -> None:
    await exchange.send({"type": "http.response.body", "body": body, "more_body": more})


def _encoded(counted: ScopeUsage) -> bytes:
    return json.dumps(usage_document(counted)).encode()


def usage_document(counted: ScopeUsage) -> dict[str, object]:
    """Return what a scope holds as JSON has it."""
    document: dict[str, object] = {
        "usecase": counted.usecase,
        "scope": str(counted.scope),
        **asdict(counted.amount),
    }
    if counted.days:
        document["days"] = {
            "never" if day is None else day.isoformat(): asdict(amount)
            for day, amount in counted.days.items()
        }
    return document
