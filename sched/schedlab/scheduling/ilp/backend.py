"""What solver backends have in common: a goal in, an answer out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from schedlab.scheduling.ilp.linear import Expression


@dataclass(frozen=True, slots=True)
class Goal:
    """An expression to maximise or minimise."""

    expression: Expression
    maximize: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """What a backend found.

    Attributes
    ----------
    solution : list of int or None
        Values of all columns; None = no solution was found.
    bound : float or None
        Proven bound of the goal; None = nothing is known.
    proven : bool
        The solution is optimal, or there is proven to be none.
    seconds : float
        Wall or deterministic time.
    """

    solution: list[int] | None
    bound: float | None
    proven: bool
    seconds: float


class Backend(Protocol):
    """A linear model in a solver; what is required of it stays required."""

    name: str

    def require(self, expression: Expression, low: int, high: int) -> None:
        """Add a row that holds from now on."""
        ...

    def solve(
        self, goal: Goal, hint: Mapping[int, int], *, seconds: float, deterministic: bool
    ) -> Answer:
        """Optimise one goal from a hint."""
        ...
