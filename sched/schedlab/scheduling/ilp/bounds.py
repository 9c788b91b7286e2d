"""Bounds of the pods that can be placed, whatever ties pods and nodes together."""

from __future__ import annotations

import math

from schedlab.scheduling.ilp.budget import TimeBudget
from schedlab.scheduling.ilp.model import AssignmentModel
from schedlab.scheduling.ilp.packing import packing_of
from schedlab.scheduling.ilp.relaxation import Relaxer, relaxed_bound

RELAXED_SIZE, RELAXED_S = 50_000, 2e-5
"""Kinds of nodes times groups up to which the linear relaxation is solved in passing, and the
deterministic seconds that each counts for."""


def placed_bounds(model: AssignmentModel, solver: Relaxer = "glop") -> list[float]:
    """Return, for each tier, how many pods of it and above can be placed at most.

    Parameters
    ----------
    model : AssignmentModel
        The problem; its couplings are left out.
    solver : {"glop", "pdlp", "highs"}
        What solves the linear programs.
    """
    bounds = []
    for tier in range(len(model.priorities)):
        packing, _ = packing_of(model, tier)
        bounds.append(float(math.floor(relaxed_bound(packing, solver) + 1e-6)))
    return bounds


def quick_bound(model: AssignmentModel, tier: int, budget: TimeBudget) -> tuple[int, str]:
    """Return such a bound of one tier, and who says so.

    Parameters
    ----------
    model : AssignmentModel
        The problem; its couplings are left out.
    tier : int
        The tier.
    budget : TimeBudget
        Where work is counted.
    """
    packing, _ = packing_of(model, tier)
    if len(packing.count) > 1 and packing.most.size <= RELAXED_SIZE:
        found, by = relaxed_bound(packing), "linear relaxation"
        budget.spend(packing.most.size * RELAXED_S)
    else:
        found, by = packing.pooled_bound(), "pooled bound"
    return math.floor(found + 1e-6), by
