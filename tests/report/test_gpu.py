"""Curves over demand and bars: what is drawn is what the table says."""

import numpy as np
import pandas as pd
import pytest

from schedlab.report.gpu import CURVES, demand_bars, demand_plot


def curves(**more):
    """Return curves of two schedulers under three seeds: allocated = demand - seed, up to 90."""
    rows = []
    for scheduler, least in (("FGD", 0.0), ("Random", 10.0)):
        for seed in range(3):
            for demand in range(0, 131, 10):
                at = max(0.0, min(float(demand), 90.0) - least - seed)
                rows.append(("default", scheduler, seed, demand, at, 100 - at, 50.0))
    names = ["scenario", "scheduler", "seed", "demand", *CURVES]
    return pd.DataFrame(rows, columns=names).assign(**more)


def line_of(ax, name):
    (line,) = (line for line in ax.get_lines() if line.get_label() == name)
    return line


def test_a_line_is_the_median_over_seeds():
    ax = demand_plot(curves())
    line = line_of(ax, "FGD")
    assert line.get_xdata()[-1] == pytest.approx(1.3)
    assert line.get_ydata()[-1] == pytest.approx(0.89)  # of 90, 89 and 88
    assert line_of(ax, "Random").get_ydata()[-1] == pytest.approx(0.79)


def test_a_band_is_the_interquartile_range():
    bands = demand_plot(curves()).collections
    assert len(bands) == 2
    y = bands[0].get_paths()[0].vertices[:, 1]
    assert (y.min(), y.max()) == pytest.approx((0.0, 0.895))  # quartiles of 88, 89, 90


@pytest.mark.parametrize("column", CURVES)
def test_each_curve_has_a_title(column):
    assert CURVES[column][0] in demand_plot(curves(), column).get_title(loc="left")


def test_the_axis_may_begin_later():
    ax = demand_plot(curves(), first=90)
    assert line_of(ax, "FGD").get_xdata()[0] == pytest.approx(0.9)
    assert ax.get_xlim() == pytest.approx((0.9, 1.3))


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(pd.DataFrame(), id="no run with GPUs"),
        pytest.param(curves(fragmented=np.nan), id="nothing is known of the pods"),
    ],
)
def test_nothing_to_show_is_said(frame):
    ax = demand_plot(frame, "fragmented")
    assert not ax.get_lines()
    assert any("GPUs" in text.get_text() for text in ax.texts)


def runs():
    values = {("a", "FGD"): 0.95, ("a", "Random"): 0.87, ("b", "FGD"): 0.91, ("b", "Random"): 0.8}
    rows = [
        (f"pods={scenario}", scheduler, seed, mean + (seed - 1) / 100)
        for (scenario, scheduler), mean in values.items()
        for seed in range(3)
    ]
    return pd.DataFrame(rows, columns=["scenario", "scheduler", "seed", "gpu_allocation_at_130"])


def test_bars_are_means_by_scenario():
    ax = demand_bars(runs())
    heights = [bar.get_height() for bar in ax.patches]
    assert heights == pytest.approx([0.95, 0.91, 0.87, 0.8])
    assert [text.get_text() for text in ax.get_xticklabels()] == ["a", "b"]
    assert ax.get_ylim()[0] == pytest.approx(0.7)  # .8 less some room, down to a tenth


def test_whiskers_are_student_s_interval():
    (first, *_) = demand_bars(runs()).containers[1].lines[2]
    low, high = first.get_segments()[0][:, 1]
    # a standard deviation of .01 over 3 seeds: 4.303 x .01 / sqrt(3)
    assert (high - low) / 2 == pytest.approx(4.303 * 0.01 / np.sqrt(3), rel=1e-3)


def test_a_single_seed_has_no_whiskers():
    one = runs()
    ax = demand_bars(one[one["seed"] == 1])
    assert len(ax.patches) == 4
    assert not any(container.lines[2][0].get_segments() for container in ax.containers[1::2])


def test_bars_of_a_metric_that_no_run_has():
    ax = demand_bars(runs(), "gpu_allocation_at_100")
    assert not ax.patches
    assert "gpu_allocation_at_100" in ax.texts[0].get_text()
