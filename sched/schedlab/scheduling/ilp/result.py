"""What a solver is allowed, and what it says in the end."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

WORK_PER_SECOND = 300_000
"""Units of work of one second of solving: the component's decision time counts 3.3 us a unit."""


class Status(enum.Enum):
    """How a solve ended."""

    OPTIMAL = "optimal"
    """Every level of the objective is proven."""
    FEASIBLE = "feasible"
    """The best found in time; bounds say how far it may be from the optimum."""
    NO_PODS = "no-pods"
    NO_NODES = "no-nodes"


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a solve may take.

    Attributes
    ----------
    time_s : float
        Seconds: of wall time, or of deterministic work, in which a second is about what one core
        does in one.
    workers : int
        Threads; 0 = one per processor. More than one is faster, and not reproducible.
    deterministic : bool
        Count work instead of wall time: equal input, equal answer. Needs one worker.
    seed : int
        Seed of the searches.
    """

    time_s: float = 10.0
    workers: int = 1
    deterministic: bool = True
    seed: int = 0

    @property
    def reproducible(self) -> bool:
        """Whether two solves give the same answer."""
        return self.deterministic and self.workers == 1


@dataclass(frozen=True, slots=True)
class Level:
    """One level of the lexicographic objective, as it was solved.

    Attributes
    ----------
    name : str
        Name of the objective.
    priority : int or None
        It is about pods of this priority and above; None = about all.
    maximize : bool
        Which way is better.
    value : int
        What was reached.
    bound : float
        No admissible placement does better here that is as good on the levels before; infinite
        where nothing is known.
    by : str
        Who proved it, or gave the bound.
    """

    name: str
    priority: int | None
    maximize: bool
    value: int
    bound: float
    by: str

    @property
    def optimal(self) -> bool:
        """Whether the value is proven."""
        if self.maximize:
            return self.bound < self.value + 1
        return self.bound > self.value - 1

    @property
    def gap(self) -> float:
        """Relative distance to the bound, >= 0."""
        if self.optimal:
            return 0.0
        return abs(self.bound - self.value) / max(1.0, abs(float(self.value)))


@dataclass(frozen=True, slots=True)
class Move:
    """A running pod that goes from one node to another (rows of the cluster state)."""

    pod: int
    source: int
    target: int


@dataclass(frozen=True, slots=True)
class SolveResult:
    """A placement, and what is known of it.

    Attributes
    ----------
    status : Status
        How the solve ended.
    node : list of int, length P
        Row of the node of each pod of the batch, -1 = none.
    reasons : list of str, length P
        Why a pod is not placed; empty where it is.
    moved : list of Move
        Running pods that change their node.
    evicted : list of (int, int)
        Running pods that are taken away for good, with their node's row.
    levels : list of Level
        The levels of the objective, in order.
    placed_by_tier : dict of int to int
        Priority -> pods of it that run in the end, those that ran before included.
    work : int
        Deterministic units of work.
    wall_s : float
        Wall time; never part of a simulation.
    """

    status: Status
    node: list[int]
    reasons: list[str]
    moved: list[Move] = field(default_factory=list)
    evicted: list[tuple[int, int]] = field(default_factory=list)
    levels: list[Level] = field(default_factory=list)
    placed_by_tier: dict[int, int] = field(default_factory=dict)
    work: int = 0
    wall_s: float = 0.0

    @property
    def leading(self) -> Level | None:
        """The level that sums it up: pods placed over all priorities, else the first level."""
        placed = [level for level in self.levels if level.name == "placed"]
        return placed[-1] if placed else next(iter(self.levels), None)

    @property
    def objective(self) -> int | None:
        """Value of the leading level."""
        return None if self.leading is None else self.leading.value

    @property
    def bound(self) -> float | None:
        """Bound of the leading level."""
        return None if self.leading is None else self.leading.bound

    @property
    def gap(self) -> float | None:
        """Gap of the leading level."""
        return None if self.leading is None else self.leading.gap
