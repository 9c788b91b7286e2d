"""An experiment's file: what it may hold, and what an error says."""

import json

import jsonschema
import pytest
import yaml

from schedlab.errors import InputError
from schedlab.experiment.config import (
    Experiment,
    builtin_names,
    builtin_text,
    read_source,
    validate_experiment,
)
from schedlab.experiment.matrix import scenarios
from schedlab.testing.experiments import small_experiment
from schedlab.units import HOUR


def read(**changes):
    (only,) = scenarios(read_source(small_experiment(**changes)))
    return only.experiment


def refused(tmp_path, document):
    """Return the error about an experiment that stands in a file."""
    path = tmp_path / "broken.yaml"
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(InputError) as caught:
        scenarios(read_source(path))
    return caught.value


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(3, (0, 1, 2), id="number"),
        pytest.param([7, 3], (7, 3), id="list"),
        pytest.param([-1], (-1,), id="negative seed"),
    ],
)
def test_seeds(given, expected):
    assert read(seeds=given).seeds == expected


@pytest.mark.parametrize("given", [0, -1, [], [1, 1], "ten", True, [0.5], 10**9])
def test_bad_seeds(given, tmp_path):
    error = refused(tmp_path, small_experiment(seeds=given))
    assert error.field == "seeds"
    assert str(tmp_path) in str(error)


@pytest.mark.parametrize(
    ("given", "expected"), [("drain", None), ("2h", 2 * HOUR), (3600, HOUR)], ids=str
)
def test_until(given, expected):
    assert read(until=given).until == expected


def test_schedulers_in_short_and_in_full():
    experiment = read(
        schedulers=["best-fit", "own/code.py:Mine", {"name": "k", "use": "kube-scheduler"}]
    )
    assert [(s.name, s.use) for s in experiment.schedulers] == [
        ("best-fit", "best-fit"),
        ("Mine", "own/code.py:Mine"),
        ("k", "kube-scheduler"),
    ]


def test_defaults():
    experiment = read()
    assert experiment.until is None
    assert experiment.warm_up == 0
    assert experiment.control_plane.profile == "default"
    assert experiment.baseline is None


@pytest.mark.parametrize(
    ("changes", "field", "text"),
    [
        pytest.param({"sceduler": []}, "sceduler", "nearest valid key: schedulers", id="key"),
        pytest.param({"until": "0s"}, "until", "a duration > 0", id="until"),
        pytest.param({"until": "soon"}, "until", "drain, or a duration", id="until in words"),
        pytest.param({"schedulers": []}, "schedulers", "at least 1", id="no scheduler"),
        pytest.param(
            {"schedulers": ["best-fit", "best-fit"]},
            "schedulers[1].name",
            "unique names",
            id="scheduler twice",
        ),
        pytest.param({"baseline": "none"}, "baseline", "first-fit, worst-fit", id="baseline"),
        pytest.param({"metrics": ["wait_p98"]}, "metrics[0]", "wait_p9", id="metric"),
        pytest.param(
            {"until": "1m", "warm_up": "2m"}, "warm_up", "less time than until", id="warm-up"
        ),
        pytest.param({"sample_period": 0}, "sample_period", "> 0", id="sample period"),
        pytest.param({"name": "a/b"}, "name", "match pattern", id="name"),
        pytest.param(
            {"controlPlane": {"etdc": {}}},
            "controlPlane",
            "nearest valid key: etcd",
            id="component",
        ),
        pytest.param(
            {"controlPlane": {"scheduler": {"decisionTime": {"basis": 1}}}},
            "controlPlane.scheduler.decisionTime",
            "nearest valid key: base",
            id="parameter",
        ),
        pytest.param(
            {"controlPlane": {"etcd": {"commit": "fast"}}},
            "controlPlane.etcd.commit",
            "'fast'",
            id="latency",
        ),
        pytest.param(
            {"cluster": {"pools": [{"name": "a", "count": "many", "allocatable": {"cpu": 1}}]}},
            "cluster.pools[0].count",
            "'many'",
            id="nested",
        ),
    ],
)
def test_errors_name_the_field(changes, field, text, tmp_path):
    error = refused(tmp_path, small_experiment(**changes))
    assert error.field == field
    assert text in str(error)
    assert error.file == str(tmp_path / "broken.yaml")


def test_missing_key(tmp_path):
    document = small_experiment()
    del document["workload"]
    error = refused(tmp_path, document)
    assert (error.field, error.found) == ("workload", "<nothing>")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("[1, 2]", "a mapping", id="list"),
        pytest.param("", "one", id="empty"),
        pytest.param("a: 1\n---\nb: 2", "one", id="two documents"),
        pytest.param("a: 1\na: 2", "", id="duplicate key"),
    ],
)
def test_files_that_hold_something_else(text, expected, tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_source(path)
    assert expected in caught.value.expected
    assert caught.value.file == str(path)


def test_unknown_experiment_names_the_nearest():
    with pytest.raises(InputError, match="did you mean quickstart"):
        read_source("quikstart")


def test_dump_is_the_same_experiment(tmp_path):
    parameters = {"profile": "default", "kubelet": {"imageBandwidth": None}}
    dumped = read(until="90m", controlPlane=parameters).dump()
    again = validate_experiment(json.loads(json.dumps(dumped)), tmp_path)
    assert again.dump() == dumped
    assert again.control_plane.kubelet.image_bandwidth is None  # not filled in from the profile


@pytest.mark.parametrize("name", builtin_names())
def test_builtin_experiments_fit_the_schema(name):
    document = yaml.safe_load(builtin_text(name))
    jsonschema.validate(document, Experiment.model_json_schema(by_alias=True))
    assert scenarios(read_source(name))[0].experiment.name == name


def test_schema_takes_short_and_full_forms_and_refuses_unknown_keys():
    schema = Experiment.model_json_schema(by_alias=True)
    jsonschema.validate(small_experiment(cluster="cluster.yaml", seeds=[1, 2]), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(small_experiment(sceduler=1), schema)
