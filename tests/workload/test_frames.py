"""Clusters and workloads from DataFrames."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from schedlab.errors import InputError
from schedlab.rng import entity_key
from schedlab.units import SECOND
from schedlab.workload.frames import cluster_from_frame, workload_from_frame

GI = 2**30


def test_nodes_of_a_frame() -> None:
    frame = pd.DataFrame(
        {
            "name": ["a", "b"],
            "cpu": [4, 0.5],
            "memory": ["8Gi", 2**30],
            "gpu": [2, 0],
            "fpga.example/cards": [0, 1],
            "zone": ["z1", None],
            "pool": ["gold", ""],
            "taints": ["gpu=yes:NoSchedule, old:NoExecute", np.nan],
            "label:disk": ["ssd", None],
        }
    )
    first, second = cluster_from_frame(frame).nodes
    assert dict(first.status.allocatable) == {
        "pods": 110,
        "cpu": 4000,
        "memory": 8 * GI,
        "nvidia.com/gpu": 2,
        "fpga.example/cards": 0,
    }
    assert first.metadata.labels == {
        "kubernetes.io/hostname": "a",
        "topology.kubernetes.io/zone": "z1",
        "schedlab.io/pool": "gold",
        "disk": "ssd",
    }
    assert [(t.key, t.value, t.effect) for t in first.spec.taints] == [
        ("gpu", "yes", "NoSchedule"),
        ("old", "", "NoExecute"),
    ]
    assert second.metadata.labels == {"kubernetes.io/hostname": "b"}
    assert second.status.allocatable["cpu"] == 500


def test_pods_of_a_frame() -> None:
    frame = pd.DataFrame(
        {
            "item": ["x", "y", "x"],
            "arrival_s": [10, 0.5, 0],
            "cpu": [1, 1, 1],
            "memory": "1Gi",
            "gpu": [0, 0, 1],
            "duration_s": [60, np.nan, 2.5],
            "estimated_duration_s": [90, np.nan, np.nan],
            "delete_s": [np.nan, 100, np.nan],
            "priority": [5, 0, -2],
            "namespace": ["team", "default", "team"],
            "node_selector:disk": ["ssd", None, None],
        }
    )
    workload = workload_from_frame(frame)
    pods = workload.pods
    assert pods.name == ("x-0001", "y-0000", "x-0000")  # by arrival
    assert pods.time_us.tolist() == [0, SECOND // 2, 10 * SECOND]
    assert pods.duration_us.tolist() == [2_500_000, -1, 60 * SECOND]
    assert pods.estimated_duration_us.tolist() == [-1, -1, 90 * SECOND]
    assert pods.delete_us.tolist() == [-1, 100 * SECOND, -1]
    assert pods.key.tolist() == [entity_key("x", 1), entity_key("y", 0), entity_key("x", 0)]
    specs = [workload.templates[t].spec for t in pods.template]
    assert [s.priority_class_name for s in specs] == ["priority-minus-2", "", "priority-5"]
    assert specs[2].node_selector == {"disk": "ssd"}
    assert "nvidia.com/gpu" not in specs[1].containers[0].resources.requests
    assert specs[0].containers[0].resources.limits == {"nvidia.com/gpu": 1}
    made = [(w.object.kind, w.object.metadata.name) for w in workload.objects]
    assert made == [
        ("Namespace", "team"),
        ("PriorityClass", "priority-minus-2"),
        ("PriorityClass", "priority-5"),
    ]


def test_equal_rows_share_a_template() -> None:
    frame = pd.DataFrame({"cpu": [1, 2] * 50, "memory": "1Gi"})
    assert len(workload_from_frame(frame).templates) == 2


def test_empty_frames() -> None:
    frame = pd.DataFrame({"cpu": [], "memory": []})
    assert cluster_from_frame(frame).nodes == ()
    assert len(workload_from_frame(frame).pods) == 0


BASE = {"cpu": [1, 1], "memory": ["1Gi", "1Gi"]}
BAD = [
    pytest.param({"cpu": [1]}, "column", "a column memory", id="missing column"),
    pytest.param(BASE | {"cpus": 1}, "column", "nearest valid key: cpu", id="unknown column"),
    pytest.param(BASE | {"cpu": [1, np.nan]}, "row 1: cpu", "a quantity", id="NaN size"),
    pytest.param(BASE | {"cpu": [1, -1]}, "row 1: cpu", ">= 0", id="negative size"),
    pytest.param(
        BASE | {"memory": ["1Gi", "1 Gi"]}, "row 1: memory", "a quantity", id="bad quantity"
    ),
    pytest.param(BASE | {"name": ["a", "a"]}, "row 1: name", "each name once", id="duplicate name"),
    pytest.param(BASE | {"name": ["a", "B c"]}, "row 1.metadata.name", "pattern", id="bad name"),
    pytest.param(
        BASE | {"label:a b": ["x", "y"]}, "row 0.metadata.labels", "pattern", id="bad label"
    ),
]
BAD_PODS = [
    pytest.param(
        BASE | {"duration_s": [1, -1]}, "row 1: duration_s", "a duration", id="negative duration"
    ),
    pytest.param(
        BASE | {"arrival_s": [1, None]}, "row 1: arrival_s", "a duration", id="no arrival"
    ),
    pytest.param(
        BASE | {"arrival_s": 5, "delete_s": 2},
        "row 0: delete_s",
        "arrival_s",
        id="end before start",
    ),
    pytest.param(BASE | {"priority": [1, 1.5]}, "row 1: priority", "an integer", id="priority"),
]
BAD_NODES = [
    pytest.param(BASE | {"taints": ["", "a=b"]}, "row 1: taints", "NoSchedule", id="taint"),
    pytest.param(BASE | {"pods": [1, 1.5]}, "row 1", "", id="half a pod"),
]


def check(error: InputError, name: str, field: str, words: str) -> None:
    assert error.field.startswith(f"{name}: {field}")
    assert words in str(error)


@pytest.mark.parametrize(("data", "field", "words"), BAD[:6] + BAD_PODS)
def test_bad_workload_frames(data: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        workload_from_frame(pd.DataFrame(data))
    check(caught.value, "workload", field, words)


@pytest.mark.parametrize(("data", "field", "words"), BAD + BAD_NODES[:1])
def test_bad_cluster_frames(data: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        cluster_from_frame(pd.DataFrame(data))
    check(caught.value, "cluster", field, words)


def test_rows_are_named_by_their_index() -> None:
    frame = pd.DataFrame({"cpu": [1, -1], "memory": 1}, index=["left", "right"])
    with pytest.raises(InputError, match="row right: cpu"):
        cluster_from_frame(frame)


def test_something_else_than_a_frame() -> None:
    with pytest.raises(InputError, match="a pandas DataFrame"):
        cluster_from_frame([1])  # type: ignore[arg-type]
