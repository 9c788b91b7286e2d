"""Clusters from pools and manifests."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from schedlab.errors import InputError
from schedlab.rng import Draws
from schedlab.workload import Cluster, ClusterSpec, build_cluster, capacity
from schedlab.workload.model import validated

GI = 2**30
GPU_POOL = {
    "name": "gpu",
    "count": 4,
    "allocatable": {"cpu": "15900m", "memory": "62Gi", "nvidia.com/gpu": 4},
    "capacity": {"cpu": 16, "memory": "64Gi"},
    "zones": ["a", "b", "c"],
    "region": "r",
    "instance_type": "g4",
    "gpu_model": "A100",
    "labels": {"tier": "gold"},
    "taints": [{"key": "gpu", "value": "yes", "effect": "NoSchedule"}],
}


def made(*pools: dict[str, Any], seed: int = 1, base: Path | None = None, **rest: Any) -> Cluster:
    return build_cluster(validated(ClusterSpec, {"pools": list(pools), **rest}), Draws(seed), base)


def test_a_pool_node_has_everything_that_the_pool_says() -> None:
    node = made(GPU_POOL).nodes[1]
    assert node.metadata.name == "gpu-0001"
    assert node.metadata.labels == {
        "kubernetes.io/hostname": "gpu-0001",
        "topology.kubernetes.io/zone": "b",
        "topology.kubernetes.io/region": "r",
        "node.kubernetes.io/instance-type": "g4",
        "nvidia.com/gpu.product": "A100",
        "schedlab.io/pool": "gpu",
        "tier": "gold",
    }
    assert dict(node.status.allocatable) == {
        "pods": 110,
        "cpu": 15900,
        "memory": 62 * GI,
        "nvidia.com/gpu": 4,
    }
    assert node.status.capacity["cpu"] == 16_000
    assert [(t.key, t.value, t.effect) for t in node.spec.taints] == [("gpu", "yes", "NoSchedule")]


def test_zones_go_round() -> None:
    zones = [n.metadata.labels["topology.kubernetes.io/zone"] for n in made(GPU_POOL).nodes]
    assert zones == ["a", "b", "c", "a"]
    plain = made({"name": "n", "count": 1, "allocatable": {"cpu": 1, "pods": 7}}).nodes[0]
    assert plain.status.allocatable["pods"] == 7
    assert "topology.kubernetes.io/zone" not in plain.metadata.labels


def test_allocatable_can_be_drawn_per_node() -> None:
    pool = {
        "name": "n",
        "count": 400,
        "allocatable": {"cpu": {"choices": {"8": 3, "16": 1}}, "memory": "1Gi"},
    }
    sizes = Counter(n.status.allocatable["cpu"] for n in made(pool).nodes)
    assert set(sizes) == {8000, 16000}
    assert 250 < sizes[8000] < 350  # 300 +- 5.8 standard deviations
    assert made(pool) == made(pool)
    assert made(pool) != made(pool, seed=2)
    with_other = made({"name": "b", "count": 3, "allocatable": {"cpu": {"uniform": [1, 9]}}}, pool)
    assert with_other.nodes[3:] == made(pool).nodes


def test_capacity_of_a_cluster_is_the_sum_of_allocatable() -> None:
    assert capacity(made(GPU_POOL)) == {
        "pods": 440,
        "cpu": 63_600,
        "memory": 248 * GI,
        "nvidia.com/gpu": 16,
    }


@pytest.mark.parametrize(
    ("change", "field"),
    [
        pytest.param({"allocatable": {"cpu": "1 core"}}, "pools[0].allocatable.cpu", id="quantity"),
        pytest.param({"allocatable": {"cpu": -1}}, "pools[0].allocatable.cpu", id="negative"),
        pytest.param({"capacity": {"cpu": 15}}, "pools[0].capacity.cpu", id="capacity too small"),
        pytest.param({"capacity": {"cpu": "x"}}, "pools[0].capacity.cpu", id="capacity"),
    ],
)
def test_bad_pools(change: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as caught:
        made(GPU_POOL | change)
    assert caught.value.field == field


NODE = "{apiVersion: v1, kind: Node, metadata: {name: %s}, status: {allocatable: {cpu: 4}}}\n"


def test_nodes_and_objects_of_manifests(tmp_path: Path) -> None:
    (tmp_path / "n.yaml").write_text(
        NODE % "n1" + "---\n{apiVersion: v1, kind: Namespace, metadata: {name: shop}}\n"
    )
    found = made(manifests=["n.yaml"], base=tmp_path)
    assert [n.metadata.name for n in found.nodes] == ["n1"]
    assert [o.kind for o in found.objects] == ["Namespace"]


def test_pods_belong_to_the_workload(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(
        "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: c}]}}\n"
    )
    with pytest.raises(InputError, match="workload's manifests") as caught:
        made(manifests=["p.yaml"], base=tmp_path)
    assert caught.value.file == str(tmp_path / "p.yaml")


def test_two_nodes_of_one_name(tmp_path: Path) -> None:
    (tmp_path / "n.yaml").write_text(NODE % "gpu-0000")
    with pytest.raises(InputError, match="each name once"):
        made(GPU_POOL, manifests=["n.yaml"], base=tmp_path)
    with pytest.raises(InputError, match="each name once"):
        made(GPU_POOL, GPU_POOL)


def test_openb_nodes_by_spec(sample: Path) -> None:
    found = made(trace={"openb": {"data": sample.name}}, base=sample.parent)
    assert len(found.nodes) == 7
    assert found.nodes[0].status.allocatable["pods"] == 1001
