"""The watchers see what they are there for."""

from __future__ import annotations

import asyncio
import os

import pytest

from coatcheck.backends._filesystem import Calls


def of_coatcheck(source):
    """Run code as if it stood in the library."""
    import coatcheck

    path = os.path.join(os.path.dirname(coatcheck.__file__), "imagined.py")
    exec(compile(source, path, "exec"), {"os": os})


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "source",
    ["open(os.devnull).close()", "os.listdir('/')", "os.mkdir('/')"],
)
async def test_blocking_calls_of_the_library_are_seen(source):
    """What waits for the system in the loop's thread is refused."""
    with pytest.raises(BaseException, match=r"^(open|os\.listdir|os\.mkdir)$"):
        of_coatcheck(source)


@pytest.mark.asyncio
async def test_threads_and_tests_may_block():
    """The same calls are allowed in a thread, and to tests everywhere."""
    await asyncio.to_thread(of_coatcheck, "os.listdir('/')")
    assert os.listdir("/")


@pytest.mark.asyncio
async def test_system_calls_of_files_are_seen():
    """Reads and writes, of which the interpreter does not tell, are seen too."""
    with pytest.raises(BaseException, match="^list_folder$"):
        Calls().list_folder(0)
