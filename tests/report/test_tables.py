from __future__ import annotations

import io

import pandas as pd
import pytest
from rich.console import Console

from schedlab.record.metrics import DEFAULT_METRICS
from schedlab.report.tables import Cell, differences, means, to_markdown, to_rich


@pytest.fixture
def small() -> pd.DataFrame:
    """Two metrics, two schedulers, worked out by hand."""
    columns = ["metric", "unit", "scheduler", "mean", "low", "high", "difference", "verdict"]
    rows = [
        ("makespan_seconds", "s", "base", 600.0, 540.0, 660.0, 0.0, ""),
        ("makespan_seconds", "s", "mine|1", 90.0, 60.0, 120.0, -510.0, "better"),
        ("pods_failed", "pods", "base", 0.0, 0.0, 0.0, 0.0, ""),
        ("pods_failed", "pods", "mine|1", 2.0, 2.0, 2.0, 2.0, "worse"),
    ]
    frame = pd.DataFrame(rows, columns=columns).assign(scenario="s", baseline="base", n=5)
    return frame.assign(
        difference_low=frame["difference"] - 30,
        difference_high=frame["difference"] + 30,
        smallest_detectable=30.0,
    )


def printed(table: object, width: int = 120) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(table)
    return console.file.getvalue()


def test_a_row_has_one_unit(small):
    (grid,) = means(small)
    assert grid.header == ("metric", "base", "mine|1")
    assert grid.rows == (
        (Cell("makespan, min"), Cell("10.0 [9.0, 11.0]"), Cell("1.5 [1.0, 2.0]", "better")),
        (Cell("pods failed"), Cell("0"), Cell("2", "worse")),
    )
    assert grid.metrics == ("makespan_seconds", "pods_failed")
    assert "worse than base by the paired difference over 5 seeds" in grid.caption


def test_differences_name_the_smallest_detectable(small):
    (grid,) = differences(small, ["makespan_seconds"])
    assert [cell.text for cell in grid.rows[0]] == [
        "makespan",
        "mine|1",
        "-8.50 [-9.00, -8.00] min",
        "30 s",
        "better",
    ]


def test_lower_bounds_are_marked(small):
    marked = small.assign(at_least=[True, False, False, False])
    assert means(marked)[0].rows[0][1].text == "≥ 10.0 [9.0, 11.0]"


def test_metrics_are_chosen_and_ordered(small):
    (grid,) = means(small, ["pods_failed", "makespan_seconds", "unknown"])
    assert grid.metrics == ("pods_failed", "makespan_seconds")


def test_metric_without_any_value_is_left_out(small):
    empty = small.assign(mean=small["mean"].where(small["unit"] == "pods"))
    assert means(empty)[0].metrics == ("pods_failed",)


def test_scenarios_get_a_table_each(small):
    two = pd.concat([small, small.assign(scenario="t")])
    assert [grid.scenario for grid in means(two)] == ["s", "t"]
    assert [grid.scenario for grid in means(small)] == [""]
    assert means(small.iloc[:0]) == []


def test_one_run_needs_neither_interval_nor_baseline():
    frame = pd.DataFrame({"metric": ["pods_placed"], "scheduler": ["a"], "mean": [3.0]})
    (grid,) = means(frame)
    assert grid.rows == ((Cell("pods placed"), Cell("3")),)
    assert grid.caption == ""


def test_rich_table_shows_marks_and_literal_brackets(small):
    text = printed(to_rich(means(small)[0], "quickstart"))
    assert text.startswith("quickstart")
    assert "1.5 [1.0, 2.0] ▲" in text
    assert "2 ▼" in text


def test_rich_table_keeps_figures_below_each_other(small):
    lines = printed(to_rich(means(small)[0])).splitlines()
    rows = [line for line in lines if "makespan" in line or "pods failed" in line]
    assert len({line.rindex("│") for line in rows}) == 1
    assert rows[0].index("▲") == rows[1].index("▼")


def test_real_comparison_fits_a_wide_terminal(comparison):
    (grid,) = means(comparison, DEFAULT_METRICS)
    assert all(len(line) <= 110 for line in printed(to_rich(grid), 110).splitlines())
    assert len(grid.rows) >= 15


def test_markdown(small):
    text = to_markdown(means(small)[0], "quickstart")
    assert text.splitlines()[:5] == [
        "### quickstart",
        "",
        "| metric | base | mine\\|1 |",
        "|---|---:|---:|",
        "| makespan, min | 10.0 [9.0, 11.0] | 1.5 [1.0, 2.0] ▲ |",
    ]
