"""Plant each defect in a copy of the project; its tests must fail there.

python -m tests.planted.run [name ...]
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.planted.defects import DEFECTS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.planted.defects import Defect

ROOT = Path(__file__).parents[2]
SECONDS = 120
COPIED = ("src", "tests")
FAILED = re.compile(r"\b[1-9]\d* failed\b")


def main(names: list[str]) -> int:
    """Plant the defects of these names, all without any; return the exit code."""
    unknown = set(names) - {defect.name for defect in DEFECTS}
    if unknown:
        print(f"no such defect: {', '.join(sorted(unknown))}")
        return 2
    chosen = [defect for defect in DEFECTS if not names or defect.name in names]
    if not is_sound(chosen):
        return 1
    caught = 0
    for defect in chosen:
        begun = time.monotonic()
        verdict = judged(defect)
        caught += verdict == "caught"
        print(f"{verdict:6} {time.monotonic() - begun:6.1f} s  {defect.name}")
        sys.stdout.flush()
    print(f"{caught}/{len(chosen)} caught")
    return 0 if caught == len(chosen) else 1


def is_sound(defects: Iterable[Defect]) -> bool:
    """Tell whether all named tests pass on a copy without a defect."""
    tests = dict.fromkeys(test for defect in defects for test in defect.tests)
    with tempfile.TemporaryDirectory(prefix="planted-") as folder:
        copy(Path(folder))
        check_imported(Path(folder))
        code, output = run(Path(folder), *tests, seconds=20 * SECONDS)
    if code:
        print(output, "the named tests do not pass without a defect", sep="\n")
    return code == 0


def judged(defect: Defect) -> str:
    """Return `caught` when every named test fails on a copy with the defect."""
    with tempfile.TemporaryDirectory(prefix="planted-") as folder:
        copy(Path(folder))
        plant(defect, Path(folder))
        for test in defect.tests:
            code, output = run(Path(folder), test, seconds=SECONDS)
            hung = code is None
            # A broken import or fixture is an error and no failure: it tells nothing.
            failed = code == 1 and FAILED.search(output) is not None
            if hung != defect.hangs or not (hung or failed):
                print(output, f"{test} missed {defect.name}", sep="\n")
                return "MISSED"
    return "caught"


def copy(folder: Path) -> None:
    """Copy what the tests need."""
    for name in COPIED:
        shutil.copytree(
            ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy2(ROOT / "pyproject.toml", folder)


def plant(defect: Defect, folder: Path) -> None:
    """Put the broken text in the place of the sound one."""
    path = folder / defect.file
    text = path.read_text()
    found = text.count(defect.old)
    if found != 1:
        raise SystemExit(f"{defect.name}: {defect.file} has its text {found} times")
    path.write_text(text.replace(defect.old, defect.new))
    compile(path.read_text(), path, "exec")


def check_imported(folder: Path) -> None:
    """Fail unless the copy is what tests import."""
    command = (sys.executable, "-c", "import coatcheck; print(coatcheck.__file__)")
    found = subprocess.run(
        command, cwd=folder, env=environ(folder), capture_output=True, check=True
    )
    if not Path(found.stdout.decode()).is_relative_to(folder):
        raise SystemExit(f"{found.stdout.decode().strip()} is not the copy")


def run(folder: Path, *tests: str, seconds: float) -> tuple[int | None, str]:
    """Run tests in a copy; return the exit code, None when time ran out."""
    process = subprocess.Popen(
        (
            *(sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"),
            *("-m", "", *tests),
        ),
        cwd=folder,
        env=environ(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        # The servers that a test started are of its session, and end with it.
        os.killpg(process.pid, signal.SIGKILL)
        return None, f"{process.communicate()[0]}\nno end after {seconds} s"
    return process.returncode, output


def environ(folder: Path) -> dict[str, str]:
    """Return the environment in which the copy is imported."""
    return os.environ | {"PYTHONPATH": str(folder / "src")}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
