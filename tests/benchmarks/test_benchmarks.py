"""The benchmark measures what was agreed, and reports what it measured.

Nothing here looks at how long anything took.
"""

from __future__ import annotations

import json
from statistics import median

import pytest
from tests.benchmarks import registry, report, run, trial

AGREED = {
    ("s3.put.16k.c32", "aioboto3"): (2.5, None),
    ("s3.put.16k.c32", "obstore"): (0.85, 1.0),
    ("s3.put.16k.c32", "kstash"): (100, None),
    ("s3.put.16k.c32", "chuk-artifacts"): (100, None),
    ("s3.get.16k.c32", "aioboto3"): (3.5, None),
    ("s3.get.16k.c32", "obstore"): (1.1, 1.3),
    ("s3.get.16k.c32", "kstash"): (100, None),
    ("s3.get.16k.c32", "chuk-artifacts"): (100, None),
    ("s3.put.256m", "obstore"): (0.95, None),
    ("s3.put.256m", "aioboto3"): (1.0, None),
    ("s3.get.256m", "obstore"): (0.95, None),
    ("s3.get.256m", "aioboto3"): (1.0, None),
    ("file.put.16k.c32", "obstore"): (1.2, 1.8),
    ("file.put.16k.c32", "chuk-artifacts"): (5, None),
    ("file.get.16k.c32", "obstore"): (2.0, 3.0),
    ("file.get.16k.c32", "chuk-artifacts"): (5, None),
    ("mem.pair", "kstash"): (1.2, None),
    ("inline.pair", "kstash"): (1.2, None),
    ("mem.get.16k", "chuk-artifacts"): (0.8, 1.0),
    ("sync.s3.get.16k", "kstash"): (20, None),
    ("list.10k", "aioboto3"): (1.0, None),
    ("service.put.16k.c32", "direct"): (0, None),
    ("service.put.16k.c32", "aioboto3"): (0, None),
    ("service.get.16k.c32", "direct"): (0, None),
    ("service.get.16k.c32", "aioboto3"): (0, None),
}
WEIGHED = {
    **{
        f"memory.{backend}.{way}": 64
        for backend in ("file", "s3")
        for way in ("in", "in.path", "out", "out.path")
    },
    **{f"memory.{backend}.creates": 150 for backend in ("file", "s3")},
}
GROWN = {
    f"growth.{backend}.{verb}.{size}"
    for backend in ("mem", "file")
    for verb in ("create", "retrieve")
    for size in ("10k", "100k")
}
FIELDS = [
    *("name", "peer", "unit", "ours", "theirs", "ratio"),
    *("ours_cpu_ms", "theirs_cpu_ms", "rounds", "samples"),
]
TRIAL = "tests.benchmarks.trial"


def test_the_registry_is_what_was_agreed():
    """Every workload with its peers and goals, the memory and the growth; no others."""
    with_peers = {
        (workload.name, peer.name): (peer.goal, peer.aim)
        for workload in registry.WORKLOADS
        for peer in workload.peers
        if workload.name not in GROWN
    }
    assert with_peers == AGREED
    weighed = {
        workload.name: workload.most_extra_mib
        for workload in registry.WORKLOADS
        if not workload.peers
    }
    assert weighed == WEIGHED
    names = [workload.name for workload in registry.WORKLOADS]
    assert len(set(names)) == len(names)
    assert set(names) == {name for name, _ in AGREED} | WEIGHED.keys() | GROWN


def test_a_full_run_has_five_rounds():
    """Fewer are for a glance only."""
    assert run.play.FULL.rounds >= 5


@pytest.mark.parametrize(
    ("only", "quick", "found"),
    [
        (["mem.*"], False, ["mem.pair:kstash", "mem.get.16k:chuk-artifacts"]),
        (["list.10k"], True, ["list.10k:aioboto3"]),
        (
            ["file.*:obstore", "inline.pair"],
            False,
            [
                "file.put.16k.c32:obstore",
                "file.get.16k.c32:obstore",
                "inline.pair:kstash",
            ],
        ),
        (["memory.s3.out"], False, ["memory.s3.out"]),
        (
            ["growth.mem.create.*"],
            False,
            [
                "growth.mem.create.10k:1k",
                "growth.mem.create.100k:1k",
            ],
        ),
        (["nothing"], False, []),
    ],
)
def test_only_selects(only, quick, found):
    """Patterns name workloads, or one peer of them; more than one may be given."""
    wanted = run.chosen(registry.WORKLOADS, only, quick=quick)
    assert [match.text for match in wanted] == found


def test_quick_leaves_out_what_takes_long():
    """Unless it is named."""
    quick = run.chosen(registry.WORKLOADS, [], quick=True)
    full = run.chosen(registry.WORKLOADS, [], quick=False)
    left_out = {match.text for match in full} - {match.text for match in quick}
    assert left_out == {f"{name}:1k" for name in GROWN if name.endswith("100k")}
    assert run.chosen(registry.WORKLOADS, ["growth.mem.create.100k"], quick=True)


