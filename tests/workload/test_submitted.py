"""Manifests as a stream of requests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from schedlab.errors import InputError
from schedlab.rng import entity_key
from schedlab.units import HOUR, MINUTE, SECOND
from schedlab.workload import Workload

Build = Callable[..., Workload]
POD = """
apiVersion: v1
kind: Pod
metadata:
  name: %s
  annotations: {%s}
spec: {containers: [{name: c, resources: {requests: {cpu: 1}}}]}
---"""


def from_text(build: Build, folder: Path, text: str, **options: Any) -> Workload:
    (folder / "m.yaml").write_text(text)
    return build("manifests: [m.yaml]", base=folder, **options)


def test_the_example_becomes_requests_in_order(build: Build, workloads: Path) -> None:
    workload = build("manifests: [manifests/shop.yaml]", base=workloads)
    found = [(w.time_us, w.operation, w.object.kind, w.item) for w in workload.objects]
    assert found == [
        (0, "create", "Namespace", "shop"),
        (0, "create", "PriorityClass", "shop-critical"),
        (0, "create", "Service", "shop/front"),
        (0, "create", "Deployment", "shop/front"),
        (10 * MINUTE, "create", "Job", "shop/report"),
        (90 * MINUTE, "delete", "Deployment", "shop/front"),
    ]
    pods = workload.pods
    assert (pods.name, pods.item) == (("migrate",), ("shop/migrate",))
    assert pods.time_us.tolist() == [30 * SECOND]
    assert pods.duration_us.tolist() == [4 * MINUTE]
    assert pods.estimated_duration_us.tolist() == [5 * MINUTE]
    assert pods.key.tolist() == [entity_key("shop/migrate", 0)]
    assert workload.templates[0].metadata.namespace == "shop"


def test_pods_draw_their_duration_by_name(build: Build, tmp_path: Path) -> None:
    drawn = "schedlab.io/duration: '{uniform: [1s, 1h]}'"
    text = POD % ("a", drawn) + POD % ("b", drawn)
    one = from_text(build, tmp_path, text, seed=1).pods
    again = from_text(build, tmp_path, POD % ("b", drawn), seed=1).pods
    other = from_text(build, tmp_path, text, seed=2).pods
    assert one.duration_us[one.name.index("b")] == again.duration_us[0]
    assert one.duration_us.tolist() != other.duration_us.tolist()


def test_times_of_pods(build: Build, tmp_path: Path) -> None:
    times = "schedlab.io/submit-at: 10m, schedlab.io/delete-at: 1h"
    pods = from_text(build, tmp_path, POD % ("late", times) + POD % ("first", "")).pods
    assert pods.name == ("first", "late")
    assert pods.time_us.tolist() == [0, 10 * MINUTE]
    assert pods.delete_us.tolist() == [-1, HOUR]
    assert pods.duration_us.tolist() == [-1, -1]


def test_generated_names_are_unique(build: Build, tmp_path: Path) -> None:
    text = (POD % ("x", "")).replace("name: x", "generateName: run-")
    assert from_text(build, tmp_path, text * 3).pods.name == ("run-00000", "run-00001", "run-00002")


def test_what_a_controller_owns_is_left_to_it(build: Build, tmp_path: Path) -> None:
    owned = """
apiVersion: v1
kind: Pod
metadata:
  name: web-1
  ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web, uid: u, controller: true}]
spec: {containers: [{name: c}]}
---"""
    workload = from_text(build, tmp_path, owned + POD % ("bare", ""))
    assert workload.pods.name == ("bare",)
    assert workload.dropped == {"owned": 1}
    assert "1 objects that a controller owns" in workload.notes[0]


@pytest.mark.parametrize(
    ("text", "field"),
    [
        pytest.param(
            POD % ("a", "schedlab.io/duration: soon"), "Pod/a: metadata.annotations", id="duration"
        ),
        pytest.param(
            POD % ("a", "schedlab.io/submit-at: x"), "Pod/a: metadata.annotations", id="submit-at"
        ),
        pytest.param("{apiVersion: v1, kind: Node, metadata: {name: n1}}", "Node/n1", id="node"),
        pytest.param(POD % ("a", "") * 2, "Pod default/a", id="two of one name"),
    ],
)
def test_bad_manifests(build: Build, tmp_path: Path, text: str, field: str) -> None:
    with pytest.raises(InputError) as caught:
        from_text(build, tmp_path, text)
    assert caught.value.field.startswith(field)


def test_unknown_priority_class_names_the_pod(build: Build, tmp_path: Path) -> None:
    text = (POD % ("a", "")).replace("spec: {", "spec: {priorityClassName: gold, ")
    with pytest.raises(InputError, match="gold") as caught:
        from_text(build, tmp_path, text)
    assert caught.value.field == "Pod/a: spec.priorityClassName"


def test_missing_file_is_named(build: Build, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.yaml"):
        build("manifests: [none.yaml]", base=tmp_path)
