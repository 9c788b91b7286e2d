"""Plots of stages and of comparisons: where the time of a pod goes, and who is better."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from schedlab.record.schema import STAGES
from schedlab.record.usage import micros
from schedlab.report.formatting import (
    format_difference,
    format_value,
    metric_title,
    shorten,
    time_unit,
)
from schedlab.report.series import one_scenario, schedulers_of
from schedlab.report.style import (
    BLUE,
    GREY,
    INK,
    PALETTE,
    VERMILLION,
    SeriesStyle,
    axes_for,
    decade_below,
    duration_axis,
    labels,
    nothing_to_show,
    title,
)

STAGE_NAMES: tuple[str, ...] = (
    "API write",
    "watch: scheduler",
    "queue and decision",
    "bind",
    "watch: kubelet",
    "image pull",
    "container start",
    "ready",
)
"""What happens between consecutive `schema.STAGES`, from created to ready."""

_VERDICTS = {
    "better": ("better", BLUE),
    "worse": ("worse", VERMILLION),
    "": ("no direction", INK),
    "no difference seen": ("no difference seen", GREY),
    "identical": ("no difference seen", GREY),
}


def stage_quantiles(pods: pd.DataFrame) -> pd.DataFrame:
    """Return p50, p90 and p99 of each stage, per scheduler.

    Parameters
    ----------
    pods : DataFrame
        Table `pods`, of one or more runs of one scenario; seeds are pooled.

    Returns
    -------
    DataFrame
        Columns scheduler, stage (of `STAGE_NAMES`), p50_s, p90_s, p99_s and pods: how many went
        through the stage. A stage that no pod went through is left out.
    """
    frame = one_scenario(pods)
    rows = []
    for scheduler in schedulers_of(frame):
        mine = frame[frame["scheduler"] == scheduler]
        times = [micros(mine, column) for column in STAGES[: len(STAGE_NAMES) + 1]]
        for name, begin, end in zip(STAGE_NAMES, times[:-1], times[1:], strict=True):
            seconds = (end - begin)[(begin >= 0) & (end >= 0)] / 1e6
            if len(seconds):
                p50, p90, p99 = np.quantile(seconds, (0.5, 0.9, 0.99), method="inverted_cdf")
                rows.append((scheduler, name, p50, p90, p99, len(seconds)))
    return pd.DataFrame(rows, columns=["scheduler", "stage", "p50_s", "p90_s", "p99_s", "pods"])


def stage_waterfall(pods: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the stages of a pod one after the other: median and p90 bars per scheduler.

    Parameters
    ----------
    pods : DataFrame
        As for `stage_quantiles`.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes
        The length of a segment is the median (or p90) of that stage alone, so a bar's end isn't
        the median (or p90) of the sum.
    """
    table = stage_quantiles(pods)
    names = [str(name) for name in table["scheduler"].unique()]
    ax = axes_for(ax, 8.4, 1.5 + 0.75 * max(len(names), 1))
    title(ax, "From creation to ready, stage by stage", "median and p90 of each stage on its own")
    if table.empty:
        nothing_to_show(ax, "no pod went through any stage")
        return ax
    longest = float(table.groupby("scheduler")[["p50_s", "p90_s"]].sum().to_numpy().max())
    unit, length = time_unit(longest)
    ticks = []
    for row, name in enumerate(names):
        for offset, column, word in ((-0.19, "p50_s", "median"), (0.19, "p90_s", "p90")):
            y = row + offset
            ticks.append((y, f"{shorten(name or 'run', 22)}  {word}" if offset < 0 else word))
            mine = table[table["scheduler"] == name]
            seconds = dict(zip(mine["stage"], mine[column], strict=True))
            _stacked(ax, y, seconds, length, longest)
    ax.set_yticks([y for y, _ in ticks], [label for _, label in ticks])
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_xlim(0, longest / length * 1.02 or 1)
    ax.grid(False, axis="y")
    labels(ax, f"time ({unit})")
    present = [name for name in STAGE_NAMES if name in set(table["stage"])]
    ax.legend(
        handles=[Patch(facecolor=_stage_color(name), label=name) for name in present],
        loc="upper left",
        bbox_to_anchor=(1.01, 1.03),
        frameon=False,
        fontsize=8.5,
        labelcolor=INK,
        borderaxespad=0,
    )
    return ax


