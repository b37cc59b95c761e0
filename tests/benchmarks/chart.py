"""The chart: a bar for each workload and peer, with the goal marked.

python -m tests.benchmarks.chart RESULT.json CHART.png
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from tests.benchmarks.registry import WORKLOADS
from tests.benchmarks.report import goals_of, is_beside_others, read_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from tests.benchmarks.report import Row
    from tests.benchmarks.workloads import Workload

INK, QUIET, FAINT = "#1f2933", "#616e7c", "#e4e7eb"
MET, MISSED = "#2a9d8f", "#e9a23b"
THICK, BETWEEN = 0.66, 0.6
"""A bar's thickness, and the room between workloads, in rows."""
NAMES = -0.4
"""Where the workloads' names begin, left of the scale, as a share of its width."""
TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
FONT = {"family": "DejaVu Sans", "color": INK}


def draw(rows: Sequence[Row], workloads: Sequence[Workload], path: Path) -> None:
    """Draw the rows that stand beside another project."""
    shown = [row for row in rows if is_beside_others(row)]
    if not shown:
        return
    heights = places(shown)
    figure = Figure(figsize=(10.5, 1.9 + 0.31 * heights[-1]), dpi=160)
    axes = figure.add_subplot()
    lay_out(axes, shown, heights)
    for row, height in zip(shown, heights, strict=True):
        draw_bar(axes, row, height, *goals_of(row, workloads))
    titles = {workload.name: workload.title for workload in workloads}
    name_rows(axes, shown, heights, titles)
    explain(axes)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, bbox_inches="tight", pad_inches=0.25, facecolor="white")


def places(rows: Sequence[Row]) -> list[float]:
    """Return where each row stands, counted from above, with gaps between workloads."""
    heights: list[float] = []
    at, before = 0.0, rows[0].name
    for row in rows:
        at += 1 + (BETWEEN if row.name != before else 0)
        before = row.name
        heights.append(at)
    return heights


def lay_out(axes: Axes, rows: Sequence[Row], heights: Sequence[float]) -> None:
    """Make a logarithmic scale around 1, which is where both are equal."""
    ratios = [row.ratio for row in rows]
    axes.set_xscale("log")
    axes.set_xlim(min(0.5, *ratios) / 1.35, max(2.0, *ratios) * 2.2)
    axes.set_ylim(heights[-1] + 0.8, heights[0] - 0.8)
    axes.xaxis.set_major_locator(FixedLocator(TICKS))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda ratio, _: f"{ratio:g}×"))
    axes.tick_params(axis="x", length=0, colors=QUIET, labelsize=9)
    axes.grid(axis="x", color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.axvline(1, color=INK, linewidth=1.1)
    for side in ("left", "right", "top", "bottom"):
        axes.spines[side].set_visible(False)


def draw_bar(
    axes: Axes, row: Row, height: float, goal: float, aim: float | None
) -> None:
    """Draw the ratio from 1 on, its figure at the end, and the marks."""
    color = MET if row.ratio >= goal else MISSED
    axes.barh(height, row.ratio - 1, THICK, left=1, color=color)
    reach = max(1, row.ratio, goal, 1.04 * (aim or 0))
    half = THICK / 2 + 0.1
    axes.plot([goal, goal], [height - half, height + half], color=INK, linewidth=2)
    if aim is not None:
        axes.plot(aim, height, marker="D", markersize=5, color=INK, markerfacecolor="w")
    axes.text(
        reach * 1.09,
        height,
        f"{row.ratio:.{2 if row.ratio < 10 else 0}f}×",
        fontsize=9.5,
        fontweight="bold",
        verticalalignment="center",
        **FONT,
    )


def name_rows(
    axes: Axes, rows: Sequence[Row], heights: Sequence[float], titles: dict[str, str]
) -> None:
    """Write the peer beside each bar, and the workload before its first."""
    axes.set_yticks(heights, [row.peer for row in rows], fontsize=9.5, **FONT)
    axes.tick_params(axis="y", length=0, pad=6)
    before = ""
    for row, height in zip(rows, heights, strict=True):
        if row.name != before:
            place = {"transform": axes.get_yaxis_transform(), "va": "center"}
            axes.text(
                *(NAMES, height, row.name), **place, **FONT, size=9.5, weight="bold"
            )
            axes.text(
                NAMES, height + 0.58, titles[row.name], **place, size=7.5, color=QUIET
            )
        before = row.name


def explain(axes: Axes) -> None:
    """Write what is shown above it."""
    axes.set_title(
        "Throughput, coatcheck / peer: right of 1× coatcheck is faster",
        loc="left",
        x=NAMES,
        pad=34,
        size=13,
        weight="bold",
        **FONT,
    )
    mark = {"color": INK, "linestyle": ""}
    axes.legend(
        handles=[
            Patch(color=MET, label="goal met"),
            Patch(color=MISSED, label="goal missed"),
            Line2D([], [], marker="|", ms=12, mew=2, label="goal", **mark),
            Line2D([], [], marker="D", ms=5, mfc="w", label="better still", **mark),
        ],
        loc="lower left",
        bbox_to_anchor=(NAMES - 0.01, 1.0),
        ncols=4,
        frameon=False,
        fontsize=9.5,
        labelcolor=INK,
    )


if __name__ == "__main__":
    draw(read_json(Path(sys.argv[1])), WORKLOADS, Path(sys.argv[2]))
