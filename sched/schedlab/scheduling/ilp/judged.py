"""Placements that something else has found, judged by the linear relaxation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from schedlab.scheduling.ilp.budget import TimeBudget
from schedlab.scheduling.ilp.model import AssignmentModel, Ints, placed_of
from schedlab.scheduling.ilp.packing import packing_of
from schedlab.scheduling.ilp.relaxation import Relaxer, relaxed_bound
from schedlab.scheduling.ilp.result import Level, SolveResult
from schedlab.scheduling.ilp.solve import Best, decoded


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
        bounds.append(float(np.floor(relaxed_bound(packing, solver) + 1e-6)))
    return bounds


def result_by_bounds(
    model: AssignmentModel, x: Ints, budget: TimeBudget, bounds: Sequence[float] | None = None
) -> SolveResult:
    """Return a placement that something else has found, judged by the relaxation.

    Parameters
    ----------
    model : AssignmentModel
        The problem.
    x : int64 array of shape [G, N]
        The placement in counts.
    budget : TimeBudget
        The time that it took.
    bounds : sequence of float, optional
        `placed_bounds`, where they are known.
    """
    bounds = placed_bounds(model) if bounds is None else bounds
    levels = [
        Level("placed", int(p), True, placed_of(model, x, t), bounds[t], "linear relaxation")
        for t, p in enumerate(model.priorities.tolist())
    ]
    return decoded(model, Best(x, np.minimum(x, model.running), {}), levels, budget)
