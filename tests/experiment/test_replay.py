"""Explaining one decision of a run that is over."""

from functools import partial

import pandas as pd
import pytest

import schedlab
from schedlab.errors import InputError
from schedlab.experiment.replay import remake_spec
from schedlab.experiment.results import load
from schedlab.experiment.run import run_plan

NODES = pd.DataFrame({"name": ["a", "b", "c"], "cpu": [4, 2, 1], "memory": "8Gi"})
PODS = pd.DataFrame(
    {"name": ["p0", "p1", "p2"], "cpu": [1, 2, 3], "memory": "1Gi", "duration_s": 60}
)


@pytest.fixture(scope="module")
def simulated():
    return schedlab.simulate(NODES, PODS, ["kube-scheduler", "first-fit"])


def test_scores_and_verdicts_of_a_placed_pod(simulated):
    table = simulated.explain("p0", scheduler="kube-scheduler")
    assert list(table["node"].unique()) == ["a", "b", "c"]
    chosen = table[table["chosen"]]
    assert chosen["score"].sum() == chosen["total"].iloc[0] == table["total"].max()
    fit = table[table["plugin"] == "NodeResourcesFit"].set_index("node")
    # LeastAllocated: (4000 - 1000) 100 / 4000 = 75 of cpu, 7 / 8 = 87 of memory: 81
    assert fit.loc["a", "raw_score"] == 81
    assert fit.loc["c", "verdict"] == "passed"


def test_the_cluster_is_as_it_was_then(simulated):
    """p0 stands on a when p2 is decided on: 3 of 4 cores are free there, and nowhere else."""
    table = simulated.explain("p2", scheduler="first-fit")
    fit = table[table["plugin"] == "NodeResourcesFit"].set_index("node")
    pods = simulated.pods
    placed = pods[(pods["scheduler"] == "first-fit") & pods["pod"].str.endswith("p2")]
    assert table[table["chosen"]]["node"].unique().tolist() == placed["node"].tolist()
    assert fit["verdict"].to_dict() == {"a": "passed", "b": "rejected", "c": "rejected"}
    assert fit.loc["b", "reason"] == "Insufficient cpu"


def test_an_attempt_that_failed(simulated):
    decisions = simulated.decisions
    mine = decisions[decisions["scheduler"] == "first-fit"]
    failed = mine[mine["verdict"] != "placed"]
    assert len(failed)
    first = failed.iloc[0]
    table = simulated.explain(first["pod"], scheduler="first-fit", attempt=int(first["attempt"]))
    assert not table["chosen"].any()
    assert (table[table["plugin"] == "NodeResourcesFit"]["verdict"] == "rejected").all()


@pytest.mark.parametrize("loaded", [False, True], ids=["returned", "loaded"])
def test_runs_of_an_experiment(plan_of, tmp_path, loaded):
    results = run_plan(plan_of("schedulers=[kube-scheduler]", seeds=1), tmp_path)
    if loaded:
        results = load(tmp_path)
    placed = results.pods[results.pods["node"].notna()]
    for pod in placed.iloc[[0, len(placed) // 2, -1]].to_dict("records"):
        table = results.explain(pod["pod"])
        assert table[table["chosen"]]["node"].unique().tolist() == [pod["node"]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"pod": "nobody"}, "the name of a pod", id="no such pod"),
        pytest.param({"pod": "p0", "attempt": 99}, "attempt: expected one of 1 to", id="attempt"),
        pytest.param({"pod": "p0", "seed": 7}, "a run that is there", id="no such run"),
    ],
)
def test_what_can_not_be_explained(simulated, options, message):
    with pytest.raises(InputError) as caught:
        simulated.explain(**options)
    assert message in str(caught.value)


def test_data_in_memory_is_gone_when_results_are_loaded(tmp_path):
    schedlab.simulate(NODES, PODS, ["first-fit"], out=tmp_path)
    with pytest.raises(InputError, match="data that was given in memory"):
        load(tmp_path).explain("p0")


def test_a_run_that_comes_out_differently(plan_of, tmp_path):
    results = run_plan(plan_of("schedulers=[first-fit]", seeds=1), tmp_path)
    other = plan_of("schedulers=[first-fit]", "cluster.pools[0].name=other", seeds=1)
    (run,) = results.directories
    results.remakes[run.path] = partial(remake_spec, other.runs[0])
    with pytest.raises(InputError, match="the code or the data has changed"):
        results.explain(results.pods["pod"].iloc[0])
