"""The canary sings: each planted leak fails the test that it is in."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LEAKS = """
import logging
import pytest
from coatcheck import Address, S3Config
from coatcheck.errors import InvalidInput, NotFound
from tests.integration.servers import SECRET, SESSION_TOKEN

SIGNATURE = "X-Amz-Signature=" + "0a" * 32

def test_clean_words():
    logging.getLogger("coatcheck").debug("a signature: none")
    with pytest.raises(InvalidInput):
        raise InvalidInput("no secret is here")

def test_clean_sdk():
    logging.getLogger("botocore.auth").debug("x-amz-security-token:%s", SESSION_TOKEN)
    logging.getLogger("botocore.auth").debug("?%s", SIGNATURE)

def test_clean_link():
    repr(Address.parse(f"https://host/ns/n.{'0' * 32}?{SIGNATURE}"))

def test_log():
    logging.getLogger("coatcheck.expiry").debug("it is %s", SECRET)

def test_arguments():
    logging.getLogger("aiohttp.client").debug("%.1s", SECRET)

def test_traceback():
    try:
        raise ValueError(SECRET)
    except ValueError:
        logging.getLogger("coatcheck").exception("it failed")

def test_swallowed_error():
    InvalidInput(f"it is {SECRET}")

def test_attribute():
    InvalidInput("fine", key=SECRET)

def test_cause():
    try:
        raise ValueError(SECRET)
    except ValueError:
        InvalidInput("not raised")
        with pytest.raises(NotFound):
            raise NotFound("fine") from None

def test_repr():
    S3Config(region=SECRET)

def test_sdk_logger_without_filter():
    logging.getLogger("botocore.unknown").debug(SIGNATURE)

@pytest.fixture
def leaking():
    yield
    logging.getLogger("coatcheck").warning(SECRET)

def test_fixture(leaking):
    pass
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """Run the leaks under the canary; give the names by outcome."""
    path = tmp_path_factory.mktemp("leaks") / "test_leaks.py"
    path.write_text(LEAKS)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "tests.canary", "--canary"),
            *("-rA", "-c", "/dev/null", f"--rootdir={path.parent}", str(path)),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    found = {"PASSED": set(), "ERROR": set(), "FAILED": set()}
    for outcome, name in re.findall(r"^([A-Z]+) .*::(\w+)", done.stdout, re.MULTILINE):
        found[outcome].add(name)
    return found


def test_leaks_are_found(outcomes):
    """Logs, their arguments and tracebacks, errors, causes, reprs, fixtures."""
    written = set(re.findall(r"def (test_\w+)", LEAKS))
    assert outcomes["FAILED"] == set()
    assert outcomes["PASSED"] == written
    assert outcomes["ERROR"] == {
        name for name in written if not name.startswith("test_clean")
    }
