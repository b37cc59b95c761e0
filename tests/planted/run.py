"""Plant each defect in a copy of the project; its tests must fail there.

python -m tests.planted.run [--s3] [name ...]
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tests.planted.defects import DEFECTS
from tests.planted.groups.s3 import ON_S3

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.planted.defect import Defect

ROOT = Path(__file__).parents[2]
SECONDS = 120
COPIED = ("src", "tests")
CAUGHT, MISSED = "caught", "MISSED"
FAILED = re.compile(r"\b[1-9]\d* failed\b")


def main(names: list[str]) -> int:
    """Plant the defects of these names, all without any; return the exit code.

    `--s3` stands for those in the way to S3.
    """
    if "--s3" in names:
        names = [name for name in names if name != "--s3"]
        names += [defect.name for defect in ON_S3]
    unknown = set(names) - {defect.name for defect in DEFECTS}
    if unknown:
        print(f"no such defect: {', '.join(sorted(unknown))}")
        return 2
    chosen = [defect for defect in DEFECTS if not names or defect.name in names]
    with tempfile.TemporaryDirectory(prefix="planted-") as folder:
        return plant_all(chosen, Path(folder, "sound"), Path(folder, "broken"))


def plant_all(defects: Sequence[Defect], sound: Path, broken: Path) -> int:
    """Plant each defect in a fresh copy; return the exit code."""
    copy_project(broken)
    check_imported(broken)
    if not is_sound(defects, broken):
        return 1
    # What Python compiled meanwhile names this path; every copy stands there again.
    broken.rename(sound)
    caught = 0
    for defect in defects:
        begun = time.monotonic()
        shutil.copytree(sound, broken)
        plant(defect, broken)
        verdict = judged(defect, broken)
        shutil.rmtree(broken)
        caught += verdict == CAUGHT
        print(f"{verdict} {time.monotonic() - begun:5.1f} s  {defect.name}", flush=True)
    print(f"{caught}/{len(defects)} caught")
    return 0 if caught == len(defects) else 1


def is_sound(defects: Iterable[Defect], folder: Path) -> bool:
    """Tell whether all named tests pass on a copy without a defect."""
    tests = dict.fromkeys(test for defect in defects for test in defect.tests)
    code, output = run(folder, *tests, seconds=10 * SECONDS)
    if code != 0:
        print(output, "the named tests do not pass without a defect", sep="\n")
    return code == 0


def judged(defect: Defect, folder: Path) -> str:
    """Return `caught` when every named test fails on a copy with the defect."""
    for test in defect.tests:
        code, output = run(folder, test, seconds=SECONDS)
        # A broken import or fixture is an error and no failure: it tells nothing.
        if code != 1 or FAILED.search(output) is None:
            print(output, f"{test} does not see it", sep="\n")
            return MISSED
    return CAUGHT


def copy_project(folder: Path) -> None:
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
    broken = text.replace(defect.old, defect.new)
    compile(broken, path, "exec")
    path.write_text(broken)
    Path(importlib.util.cache_from_source(str(path))).unlink(missing_ok=True)


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
        end(process)
        return None, f"{process.communicate()[0]}\nno end after {seconds} s"
    except BaseException:
        end(process)
        raise
    return process.returncode, output


def end(process: subprocess.Popen[str]) -> None:
    """End a run and the servers that it started, which are of its session."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def environ(folder: Path) -> dict[str, str]:
    """Return the environment in which the copy is imported."""
    return os.environ | {"PYTHONPATH": str(folder / "src")}


if __name__ == "__main__":
    # Who ends this ends the run under way too, and leaves no copy.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(main(sys.argv[1:]))
