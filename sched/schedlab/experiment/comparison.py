"""Comparing schedulers: means with intervals, and paired differences over common seeds.

All schedulers of an experiment meet the same arrivals, sizes and delays under one seed, so the
difference is taken seed by seed, and most of the noise cancels. Each difference gets a 95 %
t-interval, a p-value adjusted by Holm's method over all differences of its scenario, and the
smallest true difference that so many seeds would have shown with 80 % probability. A verdict needs
the adjusted p-value below 5 %; bare means are never ranked. Bootstrap intervals were rejected: with
the five to twenty seeds of a usual experiment they are too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from schedlab.errors import InputError
from schedlab.record.metrics import DEFAULT_METRICS, find_metric

LEVEL: Final = 0.95
POWER: Final = 0.80
IDENTICAL: Final = "identical"
UNDECIDED: Final = "no difference seen"
COLUMNS: Final = (
    "scenario",
    "metric",
    "unit",
    "scheduler",
    "n",
    "mean",
    "low",
    "high",
    "lower_bound",
    "baseline",
    "difference",
    "difference_low",
    "difference_high",
    "p_value",
    "p_holm",
    "smallest_detectable",
    "verdict",
)
"""Columns of a comparison; one row per scenario, metric and scheduler."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A mean and its 95 % t-interval; the ends are NaN where one value leaves them open."""

    n: int
    mean: float
    low: float
    high: float


def interval(values: Floats) -> Interval:
    """Return the mean of *values* [n] with its 95 % t-interval.

    >>> round(interval(np.array([1.0, 2.0, 3.0])).low, 3)
    -0.484
    """
    n = len(values)
    if n == 0:
        return Interval(0, math.nan, math.nan, math.nan)
    mean = float(values.mean())
    if n == 1:
        return Interval(1, mean, math.nan, math.nan)
    if np.all(values == values[0]):
        return Interval(n, float(values[0]), float(values[0]), float(values[0]))
    half = float(special.stdtrit(n - 1, (1 + LEVEL) / 2) * values.std(ddof=1) / math.sqrt(n))
    return Interval(n, mean, mean - half, mean + half)


@cache
def detectable_effect(n: int) -> float:
    """Return the least effect, in standard deviations, that *n* pairs show with 80 % probability.

    It is the one at which a two-sided paired t-test at 5 % has that power, from the noncentral t
    distribution; the usual sum of two quantiles is too small for few pairs.

    >>> round(detectable_effect(10), 3)
    0.996
    """
    if n < 2:
        return math.nan
    critical = float(special.stdtrit(n - 1, (1 + LEVEL) / 2))
    # the other tail adds less than 1e-6 where it matters
    return float(special.nctdtrinc(n - 1, 1 - POWER, critical)) / math.sqrt(n)


def p_value(differences: Floats) -> float:
    """Return the two-sided p-value of a paired t-test; NaN with less than two pairs."""
    n = len(differences)
    if n < 2:
        return math.nan
    spread = float(differences.std(ddof=1))
    mean = float(differences.mean())
    if spread <= 1e-12 * abs(mean):  # the same in every seed, but for rounding
        return 1.0 if mean == 0 else 0.0
    return float(2 * special.stdtr(n - 1, -abs(mean) / spread * math.sqrt(n)))


