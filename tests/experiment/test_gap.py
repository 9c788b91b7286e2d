"""How far runs were from a bound: by hand, and on the command line."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from matplotlib.axes import Axes
from typer.testing import CliRunner

import schedlab
from schedlab.cli import app
from schedlab.errors import InputError
from schedlab.experiment.gap import gaps, summary
from schedlab.report.gap import gap_over_time, mean_gaps
from schedlab.report.plots import optimality_gap


@pytest.fixture(scope="module")
def by_hand():
    """Two nodes of 4 cpus, pods of 2, 2 and 4 in turn, all there from 3 s to 60 s."""
    nodes = pd.DataFrame({"cpu": [4, 4], "memory": "8Gi"})
    pods = pd.DataFrame(
        {"cpu": [2, 2, 4], "memory": "1Gi", "arrival_s": [0, 1, 2], "duration_s": 60}
    )
    return schedlab.simulate(
        nodes, pods, ["first-fit", "worst-fit"], seeds=2, control_plane="ideal", until="60s"
    )


def test_the_gap_is_what_could_have_run(by_hand):
    found = by_hand.gaps(moments=6)  # at 5, 15 ... 55 s
    assert (found["time_us"] / 1e6).unique().tolist() == [5, 15, 25, 35, 45, 55]
    first = found[found["scheduler"] == "first-fit"]
    assert (first["running"] == 3).all()
    assert (first["gap"] == 0).all()
    # worst-fit parts the pods of 2, and the pod of 4 waits: 2 of 3 that could run
    worst = found[found["scheduler"] == "worst-fit"]
    assert worst[["running", "waiting", "bound"]].drop_duplicates().to_numpy().tolist() == [
        [2, 1, 3]
    ]
    assert worst["gap"].tolist() == pytest.approx([1 / 3] * 12)


def test_means_over_seeds_with_intervals(by_hand):
    found = summary(by_hand.gaps(moments=3))
    assert found["scheduler"].tolist() == ["first-fit", "worst-fit"]
    assert found["mean"].tolist() == pytest.approx([0, 1 / 3])
    assert found["seeds"].tolist() == [2, 2]
    assert found["at_bound"].tolist() == [1, 0]
    alone = summary(by_hand.gaps(moments=3).query("seed == 0"))
    assert math.isnan(alone["low"][0])


def test_all_pods_count_in_the_summary():
    found = pd.DataFrame(
        {
            "scenario": "default",
            "scheduler": "a",
            "seed": 0,
            "time_us": [1, 1, 2, 2],
            "priority": [9, 0, 9, 0],
            "gap": [0.5, 0.1, 0.5, 0.3],
        }
    )
    assert summary(found)["mean"].tolist() == pytest.approx([0.2])


def test_no_moments(by_hand):
    with pytest.raises(InputError, match="moments"):
        gaps(by_hand, moments=0)


def test_another_course_of_events_is_noticed(by_hand):
    run = by_hand.directories[0]
    run.manifest["digest"], kept = "other", run.manifest["digest"]
    with pytest.raises(InputError, match="has changed since the run"):
        by_hand.gaps(moments=1)
    run.manifest["digest"] = kept


def test_figures(by_hand):
    found = by_hand.gaps(moments=3)
    assert isinstance(optimality_gap(found), Axes)
    assert [text.get_text() for text in mean_gaps(summary(found)).get_yticklabels()] == [
        "first-fit",
        "worst-fit",
    ]
    solved = pd.DataFrame({"method": ["a", "a", "b"], "wall_s": [0, 2, 1], "gap": [0.1, 0.2, 0.05]})
    line = gap_over_time(solved).get_lines()[0]
    assert list(line.get_ydata()) == [0.1, 0.1]  # what a longer solve finds is no worse
    for empty in (
        optimality_gap(found[:0]),
        mean_gaps(summary(found)[:0]),
        gap_over_time(solved[:0]),
    ):
        assert not empty.get_lines()


def invoke(*arguments, code=0):
    found = CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "120"})
    assert found.exit_code == code, found.output
    return found.output


def test_the_command(small_results, tmp_path):
    root = small_results.directories[0].path.parents[2]
    said = invoke("gap", root, "--moments", 4, "--out", tmp_path / "g" / "gaps.csv")
    assert "first-fit" in said
    assert "95 % interval" in said
    rows = pd.read_csv(tmp_path / "g" / "gaps.csv")
    assert len(rows) == 4 * 4
    assert (rows["running"] <= rows["bound"]).all()
    assert (rows["bound"] <= rows["running"] + rows["waiting"]).all()
    one = invoke(
        "gap", small_results.directories[0].path, "--moments", 2, "--out", tmp_path / "g.parquet"
    )
    assert "worst-fit" not in one
    assert len(pd.read_parquet(tmp_path / "g.parquet")) == 2


def test_errors_of_the_command(tmp_path):
    assert "finished runs" in invoke("gap", tmp_path, code=2)
    assert ".csv or .parquet" in invoke("gap", tmp_path, "--out", "gaps.txt", code=2)
