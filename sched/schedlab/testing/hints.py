"""Pods and nodes in few words, to ask what may help whom (see `framework.queueing_hints`).

>>> state = zoned_cluster("a", "b", pods=[(0, asks(cpu=2_000))])
>>> helps(state, "NodeResourcesFit", asks(cpu=3_000), gone(state, asks(cpu=1_000)))
False
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from schedlab.api.base import Amounts
from schedlab.api.objects import (
    ApiObject,
    Container,
    ContainerPort,
    Node,
    NodeSpec,
    PodSpec,
    ResourceRequirements,
    Taint,
    Volume,
)
from schedlab.cluster import ClassTable, ClusterState, PodClass, ResourceNames
from schedlab.scheduling.base import Pod
from schedlab.scheduling.framework.cluster_events import ANY, POD_DELETE, ClusterEvent
from schedlab.scheduling.framework.profiles import Profile
from schedlab.scheduling.framework.queueing_hints import QueueingHints
from schedlab.testing.runs import small_node

ZONE = "topology.kubernetes.io/zone"


@dataclass(frozen=True)
class Asks:
    """What a pod asks for; see `asks`."""

    cpu: int
    app: str
    namespace: str
    priority: int
    ports: tuple[int, ...]
    ip: str
    volumes: tuple[Mapping[str, Any], ...]
    spec: tuple[tuple[str, Any], ...]

    def of(self, state: ClusterState) -> PodClass:
        """Return the class of such pods."""
        ports = tuple(
            ContainerPort(container_port=n, host_port=n, hostIP=self.ip) for n in self.ports
        )
        container = Container(
            name="c", ports=ports, resources=ResourceRequirements(requests=Amounts(cpu=self.cpu))
        )
        named = [Volume.model_validate({"name": f"v{i}", **v}) for i, v in enumerate(self.volumes)]
        spec = PodSpec(containers=(container,), volumes=tuple(named), **dict(self.spec))
        return state.classes.intern(
            self.namespace, spec, self.priority, labels={"app": self.app} if self.app else {}
        )


def asks(
    *,
    cpu: int = 1_000,
    app: str = "web",
    namespace: str = "default",
    priority: int = 0,
    ports: Iterable[int] = (),
    ip: str = "",
    volumes: Iterable[Mapping[str, Any]] = (),
    **spec: Any,
) -> Asks:
    """Return what a pod asks for.

    Parameters
    ----------
    cpu : int
        Milli-cores.
    app : str
        Value of its label ``app``.
    namespace, priority
        Of the pod.
    ports : iterable of int
        Host ports.
    ip : str
        Their address.
    volumes : iterable of mapping
        One source each; they are called v0, v1, ...
    **spec
        Further fields of the pod spec.
    """
    return Asks(
        cpu, app, namespace, priority, tuple(ports), ip, tuple(volumes), tuple(spec.items())
    )


def zoned_node(
    name: str = "n0",
    zone: str = "a",
    *,
    cpu: int = 4_000,
    taints: tuple[Taint, ...] = (),
    unschedulable: bool = False,
    **labels: str,
) -> Node:
    """Return a node of a zone, "" = of none."""
    found = small_node(name, cpu=cpu, labels={ZONE: zone, **labels} if zone else labels)
    spec = NodeSpec(taints=taints, unschedulable=unschedulable)
    return found.model_copy(update={"spec": spec})


def zoned_cluster(
    *zones: str, pods: Sequence[tuple[int, Asks]] = (), objects: Iterable[ApiObject] = ()
) -> ClusterState:
    """Return nodes n0, n1, ... of 4 cpus in *zones*, and pods as (node, what it asks for)."""
    state = ClusterState(ClassTable(ResourceNames()))
    for i, zone in enumerate(zones):
        state.nodes.add(zoned_node(f"n{i}", zone))
    for found in objects:
        state.objects.put(found)
    for row, (where, wanted) in enumerate(pods):
        state.add_pod(row, wanted.of(state), where)
    return state


def waiting_pod(state: ClusterState, pod: Asks) -> Pod:
    """Return a pod of that kind, called p99."""
    return Pod(99, pod.of(state), f"{pod.namespace}/p99", 1, 1, 0, -1)


def helps(
    state: ClusterState,
    plugin: str,
    pod: Asks,
    event: ClusterEvent,
    profile: Profile | None = None,
) -> bool:
    """Return whether *event* may help a pod that *plugin* rejected."""
    hints = QueueingHints(profile or Profile.default())
    found = hints.of(waiting_pod(state, pod), frozenset((plugin,)), state)
    return any(hint(event) for name in (event.name, ANY) for hint in found.get(name, ()))


def gone(state: ClusterState, wanted: Asks, where: int = 0) -> ClusterEvent:
    """Return the event of a pod that has gone from a node."""
    return ClusterEvent(POD_DELETE, where, wanted.of(state))
