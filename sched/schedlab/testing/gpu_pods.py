"""A small cluster with GPUs and pods of several sizes that come to it, drawn by a seed."""

from __future__ import annotations

import numpy as np

from schedlab.rng import Draws
from schedlab.testing.gpus import gpu_node, gpu_template
from schedlab.testing.runs import pods_at, small_node
from schedlab.workload.stream import Cluster, Workload

NODES = (
    gpu_node("a", 2, cpu=16_000, model="T4"),
    gpu_node("b", 4, cpu=16_000, model="P100"),
    gpu_node("c", 8, cpu=64_000, model="T4"),
    small_node("d", cpu=8_000),
)
TEMPLATES = (
    gpu_template(0, cpu=2_000),
    gpu_template(1, 300, cpu=1_000),
    gpu_template(1, 700, cpu=1_500),
    gpu_template(1, cpu=3_000),
    gpu_template(2, cpu=4_000),
    gpu_template(1, 500, cpu=500, models="T4"),
)


def made_up(seed: int, count: int = 60, *, lasting: float = 0.0) -> tuple[Cluster, Workload]:
    """Return a cluster and pods, one a second.

    Parameters
    ----------
    seed : int
        Draws sizes and durations.
    count : int
        Number of pods.
    lasting : float
        Mean duration in seconds; 0 = they stay.
    """
    draws = Draws(seed, "gpu-pods")
    rows = np.arange(count)
    template = (draws.stream("size").uniforms(rows) * len(TEMPLATES)).astype(int)
    runs = -np.log1p(-draws.stream("runs").uniforms(rows)) * lasting
    pods = [(float(i), round(runs[i], 6) if lasting else None) for i in rows.tolist()]
    workload = pods_at(*pods, templates=TEMPLATES, template=template.tolist())
    return Cluster("made up", NODES, ()), workload
