"""Sizes and durations: one distribution per resource, joined by rank correlations or by a table.

Each entity (item, ordinal) has one uniform draw per dimension (a resource, or the duration), keyed
and therefore independent of everything else. Where correlations are asked for, the uniforms of
the dimensions concerned pass through a Gaussian copula: Spearman's rank correlation r of two
dimensions is that of normals whose correlation is 2 sin(pi r / 6). Correlating the values
themselves was rejected: Pearson's coefficient changes with every marginal.

Continuous sizes are rounded to steps, since people ask for round sizes and every distinct size
makes a pod class of its own; a lognormal at full resolution has as many classes as pods and defeats
every cache of a scheduler. Unless told otherwise the steps grow with the size: at least 50m of cpu
and 64Mi of memory, and from four steps on four sizes per doubling (200m, 250m, 300m, 350m, 400m,
500m, 600m, ...). An explicit ``step`` is the same everywhere.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import ndtr, ndtri

from schedlab.errors import InputError
from schedlab.rng import Draws
from schedlab.sim.distributions import Constant, Distribution, Empirical, parse_distribution
from schedlab.units import amount, parse_duration_us
from schedlab.workload.model import Spec, unknown_key

DURATION: Final = "duration"
STEPS: Final = {"cpu": 50, "memory": 64 * 2**20, "ephemeral-storage": 2**30}
"""Least default steps of continuous sizes: milli-cores, bytes; 1 for everything else."""
_LARGEST: Final = 2**53  # default max: 9 PB, 285 years; tails beyond are cut
_BELOW_ONE: Final = 1.0 - 2.0**-53
_ABOVE_ZERO: Final = 2.0**-54

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Scale = Callable[[Any], int]


class Correlation(Spec):
    """Rank correlation (Spearman) of two dimensions, each a resource name or ``duration``."""

    between: tuple[str, str]
    rank: Annotated[float, Field(gt=-1, lt=1)]


@dataclass(frozen=True)
class Choices:
    """Some values, each with a weight.

    Attributes
    ----------
    values : int64 array of shape [V]
        In the order of the spec.
    upto : float64 array of shape [V]
        Cumulative shares; the last one is 1.
    """

    values: Ints
    upto: Floats

    def quantile(self, u: float) -> int:
        """Return the value whose share holds *u*."""
        return int(self.values[self._rows(np.array([u]))[0]])

    def quantiles(self, u: Floats) -> Ints:
        """Return the values of draws of shape [E]."""
        return self.values[self._rows(u)]

    def mean(self) -> float:
        """Return the weighted mean."""
        return float(self.values @ np.diff(self.upto, prepend=0.0))

    def _rows(self, u: Floats) -> NDArray[np.intp]:
        return np.minimum(np.searchsorted(self.upto, u, side="right"), len(self.values) - 1)


@dataclass(frozen=True)
class Sized:
    """A distribution rounded to steps and clipped.

    Attributes
    ----------
    base : Distribution
        What is rounded.
    step : int
        Values are multiples of it, rounded half up.
    low, high : int
        Bounds, applied last.
    grows : bool
        Whether the step doubles with each doubling of the value, from 8 steps on.
    """

    base: Distribution
    step: int
    low: int
    high: int
    grows: bool = False

    def quantile(self, u: float) -> int:
        """Return the rounded quantile."""
        return int(self.quantiles(np.array([u]))[0])

    def quantiles(self, u: Floats) -> Ints:
        """Return the rounded quantiles of draws of shape [E]."""
        try:
            values = self.base.quantiles(u)
        except OverflowError:  # a tail beyond 64 bits, or beyond floats
            values = np.array([self._bounded(x) for x in u.tolist()], np.int64)
        if self.step > 1:
            steps = np.full(len(values), self.step, np.int64)
            if self.grows:
                quarters = np.maximum(values // (4 * self.step), 1)
                steps <<= np.log2(quarters).astype(np.int64)
            whole, rest = np.divmod(values, steps)
            values = (whole + (rest >= steps - rest)) * steps
        return np.clip(values, self.low, self.high)

    def mean(self) -> float:
        """Return the mean of the distribution as it is, before rounding and clipping."""
        return self.base.mean()

    def _bounded(self, u: float) -> int:
        try:
            return min(self.base.quantile(u), self.high)
        except OverflowError:
            return self.high


def parse_choices(value: Any, field: str, scale: Scale) -> Choices:
    """Read ``{choices: {500m: 3, "2": 1}}``: values with weights, in any proportion."""
    if not isinstance(value, Mapping) or not value:
        raise InputError(field, found=value, expected="a mapping of value to weight")
    values = [_scaled(key, f"{field}[{key}]", scale) for key in value]
    weights = [_weight(weight, f"{field}[{key}]") for key, weight in value.items()]
    return Choices(np.array(values, np.int64), _cumulative(weights, field))


def _weight(value: Any, field: str) -> float:
    good = isinstance(value, int | float) and not isinstance(value, bool)
    if not good or not 0 <= value < math.inf:
        raise InputError(field, found=value, expected="a weight >= 0")
    return float(value)


def _cumulative(weights: list[float], field: str) -> Floats:
    total = math.fsum(weights)
    if total == 0:
        raise InputError(field, found=weights, expected="at least one weight > 0")
    upto = np.cumsum(weights) / total
    upto[-1] = 1.0
    return upto


def _scaled(value: Any, field: str, scale: Scale) -> int:
    try:
        result = scale(value)
    except InputError as error:
        raise InputError(field, found=error.found, expected=error.expected) from None
    if result < 0:
        raise InputError(field, found=value, expected="a value >= 0")
    return result


def parse_size(resource: str, value: Any, *, field: str, base: Path | None = None) -> Distribution:
    """Read the size of one resource.

    Parameters
    ----------
    resource : str
        Decides the unit: milli-cores, bytes, or a count.
    value : quantity or mapping
        ``500m``; ``{choices: {500m: 3, "2": 1}}``; or a distribution of quantities such as
        ``{lognormal: {median: 500m, sigma: 0.8}}``. A mapping may also hold ``step``, ``min`` and
        ``max``. Continuous distributions have steps that grow (see the module), others none.
    field : str
        Path of the field, for errors.
    base : Path, optional
        Directory to which the file of an empirical distribution is relative.
    """

    def scale(text: Any) -> int:
        return amount(resource, text)

    return _parse_sized(value, field, scale, STEPS.get(resource, 1), base)


def parse_count(value: Any, *, field: str, low: int, base: Path | None = None) -> Distribution:
    """Read a number of replicas or completions, at least *low*: an int, or a distribution."""

    def scale(number: Any) -> int:
        if isinstance(number, str) and number.isdecimal():
            number = int(number)  # keys of JSON are text
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < 2**31:
            raise InputError("", found=number, expected="an integer >= 0")
        return number

    sized = _parse_sized(value, field, scale, 1, base, low=low)
    if isinstance(sized, Constant) and sized.value < low:
        raise InputError(field, found=value, expected=f"an integer >= {low}")
    return sized


def parse_time(value: Any, *, field: str, base: Path | None = None) -> Distribution:
    """Read a duration: like `parse_size`, in microseconds, not rounded unless ``step`` says so."""
    return _parse_sized(value, field, parse_duration_us, 1, base)


def _parse_sized(
    value: Any, field: str, scale: Scale, step: int, base: Path | None, low: int | None = None
) -> Distribution:
    if not isinstance(value, Mapping):
        return Constant(_scaled(value, field, scale))
    rest = {k: v for k, v in value.items() if k not in ("step", "min", "max")}
    if set(rest) == {"choices"}:
        inner: Distribution = parse_choices(rest["choices"], f"{field}.choices", scale)
    else:
        inner = parse_distribution(rest, field=field, base=base, scale=scale)
    bounds = {
        key: _scaled(value[key], f"{field}.{key}", scale)
        for key in ("step", "min", "max")
        if key in value
    }
    discrete = isinstance(inner, Constant | Choices | Empirical)
    step = bounds.get("step", 1 if discrete else step)
    if step < 1:
        raise InputError(f"{field}.step", found=value["step"], expected="a step > 0")
    grows = "step" not in bounds and not discrete
    floor = bounds.get("min", (0 if discrete else step) if low is None else low)
    high = bounds.get("max", _LARGEST)
    if floor > high:
        raise InputError(f"{field}.max", found=value.get("max"), expected="max >= min")
    if discrete and not bounds and low is None:
        return inner
    return Sized(inner, step, floor, high, grows)


@dataclass(frozen=True)
class Table:
    """A joint empirical distribution: rows that are drawn as a whole.

    Attributes
    ----------
    columns : dict of str to int64 array of shape [V]
        Resources and, where given, ``duration``.
    upto : float64 array of shape [V]
        Cumulative shares of the rows.
    """

    columns: dict[str, Ints]
    upto: Floats

    def rows(self, u: Floats) -> NDArray[np.intp]:
        """Return the row of each draw of shape [E]."""
        return np.minimum(np.searchsorted(self.upto, u, side="right"), len(self.upto) - 1)


def parse_table(value: Any, *, field: str, base: Path | None = None) -> Table:
    """Read a table of sizes: a list of mappings, or a CSV file with a header.

    Columns are resource names, ``duration`` and ``weight`` (1 where absent). An entry of a
    resource is a quantity, of the duration a duration.
    """
    file: Path | None = None
    if isinstance(value, str):
        file = (base or Path()) / value
        rows, labels = _csv_rows(file, field)
    elif isinstance(value, list | tuple) and all(isinstance(row, Mapping) for row in value):
        rows, labels = list(value), [f"{field}[{i}]." for i in range(len(value))]
    else:
        raise InputError(field, found=value, expected="a CSV file or a list of mappings")
    if not rows:
        raise InputError(field, found="<no rows>", expected="at least one row", file=file)
    try:
        return _table(rows, labels, field)
    except InputError as error:
        raise (error.in_file(file) if file else error) from None


def _csv_rows(path: Path, field: str) -> tuple[list[dict[str, Any]], list[str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, restkey="")
            rows = list(reader)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(field, found=str(path), expected="a readable CSV file") from error
    return rows, [f"row {i}: " for i in range(2, len(rows) + 2)]


def _table(rows: list[Any], labels: list[str], field: str) -> Table:
    names = [str(name) for name in rows[0]]
    columns: dict[str, list[int]] = {name: [] for name in names if name != "weight"}
    weights: list[float] = []
    for row, label in zip(rows, labels, strict=True):
        for name in row:
            if name not in names:
                raise unknown_key(name, names).under(label.rstrip(".: "))
        for name in names:
            found = row.get(name)
            if found is None:
                raise InputError(f"{label}{name}", found="<nothing>", expected="a value")
            if name == "weight":
                weights.append(_table_weight(found, f"{label}weight"))
            else:
                columns[name].append(_scaled(found, f"{label}{name}", _scale_of(name)))
    upto = _cumulative(weights or [1.0] * len(rows), f"{field}.weight")
    return Table({name: np.array(values, np.int64) for name, values in columns.items()}, upto)


def _scale_of(name: str) -> Scale:
    if name == DURATION:
        return parse_duration_us
    return lambda text: amount(name, text)


def _table_weight(value: Any, field: str) -> float:
    try:
        return _weight(float(value) if isinstance(value, str) else value, field)
    except ValueError:  # InputError is one too
        raise InputError(field, found=value, expected="a weight >= 0") from None


@dataclass(frozen=True)
class Sizes:
    """How big the entities of one item are.

    Attributes
    ----------
    marginals : dict of str to Distribution
        Resources and, where drawn per entity, ``duration``.
    table : Table or None
        Further dimensions, drawn by the row.
    joined : tuple of str, length D
        Dimensions with a correlation.
    mix : float64 array of shape [D, D]
        Lower Cholesky factor of the normal correlation of *joined*.
    """

    marginals: dict[str, Distribution]
    table: Table | None
    joined: tuple[str, ...]
    mix: Floats

    @property
    def dimensions(self) -> tuple[str, ...]:
        """All dimensions, in the order of the spec."""
        return (*self.marginals, *(self.table.columns if self.table else ()))

    def draw(self, keys: NDArray[np.uint64], draws: Draws) -> dict[str, Ints]:
        """Return the value of each dimension for entities of shape [E]."""
        uniforms = {name: draws.stream(name).uniforms(keys) for name in self.marginals}
        if self.joined:
            raw = np.stack([uniforms[name] for name in self.joined])
            normals = ndtri(np.maximum(raw, _ABOVE_ZERO))
            for i, name in enumerate(self.joined):  # no BLAS: bits must not depend on the shape
                mixed = sum(self.mix[i, k] * normals[k] for k in range(i + 1))
                uniforms[name] = np.minimum(ndtr(mixed), _BELOW_ONE)
        values = {name: self.marginals[name].quantiles(u) for name, u in uniforms.items()}
        if self.table is not None:
            rows = self.table.rows(draws.stream("table").uniforms(keys))
            values |= {name: column[rows] for name, column in self.table.columns.items()}
        return values


def parse_sizes(
    marginals: dict[str, Distribution],
    table: Table | None,
    correlations: tuple[Correlation, ...],
    *,
    field: str,
) -> Sizes:
    """Join the dimensions of one item.

    Raises
    ------
    InputError
        A dimension that is given twice or not at all, or correlations that can't hold together.
    """
    if table is not None:
        for name in table.columns:
            if name in marginals:
                raise InputError(f"{field}.table", found=name, expected="each dimension once")
    joined = tuple(dict.fromkeys(name for c in correlations for name in c.between))
    normal = np.eye(len(joined))
    for i, correlation in enumerate(correlations):
        where = f"{field}.correlation[{i}]"
        first, second = correlation.between
        for name in (first, second):
            if name not in marginals:
                known = ", ".join(marginals) or "none"
                raise InputError(
                    f"{where}.between", found=name, expected=f"a dimension with draws ({known})"
                )
        if first == second:
            raise InputError(f"{where}.between", found=first, expected="two dimensions")
        a, b = joined.index(first), joined.index(second)
        if normal[a, b] != 0:
            raise InputError(f"{where}.between", found=[first, second], expected="each pair once")
        normal[a, b] = normal[b, a] = 2 * math.sin(math.pi * correlation.rank / 6)
    try:
        mix = np.linalg.cholesky(normal).astype(np.float64)
    except np.linalg.LinAlgError:
        ranks = [f"{'-'.join(c.between)} {c.rank}" for c in correlations]
        raise InputError(
            f"{field}.correlation", found=ranks, expected="correlations that can hold together"
        ) from None
    return Sizes(marginals, table, joined, mix)
