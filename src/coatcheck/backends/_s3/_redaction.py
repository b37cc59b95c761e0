"""What the SDK logs of secrets, taken out before any handler sees it.

At DEBUG it logs every request as it signs and sends it, session token and signature
included, and the answers of those who give out credentials. That is a matter of its
loggers, which are nobody's but the process's; so opening a backend puts a filter on
them. It costs nothing while they are quiet.
"""

from __future__ import annotations

import logging
import re
from typing import Final

_LIBRARIES: Final = frozenset({"aioboto3", "aiobotocore", "boto3", "botocore"})
# A name as headers, queries, XML and JSON write it, what stands between, the value.
_SECRET: Final = re.compile(
    r"""((?:signature|signatureprovided|security-token|s3session-token
    |secretaccesskey|sessiontoken|accesstoken|refreshtoken|clientsecret|\btoken)
    ["']?\s*[:=>]\s*(?:b?["'])?)[^\s"'&,;<>\\]+
    |(authorization["']?\s*[:=]\s*(?:b?["'])?AWS\s[^:\s]+:)[^\s"']+""",
    re.IGNORECASE | re.VERBOSE,
)


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
