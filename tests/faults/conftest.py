"""How the programmes are run: as processes of their own, which print JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.integration import servers

FOLDER = Path(__file__).parent


@pytest.fixture
def programme():
    """Run one of the programmes, and return and print what it reports."""

    def run(name: str, *options: object) -> dict:
        done = subprocess.run(
            [sys.executable, FOLDER / f"{name}_programme.py", *map(str, options)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        report = json.loads(done.stdout.splitlines()[-1])
        print(f"\n{name} {' '.join(map(str, options))}: {json.dumps(report, indent=2)}")
        return report

    return run


@pytest.fixture
def seaweed(tmp_path, monkeypatch):
    """SeaweedFS, for one test, and the credentials for it."""
    for name, text in servers.CREDENTIALS.items():
        monkeypatch.setenv(name, text)
    with servers.seaweedfs(tmp_path) as url:
        yield url
