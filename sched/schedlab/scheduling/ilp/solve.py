"""Solves an assignment problem level by level, and turns counts back into pods.

The levels of the objective are optimised one after the other, each with those before it held at
what was reached. The search starts from a placement that is known, greedy's as a rule, and what
is returned is never worse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from schedlab.record.wallclock import elapsed_s
from schedlab.scheduling.ilp.backend import Backend, Goal
from schedlab.scheduling.ilp.formulation import Formulation
from schedlab.scheduling.ilp.linear import INFINITY, Expression
from schedlab.scheduling.ilp.model import AssignmentModel, Ints
from schedlab.scheduling.ilp.objectives import DEFAULT, Spec, Step, expression_of, read_objective
from schedlab.scheduling.ilp.result import (
    WORK_PER_SECOND,
    Level,
    Limits,
    Move,
    SolveResult,
    Status,
)


class Budget:
    """What is left of the time of a solve.

    Parameters
    ----------
    limits : Limits
        The limits.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._start = elapsed_s()
        self._spent = 0.0

    def spend(self, seconds: float) -> None:
        """Count deterministic seconds of work."""
        self._spent += seconds

    @property
    def spent(self) -> float:
        """Seconds gone: of work where that is what counts, else of wall time."""
        return self._spent if self.limits.deterministic else self.wall_s

    @property
    def wall_s(self) -> float:
        """Seconds of wall time since the start."""
        return elapsed_s() - self._start

    @property
    def left(self) -> float:
        """Seconds left, >= 0."""
        return max(self.limits.time_s - self.spent, 0.0)


@dataclass
class Best:
    """The best placement so far, as values of all columns where a backend gave it."""

    x: Ints
    stay: Ints
    values: dict[int, int]


def solve(
    model: AssignmentModel,
    limits: Limits | None = None,
    *,
    objective: Sequence[Spec] | str = DEFAULT,
    solver: str = "cp-sat",
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
    solver : {"cp-sat", "highs"}
        What solves the integer programs.
    start : int64 array of shape [G, N], optional
        Counts of an admissible placement to start from; where pods run now when absent.
    """
    limits = limits or Limits()
    budget = Budget(limits)
    steps = read_objective(objective, max(len(model.priorities), 1))
    if not model.groups or not len(model.rows):
        status = Status.NO_PODS if not model.groups else Status.NO_NODES
        return _empty(model, status, budget)
    x = model.running.copy() if start is None else start
    form = Formulation(model)
    goals = [(step, expression_of(step, form)) for step in steps]
    backend = make_backend(solver, form, limits)
    if model.couplings.near and model.running.any():
        # with partners to find, a solver may exchange equal pods for no reason but its ease
        goals.append((Step("evictions"), expression_of(Step("evictions"), form)))
    best = Best(x, np.minimum(x, model.running), form.hint(x))
    best, levels = _climb(form, goals, backend, best, budget)
    return decoded(model, best, levels[: len(steps)], budget)


def make_backend(solver: str, form: Formulation, limits: Limits) -> Backend:
    """Return the linear model of a formulation in a solver."""
    if solver == "cp-sat":
        from schedlab.scheduling.ilp.cpsat import CpSat

        return CpSat(form.linear, workers=limits.workers, seed=limits.seed)
    from schedlab.scheduling.ilp.mathopt import MathOpt

    return MathOpt(form.linear, solver=solver, workers=limits.workers)


def _climb(
    form: Formulation,
    goals: list[tuple[Step, Expression]],
    backend: Backend,
    best: Best,
    budget: Budget,
) -> tuple[Best, list[Level]]:
    levels = []
    for index, (step, expression) in enumerate(goals):
        share = budget.left / (len(goals) - index)
        answer = backend.solve(
            Goal(expression, step.maximize),
            best.values,
            seconds=share,
            deterministic=budget.limits.deterministic,
        )
        budget.spend(answer.seconds)
        if answer.solution is not None:
            found = answer.solution
            best = Best(form.counts(found), form.stays(found), dict(enumerate(found)))
            value = expression.value(answer.solution)
            bound = float(answer.bound if answer.bound is not None else _far(step))
            if answer.proven:
                bound = float(value)
            levels.append(_level(form.model, step, value, bound, backend.name))
            low, high = (value, INFINITY) if step.maximize else (-INFINITY, value)
            backend.require(expression, low, high)
    return best, levels


def _far(step: Step) -> float:
    return float("inf") if step.maximize else float("-inf")


def _level(model: AssignmentModel, step: Step, value: int, bound: float, by: str) -> Level:
    priority = None if step.tier is None else int(model.priorities[step.tier])
    return Level(step.name, priority, step.maximize, value, bound, by)


def decoded(model: AssignmentModel, best: Best, levels: list[Level], budget: Budget) -> SolveResult:
    """Return the pods that a placement in counts stands for.

    Of a group, the pods that stay are the first ones of each node; what is new goes to the pods
    that wait, in queue order, and then to those that lost their node.
    """
    node = [-1] * model.pods
    reasons = [""] * model.pods
    moved: list[Move] = []
    evicted: list[tuple[int, int]] = []
    x, stay = best.x, best.stay
    for g, group in enumerate(model.groups):
        slots = np.repeat(np.arange(len(model.rows)), x[g] - stay[g]).tolist()
        displaced = [
            (row, n) for n, rows in sorted(group.running.items()) for row in rows[stay[g, n] :]
        ]
        for index in group.pending:
            if slots:
                node[index] = int(model.rows[slots.pop(0)])
            else:
                reasons[index] = unplaced_reason(model, g, proven=all(v.optimal for v in levels))
        for row, n in displaced:
            source = int(model.rows[n])
            if slots:
                moved.append(Move(row, source, int(model.rows[slots.pop(0)])))
            else:
                evicted.append((row, source))
    tiers = zip(model.priorities.tolist(), model.placed_by_tier(x).tolist(), strict=True)
    optimal = all(level.optimal for level in levels)
    return SolveResult(
        Status.OPTIMAL if optimal else Status.FEASIBLE,
        node,
        reasons,
        moved,
        evicted,
        levels,
        dict(tiers),
        round(budget.spent * WORK_PER_SECOND),
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


def _empty(model: AssignmentModel, status: Status, budget: Budget) -> SolveResult:
    reasons = [""] * model.pods
    for group in model.groups:
        for index in group.pending:
            reasons[index] = "0/0 nodes are available."
    return SolveResult(
        status,
        [-1] * model.pods,
        reasons,
        placed_by_tier=dict.fromkeys(model.priorities.tolist(), 0),
        wall_s=budget.wall_s,
    )
