"""Solves an assignment problem level by level, and turns counts back into pods.

The levels of the objective are optimised one after the other, each with those before it held at
what was reached. The search starts from a placement that is known, greedy's as a rule, and what
is returned is never worse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from schedlab.errors import InputError
from schedlab.scheduling.framework.feasibility import NO_NODES
from schedlab.scheduling.ilp.backend import Backend, Goal
from schedlab.scheduling.ilp.best_fit import FIT_S, best_fit, fitting
from schedlab.scheduling.ilp.bounds import quick_bound
from schedlab.scheduling.ilp.budget import TimeBudget
from schedlab.scheduling.ilp.formulation import Formulation
from schedlab.scheduling.ilp.linear import INFINITY, Expression
from schedlab.scheduling.ilp.model import AssignmentModel, Ints, better, placed_of
from schedlab.scheduling.ilp.objectives import DEFAULT, Spec, Step, expression_of, read_objective
from schedlab.scheduling.ilp.plain import PlainSolver, searchable
from schedlab.scheduling.ilp.result import (
    WORK_PER_SECOND,
    Level,
    Limits,
    Move,
    SolveResult,
    Status,
)

Solver = Literal["auto", "cp-sat", "highs"]
SOLVERS: tuple[Solver, ...] = ("auto", "cp-sat", "highs")
SEARCHED = ("placed", "disruption")
"""Objectives that the search of plain problems knows."""
DISPLACING = ("disruption", "evictions", "moves")
"""Objectives about running pods alone."""
NONE_LESS = "nothing is less than none"
PLACED_SHARE = 3
"""How many times the time of another level one of the kind ``placed`` gets."""


@dataclass(eq=False)
class Best:
    """The best placement so far.

    Attributes
    ----------
    x, stay : int64 array of shape [G, N]
        Pods per group and node, and how many running ones stay.
    values : dict of int to int
        Values of the columns of a formulation, where there is one.
    """

    x: Ints
    stay: Ints
    values: dict[int, int]


def solve(
    model: AssignmentModel,
    limits: Limits | None = None,
    *,
    objective: Sequence[Spec] | str = DEFAULT,
    solver: Solver = "auto",
    start: Ints | None = None,
) -> SolveResult:
    """Return the best admissible placement that is found within *limits*.

    Parameters
    ----------
    model : AssignmentModel
        The problem.
    limits : Limits, optional
        How long it may take.
    objective : sequence of str or mapping, or str
        See `schedlab.scheduling.ilp.objectives`.
    solver : {"auto", "cp-sat", "highs"}
        What solves: CP-SAT or HiGHS alone, or whatever is best: local search and bounds where
        resources are all there is, and CP-SAT for the rest.
    start : int64 array of shape [G, N], optional
        Counts of a placement to start from; where pods run now when absent. The result is never
        worse in pods placed.

    Raises
    ------
    InputError
        There is no such solver or objective.
    """
    if solver not in SOLVERS:
        raise InputError("solver", found=solver, expected=f"one of {', '.join(SOLVERS)}")
    limits = limits or Limits()
    budget = TimeBudget(limits)
    steps = read_objective(objective, max(len(model.priorities), 1))
    if not model.groups or not len(model.rows):
        return empty_result(model, budget)
    best, levels = optimised(model, steps, budget, solver=solver, start=start)
    return decoded(model, best, levels, budget)


def optimised(
    model: AssignmentModel,
    steps: Sequence[Step],
    budget: TimeBudget,
    *,
    solver: Solver = "auto",
    start: Ints | None = None,
) -> tuple[Best, list[Level]]:
    """Return the best placement that is found in counts, and how good it is; see `solve`."""
    x = model.running if start is None else start
    if solver == "auto" and fitting(model):
        x = best_fit(model, x)
        budget.spend(FIT_S * sum(model.demand.tolist()) * len(model.rows))
    best = Best(x, np.minimum(x, model.running), {})
    levels: list[Level] = []
    if solver == "auto" and searchable(model, steps):
        best, levels = _search(model, steps, best, budget)
    if not levels:
        levels = _evident(model, steps, best.x, budget)
    if len(levels) < len(steps):
        best, levels = _program(model, steps, best, levels, solver, budget)
    if start is not None and better(model, start, best.x):
        best, levels = _fallen_back(model, steps, start, levels)
    return best, levels


def make_backend(solver: str, form: Formulation, limits: Limits) -> Backend:
    """Return the linear model of a formulation in a solver."""
    if solver in ("cp-sat", "auto"):
        from schedlab.scheduling.ilp.cpsat import CpSat

        return CpSat(form.linear, workers=limits.workers, seed=limits.seed)
    from schedlab.scheduling.ilp.mathopt import MathOpt

    return MathOpt(form.linear, solver=solver)


def _share(model: AssignmentModel, steps: Sequence[Step], done: int, budget: TimeBudget) -> float:
    """Return the time of the next level: little is kept for what can't but be zero."""
    still = not model.running.any()
    weights = [
        PLACED_SHARE if step.name == "placed" else 0.05 if still and step.name in DISPLACING else 1
        for step in steps[done:]
    ]
    return budget.left * weights[0] / sum(weights)


