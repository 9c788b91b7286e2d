"""Distributions of latencies, durations and sizes, as inverse distribution functions.

Every distribution maps a uniform draw to a value, so that a keyed draw gives the same value
whatever happened before. Values are integers: microseconds where the distribution stands for a
time. Measured start-up latencies do not fit a lognormal (checked against their p90 it misses by
-32 % to +21 %), hence the table of quantiles; sequential samplers were rejected because they tie
a value to the order of calls.
"""

from __future__ import annotations

import csv
import math
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from schedlab.errors import InputError
from schedlab.units import parse_duration_us

Scale = Callable[[Any], int]


@runtime_checkable
class Distribution(Protocol):
    """What a latency or a size is drawn from."""

    def quantile(self, u: float) -> int:
        """Return the value below which a share *u* in [0, 1) of all draws lies."""
        ...

    def quantiles(self, u: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the quantiles of an array of shape [E]; equal to `quantile` for each."""
        ...

    def mean(self) -> float:
        """Return the expectation."""
        ...


class _Scalar:
    """Vector form by the scalar one, for distributions that have no faster way."""

    def quantile(self, u: float) -> int:
        raise TypeError  # every subclass overrides it

    def quantiles(self, u: NDArray[np.float64]) -> NDArray[np.int64]:
        return np.fromiter((self.quantile(x) for x in u.tolist()), np.int64, len(u))


@dataclass(frozen=True)
class Constant:
    """Always *value*."""

    value: int

    def quantile(self, u: float) -> int:
        """Return the value."""
        return self.value

    def quantiles(self, u: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the value, once per entry of *u* [E]."""
        return np.full(len(u), self.value, np.int64)

    def mean(self) -> float:
        """Return the value."""
        return float(self.value)


@dataclass(frozen=True)
class Uniform(_Scalar):
    """Uniform on *low* .. *high*."""

    low: int
    high: int

    def quantile(self, u: float) -> int:
        """Return low + u (high - low), rounded down."""
        return self.low + int(u * (self.high - self.low))

    def mean(self) -> float:
        """Return the middle."""
        return (self.low + self.high) / 2


@dataclass(frozen=True)
class Exponential(_Scalar):
    """Exponential with expectation *average*."""

    average: int

    def quantile(self, u: float) -> int:
        """Return -average ln(1 - u), rounded down."""
        return int(-self.average * math.log1p(-u))

    def mean(self) -> float:
        """Return the expectation."""
        return float(self.average)


@dataclass(frozen=True)
class Lognormal(_Scalar):
    """Lognormal: the logarithm is normal with mean ln *median* and deviation *sigma*."""

    median: int
    sigma: float

    def quantile(self, u: float) -> int:
        """Return median exp(sigma z(u)) with the normal quantile z, rounded down."""
        return int(self.median * math.exp(self.sigma * float(ndtri(max(u, 2.0**-54)))))

    def mean(self) -> float:
        """Return median exp(sigma^2 / 2)."""
        return self.median * math.exp(self.sigma**2 / 2)


@dataclass(frozen=True)
class Pareto(_Scalar):
    """Pareto with minimum *scale* and tail index *shape*."""

    scale: int
    shape: float

    def quantile(self, u: float) -> int:
        """Return scale (1 - u)^(-1 / shape), rounded down."""
        return int(self.scale * (1.0 - u) ** (-1.0 / self.shape))

    def mean(self) -> float:
        """Return scale shape / (shape - 1), infinite for shape <= 1."""
        return math.inf if self.shape <= 1 else self.scale * self.shape / (self.shape - 1)


@dataclass(frozen=True)
class QuantileTable(_Scalar):
    """Straight lines through measured quantiles.

    Below the first probability the line starts at zero, above the last one it goes on with the
    last slope: a table never invents a jump, and its tail is an assumption that is stated here.

    Attributes
    ----------
    probabilities : tuple of float
        Increasing, within (0, 1).
    values : tuple of int
        Not decreasing, same length.
    """

    probabilities: tuple[float, ...]
    values: tuple[int, ...]
    _knots: tuple[tuple[float, ...], tuple[float, ...]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        ps = (0.0, *self.probabilities)
        vs = (0.0, *map(float, self.values))
        slope = (vs[-1] - vs[-2]) / (ps[-1] - ps[-2])
        knots = (*ps, 1.0), (*vs, vs[-1] + slope * (1.0 - ps[-1]))
        object.__setattr__(self, "_knots", knots)

    def quantile(self, u: float) -> int:
        """Return the value on the line through the neighbouring knots, rounded down."""
        ps, vs = self._knots
        i = min(bisect_right(ps, u), len(ps) - 1)
        share = (u - ps[i - 1]) / (ps[i] - ps[i - 1])
        return int(vs[i - 1] + share * (vs[i] - vs[i - 1]))

    def mean(self) -> float:
        """Return the integral of the quantile function: the mean of a polygon's trapezes."""
        ps, vs = self._knots
        return float(np.trapezoid(vs, ps))


@dataclass(frozen=True)
class Empirical(_Scalar):
    """The measured values themselves, each as likely as the others.

    Attributes
    ----------
    values : tuple of int
        Sorted.
    """

    values: tuple[int, ...]

    def quantile(self, u: float) -> int:
        """Return the value of rank floor(u n)."""
        return self.values[int(u * len(self.values))]

    def mean(self) -> float:
        """Return the mean of the values."""
        return sum(self.values) / len(self.values)


_KINDS = "constant, uniform, exponential, lognormal, pareto, quantiles or empirical"


def parse_distribution(
    value: Any,
    *,
    field: str = "",
    base: Path | None = None,
    scale: Scale = parse_duration_us,
) -> Distribution:
    """Read a distribution from a config value.

    Parameters
    ----------
    value : str, number, mapping or Distribution
        ``10ms``; ``{constant: 10ms}``; ``{uniform: [1ms, 5ms]}``; ``{exponential: {mean: 10ms}}``;
        ``{lognormal: {median: 60s, sigma: 1.2}}``; ``{pareto: {scale: 1s, shape: 1.5}}``;
        ``{quantiles: {0.5: 9.3ms, 0.9: 13.1ms}}``; ``{empirical: file.csv, column: name}``.
    field : str, default ""
        Path of the field, for errors.
    base : Path, optional
        Directory to which the file of an empirical distribution is relative.
    scale : callable, default `schedlab.units.parse_duration_us`
        Turns one entry into an integer: microseconds here, milli-cores or bytes for sizes.

    Raises
    ------
    InputError
        The value is none of the forms above.
    """
    if isinstance(value, Distribution):
        return value
    if not isinstance(value, Mapping):
        return Constant(_scaled(value, field, scale))
    kinds = [k for k in value if k != "column"]
    if len(kinds) != 1 or kinds[0] not in _READERS:
        raise InputError(field, found=dict(value), expected=f"one of {_KINDS}")
    kind = str(kinds[0])
    below = f"{field}.{kind}" if field else kind
    if kind == "empirical":
        return _read_empirical(value[kind], value.get("column"), below, base, scale)
    if "column" in value:
        raise InputError(f"{below}.column", found=value["column"], expected="no column here")
    return _READERS[kind](value[kind], below, scale)


def _scaled(value: Any, field: str, scale: Scale) -> int:
    try:
        return scale(value)
    except InputError as error:
        raise error.under(field) if field else error from None


def _parts(value: Any, names: tuple[str, ...], field: str) -> list[Any]:
    if not isinstance(value, Mapping) or set(value) != set(names):
        raise InputError(field, found=value, expected=f"a mapping with {' and '.join(names)}")
    return [value[name] for name in names]


def _number(value: Any, field: str, *, above: float, reach: bool = False) -> float:
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not good or value < above or (value == above and not reach):
        raise InputError(field, found=value, expected=f"a number {'>=' if reach else '>'} {above}")
    return float(value)


def _read_uniform(value: Any, field: str, scale: Scale) -> Distribution:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise InputError(field, found=value, expected="[low, high]")
    low, high = (_scaled(v, f"{field}[{i}]", scale) for i, v in enumerate(value))
    if low > high:
        raise InputError(field, found=value, expected="low <= high")
    return Uniform(low, high)


def _read_exponential(value: Any, field: str, scale: Scale) -> Distribution:
    (mean,) = _parts(value, ("mean",), field)
    return Exponential(_scaled(mean, f"{field}.mean", scale))


def _read_lognormal(value: Any, field: str, scale: Scale) -> Distribution:
    median, sigma = _parts(value, ("median", "sigma"), field)
    deviation = _number(sigma, f"{field}.sigma", above=0.0, reach=True)
    return Lognormal(_scaled(median, f"{field}.median", scale), deviation)


def _read_pareto(value: Any, field: str, scale: Scale) -> Distribution:
    low, shape = _parts(value, ("scale", "shape"), field)
    index = _number(shape, f"{field}.shape", above=0.0)
    return Pareto(_scaled(low, f"{field}.scale", scale), index)


def _read_quantiles(value: Any, field: str, scale: Scale) -> Distribution:
    if not isinstance(value, Mapping) or not value:
        raise InputError(field, found=value, expected="a mapping of probability to value")
    rows = []
    for key, entry in value.items():
        try:
            p = float(key)
        except (TypeError, ValueError):
            p = math.nan
        if not 0.0 < p < 1.0:
            raise InputError(field, found=key, expected="probabilities within (0, 1)")
        rows.append((p, _scaled(entry, f"{field}[{key}]", scale)))
    rows.sort()
    ps, vs = zip(*rows, strict=True)
    if len(set(ps)) < len(ps) or list(vs) != sorted(vs):
        raise InputError(field, found=dict(value), expected="values that grow with probability")
    return QuantileTable(ps, vs)


def _read_empirical(
    value: Any, column: Any, field: str, base: Path | None, scale: Scale
) -> Distribution:
    if isinstance(value, list):
        if not value:
            raise InputError(field, found=value, expected="at least one value")
        return Empirical(
            tuple(sorted(_scaled(v, f"{field}[{i}]", scale) for i, v in enumerate(value)))
        )
    if not isinstance(value, str):
        raise InputError(field, found=value, expected="a CSV file or a list of values")
    path = (base or Path()) / value
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            names = list(reader.fieldnames or [])
            name = column if column is not None else (names[0] if len(names) == 1 else None)
            if name not in names:
                raise InputError(
                    f"{field}.column",
                    found=column,
                    expected=f"one of {', '.join(names)}",
                    file=path,
                )
            rows = [
                _scaled(row[name], f"row {i}: {name}", scale)
                for i, row in enumerate(reader, start=2)
            ]
    except OSError as error:
        raise InputError(field, found=str(path), expected="a readable CSV file") from error
    except InputError as error:
        raise error.in_file(path) from None
    if not rows:
        raise InputError(field, found="<no rows>", expected="at least one value", file=path)
    return Empirical(tuple(sorted(rows)))


def _read_constant(value: Any, field: str, scale: Scale) -> Distribution:
    return Constant(_scaled(value, field, scale))


_READERS: dict[str, Callable[[Any, str, Scale], Distribution]] = {
    "constant": _read_constant,
    "uniform": _read_uniform,
    "exponential": _read_exponential,
    "lognormal": _read_lognormal,
    "pareto": _read_pareto,
    "quantiles": _read_quantiles,
    "empirical": lambda value, field, scale: _read_empirical(value, None, field, None, scale),
}
