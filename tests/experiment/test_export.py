"""Decisions as a table: what was known of nodes, what was chosen, what came of it."""

import pandas as pd
import pytest
from typer.testing import CliRunner

from schedlab.cli import app
from schedlab.errors import InputError
from schedlab.experiment.export import AROUND, OUTCOMES, export_decisions
from schedlab.experiment.replay import remake_run
from schedlab.experiment.run import make_plan, run_plan
from schedlab.record.rundir import read_run
from schedlab.scheduling.learned.features import NAMES
from schedlab.testing.experiments import small_experiment


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The directory of one run, whose pods' durations are known beforehand."""
    experiment = small_experiment(seeds=1, schedulers=["worst-fit"])
    for item in experiment["workload"]["items"]:
        item["estimated_duration"] = "exact"
    out = tmp_path_factory.mktemp("run")
    run_plan(make_plan(experiment), out)
    (found,) = out.glob("scenario=*/scheduler=worst-fit/seed=0")
    return found


def test_one_row_for_the_chosen_node_and_some_others(run, tmp_path):
    done = CliRunner().invoke(app, ["export-decisions", str(run), "--out", str(tmp_path / "d.pq")])
    assert done.exit_code == 0, done.output
    rows = pd.read_parquet(tmp_path / "d.pq")
    assert {*NAMES, *AROUND, *OUTCOMES} <= set(rows.columns)
    pods = pd.read_parquet(run / "pods.parquet")
    placed = rows[rows["chosen"]]
    assert len(placed) == pods["node"].notna().sum()
    assert placed["pod"].is_unique
    assert (placed["node"] == placed["bound_to"]).all()
    assert (rows.groupby("decision").size() <= 4).all()
    assert set(rows.attrs["units"]) == {*NAMES, *AROUND}
    assert rows.attrs["units"]["remaining"] == "s"


def test_worst_fit_chose_the_node_with_the_most_cpu_left(run, tmp_path):
    export_decisions(read_run(run), remake_run(read_run(run), run), tmp_path / "d.pq")
    rows = pd.read_parquet(tmp_path / "d.pq")
    most = rows.groupby("decision")["cpu_left"].transform("max")
    assert (rows["cpu_left"] == most)[rows["chosen"]].mean() > 0.9  # it weighs memory as well
    assert not rows["remaining"].isna().any()  # all durations were declared


def test_a_run_that_comes_out_otherwise_is_told(run, tmp_path, monkeypatch):
    found = read_run(run)
    pods = found.table("pods")
    elsewhere = pods.assign(node=pods["node"].astype(str).where(pods["node"].isna(), "elsewhere"))
    monkeypatch.setattr(type(found), "table", lambda self, name: elsewhere)
    with pytest.raises(InputError, match="has changed since the run"):
        export_decisions(found, remake_run(found, run), tmp_path / "d.pq")
