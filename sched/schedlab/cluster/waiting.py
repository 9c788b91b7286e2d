"""Pods that have their node and wait for permission to be bound: gangs, quotas, admission by hand.

A Permit plugin holds a pod back; it, or whoever else sees the cluster state, lets it go or turns it
away later. What was said is acted upon by the scheduler's component after the call in which it was
said, at the same simulated time.
"""

from __future__ import annotations

from collections.abc import Iterator

from schedlab.cluster.classes import PodClass


class WaitingPod:
    """One pod that waits.

    Parameters
    ----------
    pods : WaitingPods
        Where it is one of.
    pod : int
        Row of the pod.
    pod_class : PodClass
        Its class.
    node : int
        Row of the node on which it is assumed.
    pending : dict of str to int
        Plugin that holds it back -> simulated time at which it gives up, microseconds.

    Attributes
    ----------
    rejected : tuple of (str, str), optional
        The plugin that turned it away, and why.
    """

    __slots__ = ("_pods", "node", "pending", "pod", "pod_class", "rejected")

    def __init__(
        self, pods: WaitingPods, pod: int, pod_class: PodClass, node: int, pending: dict[str, int]
    ) -> None:
        self._pods = pods
        self.pod = pod
        self.pod_class = pod_class
        self.node = node
        self.pending = pending
        self.rejected: tuple[str, str] | None = None

    def allow(self, plugin: str) -> None:
        """Take back that *plugin* holds the pod; it is bound once no plugin does."""
        if self.pending.pop(plugin, None) is not None and not self.pending:
            self._pods.settled.append(self.pod)

    def reject(self, plugin: str, words: str) -> None:
        """Turn the pod away: it gives its node back, and is unschedulable until something helps."""
        if self.rejected is None:
            self.rejected = (plugin, words)
            self._pods.settled.append(self.pod)


class WaitingPods:
    """The pods that wait, by row, in the order in which they began to.

    Attributes
    ----------
    settled : list of int
        Rows of those of which something was said that the component has not acted upon yet.
    """

    __slots__ = ("_waiting", "settled")

    def __init__(self) -> None:
        self._waiting: dict[int, WaitingPod] = {}
        self.settled: list[int] = []

    def add(self, pod: int, pod_class: PodClass, node: int, pending: dict[str, int]) -> WaitingPod:
        """Let a pod wait for the plugins *pending*, each until its time."""
        found = self._waiting[pod] = WaitingPod(self, pod, pod_class, node, pending)
        return found

    def pop(self, pod: int) -> WaitingPod | None:
        """Forget a pod that waits no more; None where it didn't."""
        return self._waiting.pop(pod, None)

    def get(self, pod: int) -> WaitingPod | None:
        """Return the pod in row *pod*, where it waits."""
        return self._waiting.get(pod)

    def __iter__(self) -> Iterator[WaitingPod]:
        return iter(list(self._waiting.values()))

    def __len__(self) -> int:
        return len(self._waiting)
