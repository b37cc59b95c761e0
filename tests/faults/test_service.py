"""The service under load: its memory, and what kills leave."""

from __future__ import annotations

import pytest


def check_kills(report):
    assert "LOST" not in report
    assert "TORN" not in report
    assert not [name for name in report if name.startswith("STATUS")]
    assert report["uploads left"] == report["drafts left"] == 0
    assert min(report["acknowledged"].values()) > 0
    assert report["as acknowledged"] > report["kills"]


def test_some_kills_under_load(programme):
    """What was acknowledged is there, what was not is whole or not there at all."""
    check_kills(programme("service_kill", "--kills", 8))


@pytest.mark.faults
def test_many_kills_under_load(programme):
    """100 kills."""
    check_kills(programme("service_kill"))


@pytest.mark.parametrize("mib", [200, pytest.param(1024, marks=pytest.mark.faults)])
def test_bodies_need_constant_memory(programme, mib):
    """In, out and resumable, on files: at most 64 MiB more on either side."""
    report = programme("service_memory", "--mib", mib)
    assert max(report["extra MiB"].values()) <= 64


@pytest.mark.faults
def test_bodies_need_constant_memory_on_s3(programme):
    """One body at a time on SeaweedFS; four at once have four times the pieces."""
    report = programme("service_memory", "--s3")
    grown = report["extra MiB"]
    assert grown.pop("4 puts at once") <= 4 * 64
    assert grown.pop("8 gets at once") <= 8 * 64
    assert max(grown.values()) <= 64


def check_touches(report):
    bad = [name for name in report if name != name.lower() and name != "MiB"]
    assert bad == []
    assert report["put again"] == report["rounds"]
    assert report["read in time"] + report["read too late"] == report["rounds"]
    assert report["read after the old deadline"] > 0
    assert min(report["renewed"], report["read too late"]) > 0
    assert report["answers held back"] > report["rounds"] / 2


@pytest.mark.parametrize("storage", ["memory", "files"])
def test_some_touches_at_the_deadline(programme, storage):
    """What services said of an object at its deadline held, whoever reaped it."""
    check_touches(programme("service_touch", "--storage", storage, "--rounds", 50))


@pytest.mark.faults
@pytest.mark.parametrize("storage", ["memory", "files", "s3"])
def test_many_touches_at_the_deadline(programme, storage):
    """1 000 rounds, with answers held back."""
    check_touches(programme("service_touch", "--storage", storage))
