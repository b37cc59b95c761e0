"""Looks for the tests' secrets in all that a run shows.

That is every CoatcheckError that is made, with all that led to it; the reprs of
configurations, backends and links; and every record that is logged at DEBUG, with
`--canary` those of the AWS SDK too, of which there are a hundred for a request. A test
in which a secret is shown fails. What runs in processes of its own is not looked at.
"""

from __future__ import annotations

import asyncio
import logging
import re
import traceback
from functools import wraps
from typing import TYPE_CHECKING

import pytest
from tests.integration import servers

from coatcheck import Address, Coatcheck, Config, S3Config
from coatcheck._core.signing import SignedRequest
from coatcheck.errors import CoatcheckError

if TYPE_CHECKING:
    from collections.abc import Callable

MARKS = (servers.MARK, "canarysignature")
LOGGERS = ("aiohttp", "coatcheck", "urllib3")
SDK_LOGGERS = ("aioboto3", "aiobotocore", "boto3", "botocore", "s3transfer")
SIGNATURE = re.compile(
    r"signature[\"']?\s*[:=]\s*(?:b?[\"'])?(?:[0-9a-f]{64}|[\w+/%]{27,})", re.IGNORECASE
)
DIGEST = re.compile(r"\b[0-9a-f]{64}\b")
MANY = 200
"""Errors that are kept at most until the test has ended."""
FRESH = 20
"""Errors among them whose causes may still be set."""


class Canary(logging.Handler):
    """Keeps what showed a secret, by the test in which it did."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(logging.Formatter("%(name)s: %(message)s"))
        self.signatures: set[str] = set()
        self.errors: list[CoatcheckError] = []
        self.found: list[str] = []
        self.looked = 0
        self.others = 0
        """Signatures that other processes looked for."""

    def look(self, where: str, text: str) -> None:
        """Look for secrets in a text."""
        self.looked += 1
        shown = [mark for mark in MARKS if mark in text]
        shown += [match.group() for match in SIGNATURE.finditer(text)]
        shown += self.signatures.intersection(DIGEST.findall(text))
        if shown:
            at = max(text.find(shown[0]) - 100, 0)
            self.found.append(f"{where}: ...{text[at : at + 300]}...")

    def emit(self, record: logging.LogRecord) -> None:
        """Look at a record as a handler writes it, and at what it was made of."""
        self.look("log", self.format(record))
        if record.args:
            self.look("log arguments", repr(record.args))

    def swallow(self, record: logging.LogRecord) -> bool:
        """Look at a record, as a logger's last filter, and let no handler have it."""
        self.emit(record)
        return False

    def look_at_errors(self, left: int = 0) -> None:
        """Look at the errors that were made, the newest excepted."""
        kept = len(self.errors) - left
        errors, self.errors = self.errors[:kept], self.errors[kept:]
        for error in errors:
            where = type(error).__name__
            self.look(where, f"{error!r} {error} {error.args} {vars(error)}")
            for each in chain(error):
                self.look(f"cause of {where}", f"{each!r} {each} {each.args}")
            self.look(where, "".join(traceback.format_exception(error)))

    def note(self, error: CoatcheckError) -> None:
        """Keep an error, to look at it when its causes are known."""
        self.errors.append(error)
        if len(self.errors) > MANY:
            self.look_at_errors(FRESH)

    def judge(self) -> None:
        """Fail if anything was found since the last time."""
        found, self.found = self.found, []
        if found:
            pytest.fail("secrets were shown:\n" + "\n".join(found), pytrace=False)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self):
        """Look at a test's errors before what they refer to is closed."""
        try:
            return (yield)
        finally:
            self.look_at_errors()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self):
        """Fail a test that showed a secret, its fixtures included."""
        result = yield
        self.look_at_errors()
        self.judge()
        return result

    def pytest_sessionfinish(self, session):
        """Tell who started this process, when it is one of several."""
        output = getattr(session.config, "workeroutput", {})
        output["canary"] = (self.looked, len(self.signatures))

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node):
        """Count what one of several processes looked at."""
        looked, signatures = getattr(node, "workeroutput", {}).get("canary", (0, 0))
        self.looked += looked
        self.others += signatures

    def pytest_terminal_summary(self, terminalreporter):
        """Say how much was looked at."""
        signatures = len(self.signatures) + self.others
        line = f"canary: {self.looked} texts, {signatures} signatures"
        terminalreporter.write_line(line)


def chain(error: BaseException) -> list[BaseException]:
    """Return what led to an error, suppressed or not."""
    found: list[BaseException] = []
    following = [error.__cause__, error.__context__]
    while following:
        each = following.pop()
        if each is not None and each is not error and each not in found:
            found.append(each)
            following += [each.__cause__, each.__context__]
            following += getattr(each, "exceptions", ())
    return found


def after(owner: type, name: str, do: Callable[..., None]) -> None:
    """Do something after each call of a method, with its object and its result."""
    original = getattr(owner, name)

    @wraps(original)
    def method(self, *args, **named):
        result = original(self, *args, **named)
        do(self, result)
        return result

    setattr(owner, name, method)


def watch(*, sdk_logs: bool) -> Canary:
    """Watch this process from now on."""
    from botocore.auth import SigV4Auth

    from coatcheck.backends._s3 import S3Backend

    canary = Canary()
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.DEBUG)
        logging.getLogger(name).addHandler(canary)

    def show(thing: object, _: object) -> None:
        canary.look(f"repr of {type(thing).__name__}", f"{thing!r}")

    def show_link(address: Address, _: object) -> None:
        if address.url is not None:
            show(address, None)

    def show_all(backend: S3Backend, _: object) -> None:
        parts = (backend, vars(backend), vars(backend.clients))
        canary.look("a backend", f"{parts!r}")

    for owner in (Config, S3Config, Coatcheck, SignedRequest):
        after(owner, "__init__", show)
    after(Address, "__init__", show_link)
    after(S3Backend, "bucket", show_all)
    after(CoatcheckError, "__init__", lambda error, _: canary.note(error))
    after(SigV4Auth, "signature", lambda _, made: canary.signatures.add(made))
    if sdk_logs:
        watch_sdk_logs(canary)
    return canary


def watch_sdk_logs(canary: Canary) -> None:
    """Let the SDK log all there is, and pytest keep none of it.

    A backend has been opened before, as a programme does before its first request.
    """
    asyncio.run(open_once())
    for name in SDK_LOGGERS:
        logging.getLogger(name).setLevel(logging.DEBUG)
        logging.getLogger(name).addHandler(canary)
    for name in tuple(logging.root.manager.loggerDict):
        if name.partition(".")[0] in SDK_LOGGERS:
            logging.getLogger(name).addFilter(canary.swallow)


async def open_once() -> None:
    """Open a backend, as a programme does before it makes its first request."""
    from coatcheck.backends._s3 import S3Backend

    async with S3Backend(S3Config(endpoint_url="http://127.0.0.1:9")):
        pass


def pytest_addoption(parser):
    """Add the option."""
    parser.addoption(
        "--canary", action="store_true", help="look at the AWS SDK's logs too"
    )


def pytest_configure(config):
    """Register the canary."""
    canary = watch(sdk_logs=config.getoption("canary"))
    config.pluginmanager.register(canary, "canary")
