"""Processes that do the same at once do not disturb one another."""

from __future__ import annotations

import pytest


def check_race(report):
    rounds, processes = report["rounds"], report["processes"]
    assert report["failures"] == []
    assert report["addresses of same"] == rounds
    assert report["bodies"] == {"same": rounds, "own": rounds * processes}
    assert report["left among drafts"] == 0


def check_touches(report):
    assert "LOST" not in report
    assert "SERVED LATE" not in report
    assert set(report["reapers"]) == {0}
    assert report["touched in time"] + report["touched too late"] == report["rounds"]
    assert min(report["touched in time"], report["touched too late"]) > 0


def test_some_processes_create(programme):
    """Each payload has one address and one body, and nobody is told of a conflict."""
    check_race(programme("race", "--processes", 4, "--rounds", 5))


def test_some_touches_at_the_deadline(programme):
    """A touch that succeeded saved its stash, and one that failed came too late."""
    check_touches(programme("touch", "--rounds", 100))


@pytest.mark.faults
def test_many_processes_create(programme):
    """16 processes, 40 rounds."""
    check_race(programme("race"))


@pytest.mark.faults
def test_many_processes_create_on_s3(programme, seaweed):
    """16 processes, 40 rounds, on SeaweedFS."""
    check_race(programme("race", "--endpoint", seaweed))


@pytest.mark.faults
def test_many_touches_at_the_deadline(programme):
    """1 000 rounds."""
    check_touches(programme("touch"))
