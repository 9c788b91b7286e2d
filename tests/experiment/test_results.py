"""Results: loading, joining, plots, the report, and what a notebook shows."""

import shutil

import matplotlib.axes
import pandas as pd
import pytest

from schedlab.errors import InputError
from schedlab.experiment.kinds import KINDS
from schedlab.experiment.results import load
from schedlab.experiment.run import run_plan


def root_of(results):
    return results.directories[0].path.parents[2]


def test_loading_gives_what_was_returned(small_results):
    loaded = load(root_of(small_results))
    pd.testing.assert_frame_equal(loaded.runs, small_results.runs)
    pd.testing.assert_frame_equal(loaded.compare(), small_results.compare())
    assert loaded.name == "small"


def test_tables_carry_scenario_scheduler_and_seed(small_results):
    for name in ("pods", "nodes", "samples", "decisions"):
        frame = getattr(small_results, name)
        assert len(frame[["scenario", "scheduler", "seed"]].drop_duplicates()) == 4, name


def test_runs_of_an_earlier_command_are_left_out(plan_of, tmp_path):
    run_plan(plan_of(seeds=3), tmp_path)
    run_plan(plan_of(seeds=1), tmp_path, resume=True)
    assert len(load(tmp_path)) == 2
    assert len(pd.read_parquet(tmp_path / "runs.parquet")) == 2


def test_metrics_and_baseline_are_those_of_the_experiment(plan_of, tmp_path):
    run_plan(plan_of("baseline=worst-fit", "metrics=[wait_p99, makespan]"), tmp_path)
    found = load(tmp_path).compare()
    assert list(dict.fromkeys(found["metric"])) == [
        "create_to_schedule_seconds_p99",
        "makespan_seconds",
    ]
    assert set(found["baseline"]) == {"worst-fit"}


def test_directories_of_one_experiment_stand_side_by_side(plan_of, tmp_path):
    run_plan(plan_of(schedulers=["first-fit"]), tmp_path / "a")
    run_plan(plan_of(schedulers=["worst-fit"]), tmp_path / "b")
    both = load(tmp_path / "a", tmp_path / "b")
    found = both.compare(["wait_p99"])
    assert found["scheduler"].tolist() == ["first-fit", "worst-fit"]
    assert set(found["scenario"]) == {"default"}


@pytest.mark.parametrize(
    ("name", "labels"),
    [("small", {"a: default", "b: default"}), ("other", {"small: default", "other: default"})],
    ids=["the same experiment twice", "two experiments"],
)
def test_others_become_scenarios(name, labels, plan_of, tmp_path):
    run_plan(plan_of(seeds=1), tmp_path / "a")
    run_plan(plan_of(seeds=1, name=name), tmp_path / "b")
    joint = load(tmp_path / "a", tmp_path / "b")
    found = {label.replace(f"{tmp_path}/", "") for label in joint.runs["scenario"]}
    assert found == labels
    assert set(joint.pods["scenario"]) == set(joint.runs["scenario"])


@pytest.mark.parametrize("what", ["nothing", "empty"])
def test_loading_what_is_not_there(what, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="a directory with") as caught:
        load(tmp_path / what)
    assert caught.value.field == "results"


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_plot(kind, small_results):
    assert isinstance(small_results.plot(kind), matplotlib.axes.Axes)
    assert small_results.figure(kind).axes


def test_plots_go_where_they_are_told(small_results):
    from matplotlib.figure import Figure

    ax = Figure().add_subplot()
    assert small_results.plot("queue", ax=ax) is ax


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"kind": "pie"}, "kind"),
        ({"kind": "wait", "scenario": "x"}, "scenario"),
        ({"kind": "heatmap", "scheduler": "x"}, "run"),
        ({"kind": "heatmap", "seed": 99}, "run"),
    ],
)
def test_plots_of_what_is_not_there(options, field, small_results):
    with pytest.raises(InputError) as caught:
        small_results.plot(**options)
    assert caught.value.field == field


def test_several_scenarios_have_to_be_named(plan_of, tmp_path):
    matrix = {"workload.items.task.count": [5, 6]}
    results = run_plan(plan_of(matrix=matrix, seeds=1), tmp_path)
    with pytest.raises(InputError, match=r"one of task\.count=5; task\.count=6"):
        results.plot("wait")
    assert results.plot("wait", scenario="task.count=6")
    assert "task.count=5" in results._repr_html_()


def test_report_is_one_file_that_names_what_it_shows(small_results, tmp_path):
    path = small_results.report(tmp_path / "deep" / "report.html")
    text = path.read_text()
    assert "<svg" in text
    assert "worst-fit" in text
    assert small_results.directories[0].manifest["digest"][:16] in text
    assert "http://" not in text.replace("http://www.w3.org", "")


def test_notebook_form(small_results):
    assert repr(small_results) == ("<Results 'small': 4 runs, 1 scenario, 2 schedulers, 2 seeds>")
    html = small_results._repr_html_()
    assert html.count("<tr>") > 5
    assert "worst-fit" in html


def test_notes_that_differ_in_numbers_stand_once(plan_of, tmp_path):
    load_ = {"resource": "cpu", "value": 0.5}
    results = run_plan(plan_of(f"workload.target_load={load_}", "workload.horizon=1m"), tmp_path)
    mine = [note for note in results.run_notes if note.startswith("target load")]
    assert len(mine) == 1
    assert "with other numbers" in mine[0]


def test_removing_cleans_up(plan_of, tmp_path):
    folder = tmp_path / "gone"
    results = run_plan(plan_of(seeds=1), folder).removing(folder)
    assert len(results.pods) > 0
    del results
    assert not folder.exists()
    shutil.rmtree(folder, ignore_errors=True)
