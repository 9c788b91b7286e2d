"""Nominated pods: a node on which preemption has made room is kept for whom it was made.

Until its victims are gone a preemptor waits in the queue, and pods that are no more important leave
its room alone. A nomination ends when the pod is placed or deleted, when preemption finds that it
has no use any more, or when a more important pod is nominated for the same node.
"""

from __future__ import annotations

from collections.abc import Callable

from schedlab.cluster.state import ClusterState
from schedlab.scheduling.base import Pod
from schedlab.scheduling.framework.cluster_events import POD_DELETE, ClusterEvent


class Nominations:
    """The nominations of one scheduler.

    Parameters
    ----------
    state : ClusterState
        Its projection; `ClusterState.nominated` is kept here.
    happened : callable
        Told of room that is not kept any more: pods that are no more important may have it.
    """

    def __init__(self, state: ClusterState, happened: Callable[[ClusterEvent], None]) -> None:
        self._state = state
        self._happened = happened

    def put(self, pod: Pod, node: int) -> None:
        """Keep room on a node for a pod; less important pods are not nominated there any more."""
        nominated, priority = self._state.nominated, pod.pod_class.priority
        if pod.row in nominated and nominated[pod.row][0] != node:
            self.drop(pod.row)
        lower = [row for row, (n, c) in nominated.items() if n == node and c.priority < priority]
        for row in lower:
            self.drop(row)
        nominated[pod.row] = (node, pod.pod_class)

    def drop(self, pod: int) -> None:
        """End a nomination, if there is one; the pod has not come."""
        found = self._state.nominated.pop(pod, None)
        if found is not None:
            node, pod_class = found
            self._happened(ClusterEvent(POD_DELETE, node, pod_class, priority=pod_class.priority))

    def placed(self, pod: int, node: int) -> None:
        """End a nomination: the pod has its node, be it this one or another."""
        found = self._state.nominated.get(pod)
        if found is not None and found[0] == node:
            del self._state.nominated[pod]
        else:
            self.drop(pod)

    def forget_node(self, node: int) -> None:
        """End the nominations for a node that is gone."""
        for pod in [p for p, (n, _) in self._state.nominated.items() if n == node]:
            del self._state.nominated[pod]
