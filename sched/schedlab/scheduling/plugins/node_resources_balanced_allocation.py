"""NodeResourcesBalancedAllocation: prefer nodes whose resources are used evenly.

score = (1 - standard deviation of the used shares) x 100, in float64 and then truncated, in the
order of operations of kube-scheduler, since a last bit decides some truncations. Pods that ask for
none of the resources are not scored (kubernetes#129138).
"""

from __future__ import annotations

import numpy as np

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
        out = np.zeros(len(rows), np.int64)
        for i in range(len(rows)):
            shares = [
                min(float(u) / float(c), 1.0)
                for u, c in zip(used[:, i].tolist(), capacity[:, i].tolist(), strict=True)
                if c
            ]
            out[i] = int((1 - _deviation(shares)) * MAX_NODE_SCORE)
        return out

    def normalize(self, cycle: Cycle, rows: Rows, raw: Scores) -> Scores:
        """Return the scores as they are: they lie in 0 .. 100."""
        return raw


def _deviation(shares: list[float]) -> float:
    if len(shares) == 2:
        return abs((shares[0] - shares[1]) / 2)
    if len(shares) < 2:
        return 0.0
    mean = sum(shares) / len(shares)
    return float(np.sqrt(sum((share - mean) * (share - mean) for share in shares) / len(shares)))
