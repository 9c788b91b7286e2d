"""A comparison as a table for the terminal (rich) and as Markdown.

The input is the DataFrame of a comparison, one row per scenario, metric and scheduler, with mean,
interval, the paired difference to the baseline and a verdict. Columns that are absent or NaN show
as a dash, so that a comparison of one run can be shown too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from rich.table import Table

from schedlab.report.formatting import (
    NONE,
    common_scale,
    format_difference,
    format_value,
    metric_title,
    shorten,
)

MARKS = {
    "better": "▲",
    "worse": "▼",
    "no difference seen": "≈",
    "identical": "=",
}
_STYLES = {"better": "green", "worse": "red", "no difference seen": "dim", "identical": "dim"}
LEGEND = (
    "▲ better and ▼ worse than {baseline} by the paired difference over {n} seeds,"
    " ≈ no difference seen, = identical in every seed; [ ] 95 % interval"
)


@dataclass(frozen=True)
class Cell:
    """One figure of a table with its verdict: one of `MARKS`, or empty."""

    text: str
    verdict: str = ""

    def __str__(self) -> str:
        mark = MARKS.get(self.verdict, "")
        return f"{self.text} {mark}" if mark else self.text


@dataclass(frozen=True)
class Grid:
    """A table ready to be written in any form.

    Parameters
    ----------
    scenario : str
        What it is about; empty where there is one scenario.
    header : tuple of str
        Titles of the columns.
    rows : tuple of tuple of Cell
        The first cell of a row is the label of its metric.
    caption : str
        How to read it.
    metrics : tuple of str
        Names of the metrics, one per row.
    """

    scenario: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str
    metrics: tuple[str, ...]


def means(comparison: pd.DataFrame, metrics: Sequence[str] | None = None) -> list[Grid]:
    """Return, per scenario, mean and interval of each metric, one column per scheduler.

    Parameters
    ----------
    comparison : DataFrame
        Columns metric, scheduler, mean; where there, also unit, scenario, n, low, high, baseline,
        verdict, and at_least: whether some run's value is only a lower bound.
    metrics : sequence of str, optional
        Metrics to show, in this order; all that have a value by default.
    """
    grids = []
    for scenario, frame in _scenarios(comparison):
        schedulers = list(dict.fromkeys(frame["scheduler"].astype(str)))
        names = _metrics(frame, metrics)
        rows = tuple(_mean_row(name, frame[frame["metric"] == name], schedulers) for name in names)
        header = ("metric", *schedulers)
        grids.append(Grid(scenario, header, rows, _caption(frame), tuple(names)))
    return grids


def differences(comparison: pd.DataFrame, metrics: Sequence[str] | None = None) -> list[Grid]:
    """Return, per scenario, the paired differences to the baseline, one row each.

    Parameters
    ----------
    comparison, metrics
        As for `means`; the columns difference, difference_low, difference_high and
        smallest_detectable are needed too.
    """
    header = ("metric", "scheduler", "difference", "smallest detectable", "verdict")
    grids = []
    for scenario, frame in _scenarios(comparison):
        names = _metrics(frame, metrics)
        others = frame[frame["scheduler"] != frame["baseline"]]
        order = others["metric"].map({name: rank for rank, name in enumerate(names)})
        kept = others[order.notna()].assign(order=order).sort_values("order", kind="stable")
        rows = tuple(_difference_row(row) for row in _records(kept))
        grids.append(Grid(scenario, header, rows, _caption(frame), tuple(kept["metric"])))
    return grids


def is_paired(comparison: pd.DataFrame) -> bool:
    """Whether a comparison has differences to a baseline."""
    needed = {"baseline", "difference", "difference_low", "difference_high"}
    if comparison.empty or not needed <= set(comparison.columns):
        return False
    return bool((comparison["scheduler"] != comparison["baseline"]).any())


def to_rich(grid: Grid, title: str = "") -> Table:
    """Return a table for the terminal: verdicts as marks and colours."""
    heading = " ".join(part for part in (title, grid.scenario) if part)
    table = Table(
        title=heading or None,
        title_justify="left",
        caption=grid.caption,
        caption_justify="left",
        header_style="bold",
    )
    for position, column in enumerate(grid.header):
        numeric = position > 0 and column not in ("scheduler", "verdict")
        table.add_column(shorten(column, 30), justify="right" if numeric else "left")
    for row in grid.rows:
        marked = any(cell.verdict for cell in row[1:])
        table.add_row(*(_marked(cell, padded=marked and i > 0) for i, cell in enumerate(row)))
    return table


def to_markdown(grid: Grid, title: str = "") -> str:
    """Return a Markdown table, with the scenario as heading and the caption below."""
    heading = " ".join(part for part in (title, grid.scenario) if part)
    lines = [f"### {heading}", ""] if heading else []
    lines.append("| " + " | ".join(map(_escaped, grid.header)) + " |")
    lines.append("|---" + "|---:" * (len(grid.header) - 1) + "|")
    lines += ["| " + " | ".join(_escaped(str(cell)) for cell in row) + " |" for row in grid.rows]
    if grid.caption:
        lines += ["", grid.caption]
    return "\n".join(lines) + "\n"


def _records(frame: pd.DataFrame) -> list[dict[str, object]]:
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]


def _scenarios(comparison: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    if "scenario" not in comparison or comparison.empty:
        return [("", comparison)] if len(comparison) else []
    groups = [(str(name), frame) for name, frame in comparison.groupby("scenario", sort=False)]
    return [("", groups[0][1])] if len(groups) == 1 else groups


def _metrics(frame: pd.DataFrame, wanted: Sequence[str] | None) -> list[str]:
    """Return the metrics to show: those with a value for some scheduler, in the order wanted."""
    there = frame[frame["mean"].notna()]
    present = list(dict.fromkeys(there["metric"].astype(str)))
    return present if wanted is None else [name for name in wanted if name in set(present)]


def _number(row: dict[str, object], column: str) -> float:
    value = row.get(column)
    return float(value) if isinstance(value, (int, float)) else float("nan")


def _text(row: dict[str, object], column: str) -> str:
    value = row.get(column)
    return value if isinstance(value, str) else ""


def _mean_row(name: str, frame: pd.DataFrame, schedulers: list[str]) -> tuple[Cell, ...]:
    """Return one metric's figures, all in one unit that stands with the metric's name."""
    rows = {_text(row, "scheduler"): row for row in _records(frame)}
    figures = {
        key: tuple(_number(row, column) for column in ("mean", "low", "high"))
        for key, row in rows.items()
    }
    scale = common_scale(
        [mean for mean, _, _ in figures.values()],
        [(high - low) / 2 for _, low, high in figures.values()],
        next((_text(row, "unit") for row in rows.values()), ""),
    )
    title = metric_title(name)
    said = not scale.unit or scale.unit in title.split() or name.startswith("pods_")
    cells = [Cell(title if said else f"{title}, {scale.unit}")]
    for scheduler in schedulers:
        if scheduler not in rows:
            cells.append(Cell(NONE))
            continue
        row = rows[scheduler]
        verdict = "" if scheduler == row.get("baseline") else _text(row, "verdict")
        least = "≥ " if row.get("at_least") else ""
        cells.append(Cell(least + scale.interval(*figures[scheduler]), verdict))
    return tuple(cells)


def _difference_row(row: dict[str, object]) -> tuple[Cell, ...]:
    unit, verdict = _text(row, "unit"), _text(row, "verdict")
    difference, low, high = (
        _number(row, column) for column in ("difference", "difference_low", "difference_high")
    )
    smallest = format_value(_number(row, "smallest_detectable"), unit)
    if unit == "share":
        smallest = smallest.replace(" %", " pp")
    return (
        Cell(metric_title(_text(row, "metric"))),
        Cell(_text(row, "scheduler")),
        Cell(format_difference(difference, low, high, unit)),
        Cell(smallest),
        Cell(verdict or NONE, verdict),
    )


def _caption(frame: pd.DataFrame) -> str:
    baseline = frame["baseline"].dropna().astype(str) if "baseline" in frame else pd.Series([])
    if baseline.empty or frame["scheduler"].nunique() < 2:
        return ""
    n = frame["n"].dropna() if "n" in frame else pd.Series([])
    seeds = "?" if n.empty else f"{int(n.max())}"
    return LEGEND.format(baseline=baseline.iloc[0], n=seeds)


def _marked(cell: Cell, *, padded: bool) -> str:
    style = _STYLES.get(cell.verdict)
    text = str(cell).replace("[", "\\[")
    if padded and not MARKS.get(cell.verdict):
        text += "\u00a0\u00a0"  # keeps figures below each other; a plain blank would be stripped
    return f"[{style}]{text}[/{style}]" if style else text


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")