def test_a_run_reports_what_it_measured(tmp_path, capsys):
    """The JSON has its fields, the ratio is that of the medians, the table shows both."""
    path = tmp_path / "out.json"
    options = ["--quick", "--json", str(path), "--only", "trial.put:dict"]
    assert run.main([*options, "--only", "trial.get:blocking"], TRIAL) == 0
    rows = json.loads(path.read_text())
    assert [(row["name"], row["peer"]) for row in rows] == [
        ("trial.put", "dict"),
        ("trial.get", "blocking"),
    ]
    for row in rows:
        assert list(row) == FIELDS
        assert row["rounds"] == len(row["samples"]) == 2
        for side in ("ours", "theirs"):
            rates = [sample[side]["rate"] for sample in row["samples"]]
            assert row[side] == median(rates) > 0
            assert row[f"{side}_cpu_ms"] > 0
            for sample in row["samples"]:
                figures = sample[side]
                assert 0 < figures["p50_ms"] <= figures["p99_ms"]
                assert figures["extra_rss_mib"] >= 0
        assert row["ratio"] == pytest.approx(row["ours"] / row["theirs"])
    put, get = rows
    assert {sample["ours"]["ops"] for sample in put["samples"]} == {8}
    assert {sample["theirs"]["ops"] for sample in get["samples"]} <= set(range(4, 65))
    told = capsys.readouterr().out
    assert "async def a_dict" in told
    assert "def a_blocking_dict" in told
    assert "Config(backends=['mem'], max_inline_len=99): trial.put, trial.get" in told
    assert report.table(report.read_json(path), trial.WORKLOADS) in told


def test_memory_is_held_against_its_limit(tmp_path):
    """The row has the extra memory, the limit, and their ratio."""
    path = tmp_path / "out.json"
    assert run.main(["--json", str(path), "--only", "memory.trial"], TRIAL) == 0
    (row,) = json.loads(path.read_text())
    assert list(row) == FIELDS
    assert (row["peer"], row["unit"], row["theirs"]) == ("limit", "MiB", 40)
    assert 19 <= row["ours"] <= 30
    assert row["ratio"] == pytest.approx(40 / row["ours"])


@pytest.mark.parametrize(
    ("match", "why"),
    [
        ("trial.put:liar", "WrongResult: not done: ('a_liar-"),
        ("trial.get:broken", "RuntimeError: it does not open"),
    ],
)
def test_a_side_that_fails_has_no_figures(tmp_path, capsys, match, why):
    """It is told, nothing is reported of it, and the run ends with an error."""
    path = tmp_path / "out.json"
    assert run.main(["--quick", "--json", str(path), "--only", match], TRIAL) == 1
    assert json.loads(path.read_text()) == []
    told = capsys.readouterr().out
    assert f"FAILED: {match.replace(':', ', ')} ended without an answer" in told
    assert why in told


def test_a_stage_is_prepared_before_the_sides_enter(tmp_path):
    """And nothing of it is left afterwards."""
    options = ["--quick", "--json", str(tmp_path / "out.json")]
    assert run.main([*options, "--only", "trial.prepared"], TRIAL) == 0


def test_a_name_that_nothing_has_is_refused(capsys):
    """The names that there are, are told."""
    assert run.main(["--only", "s3.put.17k"], TRIAL) == 2
    assert "trial.get:blocking" in capsys.readouterr().out


def row(ratio, **fields):
    """Make a row."""
    about = {"name": "trial.put", "peer": "dict", "unit": "op/s"}
    figures = {"ours": ratio, "theirs": 1.0, "ratio": ratio, "rounds": 0}
    costs = {"ours_cpu_ms": 1.0, "theirs_cpu_ms": 1.0, "samples": []}
    return report.Row(**{**about, **figures, **costs, **fields})


@pytest.mark.parametrize(
    ("ratio", "word"), [(0.49, "MISSED"), (0.5, "met"), (999, "met"), (1000, "aim")]
)
def test_the_table_judges_by_the_goal(ratio, word):
    """Missed below it, met from it on, and a word more from the aim on."""
    line = report.table([row(ratio)], trial.WORKLOADS).splitlines()[1]
    assert line.split()[7] == word


def test_memory_within_its_limit_is_met():
    """Its goal is 1: as much as the limit, or less."""
    given = {"name": "memory.trial", "peer": "limit", "unit": "MiB"}
    lines = report.table(
        [row(1.0, **given), row(0.99, **given)], trial.WORKLOADS
    ).splitlines()
    assert [line.split()[6:8] for line in lines[1:]] == [["1", "met"], ["1", "MISSED"]]
