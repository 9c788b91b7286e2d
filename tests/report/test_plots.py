"""Plots: what they draw, that they leave nothing behind, and that no text covers another."""

from __future__ import annotations

import io
from itertools import combinations

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from schedlab.record.metrics import DEFAULT_METRICS
from schedlab.record.usage import Usage
from schedlab.report.formatting import metric_title
from schedlab.report.plots import (
    latency_cdf,
    node_heatmap,
    queue_length,
    resources_of,
    utilization,
    utilization_panels,
)
from schedlab.report.stages import (
    STAGE_NAMES,
    forest,
    stage_latency,
    stage_quantiles,
    stage_waterfall,
)

END_US = 7_200_000_000


def one_run_of(results: dict, table: str) -> pd.DataFrame:
    frame = results[table]
    return frame[(frame["scheduler"] == "best-fit") & (frame["seed"] == 0)]


def heatmap(results: dict, **options) -> Axes:
    return node_heatmap(
        one_run_of(results, "pods"), one_run_of(results, "nodes"), end_us=END_US, **options
    )


PLOTS = {
    "utilization": lambda r, **o: utilization(r["samples"], "cpu", **o),
    "queue_length": lambda r, **o: queue_length(r["samples"], **o),
    "latency_cdf": lambda r, **o: latency_cdf(r["pods"], **o),
    "node_heatmap": heatmap,
    "stage_waterfall": lambda r, **o: stage_waterfall(r["pods"], **o),
    "stage_latency": lambda r, **o: stage_latency(r["pods"], **o),
    "forest": lambda r, **o: forest(
        r["comparison"],
        metrics=[name for name in DEFAULT_METRICS if name in set(r["comparison"]["metric"])],
        **o,
    ),
}
every_plot = pytest.mark.parametrize("draw", PLOTS.values(), ids=PLOTS)


@pytest.fixture(scope="module")
def everything(results, comparison):
    return results | {"comparison": comparison}


@every_plot
def test_draws_into_given_axes(everything, draw):
    figure = Figure(figsize=(14, 5))
    left, right = figure.subplots(1, 2)
    assert draw(everything, ax=right) is right
    assert right.has_data()
    assert not left.has_data()


@every_plot
def test_leaves_no_global_state(everything, draw):
    before, settings = plt.get_fignums(), dict(mpl.rcParams)
    ax = draw(everything)
    ax.figure.savefig(io.BytesIO(), format="png", dpi=50)
    assert plt.get_fignums() == before
    assert dict(mpl.rcParams) == settings


def visible_texts(ax: Axes):
    legend = ax.get_legend()
    texts = [*ax.texts, ax.xaxis.label, ax.yaxis.label, ax.title, ax._left_title]
    for axis in (ax.xaxis, ax.yaxis):
        low, high = sorted(axis.get_view_interval())
        ticks = zip(axis.get_majorticklocs(), axis.get_majorticklabels(), strict=True)
        texts += [label for place, label in ticks if low * 0.999 <= place <= high * 1.001]
    texts += legend.get_texts() if legend else []
    return [text for text in texts if text.get_visible() and text.get_text()]


@every_plot
def test_no_text_covers_another_or_leaves_the_figure(everything, draw):
    ax = draw(everything)
    canvas = FigureCanvasAgg(ax.figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in visible_texts(ax)]
    for (one, a), (two, b) in combinations(boxes, 2):
        overlap = min(a.x1, b.x1) - max(a.x0, b.x0) > 1 and min(a.y1, b.y1) - max(a.y0, b.y0) > 1
        assert not overlap, f"{one!r} and {two!r} overlap"
    figure = ax.figure.bbox
    for text, box in boxes:
        inside = (
            box.x0 >= -1 and box.x1 <= figure.x1 + 1 and box.y0 >= -1 and box.y1 <= figure.y1 + 1
        )
        assert inside, f"{text!r} leaves the figure"