def holm(values: Sequence[float]) -> list[float]:
    """Return p-values adjusted by Holm's method; NaN counts for nothing and stays.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    order = [i for i in np.argsort(values, kind="stable").tolist() if not math.isnan(values[i])]
    adjusted = list(values)
    largest = 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * values[i]))
        adjusted[i] = largest
    return adjusted


def compare_runs(
    runs: pd.DataFrame, metrics: Sequence[str] | None = None, baseline: str | None = None
) -> pd.DataFrame:
    """Compare the schedulers of each scenario.

    Parameters
    ----------
    runs : DataFrame
        One row a run: scenario, scheduler, seed, and a column per metric.
    metrics : sequence of str, optional
        Metrics or aliases; those of `DEFAULT_METRICS` that are there by default.
    baseline : str, optional
        The scheduler that others are compared to; the first one of each scenario by default.

    Returns
    -------
    DataFrame
        See `COLUMNS`. ``difference`` is scheduler minus baseline over the seeds that both have.

    Raises
    ------
    InputError
        A metric that these runs don't have, or a baseline that isn't among them.
    """
    names = _metric_names(runs, metrics)
    rows: list[dict[str, object]] = []
    for scenario, frame in runs.groupby("scenario", sort=False):
        schedulers = list(dict.fromkeys(frame["scheduler"]))
        if baseline is not None and baseline not in schedulers:
            raise InputError(
                "baseline", found=baseline, expected=f"one of {', '.join(map(str, schedulers))}"
            )
        first = baseline or str(schedulers[0])
        part = [
            _row(str(scenario), name, str(scheduler), first, frame)
            for name in names
            for scheduler in schedulers
        ]
        adjusted = holm([float(str(row["p_value"])) for row in part])
        for row, p in zip(part, adjusted, strict=True):
            row["p_holm"] = p
            row["verdict"] = _verdict(row)
        rows += part
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _metric_names(runs: pd.DataFrame, wanted: Sequence[str] | None) -> list[str]:
    if not wanted:
        return [name for name in DEFAULT_METRICS if name in runs and runs[name].notna().any()]
    names = []
    for name in wanted:
        found = find_metric(name).name
        if found not in runs:
            raise InputError(
                "metrics",
                found=name,
                expected="a metric that these runs have",
                hint="a resource that no node offers has none",
            )
        names.append(found)
    return names


def _row(
    scenario: str, name: str, scheduler: str, baseline: str, frame: pd.DataFrame
) -> dict[str, object]:
    """Return one row of a comparison, but for what depends on all rows."""
    metric = find_metric(name)
    own = _by_seed(frame, name, scheduler)
    mean = interval(np.asarray(own, dtype=np.float64))
    row: dict[str, object] = {
        "scenario": scenario,
        "metric": name,
        "unit": metric.unit,
        "scheduler": scheduler,
        "n": mean.n,
        "mean": mean.mean,
        "low": mean.low,
        "high": mean.high,
        "lower_bound": _is_bound(frame, name, scheduler),
        "baseline": baseline,
    }
    difference, p, smallest, same = Interval(0, math.nan, math.nan, math.nan), math.nan, math.nan, 0
    if scheduler != baseline:
        both = pd.concat([own, _by_seed(frame, name, baseline)], axis=1, join="inner")
        pairs = both.to_numpy(dtype=np.float64)
        gaps: Floats = (pairs[:, 0] - pairs[:, 1]).astype(np.float64)
        difference = interval(gaps)
        same = int(len(gaps) > 0 and bool((gaps == 0).all()))
        if len(gaps) > 1 and not same:
            p = p_value(gaps)
            smallest = detectable_effect(len(gaps)) * float(gaps.std(ddof=1))
    return row | {
        "difference": difference.mean,
        "difference_low": difference.low,
        "difference_high": difference.high,
        "p_value": p,
        "smallest_detectable": smallest,
        "same": same,
    }


def _by_seed(frame: pd.DataFrame, name: str, scheduler: str) -> pd.Series[float]:
    own = frame[frame["scheduler"] == scheduler]
    values: pd.Series[float] = own.set_index("seed")[name].dropna().sort_index()
    return values


def _is_bound(frame: pd.DataFrame, name: str, scheduler: str) -> bool:
    if "lower_bounds" not in frame:
        return False
    listed = frame.loc[frame["scheduler"] == scheduler, "lower_bounds"].fillna("").astype(str)
    return any(name in text.split(",") for text in listed)


def _verdict(row: dict[str, object]) -> str:
    """Return what the difference says; empty for the baseline and where neither way is better."""
    if row["scheduler"] == row["baseline"]:
        return ""
    if row["same"]:
        return IDENTICAL
    p = float(str(row["p_holm"]))
    if math.isnan(p):
        return ""
    if p >= 1 - LEVEL:
        return UNDECIDED
    higher = float(str(row["difference"])) > 0
    better = find_metric(str(row["metric"])).better
    if not better:
        return ""
    return "better" if higher == (better == "higher") else "worse"


def remarks(comparison: pd.DataFrame, runs: pd.DataFrame) -> list[str]:
    """Return what a reader of a comparison has to know, in sentences."""
    found = []
    scenarios = list(dict.fromkeys(runs["scenario"]))
    free = [name for name in scenarios if nothing_scarce(runs[runs["scenario"] == name])]
    if free:
        where = "" if len(free) == len(scenarios) else f" in {', '.join(map(str, free))}"
        found.append(
            f"Nothing was scarce{where}: every pod was placed at its first attempt under every "
            "scheduler, so none had to wait for room. Only where pods stand can differ; raise the "
            "load to compare waits and completion."
        )
    seeds = int(runs.groupby(["scenario", "scheduler"])["seed"].nunique().max()) if len(runs) else 0
    if seeds == 1:
        found.append(
            "One seed: intervals and verdicts are not available; --seeds 5 or more gives them."
        )
    elif comparison["p_value"].notna().any():
        tested = int(comparison.groupby("scenario")["p_value"].count().max())
        found.append(
            f"Verdicts are from paired t-tests over {seeds} seeds at 5 %, adjusted by Holm's method"
            f" for the {tested} differences of the scenario that are not identical."
        )
    bounded = comparison[comparison["lower_bound"]]
    if len(bounded):
        names = ", ".join(dict.fromkeys(bounded["metric"].astype(str)))
        found.append(
            "Some pods were still waiting when a run ended or were cut short, so these are lower "
            f"bounds: {names}."
        )
    return found


def nothing_scarce(runs: pd.DataFrame) -> bool:
    """Whether, in all *runs*, every pod was placed at its first attempt."""
    if not len(runs) or not {"attempts_per_pod", "pending_at_end"} <= set(runs.columns):
        return False
    once = runs["attempts_per_pod"].isna() | (runs["attempts_per_pod"] == 1.0)
    waited = runs["pending_at_end"] + runs.get("pods_dropped", 0)
    return bool(once.all() and (waited == 0).all())
