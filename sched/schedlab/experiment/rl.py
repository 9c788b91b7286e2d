"""The Gymnasium environment by name: ``schedlab/ClusterScheduling-v0``.

>>> import gymnasium  # doctest: +SKIP
>>> env = gymnasium.make("schedlab.experiment.rl:schedlab/ClusterScheduling-v0")  # doctest: +SKIP

Where schedlab is installed with the extra ``[rl]``, the name alone will do.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import gymnasium

from schedlab.experiment.problems import problem_of
from schedlab.experiment.rl_specs import CLUSTER, WORKLOAD
from schedlab.rng import Draws
from schedlab.scheduling.learned.environment import ClusterScheduling
from schedlab.scheduling.learned.problem import Problem
from schedlab.workload.clusters import build_cluster
from schedlab.workload.generate import build_workload
from schedlab.workload.model import validated
from schedlab.workload.specs import ClusterSpec, WorkloadSpec, read_spec

NAME: Final = "schedlab/ClusterScheduling-v0"


def make_environment(
    *,
    cluster: Mapping[str, Any] | str = CLUSTER,
    workload: Mapping[str, Any] | str = WORKLOAD,
    flat: bool = False,
    render_mode: str | None = None,
) -> ClusterScheduling:
    """Return the environment for a cluster and a workload, specs or files of them."""
    cluster_spec, cluster_base = _spec(ClusterSpec, cluster)
    workload_spec, workload_base = _spec(WorkloadSpec, workload)

    @lru_cache(maxsize=64)
    def problems(seed: int) -> Problem:
        draws = Draws(seed)
        nodes = build_cluster(cluster_spec, draws, cluster_base)
        return problem_of(nodes, build_workload(workload_spec, nodes, draws, workload_base))

    return ClusterScheduling(problems, flat=flat, render_mode=render_mode)


def _spec(kind: Any, given: Mapping[str, Any] | str) -> tuple[Any, Path]:
    if isinstance(given, str):
        return read_spec(kind, given), Path(given).parent
    return validated(kind, given), Path()


def register() -> None:
    """Let ``gymnasium.make`` know the environment."""
    if NAME not in gymnasium.registry:
        gymnasium.register(NAME, entry_point="schedlab.experiment.rl:make_environment")


register()
