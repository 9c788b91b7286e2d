"""A linear model with integer unknowns, in a form that every solver backend can take.

Rows may be conditional: they hold where a 0/1 column has a value. CP-SAT takes that as it is, the
others get the same by a big constant, which `LinearModel` works out from the columns' limits. One
neutral form was chosen over a model per solver so that two solvers that agree prove the same thing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

INFINITY = 1 << 60
"""Stands for no limit; far below what an int64 sum of products may reach in CP-SAT."""


@dataclass(frozen=True, slots=True)
class Row:
    """``low <= sum of coefficients times columns <= high``, where *when* says so.

    Attributes
    ----------
    columns, coefficients : sequence of int
        The sum; a column stands there once.
    low, high : int
        Limits; -`INFINITY` and `INFINITY` = none.
    when : tuple of (int, int), optional
        A 0/1 column and the value with which the row holds; None = always.
    """

    columns: Sequence[int]
    coefficients: Sequence[int]
    low: int
    high: int
    when: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Expression:
    """A sum of coefficients times columns, plus a constant."""

    columns: Sequence[int]
    coefficients: Sequence[int]
    constant: int = 0

    def value(self, solution: Sequence[int]) -> int:
        """Return its value in a solution."""
        total = sum(k * solution[c] for c, k in zip(self.columns, self.coefficients, strict=True))
        return int(total) + self.constant


@dataclass
class LinearModel:
    """Columns with limits, and rows over them.

    Attributes
    ----------
    lower, upper : list of int
        Limits of the columns.
    rows : list of Row
        The rows.
    """

    lower: list[int] = field(default_factory=list)
    upper: list[int] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)

    def column(self, lower: int, upper: int) -> int:
        """Add a column and return its number."""
        self.lower.append(int(lower))
        self.upper.append(int(upper))
        return len(self.lower) - 1

    def flag(self) -> int:
        """Add a 0/1 column and return its number."""
        return self.column(0, 1)

    def row(
        self,
        columns: Iterable[int],
        coefficients: Iterable[int],
        low: int = -INFINITY,
        high: int = INFINITY,
        when: tuple[int, int] | None = None,
    ) -> None:
        """Add a row; columns may stand there more than once."""
        merged: dict[int, int] = {}
        for column, coefficient in zip(columns, coefficients, strict=True):
            merged[int(column)] = merged.get(int(column), 0) + int(coefficient)
        kept = {column: k for column, k in merged.items() if k}
        self.rows.append(Row(list(kept), list(kept.values()), int(low), int(high), when))

    def limits(self, row: Row | Expression) -> tuple[int, int]:
        """Return the least and the greatest value that a sum can take."""
        low = high = 0
        for column, k in zip(row.columns, row.coefficients, strict=True):
            ends = (k * self.lower[column], k * self.upper[column])
            low += min(ends)
            high += max(ends)
        return low, high

    def unconditional(self) -> list[Row]:
        """Return the rows with every condition turned into a big constant."""
        found: list[Row] = []
        for row in self.rows:
            if row.when is None:
                found.append(row)
                continue
            flag, value = row.when
            low, high = self.limits(row)
            if row.high < INFINITY and high > row.high:
                found.append(_relaxed(row, flag, value, high - row.high, upper=True))
            if row.low > -INFINITY and low < row.low:
                found.append(_relaxed(row, flag, value, row.low - low, upper=False))
        return found


def _relaxed(row: Row, flag: int, value: int, slack: int, *, upper: bool) -> Row:
    """Return one side of a conditional row, loosened by *slack* where the condition is off.

    With value 1: ``sum + slack * flag <= high + slack``; with value 0: ``sum - slack * flag <=
    high``; the lower side mirrors it.
    """
    sign = 1 if upper else -1
    columns = list(row.columns)
    coefficients = list(row.coefficients)
    on = 1 if value else -1
    if flag in columns:
        coefficients[columns.index(flag)] += sign * on * slack
    else:
        columns.append(flag)
        coefficients.append(sign * on * slack)
    extra = slack if value else 0
    if upper:
        return Row(columns, coefficients, -INFINITY, row.high + extra)
    return Row(columns, coefficients, row.low - extra, INFINITY)
