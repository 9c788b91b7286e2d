"""NodeResourcesFit: what is free must cover what is asked; three strategies score what is left.

Arithmetic is kube-scheduler's: int64, truncating. `schedlab.scheduling.framework.kernels` holds the
compiled form, against which this one is tested.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schedlab.cluster.classes import PodClass
from schedlab.cluster.nodes import NodeColumns
from schedlab.cluster.vocabulary import PODS
from schedlab.scheduling.framework.interface import (
    GO_ON,
    MAX_NODE_SCORE,
    Code,
    Codes,
    Cycle,
    Depends,
    PreFiltered,
    Rows,
    Scores,
)
from schedlab.scheduling.plugins.node_resources import (
    DEFAULT_RESOURCES,
    ResourceWeights,
    scored_resources,
    used_and_capacity,
)

STRATEGIES = ("LeastAllocated", "MostAllocated", "RequestedToCapacityRatio")
SHAPE_FACTOR = 10  # shapes are written in 0 .. 10, scores are 0 .. 100


@dataclass(frozen=True)
class FitArgs:
    """``NodeResourcesFitArgs``.

    Attributes
    ----------
    strategy : str
        One of `STRATEGIES`.
    resources : tuple of (str, int)
        Resources that are scored, with their weights.
    shape : tuple of (int, int)
        (utilization in %, score in 0 .. 10) points of RequestedToCapacityRatio.
    ignored : frozenset of str
        Extended resources that the filter leaves out.
    ignored_groups : frozenset of str
        Domains whose resources it leaves out: ``example.com``.
    """

    strategy: str = "LeastAllocated"
    resources: ResourceWeights = DEFAULT_RESOURCES
    shape: tuple[tuple[int, int], ...] = ()
    ignored: frozenset[str] = frozenset()
    ignored_groups: frozenset[str] = frozenset()

    def counts(self, resource: str) -> bool:
        """Return whether the filter looks at a resource: only extended ones can be left out."""
        if not is_extended(resource):
            return True
        return resource not in self.ignored and resource.split("/")[0] not in self.ignored_groups


def is_extended(resource: str) -> bool:
    """Return whether a resource is none of Kubernetes' own.

    Examples
    --------
    >>> [is_extended(name) for name in ("nvidia.com/gpu", "hugepages-2Mi", "kubernetes.io/batch")]
    [True, False, False]
    """
    own = "/" not in resource or "kubernetes.io/" in resource
    return not own and not resource.startswith("requests.")


class NodeResourcesFit:
    """Filter by free resources, score by what is used.

    Parameters
    ----------
    args : FitArgs, optional
        Arguments of the profile.
    """

    name = "NodeResourcesFit"
    depends = Depends.NODE

    def __init__(self, args: FitArgs | None = None) -> None:
        self.args = FitArgs() if args is None else args

    def pre_filter(self, cycle: Cycle) -> PreFiltered:
        """Go on: even a pod that asks for nothing takes one of the node's pods."""
        return GO_ON

    def wanted(self, pod: PodClass, nodes: NodeColumns) -> tuple[tuple[int, int], ...]:
        """Return the (resource row, amount) pairs that the filter looks at."""
        return tuple(
            (row, amount) for row, amount in pod.requests if self.args.counts(nodes.resources[row])
        )

    def filter(self, cycle: Cycle, rows: Rows) -> Codes:
        """Return a bit mask of the resources that don't fit, bit i for the i-th of `wanted`."""
        nodes = cycle.nodes
        codes = np.zeros(len(rows), np.int64)
        for i, (resource, amount) in enumerate(self.wanted(cycle.pod_class, nodes)):
            free = nodes.allocatable[resource, rows] - nodes.requested[resource, rows]
            codes |= np.where(amount > free, 1 << i, 0)
        return codes

    def reasons(self, cycle: Cycle, row: int, code: int) -> tuple[str, ...]:
        """Return "Too many pods" and "Insufficient <resource>" for each bit."""
        words = []
        for i, (resource, _) in enumerate(self.wanted(cycle.pod_class, cycle.nodes)):
            if code >> i & 1:
                name = cycle.nodes.resources[resource]
                words.append("Too many pods" if resource == PODS else f"Insufficient {name}")
        return tuple(sorted(words))

    def status(self, cycle: Cycle, row: int, code: int) -> Code:
        """Return whether an empty node would do."""
        for i, (resource, amount) in enumerate(self.wanted(cycle.pod_class, cycle.nodes)):
            over = amount > cycle.nodes.allocatable[resource, row]
            if code >> i & 1 and over and resource != PODS:
                return Code.UNSCHEDULABLE_AND_UNRESOLVABLE
        return Code.UNSCHEDULABLE

    def pre_score(self, cycle: Cycle, rows: Rows) -> bool:
        """Return False: every pod is scored."""
        return False

    def score(self, cycle: Cycle, rows: Rows) -> Scores:
        """Return the weighted mean over the scored resources, truncated."""
        args, nodes = self.args, cycle.nodes
        scored = scored_resources(cycle.pod_class, nodes, args.resources, nonzero=True)
        used, capacity = used_and_capacity(scored, nodes, rows, nonzero=True)
        offered = capacity > 0
        size = np.where(offered, capacity, 1)
        if args.strategy == "LeastAllocated":
            each = np.where(used > capacity, 0, (capacity - used) * MAX_NODE_SCORE // size)
        elif args.strategy == "MostAllocated":
            each = np.minimum(used, capacity) * MAX_NODE_SCORE // size
        else:
            share = np.where(used > capacity, MAX_NODE_SCORE, used * MAX_NODE_SCORE // size)
            each = shape_scores(share, args.shape)
            offered &= each > 0
        weights = np.where(offered, scored.weights[:, None], 0)
        total, weight = (each * weights).sum(axis=0), weights.sum(axis=0)
        if args.strategy == "RequestedToCapacityRatio":
            mean = np.floor(total / np.maximum(weight, 1) + 0.5).astype(np.int64)
        else:
            mean = total // np.maximum(weight, 1)
        return np.where(weight == 0, 0, mean)

    def normalize(self, cycle: Cycle, rows: Rows, raw: Scores) -> Scores:
        """Return the scores as they are: they lie in 0 .. 100."""
        return raw


def shape_scores(
    utilization: NDArray[np.int64], shape: tuple[tuple[int, int], ...]
) -> NDArray[np.int64]:
    """Return the values of a piecewise linear shape, truncating as Go does.

    Parameters
    ----------
    utilization : int64 array
        Per cent.
    shape : tuple of (int, int)
        Points (per cent, score in 0 .. 10), increasing; scores are scaled to 0 .. 100.
    """
    xs = [x for x, _ in shape]
    ys = [y * SHAPE_FACTOR for _, y in shape]
    out = np.full(utilization.shape, ys[-1], np.int64)
    for i in range(len(xs) - 1, -1, -1):
        below = utilization <= xs[i]
        if i == 0:
            out[below] = ys[0]
        else:
            step = (ys[i] - ys[i - 1]) * (utilization[below] - xs[i - 1])
            out[below] = ys[i - 1] + np.trunc(step / (xs[i] - xs[i - 1])).astype(np.int64)
    return out
