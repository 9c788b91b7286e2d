"""Values laid over a document, from the command line and the matrix."""

from pathlib import Path

import pytest
import yaml

from schedlab.errors import InputError
from schedlab.experiment.settings import (
    Setting,
    lay_over,
    parse_setting,
    relative_to_base,
    steps_of,
)


def laid(document, *texts, base=Path()):
    return lay_over(document, base, [parse_setting(text) for text in texts]).document


@pytest.mark.parametrize(
    ("path", "steps"),
    [
        ("seeds", ("seeds",)),
        ("workload.items[0].count", ("workload", "items", "0", "count")),
        ("workload.items.web.count", ("workload", "items", "web", "count")),
        ("a.nvidia.com/gpu", ("a", "nvidia.com/gpu")),
        ('a["app.kubernetes.io/name"].b', ("a", "app.kubernetes.io/name", "b")),
    ],
)
def test_steps(path, steps):
    assert steps_of(path, "--set") == steps


@pytest.mark.parametrize("path", ["a[", "a[x]", "[]", "a.[b"])
def test_bad_paths(path):
    with pytest.raises(InputError, match="a path such as"):
        steps_of(path, "--set")


@pytest.mark.parametrize("text", ["seeds", "=3", " =3"])
def test_bad_settings(text):
    with pytest.raises(InputError, match="key=value"):
        parse_setting(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a=3", 3),
        ("a=0.5", 0.5),
        ("a=[x, z]", ["x", "z"]),
        ("a={b: 1}", {"b": 1}),
        ("a=x=y", "x=y"),
        ("a=null", None),
        ("a=", None),
    ],
)
def test_values_are_yaml(text, value):
    assert parse_setting(text).value == value


def test_values_go_to_their_place():
    document = {"a": {"b": 1}, "list": [{"name": "web", "n": 1}, "plain"]}
    assert laid(document, "a.b=2", "a.c.d=3") == {
        "a": {"b": 2, "c": {"d": 3}},
        "list": document["list"],
    }
    assert laid(document, "list.web.n=5")["list"][0] == {"name": "web", "n": 5}
    assert laid(document, "list[0].n=6")["list"][0] == {"name": "web", "n": 6}
    assert laid(document, "list.plain.options.x=1")["list"][1] == {
        "name": "plain",
        "options": {"x": 1},
    }
    assert document == {"a": {"b": 1}, "list": [{"name": "web", "n": 1}, "plain"]}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("a.b.c=1", "a mapping or a list at a.b", id="through a number"),
        pytest.param("list.api.n=1", "one of web, plain", id="no such entry"),
        pytest.param("list[7].n=1", "a number below 2", id="no such number"),
    ],
)
def test_ways_that_lead_nowhere(text, expected):
    with pytest.raises(InputError, match=expected) as caught:
        laid({"a": {"b": 1}, "list": [{"name": "web"}, "plain"]}, text)
    assert caught.value.field.startswith("--set")


def test_files_of_parts_are_taken_in_and_can_be_set(tmp_path):
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "w.yaml").write_text(yaml.safe_dump({"horizon": "1h", "items": []}))
    found = lay_over({"workload": "specs/w.yaml"}, tmp_path, [parse_setting("workload.horizon=2h")])
    assert found.document["workload"] == {"horizon": "2h", "items": []}
    assert found.bases["workload"] == tmp_path / "specs"
    assert found.bases["cluster"] == tmp_path
    assert found.files == {"workload": tmp_path / "specs" / "w.yaml"}


def test_a_missing_part_is_named(tmp_path):
    with pytest.raises(InputError, match=r"workload: expected a file.*'nowhere.yaml'"):
        lay_over({"workload": "nowhere.yaml"}, tmp_path, [])


@pytest.mark.parametrize(
    ("path", "value", "moved"),
    [
        pytest.param("data", "traces", "../call/traces", id="data"),
        pytest.param("cluster", "c.yaml", "../call/c.yaml", id="part"),
        pytest.param("schedulers", ["mine.py:A", "best-fit"], None, id="schedulers"),
        pytest.param("cluster.manifests", ["m.yaml"], ["../call/m.yaml"], id="manifests"),
        pytest.param("schedulers.k.options.config", "here.yaml", "../call/here.yaml", id="option"),
        pytest.param("schedulers.k.options.mode", "fast", "fast", id="no file"),
        pytest.param("data", "/abs", "/abs", id="absolute"),
    ],
)
def test_paths_of_the_command_line_are_relative_to_where_it_is_called(path, value, moved, tmp_path):
    base, cwd = tmp_path / "experiment", tmp_path / "call"
    base.mkdir()
    cwd.mkdir()
    (cwd / "here.yaml").touch()
    document = {"cluster": {"manifests": []}, "schedulers": [{"name": "k"}]}
    found = relative_to_base(Setting(path, value), lay_over(document, base, []), cwd)
    assert found.value == (["../call/mine.py:A", "best-fit"] if moved is None else moved)
