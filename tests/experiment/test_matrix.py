"""Scenarios: the product of the axes, their names, and what may be an axis."""

import pytest
import yaml

from schedlab.errors import InputError
from schedlab.experiment.config import read_source
from schedlab.experiment.matrix import axis_names, label_of, scenarios
from schedlab.experiment.settings import parse_setting
from schedlab.testing.experiments import small_experiment

COUNT = "workload.items.task.count"
CPU = "workload.items.batch.requests.cpu"


def names(*settings, **changes):
    source = read_source(small_experiment(**changes))
    return [s.name for s in scenarios(source, [parse_setting(text) for text in settings])]


def test_without_a_matrix_there_is_one_scenario():
    assert names() == ["default"]


def test_axes_multiply_in_order():
    found = scenarios(read_source(small_experiment(matrix={COUNT: [5, 6], CPU: [1, "500m"]})))
    assert [s.name for s in found] == [
        "task.count=5, cpu=1",
        "task.count=5, cpu=500m",
        "task.count=6, cpu=1",
        "task.count=6, cpu=500m",
    ]
    assert [s.experiment.workload.items[0].count for s in found] == [5, 5, 6, 6]
    assert [s.experiment.workload.items[1].requests["cpu"] for s in found] == [1, "500m"] * 2


def test_an_axis_may_be_a_file_or_a_whole_part(tmp_path):
    small = small_experiment()
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(small["workload"] | {"name": name}))
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump(small | {"matrix": {"workload": ["one.yaml", "two.yaml"]}}))
    found = scenarios(read_source(path))
    assert [(s.name, s.experiment.workload.name) for s in found] == [
        ("workload=one", "one"),
        ("workload=two", "two"),
    ]


def test_paths_of_one_axis_change_together():
    both = f"{COUNT}, {CPU}"
    found = scenarios(
        read_source(small_experiment(matrix={both: [[5, 1], [6, 2]], "until": ["1h"]}))
    )
    assert [s.name for s in found] == [
        "task.count=5, cpu=1, until=1h",
        "task.count=6, cpu=2, until=1h",
    ]
    assert [s.experiment.workload.items[0].count for s in found] == [5, 6]
    assert [s.experiment.workload.items[1].requests["cpu"] for s in found] == [1, 2]


def test_a_setting_of_one_path_leaves_the_others_of_its_axis():
    matrix = {f"{COUNT}, {CPU}": [[5, 1], [6, 2]]}
    source = read_source(small_experiment(matrix=matrix))
    found = scenarios(source, [parse_setting(f"{COUNT}=7")])
    assert [s.experiment.workload.items[0].count for s in found] == [7, 7]
    assert [s.experiment.workload.items[1].requests["cpu"] for s in found] == [1, 2]
    assert names(f"{COUNT}=7", f"{CPU}=3", matrix=matrix) == ["default"]


def test_options_of_a_scheduler_named_in_short_can_be_an_axis():
    found = scenarios(
        read_source(small_experiment(matrix={"schedulers.first-fit.options.x": [1, 2]}))
    )
    assert [s.experiment.schedulers[0].options for s in found] == [{"x": 1}, {"x": 2}]
    assert [s.experiment.schedulers[0].use for s in found] == ["first-fit"] * 2


@pytest.mark.parametrize(
    "setting", [f"{COUNT}=7", "workload.items.task.count=7"], ids=["same", "by name"]
)
def test_a_setting_replaces_its_axis(setting):
    assert names(setting, matrix={COUNT: [5, 6], CPU: [1, 2]}) == ["cpu=1", "cpu=2"]


def test_a_setting_may_be_the_matrix():
    assert names(f"matrix={{{COUNT}: [8, 9]}}") == ["task.count=8", "task.count=9"]
    assert names("matrix={}", matrix={COUNT: [5, 6]}) == ["default"]


@pytest.mark.parametrize(
    ("matrix", "field"),
    [
        pytest.param({"seeds": [1, 2]}, "matrix.seeds", id="seeds"),
        pytest.param({"schedulers": [["a"]]}, "matrix.schedulers", id="schedulers"),
        pytest.param({COUNT: 5}, f"matrix.{COUNT}", id="no list"),
        pytest.param({COUNT: []}, f"matrix.{COUNT}", id="empty"),
        pytest.param([1], "matrix", id="no mapping"),
        pytest.param({COUNT: ["many"]}, f"matrix {COUNT}", id="bad value"),
        pytest.param({"workload.itms": [1]}, "matrix workload.itms", id="unknown key"),
        pytest.param({f"{COUNT}, {CPU}": [[5]]}, f"matrix.{COUNT}, {CPU}[0]", id="one for two"),
        pytest.param({f"{COUNT}, {CPU}": [5]}, f"matrix.{COUNT}, {CPU}[0]", id="no values"),
        pytest.param({f"{COUNT}, seeds": [[5, 1]]}, f"matrix.{COUNT}, seeds", id="seeds too"),
    ],
)
def test_bad_axes(matrix, field):
    with pytest.raises(InputError) as caught:
        names(matrix=matrix)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        pytest.param("sedes=3", "nearest valid key: seeds", id="unknown root"),
        pytest.param("workload.horizn=1h", "nearest valid key: horizon", id="unknown key"),
        pytest.param("seeds=none", "--set seeds: expected a number of seeds", id="bad value"),
    ],
)
def test_errors_of_settings_say_that_they_come_from_the_command_line(setting, text):
    with pytest.raises(InputError) as caught:
        names(setting)
    assert text in str(caught.value)
    assert "--set" in str(caught.value)


def test_an_error_in_a_part_names_its_own_file(tmp_path):
    (tmp_path / "w.yaml").write_text("items: [{name: web, kind: Pod, cont: 3}]")
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump(small_experiment(workload="w.yaml")))
    with pytest.raises(InputError, match="nearest valid key: count") as caught:
        scenarios(read_source(path))
    assert caught.value.file == str(tmp_path / "w.yaml")
    assert caught.value.field == "items[0]"


def test_axis_names_tell_axes_apart():
    assert axis_names(["a.x.qps", "b.x.qps", "c.load.value"]) == {
        "a.x.qps": "a.x.qps",
        "b.x.qps": "b.x.qps",
        "c.load.value": "load.value",
    }


@pytest.mark.parametrize(
    ("value", "label"),
    [(1, "1"), ("2h", "2h"), (True, "true"), (["a", 1], "[a,1]"), ({"x": 1}, "{x:1}")],
)
def test_labels(value, label):
    assert label_of(value) == label


def test_equal_labels_get_numbers():
    part = small_experiment()["cluster"]
    named = [part | {"name": "same"}, part | {"name": "same"}]
    assert names(matrix={"cluster": named}) == ["cluster=same #0", "cluster=same #1"]
