"""Playing a workload: ours and theirs in turn, each in its process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from threading import Timer
from typing import TYPE_CHECKING, Any, Self

from tests.benchmarks.report import Row
from tests.benchmarks.side import PREPARE
from tests.benchmarks.workloads import BUCKET, OURS, REGION, Stage
from tests.integration import servers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.benchmarks.workloads import Peer, Workload

ROOT = Path(__file__).parents[2]
SECONDS_PER_ORDER = 300
"""Within these a side prepares, opens, or plays a round; several times what it takes."""
VOLUMES = "-volume.max=400"


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How much is measured."""

    rounds: int
    seconds: float
    """About how long one side's round takes."""

    def __str__(self) -> str:
        return (
            f"{self.rounds} rounds, ours and theirs in turn, each of about"
            f" {self.seconds} s or one operation or wave of them"
        )


FULL = Pace(rounds=5, seconds=0.6)
QUICK = Pace(rounds=2, seconds=0.3)


class Failed(Exception):
    """A side ended, or took too long."""


class Side:
    """A process that plays one side: `with Side(...) as side`."""

    def __init__(self, registry: str, workload: Workload, side: str, stage: Stage):
        self._what = f"{workload.name}, {side}"
        self._argv = [
            *(sys.executable, "-m", "tests.benchmarks.side"),
            *(registry, workload.name, side, json.dumps(asdict(stage))),
        ]
        self._stage = stage
        self._log = stage.path / f"{workload.name}.{side}.log"

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._argv,
                cwd=ROOT,
                env=environ(self._stage),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        return self

    def __exit__(self, *_exc: object) -> None:
        """End it: what it has open is thrown away with the stage."""
        self._process.kill()
        self._process.communicate()

    def ready(self) -> dict[str, Any]:
        """Wait until it can play; return what is not default in its configuration.

        What differs from run to run, it tells by its name.
        """
        text = json.dumps(self._answer().get("config", {}))
        for passing, name in (
            (self._stage.folder, "."),
            (self._stage.url, "SeaweedFS"),
        ):
            text = text.replace(passing, name) if passing else text
        return json.loads(text)

    def play(self, ops: int, *, check: bool) -> dict[str, Any]:
        """Play one round; return its figures."""
        order = json.dumps({"ops": ops, "check": check})
        # One that has ended is told of by the answer that it does not give.
        with suppress(BrokenPipeError):
            print(order, file=self._process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        late = Timer(SECONDS_PER_ORDER, self._process.kill)
        late.start()
        try:
            line = self._process.stdout.readline()
        finally:
            late.cancel()
        if not line:
            self._process.wait()
            told = self._log.read_text(errors="replace")[-2000:]
            raise Failed(
                f"{self._what} ended without an answer, or gave none for"
                f" {SECONDS_PER_ORDER} s:\n{told}"
            )
        return json.loads(line)


def environ(stage: Stage) -> dict[str, str]:
    """Return the environment of a side: credentials, and nothing of the machine's."""
    kept = {
        name: text
        for name, text in os.environ.items()
        if not name.startswith(("AWS_", "COATCHECK_"))
    }
    return {
        **kept,
        **servers.CREDENTIALS,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        # kstash takes the endpoint from here alone.
        **({"AWS_ENDPOINT_URL": stage.url} if stage.url else {}),
    }


@contextmanager
def playground() -> Iterator[Path]:
    """Give the folder of all stages, which goes when the last was played on.

    Removing thousands of files makes some file systems slow for a minute, and what is
    played next would be measured with it.
    """
    with tempfile.TemporaryDirectory(
        prefix="coatcheck-benchmark-", ignore_cleanup_errors=True
    ) as folder:
        yield Path(folder)


@contextmanager
def staged(ground: Path, *, needs_s3: bool, quick: bool) -> Iterator[Stage]:
    """Give a fresh folder, and a fresh SeaweedFS when it is needed."""
    folder = tempfile.mkdtemp(prefix="stage-", dir=ground)
    try:
        with ExitStack() as stack:
            url = ""
            if needs_s3:
                data = Path(folder, "seaweedfs")
                data.mkdir()
                url = stack.enter_context(servers.seaweedfs(data, VOLUMES))
                create_bucket(url)
            yield Stage(folder=folder, url=url, quick=quick)
    finally:
        if needs_s3:
            # It is few files and many bytes.
            shutil.rmtree(folder, ignore_errors=True)


def create_bucket(url: str) -> None:
    """Make the one bucket that all use."""
    import boto3

    boto3.client(
        "s3",
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id=servers.CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=servers.CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    ).create_bucket(Bucket=BUCKET)


@dataclass(frozen=True, kw_only=True)
class Played:
    """A row, and what was not default in ours."""

    row: Row
    config: dict[str, Any]


def prepare(registry: str, workload: Workload, stage: Stage) -> None:
    """Fill the stage."""
    if workload.prepare is not None:
        with Side(registry, workload, PREPARE, stage) as side:
            side.ready()


def play(
    registry: str, workload: Workload, peer: Peer, stage: Stage, pace: Pace
) -> Played:
    """Play ours and theirs in turn, as many rounds as the pace says."""
    with (
        Side(registry, workload, OURS, stage) as ours,
        Side(registry, workload, peer.name, stage) as theirs,
    ):
        config, _ = ours.ready(), theirs.ready()
        our_ops = workload.ops or paced(ours, workload, pace)
        their_ops = workload.ops or peer.ops or paced(theirs, workload, pace)
        samples = []
        for number in range(1, pace.rounds + 1):
            check = number in (1, pace.rounds)
            samples.append(
                {
                    "round": number,
                    "ours": ours.play(our_ops, check=check),
                    "theirs": theirs.play(their_ops, check=check),
                }
            )
        for sample in samples:
            for side in ("ours", "theirs"):
                figures = sample[side]
                rate = figures["ops"] / figures["seconds"]
                figures["rate"] = workload.amount * rate
        return Played(row=row_of(workload, peer, samples), config=config)


def paced(side: Side, workload: Workload, pace: Pace) -> int:
    """Warm a side up, and return how many operations take about a round's seconds."""
    least, most = workload.at_once, workload.most
    # The first operations also load and connect, and tell nothing of the others.
    side.play(least, check=True)
    ops = least
    while True:
        seconds = side.play(ops, check=False)["seconds"]
        fit = min(max(least, int(pace.seconds * ops / seconds)), most)
        if seconds > pace.seconds / 4 or ops == most:
            return fit
        ops = min(max(2 * ops, fit // 3), most)


def row_of(workload: Workload, peer: Peer, samples: list[dict[str, Any]]) -> Row:
    """Return what the rounds come to."""

    def middle(side: str, figure: str) -> float:
        return median(sample[side][figure] for sample in samples)

    ours, theirs = middle("ours", "rate"), middle("theirs", "rate")
    return Row(
        name=workload.name,
        peer=peer.name,
        unit=workload.unit,
        ours=ours,
        theirs=theirs,
        ratio=ours / theirs,
        ours_cpu_ms=middle("ours", "cpu_ms"),
        theirs_cpu_ms=middle("theirs", "cpu_ms"),
        rounds=len(samples),
        samples=samples,
    )


def weigh(registry: str, workload: Workload, stage: Stage) -> Played:
    """Do one operation of ours in a fresh process, and see what memory it takes."""
    with Side(registry, workload, OURS, stage) as ours:
        config = ours.ready()
        figures = ours.play(1, check=True)
        limit, extra = workload.most_extra_mib, max(figures["extra_rss_mib"], 0.1)
        row = Row(
            name=workload.name,
            peer="limit",
            unit=workload.unit,
            ours=extra,
            theirs=limit,
            ratio=limit / extra,
            ours_cpu_ms=figures["cpu_ms"],
            theirs_cpu_ms=None,
            rounds=1,
            samples=[{"round": 1, "ours": figures}],
        )
        return Played(row=row, config=config)