def _search(
    model: AssignmentModel, steps: Sequence[Step], best: Best, budget: TimeBudget
) -> tuple[Best, list[Level]]:
    """Solve the levels at the front that the search of plain problems knows."""
    plain = PlainSolver(
        model, best.x, budget, lambda form: make_backend("cp-sat", form, budget.limits)
    )
    levels: list[Level] = []
    for index, step in enumerate(steps):
        if step.name not in SEARCHED:
            break
        next_ = steps[index + 1] if index + 1 < len(steps) else None
        levels.append(plain.level(step, next_, _share(model, steps, index, budget)))
    x = plain.search.pods.counts(model)
    return Best(x, np.minimum(x, model.running), {}), levels


def _evident(
    model: AssignmentModel, steps: Sequence[Step], x: Ints, budget: TimeBudget
) -> list[Level]:
    """Return the levels at the front on which the start is as good as can be, for all we see.

    Where rules depend on the order in which pods come the start may not be admissible as a whole.
    """
    levels: list[Level] = []
    if model.couplings.near or model.couplings.spread:
        return levels
    undisturbed = bool((x >= model.running).all())
    for step in steps:
        if step.name == "placed" and step.tier is not None:
            value = placed_of(model, x, step.tier)
            bound, by = quick_bound(model, step.tier, budget)
            if value < bound:
                break
            levels.append(_level(model, step, value, float(bound), by))
        elif step.name in DISPLACING and undisturbed:
            levels.append(_level(model, step, 0, 0.0, NONE_LESS))
        else:
            break
    return levels


def _program(
    model: AssignmentModel,
    steps: Sequence[Step],
    best: Best,
    done: list[Level],
    solver: Solver,
    budget: TimeBudget,
) -> tuple[Best, list[Level]]:
    """Solve the levels that are left by integer programs."""
    form = Formulation(model)
    asked = list(steps)
    if model.couplings.near and model.running.any():
        # with partners to find, a solver may exchange equal pods for no reason but its ease
        asked.append(Step("evictions"))
    goals = [expression_of(step, form) for step in asked]
    backend = make_backend(solver, form, budget.limits)
    for level, expression in zip(done, goals, strict=False):
        _hold(backend, expression, level.value, maximize=level.maximize)
    best.values = form.hint(best.x)
    levels = list(done)
    for index in range(len(done), len(asked)):
        step, expression = asked[index], goals[index]
        answer = backend.solve(
            Goal(expression, step.maximize),
            best.values,
            seconds=_share(model, asked, index, budget),
            deterministic=budget.limits.deterministic,
        )
        budget.spend(answer.seconds)
        if answer.solution is None:
            levels.append(_bounded(model, _unsolved(model, step, best.x), step, budget))
            continue
        found = answer.solution
        best = Best(form.counts(found), form.stays(found), dict(enumerate(found)))
        value = expression.value(found)
        bound = float(value) if answer.proven else answer.bound
        if bound is None:
            bound = float("inf") if step.maximize else float("-inf")
        level = _level(model, step, value, bound, backend.name)
        levels.append(_bounded(model, level, step, budget))
        _hold(backend, expression, value, maximize=step.maximize)
    return best, levels[: len(steps)]


