"""What a node's resources mean to a class: verdict and weighted score per node, kept up to date.

It depends on what the class asks for and on nothing else of it, so classes that ask for the same
share one `NodePart`, whatever their labels, tolerations and selectors.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from schedlab.cluster.classes import PodClass
from schedlab.cluster.nodes import NodeColumns
from schedlab.cluster.state import ClusterState
from schedlab.scheduling.framework.class_cache import Cursor
from schedlab.scheduling.framework.interface import Cycle, Rows
from schedlab.scheduling.framework.kernels import LEAST, MOST, RATIO, refresh_kube
from schedlab.scheduling.framework.profiles import Profile
from schedlab.scheduling.plugins.node_resources import scored_list
from schedlab.scheduling.plugins.node_resources_balanced_allocation import (
    NodeResourcesBalancedAllocation,
)
from schedlab.scheduling.plugins.node_resources_fit import SHAPE_FACTOR, NodeResourcesFit

_STRATEGY = {"LeastAllocated": LEAST, "MostAllocated": MOST, "RequestedToCapacityRatio": RATIO}
BYTES_PER_NODE = 16
NO_ROWS: Rows = np.zeros(0, np.int64)


def asks(pod: PodClass) -> tuple[object, ...]:
    """Return what of a class decides its `NodePart`."""
    return pod.requests, pod.scored


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
        self.codes = self.scores = NO_ROWS
        self.resize(state.nodes)

    def resize(self, nodes: NodeColumns) -> None:
        """Make room for new nodes and resources."""
        if self._cursor.outgrown(nodes):
            self.codes = np.empty(nodes.size, np.int64)
            self.scores = np.empty(nodes.size, np.int64)
            self.plan = (self._make_plan(nodes), self._request())

    def refresh(self, nodes: NodeColumns) -> None:
        """Bring verdicts and scores up to date."""
        self.resize(nodes)
        cursor = self._cursor
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
        wanted: tuple[tuple[int, ...], ...] = ()
        fit: list[tuple[int, int, int]] = []
        balanced: list[tuple[int, int, int]] = []
        shape: tuple[tuple[int, int], ...] = ()
        strategy = weight_fit = weight_balanced = 0
        for filtering in self._profile.filters:
            if isinstance(filtering, NodeResourcesFit):
                wanted = filtering.wanted(pod, nodes)
        for plugin, weight in self._profile.scores:
            if isinstance(plugin, NodeResourcesFit):
                fit = scored_list(pod, nodes, plugin.args.resources, nonzero=True)
                shape = tuple((x, y * SHAPE_FACTOR) for x, y in plugin.args.shape)
                strategy, weight_fit = _STRATEGY[plugin.args.strategy], weight
            elif isinstance(plugin, NodeResourcesBalancedAllocation):
                balanced = scored_list(pod, nodes, plugin.resources, nonzero=False)
                weight_balanced = weight if any(amount for _, amount, _ in balanced) else 0
        head = (len(wanted), len(fit), len(balanced), len(shape), strategy, weight_fit,
                weight_balanced)  # fmt: skip
        rows = [head, *_columns(wanted, 2), *_columns(fit, 3), *_columns(balanced, 2),
                *_columns(shape, 2)]  # fmt: skip
        width = max(map(len, rows))
        return np.array([(*row, *[0] * (width - len(row))) for row in rows], np.int64)


def _columns(part: Sequence[tuple[int, ...]], count: int) -> list[tuple[int, ...]]:
    """Return the first *count* columns of a table; empty ones where it has no row."""
    return list(zip(*part, strict=True))[:count] if part else [()] * count
