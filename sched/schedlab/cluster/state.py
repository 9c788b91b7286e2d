"""The state of the cluster as one component sees it: nodes, and which pod is where.

The life of a pod in a scheduler's state::

      (queued) --assume--> assumed --confirm--> added --remove--> (gone)
                  ^           |                               ^
                  |           +--------forget-----------------+
                  +---- the binding failed ----+

An assumed pod holds its resources from the decision on, before the API server knows of it.
`mark` and `undo` give an overlay for trials: changes after a mark are rolled back in reverse order,
which costs as much as the changes themselves; copying the columns per trial was rejected.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from schedlab.cluster.carried import CarriedTerms
from schedlab.cluster.classes import ClassTable, HostPort, PodClass
from schedlab.cluster.devices import Devices
from schedlab.cluster.nodes import NodeColumns
from schedlab.cluster.objects import ClusterObjects
from schedlab.cluster.terms import TermCounts
from schedlab.cluster.volumes import ClusterVolumes
from schedlab.cluster.waiting import WaitingPods

NO_PORTS: frozenset[HostPort] = frozenset()


class ClusterState:
    """Nodes, and the pods that hold resources on them.

    Parameters
    ----------
    classes : ClassTable
        The pod classes of the run.
    scored : bool, default True
        See `NodeColumns`.

    Attributes
    ----------
    nodes : NodeColumns
        The nodes in columns.
    node_of : dict of int to int
        Pod row -> node row, for every pod that holds resources.
    devices_of : dict of int to tuple of int
        Pod row -> the GPUs it holds on its node; only pods that ask for GPUs are there.
    pods_on : list of dict of int to PodClass
        Pods by node row, in the order in which they were added.
    placed : dict of int to (dict of int to int)
        Class -> node row -> number of its pods there, never 0.
    used_ports : dict of int to (frozenset of HostPort)
        Node row -> the host ports that are taken there. As in kube-scheduler a port counts once:
        where two pods share one, it is free again as soon as one of them has gone.
    leaving : set of int
        Pods that are being deleted: they hold resources, but spreading does not count them.
    preempted : set of int
        Those among them that the scheduler itself evicted (condition DisruptionTarget with the
        reason PreemptionByScheduler): whoever they make room for does not preempt again.
    nominated : dict of int to (int, PodClass)
        Pending pod -> the node that preemption made room on, and its class.
    waiting : WaitingPods
        Pods that have a node and wait for permission to be bound.
    mix : mapping of (int, int, int, str) to int
        How many pods of each shape the cluster is known to get, see `cluster.fragmentation`.
    memory_per_milli : float
        Bytes of memory that those of them that want GPUs ask for per thousandth of a GPU; 0 = none
        does, or it isn't known.
    objects : ClusterObjects
        Services, namespaces, budgets, volumes.
    terms : TermCounts
        How many pods match a selector, per node.
    carried : CarriedTerms
        What the affinity terms of placed pods say about pods to come.
    volumes : ClusterVolumes
        Claims and volumes as assumed, and which pods use them.
    names : sequence or mapping of int to str
        ``namespace/name`` by pod row.
    uids : sequence or mapping of int to str
        Uids by pod row, where they are known.
    start_us : sequence or mapping of int to int
        When a pod was started by its kubelet, by pod row; -1 = not yet.
    """

    __slots__ = ("_journal", "_leaving", "_marks", "_ports_before", "carried", "classes",
                 "devices_of", "leaving", "memory_per_milli", "mix", "names", "node_of",
                 "nodes", "nominated", "objects", "placed", "pods_on", "preempted", "start_us",
                 "terms", "uids", "used_ports", "volumes", "waiting")  # fmt: skip

    def __init__(self, classes: ClassTable, *, scored: bool = True) -> None:
        self.classes = classes
        self.nodes = NodeColumns(classes.resources, scored=scored)
        self.node_of: dict[int, int] = {}
        self.devices_of: dict[int, Devices] = {}
        self.pods_on: list[dict[int, PodClass]] = []
        self.placed: dict[int, dict[int, int]] = {}
        self.used_ports: dict[int, frozenset[HostPort]] = {}
        self.leaving: set[int] = set()
        self.preempted: set[int] = set()
        self.nominated: dict[int, tuple[int, PodClass]] = {}
        self.waiting = WaitingPods()
        self.mix: Mapping[tuple[int, int, int, str], int] = {}
        self.memory_per_milli = 0.0
        self.objects = ClusterObjects()
        self.names: Sequence[str] | Mapping[int, str] = {}
        self.uids: Sequence[str] | Mapping[int, str] = {}
        self.start_us: Sequence[int] | Mapping[int, int] = {}
        self._leaving: dict[int, dict[int, int]] = {}
        self.terms = TermCounts(classes, self.objects, self.placed, self._leaving)
        self.carried = CarriedTerms(classes, self.objects, self.placed)
        self.volumes = ClusterVolumes(self.objects, self.nodes)
        self._journal: list[tuple[int, int, PodClass | None, int, Devices | None]] | None = None
        self._ports_before: list[tuple[int, int, frozenset[HostPort]]] = []
        self._marks = 0

    def add_pod(
        self, pod: int, pod_class: PodClass, node: int, devices: Devices | None = None
    ) -> None:
        """Let *pod* hold its requests on *node*: assumed, or seen bound.

        Parameters
        ----------
        pod : int
            Row of the pod.
        pod_class : PodClass
            Its class.
        node : int
            Row of the node.
        devices : tuple of int, optional
            The GPUs it holds there, where it asks for any: those that it best fits where absent,
            and none where it fits none.

        Raises
        ------
        ValueError
            The pod holds resources already.
        """
        if pod in self.node_of:
            raise ValueError(f"pod {pod} is on node {self.node_of[pod]} already")
        while len(self.pods_on) <= node:
            self.pods_on.append({})
        self.node_of[pod] = node
        self.pods_on[node][pod] = pod_class
        if pod_class.devices is not None:
            columns, wanted = self.nodes.devices, pod_class.devices
            held = (columns.choose(node, wanted) or ()) if devices is None else devices
            self.devices_of[pod] = held
            columns.move(node, wanted, held, 1)
        self.nodes.charge(node, pod_class.requests, pod_class.nonzero, 1)
        if self.nodes.scored:
            self._count(pod, pod_class, node, 1)
        if pod_class.host_ports:
            self._move_ports(pod_class, node, 1)
        if self._journal is not None:
            self._journal.append((-1, pod, pod_class, node, None))

    def remove_pod(self, pod: int) -> int:
        """Free what *pod* holds; return its node's row, or -1 when it held nothing."""
        node = self._take_off(pod)
        if self._journal is None:  # gone for good; in a trial it may come back
            self.leaving.discard(pod)
            self.preempted.discard(pod)
        return node

    def _take_off(self, pod: int) -> int:
        node = self.node_of.pop(pod, -1)
        if node >= 0:
            pod_class = self.pods_on[node].pop(pod)
            held: Devices | None = None
            if pod_class.devices is not None:
                held = self.devices_of.pop(pod)
                self.nodes.devices.move(node, pod_class.devices, held, -1)
            self.nodes.charge(node, pod_class.requests, pod_class.nonzero, -1)
            if self.nodes.scored:
                self._count(pod, pod_class, node, -1)
            if pod_class.host_ports:
                self._move_ports(pod_class, node, -1)
            if self._journal is not None:
                self._journal.append((1, pod, pod_class, node, held))
        return node

    def _count(self, pod: int, pod_class: PodClass, node: int, change: int) -> None:
        leaving = pod in self.leaving
        if leaving:
            _move(self._leaving, pod_class.id, node, change)
        self._count_terms(pod_class, node, change, leaving=leaving)
        if pod_class.spec.volumes:
            self.volumes.move(pod, pod_class, node, change)

    def _count_terms(self, pod_class: PodClass, node: int, change: int, *, leaving: bool) -> None:
        _move(self.placed, pod_class.id, node, change)
        self.terms.move(pod_class, node, change, leaving=leaving)
        if pod_class.spec.affinity is not None:
            self.carried.move(pod_class, node, change)

    def _move_ports(self, pod_class: PodClass, node: int, change: int) -> None:
        used = self.used_ports.get(node, NO_PORTS)
        if self._journal is not None:
            self._ports_before.append((len(self._journal), node, used))
        ports = pod_class.host_ports
        self._put_ports(node, used.union(ports) if change > 0 else used.difference(ports))

    def _put_ports(self, node: int, used: frozenset[HostPort]) -> None:
        if used:
            self.used_ports[node] = used
        else:
            self.used_ports.pop(node, None)

    @contextmanager
    def one_more(self, pod_class: PodClass, node: int) -> Iterator[None]:
        """Let the terms count one more pod of a class on a node, for a while; it holds nothing."""
        self._count_terms(pod_class, node, 1, leaving=False)
        try:
            yield
        finally:
            self._count_terms(pod_class, node, -1, leaving=False)

    def leave(self, pod: int) -> None:
        """Note that *pod* is being deleted; it holds what it holds until it is removed."""
        if pod in self.leaving:
            return
        self.leaving.add(pod)
        self._count_leaving(pod, 1)
        if self._journal is not None:
            self._journal.append((0, pod, None, -1, None))

    def _count_leaving(self, pod: int, change: int) -> None:
        node = self.node_of.get(pod, -1)
        if node >= 0 and self.nodes.scored:
            pod_class = self.pods_on[node][pod]
            _move(self._leaving, pod_class.id, node, change)
            self.terms.leave(pod_class, node, change)
            self.nodes.usage.append(node)

    def mark(self) -> int:
        """Start to record changes, or note how far the record goes, for `undo`."""
        if self._journal is None:
            self._journal = []
        self._marks += 1
        self.volumes.mark()
        return len(self._journal)

    def tried(self) -> Iterator[tuple[int, int, PodClass, int]]:
        """Yield the trial since the first mark: (1 = added, -1 = removed; pod, its class, node)."""
        for sign, pod, pod_class, node, _ in self._journal or ():
            if pod_class is not None:
                yield -sign, pod, pod_class, node

    def undo(self, mark: int) -> None:
        """Roll back every change since the last *mark*; marks are undone in reverse order."""
        journal = self._journal
        if journal is None:
            raise ValueError("undo without a mark")
        self._journal = None  # what is rolled back is not recorded
        for sign, pod, pod_class, node, held in reversed(journal[mark:]):
            if sign < 0:
                self._take_off(pod)
            elif pod_class is not None:
                self.add_pod(pod, pod_class, node, held)
            else:
                self._count_leaving(pod, -1)
                self.leaving.discard(pod)
        before = self._ports_before
        while before and before[-1][0] >= mark:
            _, node, used = before.pop()
            self._put_ports(node, used)
        del journal[mark:]
        self.volumes.undo()
        self._marks -= 1
        if self._marks:
            self._journal = journal


def _move(counts: dict[int, dict[int, int]], class_id: int, node: int, change: int) -> None:
    """Add *change* to the number of pods of a class on a node, dropping zeros."""
    nodes = counts.get(class_id)
    if nodes is None:
        nodes = counts[class_id] = {}
    now = nodes.get(node, 0) + change
    if now:
        nodes[node] = now
    else:
        del nodes[node]
