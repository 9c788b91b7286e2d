"""Fixtures of the workload tests: the real openb trace where there is one, an invented one else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from schedlab.rng import Draws
from schedlab.workload import (
    Cluster,
    ClusterSpec,
    Workload,
    WorkloadSpec,
    build_cluster,
    build_workload,
)
from schedlab.workload.model import validated

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def workloads() -> Path:
    """The directory of example specs."""
    return ROOT / "workloads"


@pytest.fixture(scope="session")
def sample() -> Path:
    """An invented trace in the format of openb."""
    return ROOT / "workloads" / "openb-sample"


@pytest.fixture(scope="session")
def openb() -> Path:
    """The real trace."""
    path = ROOT.parent / "shared" / "data" / "openb"
    if not path.is_dir():
        pytest.skip(f"the openb trace isn't at {path}")
    return path


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """Ten nodes of 16 cores and 64 GiB."""
    spec = {"pools": [{"name": "n", "count": 10, "allocatable": {"cpu": 16, "memory": "64Gi"}}]}
    return build_cluster(validated(ClusterSpec, spec), Draws(0))


@pytest.fixture(scope="session")
def build(cluster: Cluster) -> Callable[..., Workload]:
    """Build a workload from the YAML of its spec."""

    def built(
        text: str, seed: int = 1, *, on: Cluster = cluster, base: Path | None = None
    ) -> Workload:
        return build_workload(validated(WorkloadSpec, yaml.safe_load(text)), on, Draws(seed), base)

    return built