@every_plot
def test_legend_covers_no_data(everything, draw):
    ax = draw(everything)
    legend = ax.get_legend()
    if legend is None:
        return
    canvas = FigureCanvasAgg(ax.figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    assert not legend.get_window_extent(renderer).overlaps(ax.get_window_extent(renderer))


def test_utilization_is_the_mean_over_seeds(results):
    ax = utilization(results["samples"], "cpu")
    samples = results["samples"]
    assert [line.get_label() for line in ax.get_lines()] == list(samples["scheduler"].unique())
    last = samples[(samples["scheduler"] == "best-fit") & (samples["time_us"] == END_US)]
    share = (last["requested_cpu_milli"] / last["allocatable_cpu_milli"]).mean()
    line = next(line for line in ax.get_lines() if line.get_label() == "best-fit")
    assert line.get_ydata()[-1] == pytest.approx(share)
    assert line.get_xdata()[-1] == 2  # hours
    assert ax.get_xlabel() == "simulated time (h)"
    assert ax.get_ylabel() == "requested / allocatable"
    assert len(ax.collections) == 3  # one band per scheduler


def test_lines_differ_in_more_than_colour(results):
    lines = utilization(results["samples"], "cpu").get_lines()
    assert len({line.get_color() for line in lines}) == 3
    assert len({line._dash_pattern[1] and tuple(line._dash_pattern[1]) for line in lines}) == 3


def test_panels_have_one_legend(results):
    figure = utilization_panels(results["samples"])
    assert len(figure.axes) == len(resources_of(results["samples"])) == 2
    assert [ax.get_legend() is not None for ax in figure.axes] == [True, False]


def test_queue_length_shows_whole_pods(results):
    ax = queue_length(results["samples"], "queue_unschedulable")
    assert all(float(tick).is_integer() for tick in ax.get_yticks())
    assert ax.get_ylabel() == "pods"


def test_heat_map_holds_the_exact_means_grouped_by_pool(results):
    ax = heatmap(results, bins=10)
    pods, nodes = one_run_of(results, "pods"), one_run_of(results, "nodes")
    edges = np.linspace(0, END_US, 11).astype(np.int64)
    expected = Usage(pods, nodes, END_US).node_shares("cpu", edges)
    order = np.argsort(pd.factorize(nodes["pool"])[0], kind="stable")
    np.testing.assert_allclose(ax.get_images()[0].get_array(), expected[order])
    labels = [label.get_text() for label in ax.get_yticklabels()]
    sizes = nodes["pool"].value_counts()
    assert set(labels) == {f"{pool} ({count})" for pool, count in sizes.items()}


def test_heat_map_of_several_runs_is_an_error(results):
    with pytest.raises(ValueError, match="one run, found several of 'scheduler'"):
        node_heatmap(results["pods"], results["nodes"])


def test_cdf_keeps_pods_that_never_got_there_in_view():
    times = pd.array([1_000_000, 2_000_000, None, 4_000_000], dtype="Int64")
    pods = pd.DataFrame({"created_us": [0] * 4, "bound_us": times, "scheduler": "a"})
    ax = latency_cdf(pods)
    line = ax.get_lines()[0]
    assert line.get_label() == "a (25 % never)"
    assert line.get_ydata()[-1] == 0.75
    assert dict(zip(line.get_xdata(), line.get_ydata(), strict=True))[2.0] == 0.5


def test_cdf_of_many_pods_stays_small():
    pods = pd.DataFrame(
        {"created_us": np.zeros(50_000, int), "bound_us": np.arange(1, 50_001) * 1000}
    )
    line = latency_cdf(pods).get_lines()[0]
    assert len(line.get_xdata()) < 1000
    assert np.interp(25.0, line.get_xdata(), line.get_ydata()) == pytest.approx(0.5, abs=0.01)


def test_stage_quantiles_by_hand():
    base = {
        "created_us": [0, 0, 0],
        "stored_us": [10, 20, 30],
        "seen_by_scheduler_us": [10, 20, -1],
    }
    later = ("decided_us", "bound_us", "seen_by_kubelet_us", "pulled_us", "started_us", "ready_us")
    pods = pd.DataFrame(base | {column: [-1] * 3 for column in later}).replace(-1, pd.NA)
    table = stage_quantiles(pods.astype("Int64"))
    assert table["stage"].tolist() == ["API write", "watch: scheduler"]
    write = table.iloc[0]
    assert (write["p50_s"], write["p90_s"], write["pods"]) == (20e-6, 30e-6, 3)
    assert table.iloc[1]["pods"] == 2  # the third was never seen


def test_waterfall_stacks_the_medians(results):
    ax = stage_waterfall(results["pods"])
    table = stage_quantiles(results["pods"])
    total = table.groupby("scheduler")[["p50_s", "p90_s"]].sum().to_numpy().max()
    right = max(patch.get_x() + patch.get_width() for patch in ax.patches)
    scale = {"s": 1, "min": 60, "h": 3600}[ax.get_xlabel().removeprefix("time (").removesuffix(")")]
    assert right * scale == pytest.approx(total)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == [name for name in STAGE_NAMES if name in set(table["stage"])]


def comparison_of(rows: list[tuple]) -> pd.DataFrame:
    columns = ["metric", "scheduler", "unit", "mean", "difference", "half", "verdict"]
    frame = pd.DataFrame(rows, columns=columns).assign(scenario="s", baseline="base")
    return frame.assign(
        difference_low=frame["difference"] - frame["half"],
        difference_high=frame["difference"] + frame["half"],
    )


def test_forest_is_relative_to_the_baseline():
    ax = forest(
        comparison_of(
            [
                ("makespan_seconds", "base", "s", 200.0, 0.0, 0.0, ""),
                ("makespan_seconds", "mine", "s", 150.0, -50.0, 10.0, "better"),
                ("pods_failed", "base", "pods", 0.0, 0.0, 0.0, ""),
                ("pods_failed", "mine", "pods", 3.0, 3.0, 1.0, "worse"),
            ]
        )
    )
    markers = [line for line in ax.get_lines() if line.get_marker() == "o"]
    assert [line.get_xdata()[0] for line in markers] == [-25]  # 100 * -50 / 200
    texts = [text.get_text() for text in ax.texts]
    assert "-50 [-60, -40] s" in texts
    assert any("not shown" in text and "pods failed" in text for text in texts)


def test_forest_without_anything_to_compare_says_so():
    ax = forest(comparison_of([("makespan_seconds", "base", "s", 200.0, 0.0, 0.0, "")]))
    assert "nothing to compare" in [text.get_text() for text in ax.texts]


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("imbalance_nvidia.com/gpu", "nvidia.com/gpu imbalance"),
        ("create_to_schedule_seconds_p99", "wait p99"),
        ("my_own_metric", "my_own_metric"),
    ],
)
def test_metric_title(name, title):
    assert metric_title(name) == title


