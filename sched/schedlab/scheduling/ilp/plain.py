"""Problems of resources, masks and tiers alone: local search from below, bounds from above.

For each level the search looks for a better placement and the bounds for a proof that there is
none, in turn, until they meet or the level's share of the time is used. No integer program is
solved: on such problems the pair was measured far ahead of CP-SAT from a few hundred unknowns on.
What it leaves open is tried by the backend.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from schedlab.scheduling.ilp.budget import TimeBudget
from schedlab.scheduling.ilp.model import AssignmentModel, Ints
from schedlab.scheduling.ilp.objectives import Step, disruption_of, placed_of
from schedlab.scheduling.ilp.patterns import Packing, PatternBound
from schedlab.scheduling.ilp.result import Level
from schedlab.scheduling.ilp.search import LocalSearch

SEARCHED = ("placed", "disruption")
"""Objectives that the search knows."""
FIRST_LOOK = 0.25
"""Share of a level's time that the search may take before the bounds have their turn."""


def searchable(model: AssignmentModel, steps: Sequence[Step]) -> bool:
    """Return whether the search keeps all the rules of a problem and knows its first level."""
    displace = model.displace
    free = not model.running.any() or (
        displace.moves
        and displace.budget is None
        and not (displace.respect_budgets and model.couplings.budgets)
    )
    return model.plain and free and bool(steps) and steps[0].name == "placed"


class PlainSolver:
    """Solves the first levels of a plain problem.

    Parameters
    ----------
    model : AssignmentModel
        The problem.
    x : int64 array of shape [G, N]
        An admissible placement.
    budget : TimeBudget
        The time of the whole solve.
    """

    def __init__(self, model: AssignmentModel, x: Ints, budget: TimeBudget) -> None:
        self.model = model
        self.budget = budget
        self.search = LocalSearch(model, x, budget)
        self._floors: list[tuple[int, int]] = []

    def level(self, step: Step, next_: Step | None, seconds: float) -> Level:
        """Solve one level within some time, those before it held.

        Parameters
        ----------
        step : Step
            The level: placed or disruption.
        next_ : Step or None
            The one after it: where it is the disruption of the same tier, placements that leave
            running pods alone are tried first.
        seconds : float
            Time at most.
        """
        tier = len(self.model.priorities) - 1 if step.tier is None else step.tier
        if step.name == "disruption":
            value, bound = self._disruption(tier, seconds)
        else:
            gently = next_ is not None and next_.name == "disruption"
            value, bound = self._placed(tier, gently=gently, seconds=seconds)
        priority = None if step.tier is None else int(self.model.priorities[step.tier])
        by = "search and bounds"
        return Level(step.name, priority, step.maximize, value, bound, by)

    def _placed(self, tier: int, *, gently: bool, seconds: float) -> tuple[int, float]:
        search, end = self.search, self.budget.spent + seconds
        total = int(self.model.demand[self.model.tier <= tier].sum())
        packing, start, kind = self._packing(tier)
        bound = math.floor(packing.pooled_bound() + 1e-6) + self._locked(tier)
        least = total - bound
        if gently and search.unplaced(tier) > least:
            kept = search.pods.locked.copy()
            search.lock_at_home(tier)
            search.place(tier, least, FIRST_LOOK * (end - self.budget.spent))
            search.pods.locked[:] = kept
        search.place(tier, least, FIRST_LOOK * (end - self.budget.spent))
        if search.unplaced(tier) > least:
            bound = self._meet(tier, PatternBound(packing, start, kind), bound, end)
        value = total - search.unplaced(tier)
        self._floors.append((tier, value))
        return value, float(bound)

    def _meet(self, tier: int, patterns: PatternBound, bound: int, end: float) -> int:
        """Let bound and search work in turn until they meet; return the bound."""
        total = int(self.model.demand[self.model.tier <= tier].sum())
        locked = self._locked(tier)
        while self.budget.spent < end:
            value = total - self.search.unplaced(tier)
            turn = max(0.5 * (end - self.budget.spent), 0.02)
            proven = patterns.improve(value - locked + 1, self.budget, turn)
            bound = min(bound, math.floor(proven) + locked)
            if bound <= value:
                break
            self.search.place(tier, total - bound, min(turn, max(end - self.budget.spent, 0.0)))
        return bound

    def _disruption(self, tier: int, seconds: float) -> tuple[int, float]:
        x = self.search.pods.counts(self.model)
        if disruption_of(self.model, x, tier):
            self.search.calm(tier, seconds)
            x = self.search.pods.counts(self.model)
        value = disruption_of(self.model, x, tier)
        self.search.lock_at_home(tier)
        return value, 0.0

    def _locked(self, tier: int) -> int:
        """Return how many pods of a tier and above stay where they are by an earlier level."""
        pods = self.search.pods
        return int((pods.locked & (self.model.tier[pods.group] <= tier)).sum())

    def _packing(self, tier: int) -> tuple[Packing, Ints, Ints]:
        """Return what is left of the problem for a bound, a placement of it, and kinds of nodes."""
        model, pods = self.model, self.search.pods
        groups = np.flatnonzero(model.tier <= tier)
        counted = model.tier[pods.group] <= tier
        locked = pods.locked & counted
        held = np.zeros(model.mask.shape, np.int64)
        np.add.at(held, (pods.group[locked], pods.node[locked]), 1)
        free = counted & ~pods.locked
        demand = np.bincount(pods.group[free], minlength=len(model.groups))[groups]
        here = np.zeros(model.mask.shape, np.int64)
        placed = free & (pods.node < len(model.rows))
        np.add.at(here, (pods.group[placed], pods.node[placed]), 1)
        capacity = np.maximum(model.free, model.loads(model.running))
        room = (capacity - model.loads(held)).T
        most = np.minimum(np.maximum(model.upper, model.running), model.demand[:, None])[groups].T
        kind, chosen = kinds_of(room, most)
        floors = []
        for above, value in self._floors:
            inside = model.tier[groups] <= above
            floors.append((inside, value - self._locked(above)))
        packing = Packing(
            model.requests[:, groups].T,
            demand,
            room[chosen],
            most[chosen],
            np.bincount(kind, minlength=len(chosen)),
            np.ones(len(groups)),
            floors,
        )
        return packing, here[groups].T, kind


def kinds_of(room: Ints, most: Ints) -> tuple[Ints, Ints]:
    """Return the kind of each node [N], by what it has and what may go there, and a node of each.

    Parameters
    ----------
    room : int64 array of shape [N, K]
        What the nodes have.
    most : int64 array of shape [N, G]
        Pods of each group at most.
    """
    _, chosen, kind = np.unique(
        np.hstack([room, most]), axis=0, return_index=True, return_inverse=True
    )
    return kind.reshape(-1).astype(np.int64), chosen.astype(np.int64)


def better(model: AssignmentModel, one: Ints, other: Ints) -> bool:
    """Return whether a placement places more than another, tier by tier."""
    tiers = range(len(model.priorities))
    return [placed_of(model, one, t) for t in tiers] > [placed_of(model, other, t) for t in tiers]
