"""Large clusters in parts: k random partitions of nodes and pods, solved side by side.

As POP (Narayanan et al., SOSP 2021): nodes are dealt at random, each kind evenly, pods that are
placed go with their nodes, those that wait are dealt as well; what the parts found together is a
placement of the whole. Rounds with new partitions follow while there is time, so that a pod that
was unlucky in one part gets another. The bound is the linear relaxation of the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from os import cpu_count

import numpy as np

from schedlab.rng import Draws
from schedlab.scheduling.ilp.best_fit import FIT_S, best_fit, fitting
from schedlab.scheduling.ilp.bounds import placed_bounds
from schedlab.scheduling.ilp.budget import TimeBudget
from schedlab.scheduling.ilp.judged import result_by_bounds
from schedlab.scheduling.ilp.kinds import kinds_of
from schedlab.scheduling.ilp.model import AssignmentModel, Bools, Ints, placed_of, tiers_of
from schedlab.scheduling.ilp.objectives import DEFAULT, Spec, Step, read_objective
from schedlab.scheduling.ilp.result import Limits, SolveResult
from schedlab.scheduling.ilp.solve import empty_result, optimised


@dataclass(frozen=True, eq=False)
class Part:
    """A part of a problem.

    Attributes
    ----------
    model : AssignmentModel
        The problem of the part.
    groups, nodes : int64 array
        Their numbers in the whole.
    start : int64 array of shape [G', N']
        Where its pods are so far.
    """

    model: AssignmentModel
    groups: Ints
    nodes: Ints
    start: Ints


def solve_partitioned(
    model: AssignmentModel,
    limits: Limits | None = None,
    *,
    parts: int = 16,
    rounds: int = 3,
    objective: Sequence[Spec] | str = DEFAULT,
    start: Ints | None = None,
) -> SolveResult:
    """Return a good placement of a large problem.

    Parameters
    ----------
    model : AssignmentModel
        The problem. Pods that depend on pods of other nodes stay where the start puts them.
    limits : Limits, optional
        How long it may take; ``workers`` parts are solved at once.
    parts : int
        Number of parts, k.
    rounds : int
        Partitions that are tried, one after the other.
    objective : sequence of str or mapping, or str
        What each part optimises.
    start : int64 array of shape [G, N], optional
        Counts of a placement to start from.
    """
    limits = limits or Limits()
    budget = TimeBudget(limits)
    if not model.groups or not len(model.rows):
        return empty_result(model, budget)
    steps = read_objective(objective, len(model.priorities))
    x = (model.running if start is None else start).copy()
    if fitting(model):
        x = best_fit(model, x)
        budget.spend(FIT_S * sum(model.demand.tolist()) * len(model.rows))
    bounds = placed_bounds(model)
    draws = Draws(limits.seed, "partitions")
    for turn in range(rounds):
        if budget.left <= 0 or _reached(model, x, bounds):
            break
        seconds = budget.left / (rounds - turn)
        x = _improved(model, x, steps, parts, draws.generator(turn), budget, seconds)
    return result_by_bounds(model, x, budget, bounds)


def _reached(model: AssignmentModel, x: Ints, bounds: Sequence[float]) -> bool:
    return all(placed_of(model, x, t) >= bound for t, bound in enumerate(bounds))


def _improved(
    model: AssignmentModel,
    x: Ints,
    steps: Sequence[Step],
    parts: int,
    generator: np.random.Generator,
    budget: TimeBudget,
    seconds: float,
) -> Ints:
    """Solve the parts of one random partition; return the placement of the whole."""
    limits = budget.limits
    workers = limits.workers or cpu_count() or 1
    found = [part for part in partition(model, x, parts, generator) if _open(part, steps)]
    each = replace(limits, time_s=seconds * workers / max(len(found), 1), workers=1)

    def solved(part: Part) -> tuple[Ints, float]:
        own = TimeBudget(each)
        best, _ = optimised(part.model, _steps_of(part.model, steps), own, start=part.start)
        return best.x, own.work_s

    with ThreadPoolExecutor(workers) as pool:
        answers = list(pool.map(solved, found))
    whole = x.copy()
    for part, (counts, work_s) in zip(found, answers, strict=True):
        whole[np.ix_(part.groups, part.nodes)] = counts
        budget.spend(work_s / workers)
    return whole


def _open(part: Part, steps: Sequence[Step]) -> bool:
    """Return whether a part can become better: somebody waits, or more than places counts."""
    waits = bool((part.start.sum(axis=1) < part.model.demand).any())
    return waits or any(step.name != "placed" for step in steps)


def _steps_of(model: AssignmentModel, steps: Sequence[Step]) -> list[Step]:
    """Return the levels of a part, in which some tiers of the whole may have no pods."""
    tiers = len(model.priorities)
    return [step for step in steps if step.tier is None or step.tier < tiers]


def partition(
    model: AssignmentModel, x: Ints, parts: int, generator: np.random.Generator
) -> list[Part]:
    """Deal nodes and pods into parts.

    Parameters
    ----------
    model : AssignmentModel
        The problem.
    x : int64 array of shape [G, N]
        Where pods are so far.
    parts : int
        Number of parts.
    generator : numpy Generator
        Deals.
    """
    fixed = np.zeros(len(model.groups), np.bool_)
    fixed[list(model.couplings.bound_groups())] = True
    kind, _ = kinds_of(model.free.T, model.mask.T.astype(np.int64))
    order = generator.permutation(len(model.rows))
    order = order[np.argsort(kind[order], kind="stable")]
    waiting = np.where(fixed, 0, model.demand - x.sum(axis=1))
    dealt = _dealt(waiting, parts, generator)
    found = []
    for part in range(min(parts, len(order))):
        nodes = np.sort(order[part::parts])
        found.append(_part(model, x, nodes, fixed, dealt[:, part]))
    return found


def _dealt(waiting: Ints, parts: int, generator: np.random.Generator) -> Ints:
    """Deal the waiting pods of each group evenly, the odd ones to random parts: int64 [G, k]."""
    dealt = np.repeat((waiting // parts)[:, None], parts, axis=1)
    for g, rest in enumerate((waiting % parts).tolist()):
        dealt[g, generator.permutation(parts)[:rest]] += 1
    return dealt


def _part(model: AssignmentModel, x: Ints, nodes: Ints, fixed: Bools, waiting: Ints) -> Part:
    """Return the problem of some nodes, with the pods that are on them and some that wait."""
    here = x[:, nodes]
    movable = np.where(fixed, 0, here.sum(axis=1)) + waiting
    groups = np.flatnonzero(movable)
    held = np.where(fixed[:, None], here, 0)
    # a running pod that has been sent elsewhere is one to place there
    running = np.minimum(model.running, x)[np.ix_(groups, nodes)]
    chosen = []
    for i, g in enumerate(groups.tolist()):
        group = model.groups[g]
        mine = {
            n: group.running[int(nodes[n])][: running[i, n]]
            for n in np.flatnonzero(running[i]).tolist()
        }
        size = int(movable[g]) - int(running[i].sum())
        chosen.append(replace(group, pending=tuple(range(size)), running=mine))
    priorities, tier = tiers_of(chosen)
    room = np.maximum(model.free, model.loads(model.running))[:, nodes] - model.requests @ held
    demand = np.array([group.size for group in chosen], np.int64)
    part = replace(
        model,
        rows=model.rows[nodes],
        names=[model.names[n] for n in nodes.tolist()],
        groups=chosen,
        requests=model.requests[:, groups],
        free=room,
        allocatable=model.allocatable[:, nodes],
        fixed=model.fixed[nodes] + held.sum(axis=0),
        costs=model.costs[nodes],
        mask=model.mask[np.ix_(groups, nodes)],
        upper=np.minimum(model.upper[np.ix_(groups, nodes)], demand[:, None]),
        running=running,
        priorities=priorities,
        tier=tier,
        couplings=model.couplings.part(groups, nodes),
        pods=int(demand.sum()),
    )
    return Part(part, groups, nodes, here[groups])