@pytest.mark.parametrize(
    "draw",
    [
        pytest.param(lambda r: utilization(r["samples"]), id="utilization"),
        pytest.param(lambda r: queue_length(r["samples"]), id="queue"),
        pytest.param(lambda r: latency_cdf(r["pods"]), id="cdf"),
        pytest.param(lambda r: node_heatmap(r["pods"], r["nodes"]), id="heat map"),
        pytest.param(lambda r: stage_waterfall(r["pods"]), id="waterfall"),
        pytest.param(lambda r: stage_latency(r["pods"]), id="stages"),
        pytest.param(lambda r: forest(r["comparison"]), id="forest"),
    ],
)
def test_empty_results_say_that_they_are_empty(everything, draw):
    ax = draw({name: frame.iloc[:0] for name, frame in everything.items()})
    ax.figure.savefig(io.BytesIO(), format="png", dpi=40)
    assert any(text.get_text().startswith(("no ", "the run", "nothing")) for text in ax.texts)


@pytest.mark.parametrize(
    ("span_s", "unit", "last"),
    [
        pytest.param(50, "s", 50, id="seconds"),
        pytest.param(600, "min", 10, id="minutes"),
        pytest.param(86400, "h", 24, id="a day in hours"),
        pytest.param(149 * 86400, "d", 140, id="149 days"),
        pytest.param(2000 * 86400, "d", 2000, id="years"),
    ],
)
def test_time_axis_reads_as_people_count(make_sweep, span_s, unit, last):
    results = make_sweep(("best-fit",), seeds=1, nodes=5, pods=30, span_s=span_s, samples=30)
    ax = utilization(results["samples"])
    assert ax.get_xlabel() == f"simulated time ({unit})"
    ticks = [tick for tick in ax.get_xticks() if 0 <= tick <= ax.get_xlim()[1] * 1.0001]
    assert 3 <= len(ticks) <= 10
    assert ticks[-1] == last
