"""schedlab train: a model from a file, the same each time, and going on where it stopped."""

import csv
import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from schedlab.cli.app import app
from schedlab.errors import InputError
from schedlab.experiment.build import build_scenario
from schedlab.experiment.problems import problem_of
from schedlab.experiment.rl_specs import CLUSTER, WORKLOAD
from schedlab.experiment.training import _prepared, solved, train
from schedlab.experiment.training_config import read_training, scenarios_of
from schedlab.rng import Draws
from schedlab.scheduling.learned.model import load_model
from schedlab.scheduling.learned.objectives import OBJECTIVES
from schedlab.scheduling.learned.replay import replay
from schedlab.testing.gpu_pods import made_up
from schedlab.testing.runs import created, pod_template, pods_at, small_node
from schedlab.workload import ClusterSpec, WorkloadSpec, build_cluster, build_workload
from schedlab.workload.stream import Cluster

ROOT = Path(__file__).parents[2]


def document(**changes):
    part = {"cluster": dict(CLUSTER), "workload": dict(WORKLOAD)}
    return {
        "name": "tiny",
        "objective": "gpu_allocation",
        "training": [{"name": "a", "seeds": [1, 2], **part}],
        "validation": [{"name": "b", "seeds": [3], **part}],
        "model": {"by_kind": False, "start": {"cpu_share_left": -1, "device_left": -1}},
        "search": {"population": 6, "generations": 4, "validate_every": 2, "sigma": 0.2},
        **changes,
    }


def written(tmp_path, **changes):
    path = tmp_path / "train.yaml"
    path.write_text(yaml.safe_dump(document(**changes)))
    return path


def run(path, out, **options):
    training, source = read_training(path)
    return train(training, source, out, **options)


def test_a_search_gives_a_model_with_its_card_and_curve(tmp_path):
    rows = []
    trained = run(written(tmp_path), tmp_path / "out", told=rows.append, command="schedlab train x")
    model = load_model(trained.path)
    assert model.card["command"] == "schedlab train x"
    assert set(model.card["metrics"]["training"]) == {"a/default/1", "a/default/2"}
    assert set(model.card["metrics"]["validation"]) == {"b/default/3"}
    found = model.card["metrics"]["validation"]["b/default/3"]
    assert found["model"] >= found["start"]  # the best on validation is kept, the start included
    with (tmp_path / "out" / "curve.csv").open() as file:
        curve = list(csv.DictReader(file))
    assert [row["generation"] for row in curve] == ["1", "2", "3", "4"]
    assert [bool(row["validation"]) for row in curve] == [False, True, False, True]
    assert rows == trained.curve


def test_the_same_file_gives_the_same_model_with_more_processes_too(tmp_path):
    path = written(tmp_path)
    one = run(path, tmp_path / "one")
    two = run(path, tmp_path / "two", jobs=2)
    assert (one.model.linear == two.model.linear).all()
    assert one.model.levels == two.model.levels


