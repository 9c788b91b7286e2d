"""What is known of a pod on a node: features with names and units, as arrays [F, N].

They are pure functions of the columns of the nodes, what the pod asks for, and the mix of pods that
the cluster gets. Placing a pod changes the columns of one node, so a scorer keeps the rest. What a
node is worth before a pod comes (its potentials) is the same for all pods; `Potentials` keeps it.

True durations are no feature, and times are none: a node's answer must not change while nothing
happens there, or nothing could be kept.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schedlab.cluster.fragmentation import TypicalColumns, TypicalPods
from schedlab.cluster.nodes import NodeColumns
from schedlab.cluster.vocabulary import CPU, MEMORY


class Feature(NamedTuple):
    """One number about placing a pod on a node.

    Attributes
    ----------
    name : str
        In model files, tables and plots.
    unit : str
        What 1 means.
    about : str
        What it says.
    """

    name: str
    unit: str
    about: str


_CHANGE: Final = "change of "
FEATURES: Final[tuple[Feature, ...]] = (
    Feature("gpu_and_cpu_short", "GPU", _CHANGE + "idle GPU short of GPU and CPU (FGD's Q1)"),
    Feature("gpu_short", "GPU", _CHANGE + "idle GPU that is too little for typical pods (Q2)"),
    Feature("usable", "GPU", _CHANGE + "idle GPU that typical pods can use (Q3)"),
    Feature("cpu_short", "GPU", _CHANGE + "idle GPU that lacks CPU for typical pods (Q4)"),
    Feature("no_gpu_wanted", "GPU", _CHANGE + "idle GPU under pods that want none (XL)"),
    Feature("no_gpu_wanted_cpu_short", "GPU", _CHANGE + "the same where CPU lacks too (XR)"),
    Feature("wrong_model", "GPU", _CHANGE + "idle GPU of a model that isn't accepted (NA)"),
    Feature("starved_gpu", "GPU", _CHANGE + "idle GPU beyond what the CPU left can feed"),
    Feature("starved_cpu", "GPU", _CHANGE + "CPU left beyond what the idle GPU needs"),
    Feature("idle_gpus", "GPU", _CHANGE + "the number of GPUs that nobody uses"),
    Feature("partial_gpu", "GPU", _CHANGE + "what is left of GPUs that are shared"),
    Feature("idle_node", "node", _CHANGE + "whether nothing is asked of the node"),
    Feature("cpu_square", "share^2", _CHANGE + "the square of the node's share of CPU left"),
    Feature("gpu_square", "share^2", _CHANGE + "the square of the node's share of GPU left"),
    Feature("memory_square", "share^2", _CHANGE + "the square of the share of memory left"),
    Feature("cpu_gpu", "share^2", _CHANGE + "share of CPU left times share of GPU left"),
    Feature("cpu_memory_gap", "share", _CHANGE + "the gap between shares of CPU and memory left"),
    Feature("idle_group", "GPU", _CHANGE + "the squared number of idle GPUs, by 8"),
    Feature("room", "GPU", _CHANGE + "how much GPU copies of each typical pod could take"),
    Feature("cpu_left", "largest node", "CPU left after placing"),
    Feature("gpu_left", "largest node", "GPU left after placing"),
    Feature("memory_left", "largest node", "memory left after placing"),
    Feature("device_left", "GPU", "what is left of the GPU that a share gets"),
    Feature("dominant_left", "largest node", "the largest of the three shares left"),
    Feature("cpu_share_left", "share", "share of the node's own CPU left after placing"),
    Feature("memory_share_left", "share", "share of the node's own memory left after placing"),
)
"""The features in the order of `kernels`."""
NAMES: Final = tuple(feature.name for feature in FEATURES)
KINDS: Final = ("no_gpu", "share", "one_gpu", "several_gpus")
"""Kinds of pods; a model may weigh features differently for each."""

Columns = tuple[
    NDArray[np.int64],
    NDArray[np.int64],
    NDArray[np.int64],
    NDArray[np.int64],
    NDArray[np.int64],
    NDArray[np.int32],
    NDArray[np.int32],
]
"""cpu_all, cpu, memory_all, memory [N] (milli-cores and bytes, offered and left), free [N, G]
(thousandths left of each GPU), count and model [N]."""
Known = tuple[TypicalColumns, float, NDArray[np.float64]]
"""The mix of pods, milli-cores per thousandth of a GPU in it, and the size of the largest node."""


def columns_of(nodes: NodeColumns) -> Columns:
    """Return the columns of a cluster; those of what is left are copies."""
    size, devices = nodes.size, nodes.devices
    offered, requested = nodes.allocatable, nodes.requested
    if devices.width:
        free, count, model = devices.free[:size], devices.count[:size], devices.model[:size]
    else:
        free = np.zeros((size, 1), np.int64)
        count, model = np.zeros(size, np.int32), np.full(size, -1, np.int32)
    return (
        offered[CPU, :size],
        offered[CPU, :size] - requested[CPU, :size],
        offered[MEMORY, :size],
        offered[MEMORY, :size] - requested[MEMORY, :size],
        free,
        count,
        model,
    )


def cpu_per_gpu(typical: TypicalPods) -> float:
    """Return the milli-cores that typical pods ask for per thousandth of a GPU; 0 = no GPU.

    Examples
    --------
    >>> cpu_per_gpu(TypicalPods(((4000, 500, 1, ""), (1000, 0, 0, "")), (0.5, 0.5)))
    10.0
    """
    cpu = sum(share * shape[0] for shape, share in zip(typical.shapes, typical.share, strict=True))
    gpu = sum(
        share * shape[1] * shape[2]
        for shape, share in zip(typical.shapes, typical.share, strict=True)
    )
    return cpu / gpu if gpu else 0.0


def largest_node(columns: Columns) -> NDArray[np.float64]:
    """Return the most CPU, memory and GPU that a node has, float64 [3]; at least 1."""
    cpu, memory, count = columns[0], columns[2], columns[5]
    most = (cpu.max(initial=0), memory.max(initial=0), 1000 * int(count.max(initial=0)))
    return np.maximum(np.array(most, np.float64), 1.0)
