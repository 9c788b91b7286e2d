"""Placement by min-cost flow, as Quincy and Firmament do, for pods that only ask for room.

Pods flow from their group through a node to the sink, or through "nowhere", which costs more than
any node, more for small pods, of which more fit, and more for higher priorities. A flow knows no
resources, so a node takes part with as many slots as pods of the largest waiting size fit there:
whatever flows there fits. Rounds with the room that is left follow until nothing flows any more.
Nodes alike share one vertex, and a group looks at its cheapest kinds of nodes only: the network
stays small at thousands of nodes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from ortools.graph.python import min_cost_flow

from schedlab.scheduling.ilp.budget import TimeBudget
from schedlab.scheduling.ilp.judged import result_by_bounds
from schedlab.scheduling.ilp.kinds import kinds_of
from schedlab.scheduling.ilp.model import AssignmentModel, Bools, Ints, better
from schedlab.scheduling.ilp.result import Limits, SolveResult
from schedlab.scheduling.ilp.solve import empty_result

CHOICES = 48
"""Kinds of nodes that a group looks at in one round, cheapest first."""
COST_SCALE = 1000
ARC_S = 2e-6
"""Deterministic seconds that an arc counts for."""


def flow_placement(model: AssignmentModel, start: Ints, groups: Bools, budget: TimeBudget) -> Ints:
    """Return *start* with more pods of some groups placed by flows.

    Parameters
    ----------
    model : AssignmentModel
        The problem.
    start : int64 array of shape [G, N]
        A placement that fits.
    groups : bool array of shape [G]
        Which groups flow: those without couplings.
    budget : TimeBudget
        When its time is over no further round begins.
    """
    x = start.copy()
    while budget.left > 0:
        placed = _round(model, x, groups, budget)
        if not placed:
            break
    return x


def flow_result(model: AssignmentModel, start: Ints, limits: Limits) -> SolveResult:
    """Return the placement by flows, with the bounds of the relaxation.

    Parameters
    ----------
    model : AssignmentModel
        The problem. Groups with couplings stay where the start puts them.
    start : int64 array of shape [G, N]
        A placement that is admissible.
    limits : Limits
        How long it may take.
    """
    budget = TimeBudget(limits)
    if not model.groups or not len(model.rows):
        return empty_result(model, budget)
    coupled = np.zeros(len(model.groups), np.bool_)
    coupled[list(model.couplings.groups())] = True
    x = np.where(coupled[:, None], start, model.running)
    x = flow_placement(model, x, ~coupled, budget)
    if better(model, start, x):
        x = start
    return result_by_bounds(model, x, budget)


def _round(model: AssignmentModel, x: Ints, groups: Bools, budget: TimeBudget) -> int:
    """Let one flow run; return how many pods it placed."""
    waiting = np.where(groups, model.demand - x.sum(axis=1), 0)
    active = np.flatnonzero(waiting)
    if not len(active):
        return 0
    room = model.free - model.loads(x)
    fits = model.mask[active] & _fits(model.requests[:, active], room)
    active, fits = active[fits.any(axis=1)], fits[fits.any(axis=1)]
    if not len(active):
        return 0
    slots = _slots(model.requests[:, active], room, fits)
    kind, chosen = kinds_of(room.T, np.vstack([fits, slots]).T.astype(np.int64))
    counts = np.zeros(len(chosen), np.int64)
    np.add.at(counts, kind, slots)
    cost = _cost(model, active, room[:, chosen], fits[:, chosen])
    flows = _flow(model, active, waiting[active], counts, cost, fits[:, chosen], budget)
    return _spread(x, active, flows, kind, slots)


def _fits(requests: Ints, room: Ints) -> Bools:
    fits = np.ones((requests.shape[1], room.shape[1]), np.bool_)
    for k in range(len(requests)):
        fits &= (requests[k][:, None] <= room[k][None, :]) | (requests[k][:, None] == 0)
    return fits


def _slots(requests: Ints, room: Ints, fits: Bools) -> Ints:
    """Return how many pods of the largest size that fits each node fit there, int64 [N]."""
    slots = np.full(room.shape[1], np.iinfo(np.int64).max, np.int64)
    for k in range(len(requests)):
        largest = np.where(fits, requests[k][:, None], 0).max(axis=0)
        asked = largest > 0
        slots[asked] = np.minimum(slots[asked], room[k][asked] // largest[asked])
    return np.where(fits.any(axis=0), np.minimum(slots, fits.shape[0] * 64), 0)


def _cost(model: AssignmentModel, active: Ints, room: Ints, fits: Bools) -> Ints:
    """Return what a pod of each group costs on each kind: the room it would leave, thousandths."""
    scale = np.maximum(model.allocatable.max(axis=1), 1)[:, None]
    cost = np.zeros(fits.shape, np.float64)
    for k in range(len(model.resources)):
        asked = model.requests[k, active] > 0
        left = (room[k][None, :] - model.requests[k, active][:, None]) / scale[k]
        cost += np.where(asked[:, None], left, 0.0)
    return (cost * COST_SCALE).astype(np.int64)


def _small(model: AssignmentModel, active: Ints) -> NDArray[np.float64]:
    """Return how small the pods of each group are beside the largest ones, 0 .. 1, float64 [A]."""
    scale = np.maximum(model.allocatable.max(axis=1), 1)
    size = (model.requests[:, active] / scale[:, None]).max(axis=0)
    small: NDArray[np.float64] = 1.0 - size / max(float(size.max(initial=0.0)), 1e-12)
    return small


def _flow(
    model: AssignmentModel,
    active: Ints,
    waiting: Ints,
    counts: Ints,
    cost: Ints,
    fits: Bools,
    budget: TimeBudget,
) -> Ints:
    """Return how many pods of each group flow to each kind, int64 [A, V]."""
    groups, kinds = fits.shape
    sink, nowhere = groups + kinds, groups + kinds + 1
    tails: list[int] = []
    heads: list[int] = []
    limits: list[int] = []
    costs: list[int] = []
    worst = int(cost.max(initial=0)) + 1
    small = _small(model, active)
    tiers = len(model.priorities)
    for a in range(groups):
        open_ = np.flatnonzero(fits[a])
        best = open_[np.argsort(cost[a, open_], kind="stable")][:CHOICES]
        heads += [*(groups + best).tolist(), nowhere]
        tails += [a] * (len(best) + 1)
        limits += [int(waiting[a])] * (len(best) + 1)
        # to skip a pod of a higher tier costs more than to skip one below and to change nodes
        above = min(tiers - 1 - int(model.tier[active[a]]), 30)
        skipped = worst * 2 ** (above + 1) + int(worst * small[a])
        costs += [*cost[a, best].tolist(), skipped]
    for v, count in enumerate(counts.tolist()):
        tails.append(groups + v)
        heads.append(sink)
        limits.append(count)
        costs.append(0)
    tails.append(nowhere)
    heads.append(sink)
    limits.append(int(waiting.sum()))
    costs.append(0)
    network = min_cost_flow.SimpleMinCostFlow()
    arcs = network.add_arcs_with_capacity_and_unit_cost(
        np.array(tails), np.array(heads), np.array(limits), np.array(costs)
    )
    supplies = np.zeros(groups + kinds + 2, np.int64)
    supplies[:groups] = waiting
    supplies[sink] = -waiting.sum()
    network.set_nodes_supplies(np.arange(len(supplies)), supplies)
    budget.spend(len(tails) * ARC_S)
    if network.solve() != network.OPTIMAL:
        return np.zeros(fits.shape, np.int64)
    flowing = network.flows(arcs)
    flows = np.zeros(fits.shape, np.int64)
    for tail, head, amount in zip(tails, heads, flowing.tolist(), strict=True):
        if amount and tail < groups and head < sink:
            flows[tail, head - groups] += amount
    return flows


def _spread(x: Ints, active: Ints, flows: Ints, kind: Ints, slots: Ints) -> int:
    """Give what flows to a kind to its nodes, each as much as it has slots; return the sum."""
    for v in np.flatnonzero(flows.any(axis=0)).tolist():
        nodes = np.flatnonzero(kind == v)
        places = np.repeat(nodes, slots[nodes])
        pods = np.repeat(active, flows[:, v])
        np.add.at(x, (pods, places[: len(pods)]), 1)
    return int(flows.sum())
