"""Bounds by linear relaxations, with nodes of a kind taken together.

Nodes that nothing tells apart have equal shares in some optimum of the relaxation, so one set of
unknowns a kind is enough: a cluster of thousands of nodes becomes a program of a few kinds. The
bound is worked out from the prices that the solver returns, not from the value it claims: whatever
its tolerances, that bound holds.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from ortools.math_opt.python import mathopt

from schedlab.scheduling.ilp.mathopt import attempted
from schedlab.scheduling.ilp.packing import Floats, Packing

Relaxer = Literal["glop", "pdlp", "highs"]
_TYPES = {
    "glop": mathopt.SolverType.GLOP,
    "pdlp": mathopt.SolverType.PDLP,
    "highs": mathopt.SolverType.HIGHS,
}


def relaxed_bound(packing: Packing, solver: Relaxer = "glop") -> float:
    """Return what the fractional placements of a packing are worth at most.

    Parameters
    ----------
    packing : Packing
        The problem.
    solver : {"glop", "pdlp", "highs"}
        What solves the linear program.
    """
    if not len(packing.demand) or not len(packing.count):
        return 0.0
    model = mathopt.Model()
    most = packing.count[:, None] * packing.most
    v_of, g_of = np.nonzero(most)
    columns = [
        model.add_variable(lb=0.0, ub=float(u))
        for u in np.minimum(most, packing.demand)[v_of, g_of]
    ]
    size = np.maximum(packing.room, 1).astype(np.float64)
    supply = [model.add_linear_constraint(ub=float(d)) for d in packing.demand]
    rooms = [
        [model.add_linear_constraint(ub=float(c) * r / s) for r, s in zip(room, unit, strict=True)]
        for c, room, unit in zip(packing.count, packing.room, size, strict=True)
    ]
    floors = [model.add_linear_constraint(lb=float(least)) for _, least in packing.floors]
    for column, v, g in zip(columns, v_of.tolist(), g_of.tolist(), strict=True):
        supply[g].set_coefficient(column, 1.0)
        for k in np.flatnonzero(packing.requests[g]).tolist():
            rooms[v][k].set_coefficient(column, float(packing.requests[g, k] / size[v, k]))
        for row, (chosen, _) in zip(floors, packing.floors, strict=True):
            if chosen[g]:
                row.set_coefficient(column, 1.0)
    worth = packing.worth[g_of]
    model.maximize(mathopt.fast_sum(float(w) * c for w, c in zip(worth, columns, strict=True)))
    result = attempted(lambda: mathopt.solve(model, _TYPES[solver]))
    if result is None or not result.has_dual_feasible_solution():
        return float(packing.worth @ packing.demand)
    pods = np.array(result.dual_values(supply))
    nodes = np.array([result.dual_values(row) for row in rooms])
    return priced_bound(packing, pods, nodes / size, -np.array(result.dual_values(floors)))


def priced_bound(packing: Packing, pods: Floats, room: Floats, floors: Floats) -> float:
    """Return the bound that prices prove, whatever they are.

    Parameters
    ----------
    packing : Packing
        The problem.
    pods : float64 array of shape [G]
        Price of a pod of each group; negative prices count as 0.
    room : float64 array of shape [V, K]
        Price of a unit of each resource on each kind of node.
    floors : float64 array
        Price of each floor.
    """
    pods, room, floors = (np.maximum(prices, 0.0) for prices in (pods, room, floors))
    gain = packing.worth - pods
    total = float(pods @ packing.demand)
    for (chosen, least), price in zip(packing.floors, floors, strict=True):
        gain = gain + price * chosen
        total -= float(price * least)
    total += float(packing.count @ (room * packing.room).sum(axis=1))
    left = np.maximum(gain[None, :] - room @ packing.requests.T, 0.0)
    most = np.minimum(packing.count[:, None] * packing.most, packing.demand)
    return total + float((left * most).sum())
