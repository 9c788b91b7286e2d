"""GPUs allocated and fragmented against what pods have asked for: the figures of FGD's paper.

The x axis is the GPU demand of all pods that have arrived, placed or not, in per cent of the
cluster's GPUs, so that runs of different length can be averaged (see `schedlab.record.arrivals`).
A line is the median over seeds and a band its interquartile range, as in "Beware of Fragmentation"
(Weng et al., USENIX ATC'23), figures 7 and 9.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter
from scipy.special import stdtrit

from schedlab.cluster.devices import GPU_MILLI
from schedlab.record.arrivals import arrival_curve, binned
from schedlab.record.rundir import RunDir
from schedlab.record.schema import resource_column
from schedlab.report.formatting import shorten
from schedlab.report.series import schedulers_of
from schedlab.report.style import (
    SeriesStyle,
    axes_for,
    labels,
    legend,
    nothing_to_show,
    title,
)

CURVES = {
    "allocated": ("GPUs allocated", "allocated, share of all GPUs"),
    "fragmented": ("GPU fragmentation", "fragmented, share of all GPUs"),
    "fragmented_of_idle": ("GPU fragmentation rate", "fragmented, share of what is free"),
}
_COLUMNS = ["created_us", "bound_us", "released_us", resource_column("request", GPU_MILLI)]


def demand_curves(runs: Iterable[RunDir], last: int = 130) -> pd.DataFrame:
    """Return what each run had allocated at 0, 1, ... *last* per cent of demand.

    Returns
    -------
    DataFrame
        Columns scenario, scheduler, seed, ``demand`` (per cent), and in per cent those of `CURVES`,
        NaN where no arrival is near or nothing is known. Runs without GPUs are left out.
    """
    parts = []
    for run in runs:
        nodes = run.table("nodes")
        if resource_column("allocatable", GPU_MILLI) not in nodes:
            continue
        curve = arrival_curve(run.table("pods", _COLUMNS), nodes, run.optional("fragments"))
        frame = pd.DataFrame({"demand": np.arange(last + 1)})
        for name in CURVES:
            frame[name] = binned(curve, name, last=last) if name in curve else np.nan
        for position, name in enumerate(("scenario", "scheduler", "seed")):
            frame.insert(position, name, getattr(run.key, name))
        parts.append(frame)
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def demand_plot(
    curves: pd.DataFrame,
    column: str = "allocated",
    *,
    first: int = 0,
    ax: Axes | None = None,
    style: SeriesStyle | None = None,
) -> Axes:
    """Draw one of `CURVES` against demand, one line per scheduler.

    Parameters
    ----------
    curves : DataFrame
        As of `demand_curves`, of one scenario.
    column : {"allocated", "fragmented", "fragmented_of_idle"}
        What is drawn.
    first : int, default 0
        Per cent of demand at which the x axis begins.
    ax : Axes, optional
        Where to draw.
    style : SeriesStyle, optional
        Colours of the schedulers, where several plots share them.
    """
    ax = axes_for(ax)
    text, y_label = CURVES[column]
    title(ax, text)
    shown = curves[curves["demand"] >= first] if len(curves) else curves
    if not len(shown) or shown[column].isna().all():
        nothing_to_show(ax, "no run shares GPUs, or nothing is known of its pods")
        return ax
    names = schedulers_of(shown)
    style = style or SeriesStyle(names)
    seeds = 1
    for name in names:
        table = shown[shown["scheduler"] == name].pivot_table(
            index="demand", columns="seed", values=column
        )
        rows = table.to_numpy(dtype=np.float64) / 100
        seeds = max(seeds, rows.shape[1])
        x = table.index.to_numpy(dtype=np.float64) / 100
        low, middle, high = np.nanpercentile(rows, [25, 50, 75], axis=1)
        color = style.color(name)
        ax.plot(x, middle, color=color, linestyle=style.dashes(name), linewidth=1.6, label=name)
        if rows.shape[1] > 1:
            ax.fill_between(x, low, high, color=color, alpha=0.18, linewidth=0)
    note = f"median of {seeds} seeds; band: interquartile range" if seeds > 1 else ""
    title(ax, text, note)
    labels(ax, "asked for by the pods that have arrived, share of all GPUs", y_label)
    ax.set_xlim(first / 100, float(shown["demand"].max()) / 100)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    legend(ax)
    return ax


def demand_bars(
    runs: pd.DataFrame,
    metric: str = "gpu_allocation_at_130",
    *,
    ax: Axes | None = None,
    style: SeriesStyle | None = None,
) -> Axes:
    """Draw a metric as bars, one group per scenario and one bar per scheduler.

    Parameters
    ----------
    runs : DataFrame
        One row a run, as of `record.rundir.summary_of`.
    metric : str, default "gpu_allocation_at_130"
        A metric that is a share.
    ax, style
        As for `demand_plot`.

    Returns
    -------
    Axes
        A bar is the mean over seeds, a whisker its 95 % interval (Student's). Bars start at the
        largest multiple of 10 % that leaves room below the smallest of them.
    """
    scenarios = list(dict.fromkeys(runs["scenario"].astype(str))) if len(runs) else []
    names = schedulers_of(runs) if len(runs) else []
    ax = axes_for(ax, max(7.2, 1.2 + 0.11 * len(scenarios) * (len(names) + 1)), 3.6)
    if metric not in runs or runs[metric].isna().all():
        title(ax, "GPUs")
        nothing_to_show(ax, f"no run has {metric}")
        return ax
    style = style or SeriesStyle(names)
    grouped = runs.groupby(["scheduler", "scenario"])[metric]
    mean: pd.Series = grouped.mean()
    count = grouped.count()
    factor = stdtrit(np.maximum(count - 1, 1), 0.975)
    half: pd.Series = pd.Series(factor, count.index) * grouped.std(ddof=1) / np.sqrt(count)
    width = 0.84 / len(names)
    for i, name in enumerate(names):
        keys = pd.MultiIndex.from_product([[name], scenarios])
        heights, errors = (part.reindex(keys).to_numpy(dtype=np.float64) for part in (mean, half))
        at = np.arange(len(scenarios)) + (i - (len(names) - 1) / 2) * width
        ax.bar(at, heights, width * 0.92, color=style.color(name), label=name)
        known = np.isfinite(errors)
        ax.errorbar(at[known], heights[known], errors[known], fmt="none", ecolor="#333", lw=0.8)
    floor = max(0.0, np.floor((float(mean.min()) - 0.02) * 10) / 10)
    ax.set_ylim(floor, min(1.0, float((mean + half.fillna(0)).max()) + 0.02) if floor else None)
    short = [
        shorten(text.rpartition("=")[2].removeprefix("openb_pod_list_"), 16) for text in scenarios
    ]
    ax.set_xticks(range(len(scenarios)), [text.removesuffix(".csv") for text in short])
    if len(scenarios) > 6:
        ax.tick_params(axis="x", labelrotation=35)
    seeds = int(count.max())
    note = f"mean of {seeds} seeds; whisker: its 95 % interval" if seeds > 1 else ""
    title(ax, _bar_title(metric), note)
    labels(ax, "", "share of all GPUs")
    ax.grid(False, axis="x")
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    legend(ax)
    return ax


def _bar_title(metric: str) -> str:
    what, _, demand = metric.rpartition("_at_")
    words = {"gpu_allocation": "GPUs allocated", "gpu_fragmentation": "GPU fragmentation"}
    known = words.get(what)
    return f"{known} at {demand} % demand" if known else metric
