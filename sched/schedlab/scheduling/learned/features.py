"""What is known of a pod on a node: features with names and units, as arrays [F, N].

They are pure functions of the columns of the nodes, what the pod asks for, and the mix of pods that
the cluster gets. Placing a pod changes the columns of one node, so a scorer keeps the rest. What a
node is worth before a pod comes (its potentials) is the same for all pods; `Potentials` keeps it.

True durations are no feature, and times are none: a node's answer must not change while nothing
happens there, or nothing could be kept.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schedlab.cluster.devices import DeviceColumns
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
    Feature("stranded_gpu", "GPU", _CHANGE + "idle GPU that the CPU or memory left can't feed"),
    Feature(
        "scarce_gpu", "GPU", _CHANGE + "the same times how much more CPU is asked for than exists"
    ),
    Feature("wanted_gpu", "GPU", _CHANGE + "idle GPU times how much its node is in demand"),
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
Demand = tuple[float, float, float, float, NDArray[np.float64]]
"""Milli-cores per thousandth of a GPU that all typical pods ask for; the same, and bytes, of those
that want GPUs (0 = no GPU is asked for); how scarce CPU is; and how much each node is in demand."""
Known = tuple[TypicalColumns, Demand, NDArray[np.float64]]
"""The mix of pods, what is in demand, and the size of the largest node."""


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


def known_of(
    typical: TypicalPods, memory_per_milli: float, columns: Columns, devices: DeviceColumns
) -> Known:
    """Return what a model is told of the pods to come, and of the nodes as a whole."""
    mix = typical.columns(devices)
    cpu = typical.cpu_per_milli
    of_all = cpu_per_gpu(typical)
    ratios = of_all, cpu if math.isfinite(cpu) else 0.0, memory_per_milli
    demand = (*ratios, scarcity(of_all, columns), in_demand(mix, columns))
    return mix, demand, largest_node(columns)


def scarcity(cpu_per_milli: float, columns: Columns) -> float:
    """Return by what share the CPU asked for exceeds what nodes have when all GPUs are asked for.

    0 where it doesn't; *cpu_per_milli* counts what all pods ask for, with GPUs or without.
    """
    offered = float(columns[0].sum())
    asked = cpu_per_milli * 1000.0 * float(columns[5].sum())
    return max(0.0, asked / offered - 1.0) if offered else 0.0


def in_demand(mix: TypicalColumns, columns: Columns) -> NDArray[np.float64]:
    """Return how much the GPUs of each node are in demand, float64 [N]; 1 on average.

    The GPU that each typical pod asks for is spread evenly over the GPUs of the nodes that could
    hold the pod when they are empty; a node that picky pods need is more in demand than others.
    """
    cpu_all, count, model = columns[0], columns[5], columns[6]
    wanted = np.zeros(len(count), np.float64)
    met = 0.0
    for cpu, milli, gpus, share, accepts in zip(*mix, strict=True):
        able = accepts[model] & (count >= gpus) & (cpu_all >= cpu) & (count > 0)
        asked, offered = share * milli * gpus, int(count[able].sum())
        if asked and offered:
            wanted[able] += asked / offered
            met += asked
    total = int(count.sum())
    return wanted * (total / met) if met else wanted


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
