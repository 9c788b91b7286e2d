"""Claims, volumes and pods that use them, in few words.

>>> cluster = storage_cluster(small_node("a"), objects=[volume("v"), claim("c", volume="v")])
>>> cycle = storage_cycle(cluster, uses("c"))
>>> cluster.volumes.of(cycle.pod_class).claims
('c',)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from schedlab.api.manifests import parse_object
from schedlab.api.objects import (
    ApiObject,
    CSIDriver,
    CSINode,
    CSIStorageCapacity,
    Node,
    PersistentVolume,
    PersistentVolumeClaim,
    StorageClass,
    Volume,
    VolumeAttachment,
)
from schedlab.cluster import ClassTable, ClusterState, PodClass, ResourceNames
from schedlab.cluster.claims import BIND_COMPLETED
from schedlab.cluster.csi_translation import MIGRATED_PLUGINS
from schedlab.scheduling.base import Pod
from schedlab.scheduling.framework.interface import Cycle
from schedlab.testing.runs import pod_template, small_node

__all__ = [
    "attachment",
    "capacity",
    "claim",
    "csi_driver",
    "csi_node",
    "pod_class",
    "run_pod",
    "small_node",
    "storage_class",
    "storage_cluster",
    "storage_cycle",
    "uses",
    "volume",
]

Fields = Mapping[str, Any]


def claim(
    name: str,
    *,
    volume: str = "",
    complete: bool = True,
    storage_class: str | None = "fast",
    size: str | None = "10Gi",
    modes: Sequence[str] = ("ReadWriteOnce",),
    phase: str = "",
    metadata: Fields | None = None,
    annotations: Fields | None = None,
    **spec: Any,
) -> PersistentVolumeClaim:
    """Return a claim in the namespace default; *complete* = its binding to *volume* is."""
    notes = {**(annotations or {}), **({BIND_COMPLETED: "yes"} if volume and complete else {})}
    content = {
        "accessModes": list(modes),
        "resources": {"requests": {} if size is None else {"storage": size}},
        "storageClassName": storage_class,
        "volumeName": volume,
        **spec,
    }
    about = {"name": name, "uid": f"uid-{name}", "annotations": notes, **(metadata or {})}
    status = {"phase": phase or ("Bound" if volume else "Pending")}
    return PersistentVolumeClaim.model_validate(
        {"metadata": about, "spec": content, "status": status}
    )


def volume(
    name: str,
    *,
    nodes: Fields | Sequence[Fields] | None = None,
    storage_class: str = "fast",
    size: str = "10Gi",
    modes: Sequence[str] = ("ReadWriteOnce",),
    claimed_by: str = "",
    phase: str = "Available",
    labels: Fields | None = None,
    metadata: Fields | None = None,
    source: Fields | None = None,
    **spec: Any,
) -> PersistentVolume:
    """Return a volume.

    *nodes* are those that can use it: label -> values, or several such terms; *claimed_by* is
    ``name`` or ``name/uid`` of a claim in the namespace default; *source* defaults to a volume of
    the driver ``csi.example.com`` whose handle is the name.
    """
    content: dict[str, Any] = {
        "accessModes": list(modes),
        "capacity": {"storage": size},
        "storageClassName": storage_class,
        **(source or {"csi": {"driver": "csi.example.com", "volumeHandle": name}}),
        **spec,
    }
    if nodes is not None:
        terms = [nodes] if isinstance(nodes, Mapping) else nodes
        required = {"nodeSelectorTerms": [{"matchExpressions": _conditions(t)} for t in terms]}
        content["nodeAffinity"] = {"required": required}
    if claimed_by:
        who, _, uid = claimed_by.partition("/")
        content["claimRef"] = {"namespace": "default", "name": who, "uid": uid}
    return PersistentVolume.model_validate(
        {
            "metadata": {"name": name, "labels": labels or {}, **(metadata or {})},
            "spec": content,
            "status": {"phase": phase},
        }
    )


def _conditions(labels: Fields) -> list[dict[str, Any]]:
    return [
        {"key": key, "operator": "In", "values": list(values)} for key, values in labels.items()
    ]


def storage_class(
    name: str = "fast",
    *,
    provisioner: str = "csi.example.com",
    waits: bool = True,
    allowed: Sequence[Fields] = (),
) -> StorageClass:
    """Return a class; *allowed* topologies are terms of label -> values."""
    terms = [
        {"matchLabelExpressions": [{"key": k, "values": list(v)} for k, v in term.items()]}
        for term in allowed
    ]
    return StorageClass.model_validate(
        {
            "metadata": {"name": name},
            "provisioner": provisioner,
            "volumeBindingMode": "WaitForFirstConsumer" if waits else "Immediate",
            "allowedTopologies": terms,
        }
    )


def csi_node(node: str, limits: Mapping[str, int | None], migrated: Sequence[str] = ()) -> CSINode:
    """Return what the drivers of a node report; a limit of None is not given."""
    drivers = [
        {"name": name, "nodeID": node, "allocatable": None if n is None else {"count": n}}
        for name, n in limits.items()
    ]
    notes = {MIGRATED_PLUGINS: ",".join(migrated)} if migrated else {}
    return CSINode.model_validate(
        {"metadata": {"name": node, "annotations": notes}, "spec": {"drivers": drivers}}
    )


def csi_driver(name: str = "csi.example.com", *, tells: bool | None = True) -> CSIDriver:
    """Return a driver; *tells* = it publishes how much storage it has."""
    return CSIDriver.model_validate(
        {"metadata": {"name": name}, "spec": {"storageCapacity": tells}}
    )


def capacity(
    name: str,
    size: str | None,
    *,
    largest: str | None = None,
    storage_class: str = "fast",
    labels: Fields | None = None,
) -> CSIStorageCapacity:
    """Return a pool of storage; *labels* of the nodes that reach it, None = no node does."""
    return CSIStorageCapacity.model_validate(
        {
            "metadata": {"name": name, "namespace": "kube-system"},
            "storageClassName": storage_class,
            "nodeTopology": None if labels is None else {"matchLabels": labels},
            "capacity": size,
            "maximumVolumeSize": largest,
        }
    )


def attachment(name: str, node: str, volume: str | None, driver: str) -> VolumeAttachment:
    """Return the attachment of a persistent volume to a node."""
    return VolumeAttachment.model_validate(
        {
            "metadata": {"name": name},
            "spec": {
                "attacher": driver,
                "nodeName": node,
                "source": {"persistentVolumeName": volume},
            },
        }
    )


def storage_cluster(*nodes: Node, objects: Iterable[ApiObject | Fields] = ()) -> ClusterState:
    """Return a state with nodes and objects; a mapping is parsed, and says its kind."""
    state = ClusterState(ClassTable(ResourceNames()))
    for node in nodes:
        state.nodes.add(node)
    for found in objects:
        parsed = parse_object(found) if isinstance(found, Mapping) else found
        if parsed is not None:
            state.objects.put(parsed)
    return state


def uses(name: str) -> Fields:
    """Return the volume of a pod that uses a claim."""
    return {"persistentVolumeClaim": {"claimName": name}}


def pod_class(state: ClusterState, *volumes: Fields, namespace: str = "default") -> PodClass:
    """Return the class of pods with *volumes*, each one source; they are called v0, v1, ..."""
    made = tuple(Volume.model_validate({"name": f"v{i}", **v}) for i, v in enumerate(volumes))
    return state.classes.intern(namespace, pod_template(1, volumes=made).spec, 0)


def run_pod(
    state: ClusterState, pod: int, node: int, *volumes: Fields, namespace: str = "default"
) -> PodClass:
    """Let pod number *pod*, called ``p<number>``, run on a node; return its class."""
    found = pod_class(state, *volumes, namespace=namespace)
    names = state.names if isinstance(state.names, dict) else {}
    names[pod] = f"{namespace}/p{pod}"
    state.names = names
    state.add_pod(pod, found, node)
    return found


def storage_cycle(
    state: ClusterState, *volumes: Fields, pod: int = 99, namespace: str = "default"
) -> Cycle:
    """Return the cycle of a pod that is to be scheduled, called ``p<number>``."""
    found = pod_class(state, *volumes, namespace=namespace)
    return Cycle(state, found, Pod(pod, found, f"{namespace}/p{pod}", pod, 1, 0, -1))
