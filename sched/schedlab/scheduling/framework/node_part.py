"""What a node's resources mean to a class: verdict and weighted score per node, kept up to date.

It depends on what the class asks for and on nothing else of it, so classes that ask for the same
share one `NodePart`, whatever their labels, tolerations and selectors.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from schedlab.api.requests import nonzero_requests
from schedlab.cluster.classes import PodClass
from schedlab.cluster.nodes import NodeColumns
from schedlab.cluster.state import ClusterState
from schedlab.scheduling.framework.class_cache import Cursor
from schedlab.scheduling.framework.filter_cache import request_arrays
from schedlab.scheduling.framework.interface import Cycle, Rows, skips_score
from schedlab.scheduling.framework.kernels import LEAST, MOST, RATIO, refresh_kube
from schedlab.scheduling.framework.profiles import Profile
from schedlab.scheduling.plugins.node_resources import scored_resources
from schedlab.scheduling.plugins.node_resources_balanced_allocation import (
    NodeResourcesBalancedAllocation,
)
from schedlab.scheduling.plugins.node_resources_fit import SHAPE_FACTOR, NodeResourcesFit

_STRATEGY = {"LeastAllocated": LEAST, "MostAllocated": MOST, "RequestedToCapacityRatio": RATIO}
BYTES_PER_NODE = 16
NO_ROWS: Rows = np.zeros(0, np.int64)


def asks(pod: PodClass) -> tuple[object, ...]:
    """Return what of a class decides its `NodePart`."""
    return pod.requests, nonzero_requests(pod.spec, pod_level=False)


class NodePart:
    """Verdicts and scores by NodeResourcesFit and NodeResourcesBalancedAllocation.

    Parameters
    ----------
    profile : Profile
        Whether and how these plugins take part.
    pod : PodClass
        A class that asks for it.
    state : ClusterState
        The cluster.

    Attributes
    ----------
    codes : int64 array of shape [N]
        Bit mask of the resources that don't fit.
    scores : int64 array of shape [N]
        Sum of the weighted scores; they need no normalising.
    plan : tuple of (int64 array, int64 array of shape [2, 1 + K])
        What the class asks for, as `kernels.refresh_kube` and `choice.charge` take it.
    """

    __slots__ = ("_cursor", "_cycle", "_profile", "codes", "plan", "scores")

    def __init__(self, profile: Profile, pod: PodClass, state: ClusterState) -> None:
        self._profile = profile
        self._cycle = Cycle(state, pod)
        self._cursor = Cursor()
        self.refresh(state.nodes)

    def refresh(self, nodes: NodeColumns) -> None:
        """Bring verdicts and scores up to date."""
        cursor = self._cursor
        if cursor.outgrown(nodes):
            self.codes = np.zeros(nodes.size, np.int64)
            self.scores = np.zeros(nodes.size, np.int64)
            self.plan = (self._make_plan(nodes), self._request())
        if cursor.usage != nodes.usage.count:
            refresh_kube(
                cursor.changed_usage(nodes),
                nodes.requested,
                nodes.nonzero_requested,
                nodes.allocatable,
                self.plan[0],
                self.codes,
                self.scores,
            )

    def _request(self) -> NDArray[np.int64]:
        pod = self._cycle.pod_class
        return np.array([(pod.nonzero[0], *(row for row, _ in pod.requests)),
                         (pod.nonzero[1], *(amount for _, amount in pod.requests))])  # fmt: skip

    def _make_plan(self, nodes: NodeColumns) -> NDArray[np.int64]:
        """Return what the class asks for in the layout of `kernels.refresh_kube`."""
        pod = self._cycle.pod_class
        parts: list[NDArray[np.int64]] = [*request_arrays(self._profile.filters, pod, nodes)]
        fit: list[NDArray[np.int64]] = [np.zeros(0, np.int64)] * 3
        balanced, shape = fit[:2], fit[:2]
        strategy = weight_fit = weight_balanced = 0
        for plugin, weight in self._profile.scores:
            if isinstance(plugin, NodeResourcesFit):
                scored = scored_resources(pod, nodes, plugin.args.resources, nonzero=True)
                fit = [scored.rows, scored.asked, scored.weights]
                points = np.array(plugin.args.shape, np.int64).reshape(-1, 2)
                shape = [points[:, 0], points[:, 1] * SHAPE_FACTOR]
                strategy, weight_fit = _STRATEGY[plugin.args.strategy], weight
            elif isinstance(plugin, NodeResourcesBalancedAllocation):
                if not skips_score(plugin, self._cycle, NO_ROWS):
                    scored = scored_resources(pod, nodes, plugin.resources, nonzero=False)
                    balanced, weight_balanced = [scored.rows, scored.asked], weight
        lengths = [len(parts[0]), len(fit[0]), len(balanced[0]), len(shape[0])]
        head = np.array([*lengths, strategy, weight_fit, weight_balanced], np.int64)
        rows = [head, *parts, *fit, *balanced, *shape]
        plan = np.zeros((len(rows), max(len(row) for row in rows)), np.int64)
        for i, row in enumerate(rows):
            plan[i, : len(row)] = row
        return plan
