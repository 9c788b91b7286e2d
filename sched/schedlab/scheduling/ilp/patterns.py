"""A bound by whole fillings of nodes (Dantzig and Wolfe; Gilmore and Gomory's cutting stock).

The linear relaxation of the counts may cut pods in pieces; here every node gets a convex mixture of
fillings that are whole each. What no filling can use is lost in the bound, too, which is then often
the optimum rounded up. The fillings are found as they are needed, each by a knapsack for one kind
of node under the prices of the moment; every round gives a bound that holds already.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ortools.math_opt.python import mathopt

from schedlab.scheduling.ilp.budget import TimeBudget
from schedlab.scheduling.ilp.knapsack import NODES_PER_SECOND, fill
from schedlab.scheduling.ilp.mathopt import attempted
from schedlab.scheduling.ilp.model import Ints
from schedlab.scheduling.ilp.packing import Floats, Packing

TOLERANCE = 1e-6
COLUMN_S = 1e-5
"""Deterministic seconds that a column of the linear program counts for in each round."""
FILL_LIMIT = 3_000_000
"""Search nodes of the knapsacks of one round at most."""


@dataclass(frozen=True, eq=False)
class Prices:
    """Dual prices: of pods [G], of nodes [V], of floors."""

    pods: Floats
    nodes: Floats
    floors: Floats


class PatternBound:
    """The bound by whole fillings, improved round by round.

    Calming the prices (Wentges 1997) and giving up knapsacks early were measured to gain nothing.

    Parameters
    ----------
    packing : Packing
        The problem.
    start : int64 array of shape [N, G], with *kind* : int64 array of shape [N]
        The fillings of the nodes in a placement that keeps the floors, and each node's kind.

    Attributes
    ----------
    bound : float
        No placement is worth more.
    """

    def __init__(self, packing: Packing, start: Ints, kind: Ints) -> None:
        self.packing = packing
        self.bound = float("inf")
        self._master = Master(packing)
        for filling, v in zip(start, kind.tolist(), strict=True):
            self._master.add(filling, v)
        for v in range(len(packing.count)):
            for g in np.flatnonzero(packing.most[v]).tolist():
                single = np.zeros(len(packing.demand), np.int64)
                single[g] = min(packing.most[v, g], packing.demand[g])
                self._master.add(single, v)

    def improve(self, enough: float, budget: TimeBudget, seconds: float) -> float:
        """Improve the bound until it is below *enough*, time is over, or it is as good as it gets.

        Parameters
        ----------
        enough : float
            A bound below this proves what is to be proven.
        budget : TimeBudget
            Where work is counted.
        seconds : float
            Time at most.
        """
        end = budget.spent + seconds
        while budget.spent < end and self.bound >= enough:
            prices = self._master.prices()
            budget.spend(self._master.size * COLUMN_S)
            if prices is None or not self._round(prices, budget, end):
                break
        return self.bound

    def mixture(self) -> list[tuple[Ints, int, float]]:
        """Return the fillings of the best mixture so far: (filling, kind, number of nodes)."""
        return self._master.mixture()

    def _round(self, prices: Prices, budget: TimeBudget, end: float) -> bool:
        """Price fillings for every kind of node; return whether any is new and time is left."""
        packing = self.packing
        worth = packing.worth - prices.pods
        total = float(prices.pods @ packing.demand)
        for (chosen, least), price in zip(packing.floors, prices.floors, strict=True):
            worth = worth + price * chosen
            total -= price * least
        new = False
        for v, count in enumerate(packing.count.tolist()):
            if budget.spent > end:
                return False  # without the other kinds there is no bound
            filling, most, used = self._fill(worth, v, float(prices.nodes[v]))
            budget.spend(used / NODES_PER_SECOND)
            total += count * most
            new |= filling is not None and self._master.add(filling, v)
        self.bound = min(self.bound, total + TOLERANCE)
        return new

    def _fill(self, worth: Floats, v: int, least: float) -> tuple[Ints | None, float, int]:
        """Return a filling of a kind of node that is worth more than *least*, and a bound."""
        packing = self.packing
        useful = np.flatnonzero((worth > 1e-12) & (packing.most[v] > 0))
        if not len(useful):
            return None, max(least, 0.0), 1
        requests, room = packing.requests[useful], packing.room[v]
        value = worth[useful]
        most = np.minimum(packing.most[v, useful], packing.demand[useful])
        size, space = _tightest(value, requests, room, most)
        order = np.argsort(-value / np.maximum(size, 1e-12), kind="stable")
        best = np.zeros(len(useful), np.int64)
        _, bound, used = fill(
            value[order],
            np.ascontiguousarray(requests[order]),
            room,
            most[order],
            size[order],
            space,
            max(least, 0.0) + TOLERANCE,
            FILL_LIMIT // len(packing.count),
            best,
        )
        if not best.any():
            return None, bound, used
        filling = np.zeros(len(packing.demand), np.int64)
        filling[useful[order]] = best
        return filling, bound, used


class Master:
    """The linear program that mixes fillings; GLOP goes on from its last basis.

    Parameters
    ----------
    packing : Packing
        The problem.
    """

    def __init__(self, packing: Packing) -> None:
        self._packing = packing
        self._known: set[tuple[int, bytes]] = set()
        self._columns: list[tuple[Ints, int, mathopt.Variable]] = []
        self._shares: list[float] = []
        model = self._model = mathopt.Model()
        model.objective.is_maximize = True
        self._pods = [model.add_linear_constraint(ub=float(d)) for d in packing.demand]
        self._nodes = [model.add_linear_constraint(ub=float(c)) for c in packing.count]
        self._floors = [model.add_linear_constraint(lb=float(least)) for _, least in packing.floors]
        self._solver = mathopt.IncrementalSolver(model, mathopt.SolverType.GLOP)

    @property
    def size(self) -> int:
        """Number of fillings."""
        return len(self._known)

    def add(self, filling: Ints, kind: int) -> bool:
        """Add a filling of a kind of node; return whether it is new."""
        key = (kind, filling.tobytes())
        if key in self._known or not filling.any():
            return False
        self._known.add(key)
        column = self._model.add_variable(lb=0.0)
        self._columns.append((filling.copy(), kind, column))
        worth = float(filling @ self._packing.worth)
        self._model.objective.set_linear_coefficient(column, worth)
        for g in np.flatnonzero(filling).tolist():
            self._pods[g].set_coefficient(column, float(filling[g]))
        self._nodes[kind].set_coefficient(column, 1.0)
        for row, (chosen, _) in zip(self._floors, self._packing.floors, strict=True):
            row.set_coefficient(column, float(filling[chosen].sum()))
        return True

    def prices(self) -> Prices | None:
        """Return the prices of the best mixture; None where there is none."""
        result = attempted(self._solver.solve)
        if result is None:  # from its last basis GLOP now and then fails; from none it seldom does
            self._solver = mathopt.IncrementalSolver(self._model, mathopt.SolverType.GLOP)
            result = attempted(self._solver.solve)
        if result is None or result.termination.reason is not mathopt.TerminationReason.OPTIMAL:
            return None
        self._shares = result.variable_values([column for _, _, column in self._columns])
        pods, nodes, floors = (
            np.array(result.dual_values(rows), np.float64)
            for rows in (self._pods, self._nodes, self._floors)
        )
        return Prices(pods, nodes, -floors)

    def mixture(self) -> list[tuple[Ints, int, float]]:
        """Return the fillings that have a share, with their kinds, as of the last prices."""
        known = zip(self._columns, self._shares, strict=False)
        return [(filling, v, share) for (filling, v, _), share in known if share > TOLERANCE]


def _tightest(value: Floats, requests: Ints, room: Ints, most: Ints) -> tuple[Floats, float]:
    """Return weights of the resources under which the fractional filling is worth least.

    Returns the weighted sizes of the items and of the room.
    """
    shares = requests / np.maximum(room, 1)
    tight = np.flatnonzero(most @ requests > room)
    if not len(tight):
        return np.zeros(len(value)), 1.0
    best: tuple[float, Floats] | None = None
    for weights in _mixtures(len(tight)):
        size = shares[:, tight] @ weights
        worth = _fractional(value, size, most)
        if best is None or worth < best[0]:
            best = (worth, size)
    if best is None:
        raise RuntimeError("there are always mixtures")
    return best[1], 1.0


def _mixtures(resources: int) -> list[Floats]:
    """Return weights that sum to 1: every corner, and for two resources what lies between."""
    corners = [np.eye(resources)[k] for k in range(resources)]
    if resources == 1:
        return corners
    between = []
    for a in range(resources):
        for b in range(a):
            for share in (0.2, 0.35, 0.5, 0.65, 0.8):
                between.append(share * corners[a] + (1 - share) * corners[b])
    return corners + between


def _fractional(value: Floats, size: Floats, most: Ints) -> float:
    order = np.argsort(-value / np.maximum(size, 1e-12), kind="stable")
    need = np.cumsum(most[order] * size[order])
    fits = need <= 1.0
    worth = float((value[order] * most[order])[fits].sum())
    cut = int(fits.sum())
    if cut < len(order):
        before = need[cut - 1] if cut else 0.0
        item = order[cut]
        worth += float(value[item] * (1.0 - before) / max(size[item], 1e-12))
    return worth