def stage_latency(
    pods: pd.DataFrame, *, ax: Axes | None = None, style: SeriesStyle | None = None
) -> Axes:
    """Draw median, p90 and p99 of each stage on a logarithmic axis, one row per scheduler.

    It shows the short stages too, where `stage_waterfall` shows what dominates.

    Parameters
    ----------
    pods : DataFrame
        As for `stage_quantiles`.
    ax, style
        As for `plots.utilization`.
    """
    table = stage_quantiles(pods)
    stages = [name for name in STAGE_NAMES if name in set(table["stage"])]
    names = [str(name) for name in table["scheduler"].unique()]
    ax = axes_for(ax, 7.6, 1.2 + max(0.42, 0.12 * len(names)) * max(len(stages), 3))
    title(ax, "Time in each stage", "marker: median; line: to p90; thin line: to p99")
    positive = [float(value) for value in table["p50_s"] if value > 0]
    if table.empty or not table["p99_s"].max() > 0:
        nothing_to_show(ax, "no stage took any time")
        return ax
    style = style or SeriesStyle(names)
    left = decade_below(positive, 1e-5)
    step = 0.7 / len(names)
    for rank, name in enumerate(names):
        mine = table[table["scheduler"] == name].set_index("stage")
        y = np.array([stages.index(stage) for stage in mine.index], dtype=np.float64)
        y += (rank - (len(names) - 1) / 2) * step
        p50, p90, p99 = (
            np.maximum(mine[column].to_numpy(), left) for column in ("p50_s", "p90_s", "p99_s")
        )
        color = style.color(name)
        ax.hlines(y, p90, p99, color=color, linewidth=0.9)
        ax.hlines(y, p50, p90, color=color, linewidth=2.4)
        ax.plot(
            p50,
            y,
            style.marker(name),
            color=color,
            markersize=5.5,
            label=shorten(name or "run"),
            clip_on=False,
        )
    duration_axis(ax, left, float(table["p99_s"].max()) * 1.3)
    ax.set_yticks(range(len(stages)), stages)
    ax.set_ylim(len(stages) - 0.5, -0.5)
    labels(ax, "time in the stage")
    if len(names) > 1:
        _legend_right(ax)
    return ax


