"""The README's Python blocks run, and its tables tell the truth."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import sys
from datetime import timedelta
from pathlib import Path
from types import ModuleType

import coatcheck
from coatcheck import Config

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
SECTIONS = (
    *("Two commands", "A stash in ten lines", "Backends", "Configuration"),
    *("Streaming", "Expiry", "Errors", "Without await", "Architecture", "Platforms"),
    *("What an untrusted address can and cannot do", "Changes"),
)


def run(block: str, names: dict[str, object]) -> None:
    """Run a block; one with `await` outside functions gets a loop of its own."""
    code = compile(block, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    if code.co_flags & inspect.CO_COROUTINE:

        async def awaited():
            await eval(code, names)

        asyncio.run(awaited())
    else:
        exec(code, names)


def test_the_blocks_run(tmp_path, monkeypatch, capsys):
    """Read from top to bottom, every block does what it says."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COATCHECK_BACKENDS", "inline,file")
    monkeypatch.setenv("COATCHECK_FILESYSTEM_ROOT", "./coats")
    module = ModuleType("readme")
    monkeypatch.setitem(sys.modules, "readme", module)
    assert len(BLOCKS) >= 10
    for block in BLOCKS:
        run(block, vars(module))
    assert (tmp_path / "copy.mp4").stat().st_size == 3_000_000


def test_it_has_what_a_reader_looks_for():
    """Every section that was promised is there."""
    headings = set(re.findall(r"^## (.*)$", README, re.MULTILINE))
    assert set(SECTIONS) <= headings


def test_the_ten_lines_are_ten():
    """The first block has no more than ten lines of code."""
    assert sum(bool(line.strip()) for line in BLOCKS[0].splitlines()) <= 10


def test_the_configuration_table_is_complete():
    """The table lists the fields of Config in order, with their defaults."""
    section = README.split("## Configuration")[1].split("## Streaming")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| .*\|$", section, re.MULTILINE)
    assert [name for name, _ in rows] == list(Config.model_fields)
    default = Config()
    for name, text in rows:
        value = getattr(default, name)
        if isinstance(value, timedelta):
            shown = {"60 s": 60, "15 min": 900}[text]
            assert value.total_seconds() == shown
        elif text == "64 MiB":
            assert value == 64 * 2**20
        else:
            scope = {"S3Config": coatcheck.S3Config}
            assert eval(text.strip("`"), scope) == value, name


def test_ci_runs_the_test_command():
    """`.ci/run` calls what the README tells a reader to run."""
    commands = re.findall(r"^python3 -m venv .*$", README, re.MULTILINE)
    assert len(commands) == 2
    assert commands[1] in (ROOT / ".ci" / "run").read_text()
