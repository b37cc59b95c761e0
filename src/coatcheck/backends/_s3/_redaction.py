"""What the SDK shows of secrets, taken out before anybody sees it.

At DEBUG it logs every request as it signs and sends it, session token and signature
included, and the answers of those who give out credentials. That is a matter of its
loggers, which are nobody's but the process's; so opening a backend puts a filter on
them. It costs nothing while they are quiet. Its errors keep the request that failed,
and aiohttp's show it; they lose it before they become the cause of ours.
"""

from __future__ import annotations

import logging
import re
from typing import Any, Final

from aiohttp import ClientResponseError
from botocore.exceptions import HTTPClientError

_LIBRARIES: Final = frozenset({"aioboto3", "aiobotocore", "boto3", "botocore"})
# A name as headers, queries, XML and JSON write it, what stands between, the value.
_SECRET: Final = re.compile(
    r"""((?:signature|signatureprovided|security-token|s3session-token
    |secretaccesskey|sessiontoken|accesstoken|refreshtoken|clientsecret|\btoken)
    ["']?\s*[:=>]\s*(?:b?["'])?)[^\s"'&,;<>\\]+
    |(authorization["']?\s*[:=]\s*(?:b?["'])?AWS\s[^:\s]+:)[^\s"']+""",
    re.IGNORECASE | re.VERBOSE,
)
_NO_HEADERS: Final[Any] = {}


def redact_sdk_logs() -> None:
    """Take secrets out of what the SDK's loggers log, from now on.

    A logger's filter sees what is logged on this logger alone, so each has it.
    """
    for name in tuple(logging.root.manager.loggerDict):
        if name.partition(".")[0] in _LIBRARIES:
            logging.getLogger(name).addFilter(_redact)


def _redact(record: logging.LogRecord) -> bool:
    message = record.getMessage()
    redacted = _SECRET.sub(r"\1\2...", message)
    if redacted != message:
        record.msg, record.args = redacted, None
    return True


def redact_error(error: BaseException) -> None:
    """Take the request out of an error of the SDK, and out of all that led to it.

    An answer that is no HTTP is told with the request's headers, and so with its
    signature and its session token.
    """
    seen: set[int] = set()
    following: list[BaseException | None] = [error]
    while following:
        each = following.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        following += [each.__cause__, each.__context__]
        if isinstance(each, HTTPClientError):
            each.request = each.response = None
        elif isinstance(each, ClientResponseError):
            each.request_info = each.request_info._replace(headers=_NO_HEADERS)
            each.history = ()
            each.args = (each.request_info, each.history)
