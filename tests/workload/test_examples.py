"""The specs that are shipped, and the time that a large workload takes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from schedlab.rng import Draws
from schedlab.workload import (
    Cluster,
    ClusterSpec,
    Workload,
    WorkloadSpec,
    build_cluster,
    build_workload,
    offered_load,
    read_spec,
)

NAMES = ["mixed-2h", "closed-loop", "burst", "manifests"]


@pytest.fixture(scope="module")
def mixed(workloads: Path) -> Cluster:
    return build_cluster(read_spec(ClusterSpec, workloads / "cluster-mixed-100.yaml"), Draws(1))


@pytest.mark.parametrize("name", NAMES)
def test_examples_make_work(workloads: Path, mixed: Cluster, name: str) -> None:
    spec = read_spec(WorkloadSpec, workloads / f"{name}.yaml")
    workload = build_workload(spec, mixed, Draws(1), workloads)
    assert len(workload.pods) + len(workload.objects) > 0


def test_the_mixed_example_is_loaded_as_it_says(workloads: Path, mixed: Cluster) -> None:
    spec = read_spec(WorkloadSpec, workloads / "mixed-2h.yaml")
    workload = build_workload(spec, mixed, Draws(1), workloads)
    loads = offered_load(workload, mixed, window_us=spec.horizon)
    assert loads["cpu"] == pytest.approx(0.9, rel=0.01)
    assert {w.object.kind for w in workload.objects} == {"PriorityClass", "Deployment", "Job"}


@pytest.mark.parametrize("name", ["openb-load", "openb-peak"])
def test_openb_examples(
    workloads: Path, openb: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "schedlab").mkdir()
    (tmp_path / "schedlab" / "openb").symlink_to(openb)
    cluster = build_cluster(read_spec(ClusterSpec, workloads / "cluster-openb.yaml"), Draws(1))
    spec = read_spec(WorkloadSpec, workloads / f"{name}.yaml")
    assert len(build_workload(spec, cluster, Draws(1)).pods) in (7255, 14510)


LARGE = """
items:
- name: bare
  kind: Pod
  count: 50000
  arrivals: {process: poisson, rate: 20/s}
  requests:
    cpu: {lognormal: {median: 500m, sigma: 0.8}, max: 16}
    memory: {lognormal: {median: 1Gi, sigma: 0.8}, max: 64Gi}
  correlation: [{between: [cpu, memory], rank: 0.6}]
  duration: {lognormal: {median: 5m, sigma: 1}}
"""


def test_a_large_workload_has_few_templates(build: Callable[..., Workload]) -> None:
    workload = build(LARGE)
    assert len(workload.pods) == 50_000
    assert len(workload.templates) < 700


@pytest.mark.bench
def test_generating_50000_pods(benchmark: Any, build: Callable[..., Workload]) -> None:
    benchmark.pedantic(build, args=(LARGE,), rounds=3)
    assert benchmark.stats.stats.median < 1.0


@pytest.mark.bench
def test_reading_openb(benchmark: Any, openb: Path) -> None:
    from schedlab.workload import read_openb_pods

    benchmark.pedantic(read_openb_pods, args=(openb / "openb_pod_list_default.csv",), rounds=5)
    assert benchmark.stats.stats.median < 0.5
