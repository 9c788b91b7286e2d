"""Samples of several runs on one grid of times, so that seeds can be averaged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_KEYS = ("scenario", "scheduler", "seed")


@dataclass(frozen=True, eq=False)
class Band:
    """The runs of one scheduler over time: arrays of shape [T].

    Parameters
    ----------
    time_us : float64 array
    mean, low, high : float64 array
        Over the seeds that still run; NaN once fewer than half of them do.
    seeds : int
    """

    time_us: Floats
    mean: Floats
    low: Floats
    high: Floats
    seeds: int


def keyed(frame: pd.DataFrame) -> pd.DataFrame:
    """Return *frame* with scenario, scheduler and seed, which the tables of one run don't have."""
    missing = {name: 0 if name == "seed" else "" for name in _KEYS if name not in frame}
    return frame.assign(**missing) if missing else frame


def one_scenario(frame: pd.DataFrame) -> pd.DataFrame:
    """Return *frame*, keyed; raise ValueError when it mixes scenarios or experiments."""
    frame = keyed(frame)
    for column in ("experiment", "scenario"):
        if column in frame and frame[column].nunique() > 1:
            found = ", ".join(sorted(map(str, frame[column].unique()))[:5])
            raise ValueError(f"one plot shows one {column}, found {found}: select one first")
    return frame


def schedulers_of(frame: pd.DataFrame) -> list[str]:
    """Return the schedulers in the order in which they first stand in *frame*."""
    return [str(name) for name in frame["scheduler"].unique()]


def bands(
    samples: pd.DataFrame,
    value: Callable[[pd.DataFrame], Floats],
    *,
    points: int = 400,
) -> Iterator[tuple[str, Band]]:
    """Yield, per scheduler, mean and range over seeds of a value of the samples.

    Parameters
    ----------
    samples : DataFrame
        Samples of one or more runs of one scenario, keyed.
    value : callable
        From the samples of one run to what is shown, float64 of shape [rows].
    points : int, default 400
        Size of the grid of times; between samples the last one holds.
    """
    end = float(samples["time_us"].max())
    grid = np.linspace(0.0, end, points)
    for name in schedulers_of(samples):
        runs = [run for _, run in samples[samples["scheduler"] == name].groupby("seed", sort=True)]
        rows = np.stack([_held(run["time_us"].to_numpy(), value(run), grid) for run in runs])
        alive = np.count_nonzero(~np.isnan(rows), axis=0)
        enough = (alive > 0) & (2 * alive >= len(runs))
        shown = np.where(enough, rows, np.nan)
        mean, low, high = (np.full(points, np.nan) for _ in range(3))
        mean[enough] = np.nanmean(shown[:, enough], axis=0)
        low[enough] = np.nanmin(shown[:, enough], axis=0)
        high[enough] = np.nanmax(shown[:, enough], axis=0)
        yield name, Band(grid, mean, low, high, len(runs))


def _held(time_us: NDArray[np.int64], value: Floats, grid: Floats) -> Floats:
    """Return the last value at or before each time of the grid; NaN outside the run."""
    order = np.argsort(time_us, kind="stable")
    times, values = time_us[order], value[order].astype(np.float64)
    row = np.searchsorted(times, grid, side="right") - 1
    inside = (row >= 0) & (grid <= times[-1] + 0.5)
    return np.where(inside, values[np.maximum(row, 0)], np.nan)
