"""What a node's resources mean to a class: verdict and weighted score per node, kept up to date.

It depends on what the class asks for and on nothing else of it, so classes that ask for the same
share one `NodePart`, whatever their labels, tolerations and selectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schedlab.cluster.classes import PodClass
from schedlab.cluster.nodes import NodeColumns
from schedlab.cluster.state import ClusterState
from schedlab.cluster.vocabulary import CPU, MEMORY
from schedlab.scheduling.framework.class_cache import Cursor
from schedlab.scheduling.framework.interface import Rows
from schedlab.scheduling.framework.kernels import LEAST, MOST, RATIO, refresh_kube
from schedlab.scheduling.framework.profiles import Profile
from schedlab.scheduling.plugins.node_resources import scored_list
from schedlab.scheduling.plugins.node_resources_balanced_allocation import (
    NodeResourcesBalancedAllocation,
)
from schedlab.scheduling.plugins.node_resources_fit import SHAPE_FACTOR, NodeResourcesFit

_STRATEGY = {"LeastAllocated": LEAST, "MostAllocated": MOST, "RequestedToCapacityRatio": RATIO}
BYTES_PER_NODE = 16
Plan = tuple[NDArray[np.int64], NDArray[np.int64]]
NO_ROWS: Rows = np.zeros(0, np.int64)


def asks(pod: PodClass) -> tuple[object, ...]:
    """Return what of a class decides its `NodePart`."""
    return pod.requests, pod.scored


class NodePart:
    """Verdicts and scores by NodeResourcesFit and NodeResourcesBalancedAllocation.

    Parameters
    ----------
    plans : Plans
        Of the profile.
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
        What the class asks for, as `kernels.refresh_kube` and `runs.charge` take it.
    cursor : Cursor
        How far they have followed the usage of the nodes.
    """

    __slots__ = ("_planned", "_plans", "_pod", "codes", "cursor", "plan", "scores")

    def __init__(self, plans: Plans, pod: PodClass, state: ClusterState) -> None:
        self._plans = plans
        self._pod = pod
        self.cursor = Cursor()
        self.codes = self.scores = NO_ROWS
        self._planned = False
        self.resize(state.nodes)

    def turn_to(self, pod: PodClass, state: ClusterState) -> None:
        """Let it be the part of another class from now on, in the same memory."""
        self._pod = pod
        self.cursor.usage = -1
        self._planned = False
        self.resize(state.nodes)

    def resize(self, nodes: NodeColumns) -> None:
        """Make room for new nodes and resources."""
        if self.cursor.outgrown(nodes):
            self.codes = np.empty(nodes.size, np.int64)
            self.scores = np.empty(nodes.size, np.int64)
            self._planned = False
        if not self._planned:
            self.plan = self._plans.of(self._pod, nodes)
            self._planned = True

    def refresh(self, nodes: NodeColumns) -> None:
        """Bring verdicts and scores up to date."""
        self.resize(nodes)
        cursor = self.cursor
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


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where in a plan the amounts are: the same for classes that ask for the same resources.

    Attributes
    ----------
    flat : list of int
        A plan, row by row.
    width : int
        Its columns.
    wanted, fit, balanced : tuple of int
        Resource of each column of the requests, and of the two lists of scored resources.
    """

    flat: list[int]
    width: int
    wanted: tuple[int, ...]
    fit: tuple[int, ...]
    balanced: tuple[int, ...]

    def filled(self, pod: PodClass) -> NDArray[np.int64]:
        """Return the plan with the amounts of a class."""
        flat, asked, scored = self.flat.copy(), dict(pod.requests), pod.scored
        for at, row in enumerate(self.wanted, 2 * self.width):
            flat[at] = asked[row]
        for at, row in enumerate(self.fit, 4 * self.width):
            flat[at] = scored[row] if row in (CPU, MEMORY) else asked.get(row, 0)
        for at, row in enumerate(self.balanced, 7 * self.width):
            flat[at] = asked.get(row, 0)
        return np.array(flat, np.int64).reshape(-1, self.width)


class Plans:
    """What classes ask for, as the kernels take it.

    Parameters
    ----------
    profile : Profile
        Whether and how the resource plugins take part.
    """

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._layouts: dict[tuple[int, ...], _Layout] = {}

    def of(self, pod: PodClass, nodes: NodeColumns) -> Plan:
        """Return what a class asks for: see `NodePart.plan`."""
        rows = tuple([row for row, _ in pod.requests])
        key = (len(nodes.allocatable), *rows)
        layout = self._layouts.get(key)
        if layout is None:
            layout = self._layouts[key] = self._lay_out(pod, nodes)
        amounts = [amount for _, amount in pod.requests]
        request = np.array((pod.nonzero[0], *rows, pod.nonzero[1], *amounts), np.int64)
        return layout.filled(pod), request.reshape(2, -1)

    def _lay_out(self, pod: PodClass, nodes: NodeColumns) -> _Layout:
        wanted: tuple[tuple[int, int], ...] = ()
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
        return _Layout(
            [value for row in rows for value in (*row, *[0] * (width - len(row)))],
            width,
            tuple(row for row, _ in wanted),
            tuple(row for row, _, _ in fit),
            tuple(row for row, _, _ in balanced),
        )


def _columns(part: Sequence[tuple[int, ...]], count: int) -> list[tuple[int, ...]]:
    """Return the first *count* columns of a table; empty ones where it has no row."""
    return list(zip(*part, strict=True))[:count] if part else [()] * count
