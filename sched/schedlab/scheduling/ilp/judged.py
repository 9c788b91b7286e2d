"""Placements that something else has found, judged by the linear relaxation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from schedlab.scheduling.ilp.bounds import placed_bounds
from schedlab.scheduling.ilp.budget import TimeBudget
from schedlab.scheduling.ilp.model import AssignmentModel, Ints, placed_of
from schedlab.scheduling.ilp.result import Level, SolveResult
from schedlab.scheduling.ilp.solve import Best, decoded


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
