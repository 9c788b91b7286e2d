"""NodeResourcesBalancedAllocation: prefer nodes whose resources are used evenly.

score = (1 - standard deviation of the used shares) x 100, in float64 and then truncated, in the
order of operations of kube-scheduler, since a last bit decides some truncations. Pods that ask for
none of the resources are not scored (kubernetes#129138).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from schedlab.scheduling.framework.interface import MAX_NODE_SCORE, Cycle, Depends, Rows, Scores
from schedlab.scheduling.plugins.node_resources import (
    DEFAULT_RESOURCES,
    ResourceWeights,
    scored_resources,
    used_and_capacity,
)


class NodeResourcesBalancedAllocation:
    """Score by evenness.

    Parameters
    ----------
    resources : tuple of (str, int), optional
        Resources and weights (upstream ignores the weights here, and so does this).
    """

    name = "NodeResourcesBalancedAllocation"
    depends = Depends.NODE

    def __init__(self, resources: ResourceWeights = DEFAULT_RESOURCES) -> None:
        self.resources = resources

    def pre_score(self, cycle: Cycle, rows: Rows) -> bool:
        """Return whether the pod asks for none of the resources."""
        scored = scored_resources(cycle.pod_class, cycle.nodes, self.resources, nonzero=False)
        return not scored.asked.any()

    def score(self, cycle: Cycle, rows: Rows) -> Scores:
        """Return the evenness of each row."""
        nodes = cycle.nodes
        scored = scored_resources(cycle.pod_class, nodes, self.resources, nonzero=False)
        used, capacity = used_and_capacity(scored, nodes, rows, nonzero=False)
        share = np.minimum(used / np.where(capacity == 0, 1, capacity), 1.0)
        return ((1 - _deviation(share, capacity != 0)) * MAX_NODE_SCORE).astype(np.int64)

    def normalize(self, cycle: Cycle, rows: Rows, raw: Scores) -> Scores:
        """Return the scores as they are: they lie in 0 .. 100."""
        return raw


def _deviation(share: NDArray[np.float64], offered: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the standard deviation of the used shares per node, float64 [N].

    Parameters
    ----------
    share : float64 array of shape [S, N]
        Used share of each resource.
    offered : bool array of shape [S, N]
        Whether the node offers the resource; what it doesn't offer does not count.
    """
    # sums in the order of the resources, as upstream adds them up: numpy's own may pair them
    count = np.zeros(share.shape[1], np.int64)
    total = np.zeros(share.shape[1])
    first, last = np.zeros_like(total), np.zeros_like(total)
    for own, there in zip(share, offered, strict=True):
        first = np.where(there & (count == 0), own, first)
        last = np.where(there, own, last)
        total = total + np.where(there, own, 0.0)
        count += there
    mean = total / np.maximum(count, 1)
    square = np.zeros_like(total)
    for own, there in zip(share, offered, strict=True):
        square = square + np.where(there, (own - mean) * (own - mean), 0.0)
    many = np.sqrt(square / np.maximum(count, 1))
    return np.where(count > 2, many, np.where(count == 2, np.abs((first - last) / 2), 0.0))
