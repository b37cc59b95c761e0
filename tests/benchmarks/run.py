"""Coatcheck beside its peers.

python -m tests.benchmarks.run [--json PATH] [--chart PATH] [--only PATTERN] [--quick]
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib import import_module
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks import play, report
from tests.benchmarks.workloads import Peer, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.benchmarks.play import Pace, Played
    from tests.benchmarks.workloads import Stage

REGISTRY = "tests.benchmarks.registry"


@dataclass(frozen=True, kw_only=True)
class Match:
    """A workload and whom it is played against; nobody where memory is weighed."""

    workload: Workload
    peer: Peer | None

    @property
    def text(self) -> str:
        peer = "" if self.peer is None else f":{self.peer.name}"
        return f"{self.workload.name}{peer}"

    @property
    def stage(self) -> str:
        """What the matches of one stage have in common."""
        return self.workload.group or self.text


def matches(workloads: Sequence[Workload]) -> list[Match]:
    return [
        Match(workload=workload, peer=peer)
        for workload in workloads
        for peer in workload.peers or (None,)
    ]


def chosen(
    workloads: Sequence[Workload], only: Sequence[str], *, quick: bool
) -> list[Match]:
    """Return what one of the patterns names; without any, all but what quick omits."""
    if not only:
        return [
            each for each in matches(workloads) if not (quick and each.workload.slow)
        ]
    return [
        each
        for each in matches(workloads)
        for texts in [(each.workload.name, each.text)]
        if any(fnmatchcase(text, pattern) for text in texts for pattern in only)
    ]


def play_all(
    registry: str, wanted: Sequence[Match], pace: Pace
) -> Iterator[Played | play.Failed]:
    """Play one match after the other; a side that fails is told and passed over."""
    quick = pace is play.QUICK
    with play.playground() as ground:
        for _, group in groupby(wanted, key=lambda match: match.stage):
            together = list(group)
            needs_s3 = any(match.workload.needs_s3 for match in together)
            with play.staged(ground, needs_s3=needs_s3, quick=quick) as stage:
                for match in together:
                    try:
                        yield play_one(registry, match, stage, pace)
                    except play.Failed as failure:
                        yield failure


def play_one(registry: str, match: Match, stage: Stage, pace: Pace) -> Played:
    play.prepare(registry, match.workload, stage)
    if match.peer is None:
        return play.weigh(registry, match.workload, stage)
    return play.play(registry, match.workload, match.peer, stage, pace)


def main(argv: Sequence[str] | None = None, registry: str = REGISTRY) -> int:
    """Play what is asked for, and print and write the report; return the exit code."""
    options = parsed(argv)
    workloads = import_module(registry).WORKLOADS
    wanted = chosen(workloads, options.only, quick=options.quick)
    if not wanted:
        names = "\n  ".join(match.text for match in matches(workloads))
        print(f"nothing has the name {' or '.join(options.only)}; there are\n  {names}")
        return 2
    pace = play.QUICK if options.quick else play.FULL
    print(report.heading(), pace, sep="\n", flush=True)
    begun, played = time.monotonic(), []
    try:
        for outcome in play_all(registry, wanted, pace):
            print(f"{time.monotonic() - begun:4.0f} s  {told(outcome)}", flush=True)
            if not isinstance(outcome, play.Failed):
                played.append(outcome)
    except KeyboardInterrupt:
        print("interrupted; this was found until then", flush=True)
    conclude(played, workloads, options)
    print(f"{len(played)} of {len(wanted)} rows in {time.monotonic() - begun:.0f} s")
    return 0 if len(played) == len(wanted) else 1


def told(outcome: Played | play.Failed) -> str:
    """Return what came of a match, for the time while others are still played."""
    if isinstance(outcome, play.Failed):
        return f"FAILED: {outcome}"
    return report.line(outcome.row)


def conclude(
    played: Sequence[Played], workloads: Sequence[Workload], options: argparse.Namespace
) -> None:
    """Print all that was found, write the JSON, draw the chart."""
    rows = [each.row for each in played]
    print(
        "\n== What the peers ran ==\n",
        report.loops(workloads, rows),
        "\n== What was not default in coatcheck's Config ==\n",
        report.configs((each.row.name, each.config) for each in played),
        "\n== Results ==\n",
        report.table(rows, workloads),
        "\n",
        sep="\n",
    )
    if options.json is not None:
        report.write_json(rows, options.json)
    if options.chart is not None:
        # Only the benchmark's own session brings matplotlib.
        from tests.benchmarks.chart import draw

        draw(rows, workloads, options.chart)


def parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bench", description="Measure coatcheck beside its peers."
    )
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the rows")
    parser.add_argument("--chart", type=Path, metavar="PATH", help="draw a PNG")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="PATTERN",
        help="names such as 's3.*' or '*:obstore'; may be given more than once",
    )
    parser.add_argument(
        "--quick", action="store_true", help="a glance, whose figures prove nothing"
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    # Who ends this ends the sides and servers under way, and sees what was found.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
