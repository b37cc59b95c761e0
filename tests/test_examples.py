"""The examples run as they stand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.integration import servers

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(name: str, *arguments: object) -> str:
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "error",
            EXAMPLES / name,
            *map(str, arguments),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout


def test_quickstart():
    """Two processes pass addresses, and the bad ones are seen."""
    output = run("quickstart.py", Path(__file__).parents[1] / "src")
    claimed = int(output.split(" claimed and verified")[0].split()[-1])
    assert claimed > 50
    assert "file://sources/coatcheck/__init__.py." in output
    assert "brief: StashNotFound" in output
    assert "tampered: IntegrityError" in output


def test_quickstart_refuses_what_is_no_folder():
    """A mistaken argument gets the usage."""
    done = subprocess.run(
        [sys.executable, EXAMPLES / "quickstart.py", "/nowhere"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "python examples/quickstart.py [FOLDER]" in done.stderr


def test_service(tmp_path):
    """The service answers with addresses, refuses bad orders, and ends."""
    check_service(run("service.py", tmp_path), "file")


def test_service_on_s3(tmp_path, monkeypatch):
    """The same on a real store, by configuration alone."""
    with servers.seaweedfs(tmp_path) as url:
        for name, text in servers.CREDENTIALS.items():
            monkeypatch.setenv(name, text)
        monkeypatch.setenv("COATCHECK_BACKENDS", "s3")
        monkeypatch.setenv("COATCHECK_S3__ENDPOINT_URL", url)
        monkeypatch.setenv("COATCHECK_S3__CREATE_BUCKETS", "true")
        check_service(run("service.py"), "s3")


def check_service(output, scheme):
    lines = output.splitlines()
    assert lines[0].startswith(f"{scheme}://default/result.")
    assert lines[0].endswith("holds {'total': 100000.0}")
    assert lines[1].endswith("holds {'total': 200000.0}")
    assert "this order cannot be taken" in lines[2]
    assert lines[3].startswith("no stash at")


def test_objects_service(tmp_path):
    """A service keeps objects of one scope, for who may have them."""
    lines = run("objects_service.py", tmp_path).splitlines()
    assert lines[0] == 'put: 200 {"key":"reports/may.txt"}'
    assert lines[1] == "get: 200 all is well"
    assert lines[2] == "range: 206 all"
    assert lines[3].startswith("another organisation: 403")
    assert lines[4].startswith("without the permission: 403")
    assert lines[5] == "by link: all is well"
    assert 'filename="may.txt"' in lines[6]


def test_script(tmp_path):
    """The blocking script lists a week and shows its errors."""
    output = run("script.py", tmp_path)
    assert output.count("file://diary/day-") == 7
    assert "verified by digest" in output
    assert "StashNotFound" in output
    assert "PayloadError" in output


def test_quickstart_on_s3():
    """The same job on a real store, with a link until it expires."""
    output = run("quickstart_s3.py")
    assert "s3://demo/report." in output
    assert "32 MiB verified by digest" in output
    assert "opened the report without credentials" in output
    assert "later: StashNotFound" in output


def test_links(tmp_path):
    """Links to files are opened by plain HTTP and by retrieve, until they expire."""
    output = run("links.py", tmp_path)
    size = (EXAMPLES / "links.py").stat().st_size
    assert f"{size} bytes by plain HTTP, text/x-python" in output
    assert "claimed 'report' and 'film', verified by digest" in output
    assert "later: no stash at 'http://127.0.0.1:" in output
    assert "share link expired" in output
    assert "?t=" not in output
    assert list(tmp_path.glob("jobs/*"))


def test_objects(tmp_path):
    """Tenants keep attachments in a folder, apart from each other, until they go."""
    output = run("objects.py", tmp_path)
    assert "as zstd" in output
    assert "2700000 bytes came back" in output
    assert "it lives 60 days longer" in output
    assert "exported 10485767 bytes whole: True" in output
    assert "another tenant has no such note" in output
    assert "22 would go, 22 went" in output
    assert "attachments org=42;project=1337: 22 objects" in output
