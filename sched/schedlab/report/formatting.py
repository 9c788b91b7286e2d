"""Numbers as people read them: with a unit that fits and no digits that mean nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from schedlab.record.metrics import GPU_METRICS, METRICS, RESOURCE_METRICS, find_metric

_TIME_UNITS: tuple[tuple[str, float], ...] = (
    ("d", 86400.0),
    ("h", 3600.0),
    ("min", 60.0),
    ("s", 1.0),
    ("ms", 1e-3),
    ("µs", 1e-6),
)
NONE = "\N{EN DASH}"


def time_unit(seconds: float) -> tuple[str, float]:
    """Return the unit in which a duration reads best, and its length in seconds.

    >>> time_unit(0.0123)
    ('ms', 0.001)
    >>> time_unit(7200)
    ('h', 3600.0)
    """
    size = abs(seconds)
    if not math.isfinite(size) or size == 0:
        return "s", 1.0
    for name, length in _TIME_UNITS:
        if size >= length * (1 if length <= 1 else 2):  # 90 s reads better than 1.5 min
            return name, length
    return _TIME_UNITS[-1]


def scale_of(value: float, unit: str) -> tuple[str, float]:
    """Return the unit shown for a value kept in *unit*, and what to divide by."""
    if unit == "share":
        return "%", 0.01
    if unit == "s":
        return time_unit(value)
    return unit, 1.0


def decimals_for(resolution: float) -> int:
    """Return how many decimals show *resolution* with two significant digits."""
    if not math.isfinite(resolution) or resolution <= 0:
        return 0
    return min(max(1 - math.floor(math.log10(resolution) + 1e-9), 0), 6)  # 0.99... is 1


def format_value(value: float, unit: str = "") -> str:
    """Return a value with three significant digits and its unit.

    >>> format_value(0.71349, "share")
    '71.3 %'
    >>> format_value(93.2, "s"), format_value(7300, "s"), format_value(12, "pods")
    ('93.2 s', '2.03 h', '12 pods')
    """
    if value is None or math.isnan(value):
        return NONE
    shown, scale = scale_of(value, unit)
    return _joined(_digits(value / scale), shown)


@dataclass(frozen=True)
class Scale:
    """One unit and precision for figures that stand beside each other.

    Parameters
    ----------
    unit : str
        The unit shown, as ``%`` or ``min``.
    length : float
        What a kept value is divided by.
    decimals : int
    """

    unit: str
    length: float
    decimals: int

    def interval(self, mean: float, low: float, high: float) -> str:
        """Return ``mean [low, high]`` without its unit; the mean alone where there is no spread."""
        if math.isnan(mean):
            return NONE
        middle, bottom, top = (_fixed(v / self.length, self.decimals) for v in (mean, low, high))
        return middle if bottom == top or not high > low else f"{middle} [{bottom}, {top}]"


def common_scale(means: Sequence[float], widths: Sequence[float], unit: str) -> Scale:
    """Return the unit and the decimals that suit several means with their intervals.

    Parameters
    ----------
    means : sequence of float
        Values in *unit*; NaN is ignored.
    widths : sequence of float
        Half widths of their intervals.
    unit : str
        Unit in which a metric is kept.
    """
    sizes = [abs(mean) for mean in means if math.isfinite(mean)]
    shown, length = scale_of(max(sizes, default=0.0), unit)
    known = sorted(width / length for width in widths if math.isfinite(width) and width > 0)
    if known:
        decimals = decimals_for(known[len(known) // 2])
    elif all((size / length).is_integer() for size in sizes):
        return Scale(shown, length, 0)
    else:
        decimals = 6
    largest = max(sizes, default=0.0) / length
    most = 3 - math.floor(math.log10(largest)) if largest > 0 else 0
    return Scale(shown, length, max(min(decimals, most), 0))


def format_interval(mean: float, low: float, high: float, unit: str = "") -> str:
    """Return a mean with its interval, as precise as the interval warrants.

    >>> format_interval(0.7134, 0.7021, 0.7247, "share")
    '71.3 [70.2, 72.5] %'
    >>> format_interval(12, 12, 12, "pods")
    '12 pods'
    """
    if math.isnan(mean):
        return NONE
    largest = max((abs(bound) for bound in (mean, low, high) if math.isfinite(bound)), default=0.0)
    shown, scale = scale_of(largest if unit == "s" else mean, unit)
    width = (high - low) / 2 / scale
    if not width > 0:  # no spread, or none known
        return _joined(_digits(mean / scale), shown)
    decimals = decimals_for(width)
    middle, bottom, top = (_fixed(value / scale, decimals) for value in (mean, low, high))
    return _joined(f"{middle} [{bottom}, {top}]", shown)


def format_difference(difference: float, low: float, high: float, unit: str = "") -> str:
    """Return a difference with its interval and sign; shares differ in percentage points.

    >>> format_difference(-0.012, -0.02, -0.004, "share")
    '-1.20 [-2.00, -0.40] pp'
    """
    if math.isnan(difference):
        return NONE
    text = format_interval(difference, low, high, unit)
    text = f"{text[:-1]}pp" if unit == "share" and text.endswith("%") else text
    return f"+{text}" if difference > 0 and not text.startswith("0 ") else text


def format_duration(seconds: float) -> str:
    """Return a tick label for a duration.

    >>> [format_duration(value) for value in (0.001, 0.25, 90, 600, 86400)]
    ['1 ms', '250 ms', '90 s', '10 min', '24 h']
    """
    unit, length = time_unit(seconds)
    return f"{seconds / length:g} {unit}"


def shorten(text: str, width: int = 28) -> str:
    """Return *text* with its middle left out where it is longer than *width*."""
    if len(text) <= width:
        return text
    tail = (width - 1) * 2 // 3
    return f"{text[: width - 1 - tail]}…{text[-tail:]}"


def _digits(value: float) -> str:
    if value == 0:
        return "0"
    if float(value).is_integer() and abs(value) < 1e6:
        return _fixed(value, 0)
    return _fixed(value, min(max(2 - math.floor(math.log10(abs(value))), 0), 6))


def _fixed(value: float, decimals: int) -> str:
    text = f"{value:,.{decimals}f}"
    return text.removeprefix("-") if float(text.replace(",", "")) == 0 else text  # no "-0.0"


def _joined(text: str, unit: str) -> str:
    return f"{text} {unit}" if unit else text


def metric_title(name: str) -> str:
    """Return the short label of a metric, or its name where it isn't one of schedlab's."""
    known = (
        name in METRICS
        or name in GPU_METRICS
        or any(name.startswith(f"{prefix}_") for prefix in RESOURCE_METRICS)
    )
    return find_metric(name).title if known else name
