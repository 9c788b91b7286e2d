"""The cluster as one scheduler's informers have delivered it: nodes, placed pods, other objects.

What was committed is applied to the scheduler's own `ClusterState` when it arrives, never before,
and told to the scheduler as an event that may help a waiting pod. Pods without a node are the
business of its queue and go there directly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from schedlab.api.objects import (
    ApiObject,
    Node,
    ReplicaSet,
    ReplicationController,
    Service,
    StatefulSet,
)
from schedlab.cluster.pods import PodTable
from schedlab.cluster.state import ClusterState
from schedlab.controlplane.apiserver import ApiServer
from schedlab.controlplane.etcd import Op, Stored
from schedlab.controlplane.informer import Watch
from schedlab.scheduling.framework.cluster_events import (
    NODE_ADD,
    NODE_DELETE,
    NODE_UPDATE,
    POD_ADD,
    POD_DELETE,
    ClusterEvent,
)

KINDS: Final = (
    "Service",
    "Namespace",
    "ReplicaSet",
    "ReplicationController",
    "StatefulSet",
    "PodDisruptionBudget",
    "PersistentVolumeClaim",
    "PersistentVolume",
    "StorageClass",
    "CSINode",
    "CSIDriver",
    "CSIStorageCapacity",
    "VolumeAttachment",
)
"""Kinds beside nodes and pods that decisions depend on."""
SELECTING = (Service, ReplicaSet, ReplicationController, StatefulSet)

Awaits = Callable[[str], bool]
Happened = Callable[[ClusterEvent], None]


class SchedulerCache:
    """A scheduler's projection, and the informers behind it.

    Parameters
    ----------
    api : ApiServer
        Where its watches hang.
    pods : PodTable
        All pods of the run.
    nodes : iterable of Node
        The nodes there at time 0.
    alone : bool
        No other scheduler binds pods: bindings need not be watched before somebody waits for them.

    Attributes
    ----------
    state : ClusterState
        The projection.
    """

    def __init__(
        self,
        api: ApiServer,
        pods: PodTable,
        nodes: Iterable[Node],
        *,
        alone: bool,
    ) -> None:
        self.state = ClusterState(pods.classes)
        self.state.names = pods.names
        self.state.start_us = pods.seen_by_kubelet_us
        for node in nodes:
            self.state.nodes.add(node)
        self._api = api
        self._pods = pods
        self._alone = alone
        self._hears_binds = False
        self._revisions: dict[tuple[str, str], int] = {}
        for stored in api.etcd.objects.values():  # what the informers have listed at the start
            if stored.object.kind in KINDS:
                self._put(stored)

    def open(self, watch: Watch, awaits: Awaits, happened: Happened) -> None:
        """Subscribe to all but pods without a node.

        Parameters
        ----------
        watch : Watch
            The scheduler's.
        awaits, happened : callable
            Whether an event of a name has to be told, and who is told.
        """
        self._watch, self._awaits, self._happened = watch, awaits, happened
        self._api.watch_pods(watch, Op.FINISH, lambda pod, _: self.free(pod))
        self._api.watch_pods(watch, Op.TERMINATE, self._on_terminate)
        self._api.watch_objects(watch, "Node", self._on_node)
        for kind in KINDS:
            self._api.watch_objects(watch, kind, self._on_object)
        if not self._alone:
            self.hear_binds()

    def hear_binds(self) -> None:
        """Be told of pods that were bound, from now on.

        A scheduler that is alone knows its bindings before anybody else: it need not hear of them
        unless a pod waits for one, and then those matter that come after it began to.
        """
        if not self._hears_binds:
            self._hears_binds = True
            self._api.watch_pods(self._watch, Op.BIND, self.on_bind)

    def revision(self, found: ApiObject) -> int:
        """Return the last revision of an object that was delivered, 0 where it isn't there."""
        return self._revisions.get((found.kind, found.key), 0)

    # --- pods on nodes ------------------------------------------------------------------------

    def on_created(self, pod: int, node: int) -> None:
        """Take in a pod whose author has placed it."""
        self._place(pod, node)
        if not self._hears_binds and self._awaits(POD_ADD):
            self._happened(ClusterEvent(POD_ADD, node, self._pods.class_of(pod)))

    def on_bind(self, pod: int, node: int) -> None:
        """Take in a pod that was bound, by this scheduler or another one."""
        self._place(pod, node)
        if self._awaits(POD_ADD):
            self._happened(ClusterEvent(POD_ADD, node, self._pods.class_of(pod)))

    def _place(self, pod: int, node: int) -> None:
        if pod not in self.state.node_of:
            pods = self._pods
            self.state.add_pod(pod, pods.class_of(pod), node, pods.devices.get(pod))

    def _on_terminate(self, pod: int, _: int) -> None:
        if pod in self.state.node_of:
            self.state.leave(pod)
            if pod in self._api.preempted:
                self.state.preempted.add(pod)

    def free(self, pod: int) -> None:
        """Free what a pod holds: it has ended, is gone, or is not bound after all."""
        node = self.state.remove_pod(pod)
        if node >= 0 and self._awaits(POD_DELETE):
            self._happened(ClusterEvent(POD_DELETE, node, self._pods.class_of(pod)))

    # --- objects ------------------------------------------------------------------------------

    def _on_node(self, stored: Stored) -> None:
        node, nodes = stored.object, self.state.nodes
        if not isinstance(node, Node):
            raise TypeError(f"a watch of nodes delivered a {node.kind}")
        row = nodes.row_of.get(node.metadata.name, -1)
        old = nodes.nodes[row] if row >= 0 else None
        if stored.deleted:
            row = nodes.remove(node.metadata.name)
            self._happened(ClusterEvent(NODE_DELETE, row, old=old))
        else:
            row = nodes.add(node)
            name = NODE_ADD if old is None else NODE_UPDATE
            self._happened(ClusterEvent(name, row, old=old, new=node))

    def _on_object(self, stored: Stored) -> None:
        found = stored.object
        namespace = (found.metadata.namespace or "default") if found.namespaced else ""
        old = self.state.objects.get(type(found), found.metadata.name, namespace)
        if not self._put(stored):
            return
        what = "Delete" if stored.deleted else "Add" if old is None else "Update"
        new = None if stored.deleted else found
        self._happened(ClusterEvent(f"{found.kind}/{what}", old=old, new=new))

    def _put(self, stored: Stored) -> bool:
        """Apply a version of an object; return whether it tells anything new."""
        found, objects = stored.object, self.state.objects
        self._revisions[found.kind, found.key] = stored.revision
        if stored.deleted:
            objects.remove(found)
            return True
        if isinstance(found, SELECTING):  # their status, which changes all the time, says nothing
            namespace = found.metadata.namespace or "default"
            old = objects.get(type(found), found.metadata.name, namespace)
            if old is not None and old.spec.selector == found.spec.selector:
                return False
        objects.put(found)
        return True
