"""Plots of results: functions of DataFrames that return Axes.

Each accepts ``ax=`` to draw into axes of the caller's, and makes a figure of its own otherwise
(``ax.figure`` shows or saves it). Nothing is shown, and pyplot isn't touched. A frame may hold the
runs of several schedulers and seeds of one scenario (as `record.rundir.Runs` gives), or one run.

A class hierarchy of plots was rejected: a function per figure is what a notebook needs, and what
matplotlib's own users expect.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator, PercentFormatter

from schedlab.record.schema import column_resource, resource_column
from schedlab.record.usage import Usage, micros
from schedlab.report.formatting import shorten, time_unit
from schedlab.report.series import Band, Floats, bands, last_time, one_scenario, schedulers_of
from schedlab.report.style import (
    INK,
    SeriesStyle,
    axes_for,
    decade_below,
    dress,
    duration_axis,
    labels,
    legend,
    nothing_to_show,
    time_axis,
    title,
)

QUEUES = {
    "pending": "pods waiting to be bound",
    "queue_active": "pods in the active queue",
    "queue_backoff": "pods in backoff",
    "queue_unschedulable": "unschedulable pods",
}
_UNITS = {"cpu": "CPU", "memory": "memory", "nvidia.com/gpu": "GPUs", "pods": "pod slots"}
CDF_POINTS = 600


def resources_of(samples: pd.DataFrame) -> list[str]:
    """Return the resources that the nodes offer and some pod requests, in order of columns."""
    found = []
    for column in map(str, samples.columns):
        resource = column_resource(column, "requested")
        if resource is not None and samples[column].any():
            found.append(resource)
    return found


def utilization(
    samples: pd.DataFrame,
    resource: str = "cpu",
    *,
    ax: Axes | None = None,
    style: SeriesStyle | None = None,
) -> Axes:
    """Draw requested / allocatable of one resource over time, one line per scheduler.

    Parameters
    ----------
    samples : DataFrame
        Table `samples`, of one or more runs of one scenario, or `series.exact_samples`.
    resource : str, default "cpu"
        Resource, as ``memory`` or ``nvidia.com/gpu``.
    ax : Axes, optional
        Where to draw.
    style : SeriesStyle, optional
        Colours of the schedulers, where several plots share them.

    Returns
    -------
    Axes
        A line is the mean over seeds, a band reaches from the lowest to the highest seed.
    """
    ax = axes_for(ax)
    requested = resource_column("requested", resource)
    allocatable = resource_column("allocatable", resource)

    def share(run: pd.DataFrame) -> Floats:
        offered = run[allocatable].to_numpy(dtype=np.float64)
        held = run[requested].to_numpy(dtype=np.float64)
        shares: Floats = np.full(len(run), np.nan)
        np.divide(held, offered, out=shares, where=offered > 0)
        return shares

    name = _UNITS.get(resource, resource)
    if samples.empty or allocatable not in samples:
        title(ax, f"Allocation of {name}")
        nothing_to_show(ax, f"no samples of {name}")
        return ax
    highest = _bands(ax, one_scenario(samples), share, f"Allocation of {name}", style)
    labels(ax, ax.get_xlabel(), "requested / allocatable")
    ax.set_ylim(0, max(1.0, highest * 1.02))
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    return ax


def queue_length(
    samples: pd.DataFrame,
    queue: str = "pending",
    *,
    ax: Axes | None = None,
    style: SeriesStyle | None = None,
) -> Axes:
    """Draw the number of waiting pods over time, one line per scheduler.

    Parameters
    ----------
    samples : DataFrame
        Table `samples`, of one or more runs of one scenario.
    queue : {"pending", "queue_active", "queue_backoff", "queue_unschedulable"}
        Which pods: all that aren't bound, or those in one queue of the scheduler.
    ax, style
        As for `utilization`.
    """
    ax = axes_for(ax)
    text = QUEUES[queue][0].upper() + QUEUES[queue][1:]
    if samples.empty:
        title(ax, text)
        nothing_to_show(ax, "no samples")
        return ax
    frame = one_scenario(samples)
    highest = _bands(ax, frame, lambda run: run[queue].to_numpy(dtype=np.float64), text, style)
    labels(ax, ax.get_xlabel(), "pods")
    ax.set_ylim(0, max(highest * 1.05, 1.0))
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    return ax


def optimality_gap(
    gaps: pd.DataFrame, *, ax: Axes | None = None, style: SeriesStyle | None = None
) -> Axes:
    """Draw how many more pods could have run over time, one line per scheduler.

    Parameters
    ----------
    gaps : DataFrame
        What `experiment.gap.gaps` returns, of one scenario.
    ax, style
        As for `utilization`.
    """
    ax = axes_for(ax)
    text = "Distance to the bound"
    if gaps.empty:
        title(ax, text)
        nothing_to_show(ax, "no pods")
        return ax
    of_all = one_scenario(gaps).sort_values("priority", kind="stable")
    frame = of_all.drop_duplicates(["scheduler", "seed", "time_us"]).sort_values("time_us")
    order = SeriesStyle(schedulers_of(gaps))
    highest = _bands(ax, frame, lambda run: run["gap"].to_numpy(float), text, style or order)
    labels(ax, ax.get_xlabel(), "pods that could run and don't")
    ax.set_ylim(0, max(highest * 1.05, 0.01))
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    return ax


def node_heatmap(
    pods: pd.DataFrame,
    nodes: pd.DataFrame,
    resource: str = "cpu",
    *,
    end_us: int | None = None,
    bins: int = 160,
    ax: Axes | None = None,
    name: str = "",
) -> Axes:
    """Draw requested / allocatable of each node over time, for one run.

    Parameters
    ----------
    pods, nodes : DataFrame
        Tables of one run.
    resource : str, default "cpu"
        Resource; nodes that don't offer it are left out.
    end_us : int, optional
        End of the run; the last time in `pods` by default.
    bins : int, default 160
        Number of time bins; a colour is the exact mean over its bin.
    ax : Axes, optional
        Where to draw.
    name : str, optional
        What the run is, for the title.
    """
    ax = axes_for(ax, 7.2, 4.0)
    what = _UNITS.get(resource, resource)
    title(ax, f"Allocation of {what} per node" + (f", {shorten(name, 40)}" if name else ""))
    _only_one_run(pods)
    end = last_time(pods) if end_us is None else end_us
    usage = Usage(pods, nodes, end)
    if end <= 0 or resource not in usage.resources:
        nothing_to_show(ax, f"no node offers {what}" if end > 0 else "the run is empty")
        return ax
    _, length = time_unit(end / 1e6)
    edges = np.linspace(0, end, bins + 1).round().astype(np.int64)
    shares = usage.node_shares(resource, edges)
    rows = _grouped_rows(nodes, usage, resource)
    image = ax.imshow(
        np.ma.masked_invalid(shares[rows]),
        aspect="auto",
        interpolation="nearest",
        cmap="cividis",
        vmin=0,
        vmax=max(1.0, float(np.nanmax(shares[rows], initial=0))),  # above 1: overcommitted
        extent=(0, end / 1e6 / length, len(rows), 0),
        rasterized=True,
    )
    ax.set_facecolor("#d0d0d0")  # a node that isn't there
    ax.grid(False)
    time_axis(ax, end)
    _node_labels(ax, nodes, rows)
    _share_bar(ax, image)
    return ax


def latency_cdf(
    pods: pd.DataFrame,
    start: str = "created_us",
    stop: str = "bound_us",
    *,
    ax: Axes | None = None,
    style: SeriesStyle | None = None,
) -> Axes:
    """Draw which share of the pods got from one stage to another within a time.

    Pods that never got there stay in the denominator: a line that ends below 100 % says how many
    did, and the legend says so too.

    Parameters
    ----------
    pods : DataFrame
        Table `pods`, of one or more runs of one scenario; seeds are pooled.
    start, stop : str
        Time columns, as ``created_us`` and ``ready_us``.
    ax, style
        As for `utilization`.
    """
    ax = axes_for(ax)
    frame = one_scenario(pods)
    frame = frame[micros(frame, start) >= 0] if len(frame) else frame
    spoken = f"from {_stage(start)} to {_stage(stop)}"
    title(ax, f"Time {spoken}")
    names = schedulers_of(frame)
    times = {name: _times(frame[frame["scheduler"] == name], start, stop) for name in names}
    reached = [float(value[0]) for value, _ in times.values() if len(value)]
    if not reached:
        nothing_to_show(ax, f"no pod got {spoken}")
        return ax
    style = style or SeriesStyle(names)
    left = decade_below(reached)
    longest = max(float(value[-1]) for value, _ in times.values() if len(value))
    right = max(longest * 1.3, left * 10)
    for name, (seconds, total) in times.items():
        heights = np.arange(1, len(seconds) + 1) / total
        if len(seconds) > CDF_POINTS:
            kept = np.linspace(0, len(seconds) - 1, CDF_POINTS).astype(int)
            seconds, heights = seconds[kept], heights[kept]
        x = np.concatenate(([left], np.maximum(seconds, left), [right]))
        y = np.concatenate(([0.0], heights, heights[-1:] if len(heights) else [0.0]))
        label = name or "pods"
        missing = 1 - len(times[name][0]) / total
        if missing > 0:
            label = f"{shorten(label, 20)} ({_percent(missing)} never)"
        ax.step(
            x, y, where="post", label=label, color=style.color(name), linestyle=style.dashes(name)
        )
    duration_axis(ax, left, right)
    labels(ax, f"time {spoken}", "share of pods")
    ax.set_ylim(0, 1.01)
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    legend(ax)
    return ax


def utilization_panels(samples: pd.DataFrame, resources: Sequence[str] | None = None) -> Figure:
    """Draw `utilization` of several resources one below the other.

    Parameters
    ----------
    samples : DataFrame
        As for `utilization`.
    resources : sequence of str, optional
        Resources; by default those that some pod requests, but not the pod slots.
    """
    shown = list(resources or [name for name in resources_of(samples) if name != "pods"] or ["cpu"])
    figure = Figure(figsize=(7.2, 2.7 * len(shown) + 0.3), layout="constrained")
    style = SeriesStyle(schedulers_of(one_scenario(samples)))
    for row, resource in enumerate(shown):
        ax = figure.add_subplot(len(shown), 1, row + 1)
        dress(ax)
        utilization(samples, resource, ax=ax, style=style)
        key = ax.get_legend()
        if key is not None and row > 0:
            key.remove()  # one legend says it for all panels
    return figure


def _bands(
    ax: Axes,
    samples: pd.DataFrame,
    value: Callable[[pd.DataFrame], Floats],
    text: str,
    style: SeriesStyle | None,
) -> float:
    """Draw a line and a band per scheduler; return the highest value drawn."""
    style = style or SeriesStyle(schedulers_of(samples))
    drawn: dict[str, Band] = dict(bands(samples, value))
    scale = time_axis(ax, float(samples["time_us"].max()))
    highest = 0.0
    for name, band in drawn.items():
        x = band.time_us / scale
        color = style.color(name)
        ax.plot(
            x,
            band.mean,
            color=color,
            linestyle=style.dashes(name),
            linewidth=1.6,
            label=name or "run",
        )
        if band.seeds > 1:
            ax.fill_between(x, band.low, band.high, color=color, alpha=0.18, linewidth=0)
        highest = max(highest, float(np.nanmax(band.high, initial=0.0)))
    seeds = max(band.seeds for band in drawn.values())
    note = f"mean of {seeds} seeds; band: lowest to highest seed" if seeds > 1 else ""
    title(ax, text, note)
    legend(ax)
    return highest


def _times(pods: pd.DataFrame, start: str, stop: str) -> tuple[Floats, int]:
    """Return the sorted times of the pods that got there, in seconds, and the number of pods."""
    finish = micros(pods, stop)
    there = finish >= 0
    return np.sort((finish - micros(pods, start))[there] / 1e6), len(pods)


def _stage(column: str) -> str:
    return column.removesuffix("_us").replace("_", " ")


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.995 else "100 %"


def _share_bar(ax: Axes, image: AxesImage) -> None:
    figure = ax.get_figure(root=True)
    if figure is None:  # axes that were removed from their figure
        return
    bar = figure.colorbar(image, ax=ax, pad=0.02, fraction=0.05)
    bar.set_label("requested / allocatable", color=INK, fontsize=9)
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    bar.ax.tick_params(colors=INK, labelsize=8)
    bar.ax.spines["outline"].set_visible(False)


def _only_one_run(pods: pd.DataFrame) -> None:
    for column in ("experiment", "scenario", "scheduler", "seed"):
        if column in pods and pods[column].nunique() > 1:
            raise ValueError(f"a heat map shows one run, found several of {column!r}")


def _grouped_rows(nodes: pd.DataFrame, usage: Usage, resource: str) -> list[int]:
    """Return the rows of the nodes that offer the resource, pool by pool."""
    offered = usage.allocatable[usage.resources.index(resource)] > 0
    pools = pd.factorize(nodes["pool"].fillna("").astype(str))[0]
    return [int(row) for row in np.argsort(pools, kind="stable") if offered[row]]


def _node_labels(ax: Axes, nodes: pd.DataFrame, rows: list[int]) -> None:
    """Label each node where there is room, else each pool, with lines between pools."""
    pools = nodes["pool"].fillna("").astype(str).to_numpy()[rows]
    starts = np.flatnonzero(np.append(True, pools[1:] != pools[:-1]))
    if len(rows) <= 24:
        ax.set_yticks(np.arange(len(rows)) + 0.5)
        ax.set_yticklabels([shorten(str(nodes["node"].iloc[row]), 20) for row in rows])
        labels(ax, ax.get_xlabel(), "")
    elif 1 < len(starts) <= 16:
        stops = np.append(starts[1:], len(rows))
        ax.set_yticks((starts + stops) / 2)
        sizes = stops - starts
        names = [shorten(str(pools[start]), 18) for start in starts]
        ax.set_yticklabels([f"{name} ({n})" for name, n in zip(names, sizes, strict=True)])
        ax.tick_params(axis="y", length=0)
        labels(ax, ax.get_xlabel(), "nodes by pool")
    else:
        labels(ax, ax.get_xlabel(), "node")
    for start in starts[1:]:
        ax.axhline(start, color="white", linewidth=0.8)
