"""What every test stands on: a clean environment, a watched loop, nothing left open."""

from __future__ import annotations

import inspect
import logging
import os
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from tests.integration.wires import set_default_wire

import coatcheck
from coatcheck.backends._filesystem import Calls
from coatcheck.testing import ManualClock

pytest_plugins = ("tests.canary",)

SOURCES = str(Path(coatcheck.__file__).parent)
NOT_OURS = (
    *("<frozen importlib", logging.__file__, str(Path(__file__).parent)),
    # FastAPI looks once at the source of each endpoint.
    inspect.__file__,
)
# The blocking API has one thread for as long as the interpreter lives.
LASTING_THREADS = {"coatcheck-sync"}


def pytest_addoption(parser):
    """Let the tests of S3 run on either wire."""
    parser.addoption("--wire", choices=("auto", "sdk"), default="auto")


def pytest_configure(config):
    """Make the chosen wire what S3Config says unless told otherwise."""
    set_default_wire(config.getoption("--wire"))


settings.register_profile(
    "ci",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("ci")

_BLOCKING_EVENTS = {
    *("open", "time.sleep", "socket.connect", "subprocess.Popen", "fcntl.flock"),
    *("os.link", "os.listdir", "os.mkdir", "os.remove", "os.rename", "os.rmdir"),
    *("os.scandir", "os.truncate", "os.utime", "shutil.copyfile"),
}


def _in_running_loop() -> bool:
    asyncio = sys.modules.get("asyncio")
    if asyncio is None or asyncio._get_running_loop() is None:
        return False
    # The first S3 client is made in a loop of its own, in a worker thread.
    return not threading.current_thread().name.startswith("AnyIO worker")


def _is_ours() -> bool:
    """Tell whether coatcheck makes the call, and no import, log or look at source."""
    frame = sys._getframe(2)
    while frame is not None:
        if frame.f_code.co_filename.startswith(NOT_OURS):
            return False
        if frame.f_code.co_filename.startswith(SOURCES):
            return True
        frame = frame.f_back
    return False


class BlockingCall(BaseException):
    """Coatcheck waited for the operating system where an event loop runs.

    No Exception, so that no handler takes it for a failed call.
    """


def _watch(event: str, arguments: tuple) -> None:
    if event not in _BLOCKING_EVENTS or not _in_running_loop():
        return
    if event == "socket.connect" and arguments[0].gettimeout() == 0:
        # A socket that does not block is what event loops use.
        return
    if _is_ours():
        raise BlockingCall(event)


sys.addaudithook(_watch)


@pytest.fixture(autouse=True)
def watched_calls(monkeypatch):
    """Refuse every system call of the filesystem backend on a loop's thread."""

    def watched(name):
        original = getattr(Calls, name)

        def call(self, *args):
            if _in_running_loop():
                raise BlockingCall(name)
            return original(self, *args)

        return call

    for name in vars(Calls):
        if not name.startswith("_"):
            monkeypatch.setattr(Calls, name, watched(name))


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    """Hide the machine's own configuration and credentials."""
    for name in os.environ:
        if name.startswith(("AWS_", "COATCHECK_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(autouse=True)
def nothing_left_open(tmp_path):
    """Fail a test that leaves a file of its folder open, or a thread running."""
    yield
    left = [path for path in open_files() if path.startswith(str(tmp_path))]
    assert not left, f"left open: {left}"
    for thread in threading.enumerate():
        if thread.name.startswith("coatcheck") and thread.name not in LASTING_THREADS:
            thread.join(5)
            assert not thread.is_alive(), f"left running: {thread.name}"


def open_files() -> list[str]:
    """Return the paths of this process's open files."""
    folder = "/proc/self/fd"
    if not os.path.isdir(folder):
        return []
    found = []
    for name in os.listdir(folder):
        try:
            found.append(os.readlink(f"{folder}/{name}"))
        except FileNotFoundError:
            continue
    return found


@pytest.fixture
def clock():
    """A clock that stands still until the test advances it."""
    return ManualClock()
