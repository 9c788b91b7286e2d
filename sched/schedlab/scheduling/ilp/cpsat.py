"""CP-SAT: the default backend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ortools.sat.python import cp_model

from schedlab.scheduling.ilp.backend import Answer, Goal
from schedlab.scheduling.ilp.linear import INFINITY, Expression, LinearModel


class CpSat:
    """A linear model in CP-SAT; levels are solved one after the other on the same model.

    Parameters
    ----------
    linear : LinearModel
        The model.
    workers : int
        Threads; 0 = one per processor.
    seed : int
        Seed of its searches.
    """

    name = "cp-sat"

    def __init__(self, linear: LinearModel, *, workers: int = 1, seed: int = 0) -> None:
        self._model = cp_model.CpModel()
        self._columns: list[Any] = [
            self._model.new_int_var(low, high, "")
            for low, high in zip(linear.lower, linear.upper, strict=True)
        ]
        self._workers = workers
        self._seed = seed
        for row in linear.rows:
            constraint = self._model.add_linear_constraint(
                self._sum(row.columns, row.coefficients), *_limits(row.low, row.high)
            )
            if row.when is not None:
                flag, value = row.when
                literal = self._columns[flag]
                constraint.only_enforce_if(literal if value else literal.negated())

    def _sum(self, columns: Sequence[int], coefficients: Sequence[int]) -> Any:
        if not columns:
            return cp_model.LinearExpr.constant(0)
        chosen = [self._columns[c] for c in columns]
        return cp_model.LinearExpr.weighted_sum(chosen, list(coefficients))

    def require(self, expression: Expression, low: int, high: int) -> None:
        """Add a row that holds from now on."""
        low, high = low - expression.constant, high - expression.constant
        sum_ = self._sum(expression.columns, expression.coefficients)
        self._model.add_linear_constraint(sum_, *_limits(low, high))

    def solve(
        self, goal: Goal, hint: Mapping[int, int], *, seconds: float, deterministic: bool
    ) -> Answer:
        """Optimise one goal from a hint."""
        model, expression = self._model, goal.expression
        sum_ = self._sum(expression.columns, expression.coefficients) + expression.constant
        (model.maximize if goal.maximize else model.minimize)(sum_)
        model.clear_hints()  # type: ignore[no-untyped-call]
        model.proto.solution_hint.vars.extend(list(hint))
        model.proto.solution_hint.values.extend(list(hint.values()))
        solver = cp_model.CpSolver()
        solver.parameters.num_workers = self._workers
        solver.parameters.random_seed = self._seed
        # it would take the interrupt away from Python for good: Ctrl-C would kill the process later
        solver.parameters.catch_sigint_signal = False
        if deterministic:
            solver.parameters.max_deterministic_time = max(seconds, 1e-3)
        else:
            solver.parameters.max_time_in_seconds = max(seconds, 1e-3)
        status = solver.solve(model)
        found = status in (cp_model.OPTIMAL, cp_model.FEASIBLE)
        return Answer(
            [int(v) for v in solver.response_proto.solution] if found else None,
            solver.best_objective_bound if found else None,
            status in (cp_model.OPTIMAL, cp_model.INFEASIBLE),
            solver.deterministic_time if deterministic else solver.wall_time,
        )


def _limits(low: int, high: int) -> tuple[int, int]:
    return (
        cp_model.INT_MIN if low <= -INFINITY else low,
        cp_model.INT_MAX if high >= INFINITY else high,
    )
