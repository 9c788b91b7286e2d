"""How far placements are from a bound: in a table of schedulers, and against the time it took."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from schedlab.report.series import schedulers_of
from schedlab.report.style import (
    INK,
    SeriesStyle,
    axes_for,
    duration_axis,
    labels,
    legend,
    nothing_to_show,
    title,
)

SMALLEST_S = 1e-2
"""Shorter times are drawn at this one."""


def mean_gaps(summary: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the mean gap of each scheduler with its interval.

    Parameters
    ----------
    summary : DataFrame
        What `experiment.gap.summary` returns, of one scenario.
    ax : Axes, optional
        Where to draw.
    """
    ax = axes_for(ax, 7.2, 0.9 + 0.45 * len(summary))
    if summary.empty:
        title(ax, "Mean distance to the bound")
        nothing_to_show(ax, "no runs")
        return ax
    names = schedulers_of(summary)
    style = SeriesStyle(names)
    mean = summary["mean"].to_numpy(float)
    ends = summary[["low", "high"]].to_numpy(float)
    for y, name in enumerate(names):
        ax.barh(y, mean[y], 0.6, color=style.color(name))
        if np.isfinite(ends[y]).all():
            ax.plot(ends[y], [y, y], color=INK, linewidth=1.2)
    ax.set_yticks(range(len(names)), names)
    ax.invert_yaxis()
    ax.grid(False, axis="y")
    seeds = int(summary["seeds"].max())
    note = f"mean of {seeds} seeds; line: its 95 % interval" if seeds > 1 else ""
    title(ax, "Mean distance to the bound", note)
    labels(ax, "pods that could run and don't")
    ax.set_xlim(0, max(float(np.nanmax([*mean, *ends[:, 1], 0.001])) * 1.05, 1e-3))
    ax.xaxis.set_major_formatter(PercentFormatter(1.0))
    return ax


def gap_over_time(found: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the gap that each solver reached against the time it took, on one bound.

    Parameters
    ----------
    found : DataFrame
        Columns ``method``, ``wall_s`` and ``gap``, as of `experiment.solver_study.run_study`.
    ax : Axes, optional
        Where to draw.
    """
    ax = axes_for(ax)
    text = "Gap against the time of the solve"
    if found.empty:
        title(ax, text)
        nothing_to_show(ax, "no solves")
        return ax
    names = list(dict.fromkeys(found["method"].astype(str)))
    style = SeriesStyle(names)
    times = np.maximum(found["wall_s"].to_numpy(float), SMALLEST_S)
    for name in names:
        chosen = (found["method"] == name).to_numpy()
        order = np.argsort(times[chosen], kind="stable")
        # what was found earlier is still there later
        reached = np.minimum.accumulate(found["gap"].to_numpy(float)[chosen][order])
        ax.plot(
            times[chosen][order],
            reached,
            color=style.color(name),
            linestyle=style.dashes(name),
            marker=style.marker(name),
            markersize=5,
            linewidth=1.4,
            label=name,
        )
    duration_axis(ax, float(times.min()) / 1.5, float(times.max()) * 1.5)
    ax.set_ylim(bottom=0)
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    title(ax, text, "to the tightest bound known; all start from kube-scheduler's placement")
    labels(ax, "time", "gap of pods placed")
    legend(ax)
    return ax
