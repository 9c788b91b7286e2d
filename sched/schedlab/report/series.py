"""Samples of several runs on one grid of times, so that seeds can be averaged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from schedlab.record.schema import resource_column
from schedlab.record.usage import Steps, Usage, micros

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


def exact_samples(
    pods: pd.DataFrame,
    nodes: pd.DataFrame,
    ends_us: Mapping[tuple[str, int], int] | None = None,
    *,
    points: int = 400,
) -> pd.DataFrame:
    """Return what `samples` would hold, as exact means over *points* bins of each run.

    Sampled curves miss what happens between two samples; these follow from the times in `pods`.

    Parameters
    ----------
    pods, nodes : DataFrame
        Tables of one or more runs of one scenario.
    ends_us : mapping of (scheduler, seed) to int, optional
        End of each run; the last time in its pods where it isn't known.
    points : int, default 400
        Number of bins.

    Returns
    -------
    DataFrame
        Columns scenario, scheduler, seed, time_us (start of the bin, and the end of the run),
        pending, requested_<resource> and allocatable_<resource>, as float64.
    """
    nodes, parts = keyed(nodes), []
    for key, run in one_scenario(pods).groupby(list(_KEYS), sort=False):
        mine = nodes[(nodes[list(_KEYS)] == list(key)).all(axis=1)]
        end = (ends_us or {}).get((str(key[1]), int(run["seed"].iloc[0])), last_time(run))
        edges = np.linspace(0, max(end, points), points + 1).astype(np.int64)
        usage = Usage(run, mine, int(edges[-1]))
        steps = {"pending": _pending(run)}
        for resource in usage.resources:
            steps[resource_column("requested", resource)] = usage.requested(resource)
            steps[resource_column("allocatable", resource)] = usage.offered(resource)
        length = np.diff(edges)
        columns = {name: step.integral(edges) / length for name, step in steps.items()}
        frame = pd.DataFrame(dict(zip(_KEYS, key, strict=True)) | {"time_us": edges[:-1]} | columns)
        closing = frame.iloc[-1:].assign(time_us=edges[-1])
        parts.append(pd.concat([frame, closing], ignore_index=True))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def last_time(pods: pd.DataFrame) -> int:
    """Return the latest time in a table of pods, in microseconds; 0 when there is none."""
    columns = [str(name) for name in pods.columns if str(name).endswith("_us")]
    times = [micros(pods, name).max(initial=0) for name in columns if name != "duration_us"]
    return int(max(times, default=0))


def _pending(pods: pd.DataFrame) -> Steps:
    """Return the number of pods that are stored, not bound and not gone, over time."""
    never = np.iinfo(np.int64).max
    stored = micros(pods, "stored_us")
    outs = [micros(pods, column) for column in ("bound_us", "released_us", "deleted_us")]
    left = np.minimum.reduce([np.where(out < 0, never, out) for out in outs])
    there = stored >= 0
    times = np.concatenate((stored[there], left[there]))
    order = np.argsort(times, kind="stable")
    change = np.repeat((1.0, -1.0), int(there.sum()))
    return Steps(times[order], np.cumsum(change[order]))


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
