"""Nothing acknowledged is lost by kill -9, nothing is torn, and litter goes."""

from __future__ import annotations

import pytest


def test_kills_at_some_calls(programme):
    """At every system call of three acts, with and without O_TMPFILE."""
    report = programme("kill", "--every-call", "--acts", "create", "touch", "delete")
    assert report["kills at system calls"] > 100


def test_kills_at_some_moments(programme):
    """At random moments of a process that does everything at once."""
    report = programme("kill", "--random", 8)
    assert report["acknowledged"]["created"] > 0


@pytest.mark.faults
def test_kills_at_every_call(programme):
    """At every system call of every act."""
    report = programme("kill", "--every-call")
    assert len(report["by act"]) == 20


@pytest.mark.faults
def test_kills_at_many_moments(programme):
    """At 500 random moments."""
    report = programme("kill", "--random", 500)
    assert report["kills at random moments"] == 500
