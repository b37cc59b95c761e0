"""What a benchmark is made of: workloads, the sides that play them, and their loops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coatcheck import Config

OURS = "coatcheck"
BUCKET = "benchmark"
REGION = "us-east-1"
KIB, MIB = 1024, 1024 * 1024
MOST = 4000
NO_GOAL = 0.0
"""Of what is shown without a ratio that was agreed."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Where a workload is played; both sides stand on the same one."""

    folder: str
    """A folder of its own, gone afterwards."""
    url: str
    """S3's endpoint; empty where no workload of the stage needs one."""
    quick: bool
    """Whether a glance is all that is asked for."""

    @property
    def path(self) -> Path:
        return Path(self.folder)


@dataclass(frozen=True, kw_only=True)
class Loop:
    """What a side does in a round: one operation for each job."""

    jobs: Callable[[int], Sequence[Any]]
    """Prepares that many jobs; not timed."""
    operate: Callable[[Any], Any]
    """Does one job, awaited unless the loop is blocking; this is what is timed."""
    is_right: Callable[[Any, Any], Any]
    """Tells by a job and its result whether it was done; may be async; not timed."""
    tidy: Callable[[Sequence[Any]], Any] | None = None
    """Takes away what a round's jobs left; async; not timed."""
    blocking: bool = False
    """Whether it runs without an event loop, several at once in threads."""
    config: Config | None = None
    """Ours: the configuration, of which the report tells what is not default."""


Setup = Callable[
    [Stage], AbstractAsyncContextManager[Loop] | AbstractContextManager[Loop]
]
"""Opens a side on a stage; one that blocks is a plain context manager."""


@dataclass(frozen=True, kw_only=True)
class Peer:
    """Whom we are compared with in a workload."""

    name: str
    setup: Setup
    goal: float
    """The least ratio ours/theirs."""
    aim: float | None = None
    """The ratio that would be better still."""
    ops: int | None = None
    """Operations of a round; None is as many as fit, found by a warm-up."""


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What both sides do, and how it is counted."""

    name: str
    title: str
    """What one operation is, for the report."""
    ours: Setup
    peers: tuple[Peer, ...] = ()
    unit: str = "op/s"
    amount: float = 1
    """Units in one operation."""
    at_once: int = 1
    """Operations in flight."""
    ops: int | None = None
    """Operations of a round; None is as many as fit, found by a warm-up."""
    most: int = MOST
    """The most operations of a round: their jobs are prepared in memory."""
    needs_s3: bool = False
    prepare: Callable[[Stage], Any] | None = None
    """Async: fills the stage, in a process of its own, before either side enters."""
    group: str = ""
    """Workloads of one group share a stage; without one, each pair has its own."""
    most_extra_mib: float | None = None
    """What one operation may take of memory; a workload that has it has no peer."""
    slow: bool = False
    """Whether it is left out when a glance is all that is asked for."""

    def setup_of(self, side: str) -> Setup:
        return self.ours if side == OURS else self.peer(side).setup

    def peer(self, name: str) -> Peer:
        return next(peer for peer in self.peers if peer.name == name)