def forest(
    comparison: pd.DataFrame,
    *,
    metrics: list[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the paired differences to the baseline with their intervals, one group per metric.

    Parameters
    ----------
    comparison : DataFrame
        Columns metric, unit, scenario, scheduler, mean, difference, difference_low,
        difference_high, baseline and verdict, of one scenario.
    metrics : list of str, optional
        Metrics to show, in this order; all by default.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Axes
        Lengths are relative to the baseline's mean, so that metrics of different units stand on
        one axis; the figures at the right are in the metric's own unit. A metric whose baseline is
        0, or that has no difference, isn't drawn but named below the title.
    """
    rows, left_out = _relative(one_scenario(comparison.assign(seed=0)), metrics)
    shown = list(dict.fromkeys(rows["metric"]))
    names = [str(name) for name in rows["scheduler"].unique()]
    ax = axes_for(ax, 9.0, 1.9 + 0.25 * max(len(rows), 4) + 0.1 * len(shown))
    baseline = str(comparison["baseline"].iloc[0]) if len(comparison) else ""
    note = "mean of the paired differences and its interval"
    if left_out:
        listed = ", ".join(metric_title(name) for name in left_out[:3])
        more = f" and {len(left_out) - 3} more" if len(left_out) > 3 else ""
        note = f"not shown (nothing to compare): {listed}{more}"
    title(ax, f"Difference to {shorten(baseline, 40)}", note)
    if rows.empty:
        nothing_to_show(ax, "nothing to compare")
        return ax
    style = SeriesStyle(names)
    _draw_differences(ax, rows, shown, style)
    ax.axvline(0, color=INK, linewidth=0.9)
    for group in range(1, len(shown)):
        ax.axhline(group - 0.5, color=GREY, linewidth=0.4, alpha=0.5)
    ax.set_yticks(range(len(shown)), [metric_title(name) for name in shown])
    ax.set_ylim(len(shown) - 0.5, -0.5)
    ax.grid(False, axis="y")
    _percent_axis(ax, rows)
    _forest_legend(ax, names, style, set(rows["verdict"]))
    return ax


def _relative(frame: pd.DataFrame, metrics: list[str] | None) -> tuple[pd.DataFrame, list[str]]:
    """Return the differences as a percentage of the baseline's mean, and what has none."""
    wanted = metrics or list(dict.fromkeys(frame["metric"]))
    base = frame[frame["scheduler"] == frame["baseline"]].set_index("metric")["mean"]
    others = frame[frame["scheduler"] != frame["baseline"]]
    scale = others["metric"].map(base).astype("float64").abs()
    usable = others["difference"].notna() & (scale > 0)
    usable &= others["metric"].isin(wanted)
    kept = others[usable].copy()
    for column, source in (
        ("middle", "difference"),
        ("low", "difference_low"),
        ("high", "difference_high"),
    ):
        kept[column] = 100 * kept[source] / scale[usable]
    kept["low"] = kept["low"].fillna(kept["middle"])
    kept["high"] = kept["high"].fillna(kept["middle"])
    kept["order"] = kept["metric"].map({name: rank for rank, name in enumerate(wanted)})
    kept = kept.sort_values("order", kind="stable")
    valued = set(frame.loc[frame["mean"].notna(), "metric"])
    left_out = [name for name in wanted if name in valued - set(kept["metric"])]
    return kept, left_out


def _draw_differences(ax: Axes, rows: pd.DataFrame, shown: list[str], style: SeriesStyle) -> None:
    """Draw one marker, one interval and one figure at the right per row."""
    names = style.names
    step = 0.76 / len(names)
    for row in rows.to_dict("records"):
        y = (
            shown.index(row["metric"])
            + (names.index(row["scheduler"]) - (len(names) - 1) / 2) * step
        )
        color = _VERDICTS.get(row["verdict"], ("", INK))[1]
        ax.hlines(y, row["low"], row["high"], color=color, linewidth=2)
        ax.plot(row["middle"], y, style.marker(row["scheduler"]), color=color, markersize=6)
        text = format_difference(
            row["difference"], row["difference_low"], row["difference_high"], row["unit"]
        )
        ax.annotate(
            text,
            (1.01, y),
            xycoords=("axes fraction", "data"),
            fontsize=7.5,
            color=INK,
            va="center",
            annotation_clip=False,
        )


def _percent_axis(ax: Axes, rows: pd.DataFrame) -> None:
    reach = float(np.nanmax(np.abs(rows[["low", "high", "middle"]].to_numpy())))
    typical = float(np.nanmedian(np.abs(rows["middle"].to_numpy())))
    far = reach > 150 and reach > 8 * max(typical, 1e-9)
    if far:
        ax.set_xscale("symlog", linthresh=10.0)
    reach = max(reach * 1.08, 1e-6)
    ax.set_xlim(
        -reach if rows["low"].min() < 0 else -0.1 * reach,
        reach if rows["high"].max() > 0 else 0.1 * reach,
    )
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:+g} %" if value else "0")
    beyond = " (logarithmic beyond 10 %)" if far else ""
    labels(ax, f"difference, relative to the baseline's mean{beyond}")


def _forest_legend(ax: Axes, names: list[str], style: SeriesStyle, verdicts: set[str]) -> None:
    marks = [
        Line2D([], [], marker=style.marker(name), color=GREY, linestyle="", label=shorten(name))
        for name in names
    ]
    used = dict(look for verdict, look in _VERDICTS.items() if verdict in verdicts)
    colors = [Line2D([], [], color=color, linewidth=3, label=text) for text, color in used.items()]
    ax.legend(
        handles=[*marks, *colors],
        loc="upper left",
        bbox_to_anchor=(0, 0),
        borderaxespad=4.2,
        ncols=4,
        frameon=False,
        fontsize=8.5,
        labelcolor=INK,
    )


def _legend_right(ax: Axes) -> None:
    ax.legend(
        loc="upper left",
        bbox_to_anchor=(1.01, 1.0),
        frameon=False,
        fontsize=9,
        labelcolor=INK,
    )


def _stage_color(name: str) -> str:
    return PALETTE[STAGE_NAMES.index(name) % len(PALETTE)]


def _stacked(ax: Axes, y: float, seconds: dict[str, float], length: float, longest: float) -> None:
    """Draw one bar of stages, with figures in the segments that have room."""
    left = 0.0
    for name in STAGE_NAMES:
        value = float(seconds.get(name, 0.0))
        if value <= 0:
            continue
        ax.barh(
            y,
            value / length,
            left=left / length,
            height=0.34,
            color=_stage_color(name),
            edgecolor="white",
            linewidth=0.5,
        )
        if value > 0.09 * longest:
            ax.text(
                (left + value / 2) / length,
                y,
                format_value(value, "s"),
                ha="center",
                va="center",
                fontsize=7.5,
                color="#101418",  # stays dark on its white box, in dark mode too
                bbox={"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 1.2},
            )
        left += value
