"""MathOpt: HiGHS as a second opinion, GLOP and PDLP for bounds by the linear relaxation."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from ortools.math_opt.python import mathopt

from schedlab.scheduling.ilp.backend import Answer, Goal
from schedlab.scheduling.ilp.linear import INFINITY, Expression, LinearModel, Row

Relaxation = Literal["glop", "pdlp"]
_SOLVERS = {
    "highs": mathopt.SolverType.HIGHS,
    "glop": mathopt.SolverType.GLOP,
    "pdlp": mathopt.SolverType.PDLP,
}
_FOUND = (mathopt.TerminationReason.OPTIMAL, mathopt.TerminationReason.FEASIBLE)


NOT_OK = (RuntimeError, ValueError, AttributeError)
"""What MathOpt raises where a solver gives up, as GLOP does now and then for its own numbers. The
last one is no slip of ours: OR-Tools 9.15 stumbles so over the status that it wants to report."""


def attempted(solve: Callable[[], mathopt.SolveResult]) -> mathopt.SolveResult | None:
    """Return what a solver says; None where it gave up, which is never an error of ours."""
    try:
        return solve()
    except NOT_OK:
        return None


class MathOpt:
    """A linear model in MathOpt.

    Parameters
    ----------
    linear : LinearModel
        The model; conditional rows get a big constant.
    solver : {"highs", "glop", "pdlp"}
        HiGHS solves with integers, the others the relaxation without.
    """

    def __init__(self, linear: LinearModel, *, solver: str = "highs") -> None:
        self.name = solver
        self._type = _SOLVERS[solver]
        self._model = mathopt.Model()
        integer = solver == "highs"
        self._columns = [
            self._model.add_variable(lb=low, ub=high, is_integer=integer)
            for low, high in zip(linear.lower, linear.upper, strict=True)
        ]
        for row in linear.unconditional():
            self._row(row)

    def _row(self, row: Row) -> None:
        low = -math.inf if row.low <= -INFINITY else float(row.low)
        high = math.inf if row.high >= INFINITY else float(row.high)
        added = self._model.add_linear_constraint(lb=low, ub=high)
        for column, coefficient in zip(row.columns, row.coefficients, strict=True):
            added.set_coefficient(self._columns[column], float(coefficient))

    def _sum(self, columns: Sequence[int], coefficients: Sequence[int]) -> Any:
        pairs = zip(columns, coefficients, strict=True)
        return mathopt.fast_sum(self._columns[c] * float(k) for c, k in pairs)

    def require(self, expression: Expression, low: int, high: int) -> None:
        """Add a row that holds from now on."""
        offset = expression.constant
        self._row(Row(expression.columns, expression.coefficients, low - offset, high - offset))

    def solve(
        self, goal: Goal, hint: Mapping[int, int], *, seconds: float, deterministic: bool
    ) -> Answer:
        """Optimise one goal from a hint; HiGHS knows wall time only, and is deterministic."""
        expression = goal.expression
        self._model.set_objective(
            self._sum(expression.columns, expression.coefficients) + expression.constant,
            is_maximize=goal.maximize,
        )
        parameters = mathopt.SolveParameters(time_limit=datetime.timedelta(seconds=seconds))
        if self.name == "highs":
            parameters.relative_gap_tolerance = 0.0
            parameters.absolute_gap_tolerance = 0.5
        start = mathopt.SolutionHint(
            variable_values={self._columns[c]: float(v) for c, v in hint.items()}
        )
        asked = mathopt.ModelSolveParameters(
            solution_hints=[start] if hint and self.name == "highs" else []
        )
        result = attempted(
            lambda: mathopt.solve(self._model, self._type, params=parameters, model_params=asked)
        )
        return Answer(None, None, False, 0.0) if result is None else self._answer(result)

    def _answer(self, result: Any) -> Answer:
        termination = result.termination
        reason = termination.reason
        found = reason in _FOUND and result.has_primal_feasible_solution()
        solution = None
        if found and self.name == "highs":
            solution = [round(v) for v in result.variable_values(self._columns)]
        bound = termination.objective_bounds.dual_bound
        optimal = reason is mathopt.TerminationReason.OPTIMAL
        return Answer(
            solution,
            bound if math.isfinite(bound) else None,
            optimal or reason is mathopt.TerminationReason.INFEASIBLE,
            result.solve_stats.solve_time.total_seconds(),
        )