def test_an_interrupted_search_goes_on(tmp_path):
    path = written(tmp_path)
    whole = run(path, tmp_path / "whole")

    def stop(row):
        if row["generation"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(path, tmp_path / "part", told=stop)
    history = tmp_path / "part" / "history.json"
    history.write_text(history.read_text().replace('"seconds": ', '"seconds": 500'))
    rows = []
    rest = run(path, tmp_path / "part", resume=True, told=rows.append)
    assert rest.model.card["seconds"] >= 500  # what was spent before counts
    assert [row["generation"] for row in rows] == [3, 4]
    assert (rest.model.linear == whole.model.linear).all()
    assert rest.curve == whole.curve


def test_a_finished_search_comes_out_again(tmp_path):
    search = {"population": 4, "generations": 6, "validate_every": 1, "patience": 1, "seed": 3}
    path = written(tmp_path, search=search)
    first = run(path, tmp_path / "out")
    again = run(path, tmp_path / "out", resume=True)
    assert (again.model.linear == first.model.linear).all()
    assert again.curve == first.curve
    assert len(first.curve) < 6  # it ended because nothing became better


def test_another_training_is_not_gone_on_with(tmp_path):
    run(written(tmp_path), tmp_path / "out")
    other = written(tmp_path, search={"population": 6, "generations": 2, "seed": 9})
    with pytest.raises(InputError, match="this file, these inputs"):
        run(other, tmp_path / "out", resume=True)
    with pytest.raises(InputError, match="the history of a search"):
        run(other, tmp_path / "nothing", resume=True)


IMITATION = {"choices": 25, "nodes": 3, "pods": 200, "seconds": 1}


@pytest.mark.parametrize(("method", "rounds"), [("look-ahead", 2), ("ilp", 1)])
def test_a_model_can_learn_from_choices(tmp_path, method, rounds):
    path = written(tmp_path, method=method, imitation={**IMITATION, "rounds": rounds})
    trained = run(path, tmp_path / "out")
    assert len(trained.curve) == rounds
    assert load_model(trained.path).linear.any()


def test_training_may_start_from_a_model(tmp_path):
    run(written(tmp_path), tmp_path / "first")
    path = written(tmp_path, model={"start_from": "first/tiny.npz", "by_kind": True, "hidden": 2})
    trained = run(path, tmp_path / "second")
    assert trained.model.top.shape == (2,)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"objective": "speed"}, "objective", id="objective"),
        pytest.param({"method": "magic"}, "method", id="method"),
        pytest.param({"model": {"start": {"rooom": 1}}}, "did you mean 'room'", id="feature"),
        pytest.param({"model": {"hiden": 1}}, "hiden", id="key"),
        pytest.param({"validation": document()["training"]}, "each once", id="not disjoint"),
        pytest.param(
            {"model": {"start_from": "x.npz", "start": {"room": 1}}},
            "nothing beside start_from",
            id="starts",
        ),
    ],
)
def test_files_that_do_not_fit_are_refused(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        run(written(tmp_path, **changes), tmp_path / "out")


@pytest.mark.parametrize(
    ("nodes", "workload", "message"),
    [
        pytest.param(
            (small_node(),),
            pods_at((0, None), templates=(pod_template(node_selector={"disk": "ssd"}),)),
            "nodeSelector",
            id="a node selector",
        ),
        pytest.param(
            (small_node(),),
            pods_at((0, None), objects=(created(small_node("x")),)),
            "bare pods alone",
            id="other objects",
        ),
    ],
)
def test_what_a_replay_does_not_know_is_refused(nodes, workload, message):
    with pytest.raises(InputError, match=message):
        problem_of(Cluster("test", nodes, ()), workload)


def test_a_solver_places_no_fewer_pods_than_a_model():
    cluster, workload = made_up(1, 50)
    node = solved(cluster, workload, 1.0)
    assert len(node) == 50
    assert (node >= 0).sum() >= 20


def test_pods_with_equal_requests_share_one_row():
    draws = Draws(0)
    cluster = build_cluster(ClusterSpec.model_validate(CLUSTER), draws)
    workload = build_workload(WorkloadSpec.model_validate(WORKLOAD), cluster, draws)
    problem = problem_of(cluster, workload)
    assert len(problem.asks) == len({tuple(row) for row in problem.asks.tolist()})
    assert len(problem.asks) < len(problem.ask)
    assert problem.gpu_milli.sum() == (problem.asks[problem.ask, 2:].prod(1)).sum()


def test_sets_count_by_their_weight(tmp_path):
    part = document()["training"][0]
    sets = [
        {**part, "name": "a", "seeds": [1, 2, 3], "weight": 1},
        {**part, "name": "c", "seeds": [4], "weight": 3},
    ]
    training, source = read_training(written(tmp_path, training=sets))
    tasks = _prepared(training, source, 1).tasks
    assert [task.weight for task in tasks] == [1 / 3, 1 / 3, 1 / 3, 3.0]


def test_the_command(tmp_path):
    path = written(tmp_path, search={"population": 4, "generations": 1, "validate_every": 1})
    out = tmp_path / "out"
    result = CliRunner().invoke(app, ["train", str(path), "--out", str(out)])
    assert result.exit_code == 0
    assert "validation" in result.output
    card = json.loads((out / "tiny.json").read_text())
    assert card["command"] == f"schedlab train {path.as_posix()}"


def test_the_files_that_come_with_schedlab_can_be_read():
    files = sorted(Path("experiments").glob("train-*.yaml"))
    assert files
    for path in files:
        training, _ = read_training(path)
        kinds = [
            {entry.name for entry in part} for part in (training.training, training.validation)
        ]
        assert not kinds[0] & kinds[1]


@pytest.mark.parametrize(("name", "problems"), [("gpu", "training"), ("resources", "edge")])
def test_a_shipped_card_tells_what_its_model_does(name, problems):
    model = load_model(name)
    training, source = read_training(ROOT / "experiments" / f"train-{name}.yaml")
    assert not model.card["commit"].endswith("dirty")
    assert model.card["seconds"] < 30 * 60
    (entry,) = [entry for entry in training.validation if entry.name == problems]
    (scenario,) = scenarios_of(entry, training, source)
    told = model.card["metrics"]["validation"]
    better = 0
    for seed in scenario.experiment.seeds:
        problem = problem_of(*build_scenario(scenario, seed))
        own = told[f"{problems}/default/{seed}"]
        value = OBJECTIVES[own["objective"]](problem, replay(problem, model))
        assert round(value, 4) == own["model"]
        better += own["model"] > own["start"]
    assert better >= 0.9 * len(scenario.experiment.seeds)  # gpu: 15 of 16
