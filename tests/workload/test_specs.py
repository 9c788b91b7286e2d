"""Specs: what is accepted, how errors read, and the round trip through text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from schedlab.errors import InputError
from schedlab.workload import ClusterSpec, WorkloadSpec, read_spec
from schedlab.workload.model import parse_rate, validated

POOL = {"name": "a", "count": 1, "allocatable": {"cpu": 1}}
ITEM = {"name": "a", "kind": "Pod", "count": 1}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("7/s", 7.0, id="per second"),
        pytest.param("90/min", 1.5, id="per minute"),
        pytest.param("1.8e3 per hour", 0.5, id="in words"),
        pytest.param("86400/d", 1.0, id="per day"),
        pytest.param(3, 3.0, id="number"),
    ],
)
def test_rates(text: Any, expected: float) -> None:
    assert parse_rate(text) == expected


@pytest.mark.parametrize("text", ["7", "s", "1.2.3/s", "-1/s", True, None, float("inf"), "1/week"])
def test_bad_rates(text: Any) -> None:
    with pytest.raises(InputError):
        parse_rate(text)


CLUSTER_ERRORS = [
    pytest.param({}, "", "pools, manifests or trace", id="empty"),
    pytest.param({"pool": []}, "", "nearest valid key: pools", id="unknown key"),
    pytest.param(
        {"pools": [{**POOL, "cuont": 1}]}, "pools[0]", "nearest valid key: count", id="nested key"
    ),
    pytest.param(
        {"pools": [{"name": "a", "count": 1}]}, "pools[0].allocatable", "required", id="missing"
    ),
    pytest.param(
        {"pools": [{**POOL, "count": -1}]},
        "pools[0].count",
        "greater than or equal to 0",
        id="count < 0",
    ),
    pytest.param(
        {"pools": [{**POOL, "count": 1.5}]}, "pools[0].count", "integer", id="half a node"
    ),
    pytest.param({"pools": [{**POOL, "name": "A b"}]}, "pools[0].name", "pattern", id="name"),
    pytest.param(
        {"pools": [{**POOL, "taints": [{"key": "a", "effect": "Never"}]}]},
        "pools[0].taints[0].effect",
        "NoSchedule",
        id="taint",
    ),
    pytest.param([], "", "dictionary", id="a list"),
]


@pytest.mark.parametrize(("data", "field", "words"), CLUSTER_ERRORS)
def test_bad_cluster_specs(data: Any, field: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        validated(ClusterSpec, data, file="c.yaml")
    assert caught.value.field == field
    assert words in str(caught.value)
    assert caught.value.file == "c.yaml"


WORKLOAD_ERRORS = [
    pytest.param({}, "", "items, manifests or trace", id="empty"),
    pytest.param({"items": [ITEM, ITEM]}, "items[1].name", "unique", id="duplicate item"),
    pytest.param({"items": [{**ITEM, "kind": "Cron"}]}, "items[0].kind", "Deployment", id="kind"),
    pytest.param(
        {"items": [{**ITEM, "replicas": 2}]},
        "items[0].replicas",
        "Deployment",
        id="replicas on a Pod",
    ),
    pytest.param(
        {"items": [{**ITEM, "duration_per": "job"}]},
        "items[0].duration_per",
        "no Job",
        id="per job",
    ),
    pytest.param(
        {
            "items": [
                {
                    **ITEM,
                    "kind": "Job",
                    "arrivals": {"process": "closed_loop", "users": 1, "think_time": 1},
                }
            ]
        },
        "items[0].arrivals.process",
        "another one",
        id="closed loop of Jobs",
    ),
    pytest.param(
        {"items": [{**ITEM, "kind": "Deployment", "estimated_duration": "exact"}]},
        "items[0].estimated_duration",
        "none",
        id="estimate of a Deployment",
    ),
    pytest.param(
        {"items": [{**ITEM, "arrivals": {"process": "poisson", "rate": "fast"}}]},
        "items[0].arrivals.rate",
        "a rate",
        id="rate",
    ),
    pytest.param(
        {"items": [{**ITEM, "arrivals": {"process": "poison"}}]},
        "items[0].arrivals",
        "poisson",
        id="process",
    ),
    pytest.param({"items": [ITEM], "horizon": 0}, "horizon", "> 0", id="horizon 0"),
    pytest.param({"items": [ITEM], "horizon": "soon"}, "horizon", "a duration", id="horizon"),
    pytest.param(
        {"items": [ITEM], "target_load": {"value": 0}},
        "target_load.value",
        "greater than 0",
        id="load 0",
    ),
    pytest.param(
        {"manifests": ["a"], "target_load": {"value": 1}},
        "target_load",
        "items",
        id="nothing to scale",
    ),
    pytest.param(
        {"trace": {"openb": {"time": "load"}}},
        "trace.openb.target_load",
        "a value",
        id="load without target",
    ),
    pytest.param(
        {"trace": {"openb": {"time": "trace", "target_load": 1}}},
        "trace.openb.time",
        "load",
        id="both",
    ),
    pytest.param(
        {"items": [{**ITEM, "estimated_duration": {"noisy": {"sigma": -1}}}]},
        "items[0].estimated_duration.noisy.sigma",
        "greater than or equal to 0",
        id="sigma < 0",
    ),
]


@pytest.mark.parametrize(("data", "field", "words"), WORKLOAD_ERRORS)
def test_bad_workload_specs(data: Any, field: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        validated(WorkloadSpec, data)
    assert caught.value.field == field
    assert words in str(caught.value)


def test_a_spec_that_was_dumped_is_the_same_spec(workloads: Path) -> None:
    for path in sorted(workloads.glob("*.yaml")):
        model = ClusterSpec if path.name.startswith("cluster") else WorkloadSpec
        spec = read_spec(model, path)
        for mode in ("python", "json"):
            text = json.dumps(spec.model_dump(mode="json")) if mode == "json" else spec.model_dump()
            data = yaml.safe_load(text) if isinstance(text, str) else text
            assert validated(model, data) == spec, path


def test_schemas_can_be_made() -> None:
    for model in (ClusterSpec, WorkloadSpec):
        schema = model.model_json_schema()
        assert schema["additionalProperties"] is False
        json.dumps(schema)


def test_reading_a_file_names_it(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    with pytest.raises(InputError, match="readable"):
        read_spec(WorkloadSpec, path)
    path.write_text("itms: []\n")
    with pytest.raises(InputError, match="nearest valid key: items") as caught:
        read_spec(WorkloadSpec, path)
    assert caught.value.file == str(path)
    path.write_text("a: 1\n---\nb: 2\n")
    with pytest.raises(InputError, match="2 documents"):
        read_spec(WorkloadSpec, path)
