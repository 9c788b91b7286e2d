"""Who is on which node, what pods of a class are, and what was found before, for compiled code.

Kept up to date by the log of changed rows: a decision costs as much as there are nodes that changed
since the last.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from schedlab.cluster.state import ClusterState
from schedlab.scheduling.framework.class_cache import Cursor
from schedlab.scheduling.framework.disruption import Budgets
from schedlab.scheduling.framework.preemption_kernel import UNKNOWN

Column = NDArray[np.int64]


class PodSlots:
    """The pods of each node.

    Parameters
    ----------
    state : ClusterState
        The cluster.

    Attributes
    ----------
    pods, classes : int64 array of shape [N, S]
        Rows of the pods of a node, and of their classes, in no particular order.
    counts : int64 array of shape [N]
        How many there are.
    """

    def __init__(self, state: ClusterState) -> None:
        self._state = state
        self._cursor = Cursor()
        self.pods: Column = np.zeros((0, 4), np.int64)
        self.classes: Column = np.zeros((0, 4), np.int64)
        self.counts: Column = np.zeros(0, np.int64)

    @property
    def arrays(self) -> tuple[Column, Column, Column]:
        """*pods*, *classes* and *counts*."""
        return self.pods, self.classes, self.counts

    def refresh(self) -> None:
        """Bring the arrays up to date."""
        nodes, pods_on = self._state.nodes, self._state.pods_on
        if self._cursor.outgrown(nodes):
            self._resize(nodes.size, self.pods.shape[1])
        if self._cursor.usage == nodes.usage.count:
            return
        for row in set(self._cursor.changed_usage(nodes).tolist()):
            found = pods_on[row] if row < len(pods_on) else {}
            count = len(found)
            if count > self.pods.shape[1]:
                self._resize(nodes.size, 2 * count)
            self.pods[row, :count] = list(found)
            self.classes[row, :count] = [pod_class.id for pod_class in found.values()]
            self.counts[row] = count

    def _resize(self, rows: int, width: int) -> None:
        kept, wide = self.pods.shape
        for name in ("pods", "classes"):
            array = np.zeros((rows, width), np.int64)
            array[:kept, :wide] = getattr(self, name)
            setattr(self, name, array)
        counts = np.zeros(rows, np.int64)
        counts[:kept] = self.counts
        self.counts = counts


class ClassColumns:
    """What pods of each class ask for.

    Parameters
    ----------
    state : ClusterState
        The cluster.

    Attributes
    ----------
    priority : int64 array of shape [C]
        Priority of each class.
    requests : int64 array of shape [C, R]
        What its pods ask for.
    """

    def __init__(self, state: ClusterState) -> None:
        self._state = state
        self._known = 0
        self.priority: Column = np.zeros(16, np.int64)
        self.requests: Column = np.zeros((16, 0), np.int64)

    @property
    def arrays(self) -> tuple[Column, Column]:
        """*priority* and *requests*."""
        return self.priority, self.requests

    def refresh(self) -> None:
        """Bring the arrays up to date: classes are added, and never change."""
        classes, height = self._state.classes, self._state.nodes.allocatable.shape[0]
        capacity, width = self.requests.shape
        if len(classes) > capacity or width != height:
            capacity = max(capacity, 2 * len(classes))
            requests = np.zeros((capacity, height), np.int64)
            requests[: len(self.requests), :width] = self.requests
            priority = np.zeros(capacity, np.int64)
            priority[: len(self.priority)] = self.priority
            self.requests, self.priority = requests, priority
        for number in range(self._known, len(classes)):
            pod_class = classes[number]
            self.priority[number] = pod_class.priority
            for resource, amount in pod_class.requests:
                self.requests[number, resource] = amount
        self._known = len(classes)


class Memory:
    """What a search for victims found on each node, for pods that ask for the same.

    Attributes
    ----------
    found : int64 array of shape [N, 7]
        See `preemption_kernel.recall`.
    """

    __slots__ = ("_budgets", "_cursor", "found")

    def __init__(self) -> None:
        self._budgets: Budgets | None = None
        self._cursor = Cursor()
        self.found: Column = np.zeros((0, 7), np.int64)

    def refresh(self, state: ClusterState, budgets: Budgets) -> None:
        """Forget what no longer holds: all when a budget has changed, else nodes that have."""
        nodes = state.nodes
        if self._cursor.outgrown(nodes):
            self.found = np.full((nodes.size, 7), UNKNOWN, np.int64)
        if self._budgets is not budgets:
            self._budgets = budgets
            self.found[:, 0] = UNKNOWN
        if self._cursor.usage != nodes.usage.count:
            self.found[self._cursor.changed_usage(nodes), 0] = UNKNOWN
