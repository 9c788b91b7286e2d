"""Whatever stands in a spec, the answer is a workload or an InputError that names a field."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from schedlab.errors import InputError
from schedlab.rng import Draws
from schedlab.workload import Cluster, ClusterSpec, WorkloadSpec, build_cluster, build_workload
from schedlab.workload.model import validated

JUNK: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from([None, True, 0, -1, 1.5, float("nan"), float("inf"), 10**30]),
    st.sampled_from(["", "x", "1", "NaN", "1 Gi", "-5m", "é", "1/s", "5m"]),
    st.sampled_from([[], {}, [1], [{}], {"x": 1}, {"lognormal": 1}, {"choices": {"1": -1}}]),
    st.sampled_from([{"lognormal": {"median": "x", "sigma": 1}}, {"uniform": [2, 1]}]),
    st.just({"empirical": "no.csv"}),
)


def places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every value in nested data."""
    found = [path] if path else []
    if isinstance(data, dict):
        for key, value in data.items():
            found += places(value, (*path, key))
    elif isinstance(data, list):
        for i, value in enumerate(data):
            found += places(value, (*path, i))
    return found


def changed(data: Any, path: tuple[Any, ...], value: Any) -> Any:
    data = copy.deepcopy(data)
    here = data
    for step in path[:-1]:
        here = here[step]
    here[path[-1]] = value
    return data


def example(name: str) -> Any:
    return yaml.safe_load((Path(__file__).parents[2] / "workloads" / name).read_text())


SMALL = example("mixed-2h.yaml")
del SMALL["target_load"]
for item in SMALL["items"]:
    item["count"] = 3


def error_of(make: Callable[[], object]) -> str:
    """Return the text of the InputError that *make* raises, or nothing; all else is a failure."""
    try:
        make()
    except InputError as error:
        return str(error)
    return ""


@settings(max_examples=250, deadline=None)
@given(st.data())
def test_junk_in_a_workload(cluster: Cluster, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(places(SMALL)))
    spec = changed(SMALL, path, data.draw(JUNK))
    text = error_of(lambda: build_workload(validated(WorkloadSpec, spec), cluster, Draws(1)))
    assert "pydantic" not in text


POOLS = example("cluster-mixed-100.yaml")


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_junk_in_a_cluster(data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(places(POOLS)))
    spec = changed(POOLS, path, data.draw(JUNK))
    text = error_of(lambda: build_cluster(validated(ClusterSpec, spec), Draws(1)))
    assert "pydantic" not in text


@pytest.mark.parametrize("value", [1e-9, 1e9])
def test_absurd_target_loads_end(cluster: Cluster, value: float) -> None:
    spec = {**SMALL, "target_load": {"resource": "cpu", "value": value}}
    text = error_of(lambda: build_workload(validated(WorkloadSpec, spec), cluster, Draws(1)))
    assert text == "" or "target_load" in text