def _bounded(model: AssignmentModel, level: Level, step: Step, budget: TimeBudget) -> Level:
    """Return a level with the bound of the relaxation, where that is tighter."""
    if level.optimal or step.name != "placed" or step.tier is None:
        return level
    bound, by = quick_bound(model, step.tier, budget)
    if bound >= level.bound:
        return level
    return replace(level, bound=max(float(bound), float(level.value)), by=by)


def _hold(backend: Backend, expression: Expression, value: int, *, maximize: bool) -> None:
    low, high = (value, INFINITY) if maximize else (-INFINITY, value)
    backend.require(expression, low, high)


def _level(model: AssignmentModel, step: Step, value: int, bound: float, by: str) -> Level:
    priority = None if step.tier is None else int(model.priorities[step.tier])
    return Level(step.name, priority, step.maximize, value, bound, by)


def _unsolved(model: AssignmentModel, step: Step, x: Ints) -> Level:
    """Return a level of which nothing is known but what the start has."""
    value = placed_of(model, x, step.tier) if step.name == "placed" else 0
    bound = float("inf") if step.maximize else float("-inf")
    return _level(model, step, value, bound, "the start")


def _fallen_back(
    model: AssignmentModel, steps: Sequence[Step], start: Ints, levels: list[Level]
) -> tuple[Best, list[Level]]:
    """Return the start and its levels, where it places more than what was found.

    That happens when time was too short, or the start breaks a rule of the final state that the
    pods met when they came one by one.
    """
    known = [
        _level(model, step, placed_of(model, start, step.tier), level.bound, level.by)
        if step.name == "placed"
        else _unsolved(model, step, start)
        for step, level in zip(steps, levels, strict=True)
    ]
    return Best(start, np.minimum(start, model.running), {}), known


def decoded(
    model: AssignmentModel, best: Best, levels: list[Level], budget: TimeBudget
) -> SolveResult:
    """Return the pods that a placement in counts stands for.

    Of a group, the pods that stay are the first ones of each node; what is new goes to the pods
    that wait, in queue order, and then to those that lost their node.
    """
    node = [-1] * model.pods
    reasons = [""] * model.pods
    moved: list[Move] = []
    evicted: list[tuple[int, int]] = []
    proven = all(level.optimal for level in levels)
    x, stay = best.x, best.stay
    for g, group in enumerate(model.groups):
        slots = iter(np.repeat(model.rows, x[g] - stay[g]).tolist())
        for index in group.pending:
            target = next(slots, -1)
            node[index] = target
            if target < 0:
                reasons[index] = unplaced_reason(model, g, proven=proven)
        for n, rows in sorted(group.running.items()):
            source = int(model.rows[n])
            for row in rows[stay[g, n] :]:
                target = next(slots, -1)
                if target < 0:
                    evicted.append((row, source))
                else:
                    moved.append(Move(row, source, target))
    tiers = zip(model.priorities.tolist(), model.placed_by_tier(x).tolist(), strict=True)
    return SolveResult(
        Status.OPTIMAL if proven else Status.FEASIBLE,
        node,
        reasons,
        moved,
        evicted,
        levels,
        dict(tiers),
        round(budget.work_s * WORK_PER_SECOND),
        budget.wall_s,
    )


def unplaced_reason(model: AssignmentModel, g: int, *, proven: bool) -> str:
    """Return why a pod of a group is not placed."""
    open_ = int(model.mask[g].sum())
    if not open_:
        return model.groups[g].why()
    if proven:
        return f"{open_} node(s) could take it, but no placement that is as good has room for it"
    return f"{open_} node(s) could take it, but the best placement found has no room for it"


def empty_result(model: AssignmentModel, budget: TimeBudget) -> SolveResult:
    """Return the answer to a problem without pods or without nodes."""
    reasons = [""] * model.pods
    for group in model.groups:
        for index in group.pending:
            reasons[index] = NO_NODES
    return SolveResult(
        Status.NO_NODES if model.groups else Status.NO_PODS,
        [-1] * model.pods,
        reasons,
        placed_by_tier=dict.fromkeys(model.priorities.tolist(), 0),
        wall_s=budget.wall_s,
    )
