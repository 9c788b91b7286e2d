"""Scenarios: a cluster at one moment, and the pods that wait in it.

A scenario is one JSON or YAML file, plain or gzipped: lists of Kubernetes objects under the keys
of `KINDS_BY_KEY`, with an optional KubeSchedulerConfiguration under ``config``. The output of
``kubectl get nodes,pods,... -A -o json`` (a ``List``) and a stream of manifests will do as well.
Objects are taken as a user would submit them: they go through the API server's admission here,
which leaves alone what an API server has admitted before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from schedlab.api.invalid import nearest
from schedlab.api.manifests import parse_documents, parse_object, read_text
from schedlab.api.objects import ApiObject, Namespace, Node, Pod, PodTemplate, PriorityClass
from schedlab.api.unmodelled import unmodelled_fields
from schedlab.api.yaml_loader import load_documents
from schedlab.cluster import ClassTable, ClusterState
from schedlab.cluster.classes import UNIQUE_LABELS, PodClass
from schedlab.cluster.vocabulary import ResourceNames
from schedlab.controlplane.admission import Admission
from schedlab.errors import InputError

KINDS_BY_KEY: Final[Mapping[str, str]] = {
    "nodes": "Node",
    "pods": "Pod",
    "namespaces": "Namespace",
    "priorityclasses": "PriorityClass",
    "services": "Service",
    "replicationcontrollers": "ReplicationController",
    "replicasets": "ReplicaSet",
    "statefulsets": "StatefulSet",
    "pdbs": "PodDisruptionBudget",
    "pvcs": "PersistentVolumeClaim",
    "pvs": "PersistentVolume",
    "storageclasses": "StorageClass",
    "csinodes": "CSINode",
    "csidrivers": "CSIDriver",
    "csistoragecapacities": "CSIStorageCapacity",
    "volumeattachments": "VolumeAttachment",
}
"""Key of a scenario -> the kind of the objects below it."""
DEVICES: Final = ("deviceclasses", "resourceslices", "resourceclaims")
"""Keys that may stand there, but with nothing below them: devices are not modelled."""
CONFIG: Final = "KubeSchedulerConfiguration"
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
UNKNOWN_START: Final = "2026-01-01T00:00:00Z"
"""When a running pod counts as started that doesn't say when."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A cluster and its pending pods.

    Attributes
    ----------
    state : ClusterState
        All nodes in the order of the file, all objects, the pods that run, and the nominations of
        pending ones. A pod's row is its place in the file.
    pods : tuple of Pod
        All pods, as they stand in the file.
    classes : mapping of int to PodClass
        Row -> class, for every pod that hasn't finished.
    pending : tuple of int
        Rows of the pods without a node, in the order of the file.
    by_queue : bool
        They are to be taken in the order of the scheduling queue, not in that of the file.
    config : mapping or None
        The KubeSchedulerConfiguration of the scenario.
    folder : Path or None
        Directory of its file, to which paths in the configuration are relative.
    """

    state: ClusterState
    pods: tuple[Pod, ...]
    classes: Mapping[int, PodClass]
    pending: tuple[int, ...]
    by_queue: bool = False
    config: Mapping[str, Any] | None = None
    folder: Path | None = None


def read_scenario(path: str | Path) -> Scenario:
    """Read a scenario.

    Parameters
    ----------
    path : str or Path
        A ``.json``, ``.yaml`` or ``.yml`` file, also gzipped.

    Raises
    ------
    InputError
        It can't be read, or something in it isn't what Kubernetes would take.
    """
    path = Path(path)
    try:
        documents = load_documents(read_text(path), str(path))
        if not documents:
            raise InputError("", found="<nothing>", expected="nodes and pods")
        first = documents[0][0]
        if len(documents) == 1 and isinstance(first, Mapping) and "kind" not in first:
            return replace(make_scenario(first), folder=path.parent)
        configs = [d for d, _ in documents if isinstance(d, Mapping) and d.get("kind") == CONFIG]
        if len(configs) > 1:
            raise InputError(
                "", found=f"<{len(configs)} of them>", expected=f"at most one {CONFIG}"
            )
        objects = parse_documents([d for d in documents if d[0] not in configs], str(path))
        found = _built(objects, by_queue=False, config=configs[0] if configs else None)
        return replace(found, folder=path.parent)
    except InputError as error:
        raise error.in_file(path) from None


def make_scenario(content: Mapping[str, Any]) -> Scenario:
    """Return the scenario that a mapping holds (see `KINDS_BY_KEY`).

    Raises
    ------
    InputError
        Something in it isn't what Kubernetes would take.
    """
    for key, value in content.items():
        _check_key(key, value)
    objects = [
        found
        for key, kind in KINDS_BY_KEY.items()
        for i, document in enumerate(content.get(key) or ())
        if (found := _parsed(document, kind, f"{key}[{i}]")) is not None
    ]
    meta = content.get("meta") or {}
    order = meta.get("order", "arrival") if isinstance(meta, Mapping) else meta
    if order not in ("arrival", "queue"):
        raise InputError("meta.order", found=order, expected="arrival or queue")
    return _built(objects, by_queue=order == "queue", config=_config(content.get("config")))


def _check_key(key: str, value: Any) -> None:
    known = (*KINDS_BY_KEY, *DEVICES, "meta", "config")
    if key not in known:
        raise InputError(key, found=key, expected="a key of a scenario", hint=nearest(key, known))
    if key in DEVICES and value:
        raise InputError(key, found=value, expected="nothing: devices are not modelled")
    if key in KINDS_BY_KEY and value is not None and not isinstance(value, list):
        raise InputError(key, found=value, expected="a list of objects")


def _parsed(document: Any, kind: str, where: str) -> ApiObject | None:
    try:
        found = parse_object(document, kind=kind)
    except InputError as error:
        named = error.field.startswith(f"{kind}/")
        raise error if named else error.under(where) from None
    if found is not None and found.kind != kind:
        raise InputError(f"{where}.kind", found=found.kind, expected=kind)
    return found


def _config(value: Any) -> Mapping[str, Any] | None:
    """Return the configuration, which may stand there as text."""
    if isinstance(value, str):
        documents = load_documents(value, "config")
        value = documents[0][0] if len(documents) == 1 else value
    if value is None or isinstance(value, Mapping):
        return value
    raise InputError("config", found=value, expected=f"a {CONFIG}")


def _built(
    objects: list[ApiObject], *, by_queue: bool, config: Mapping[str, Any] | None
) -> Scenario:
    state = ClusterState(ClassTable(ResourceNames()))
    state.classes.mention(UNIQUE_LABELS)  # one-off decisions gain nothing from leaving labels out
    for found in objects:
        if isinstance(found, Node):
            state.nodes.add(found)
        elif not isinstance(found, Pod):
            state.objects.put(found)
    _check_names(objects)
    pods = tuple(found for found in objects if isinstance(found, Pod))
    spaces = {f.metadata.name for f in objects if isinstance(f, Namespace)}
    admission = Admission(
        state.classes,
        (found for found in objects if isinstance(found, PriorityClass)),
        spaces | {pod.metadata.namespace or "default" for pod in pods},
        refuse=refuse_unplaceable,
    )
    classes = {
        row: admission.admit_pod(_unbound(pod))
        for row, pod in enumerate(pods)
        if pod.status.phase not in ("Succeeded", "Failed")
    }
    state.names = [pod.key for pod in pods]
    state.uids = [pod.metadata.uid for pod in pods]
    state.start_us = [_start_us(pod) for pod in pods]
    pending = tuple(row for row in classes if not pods[row].spec.node_name)
    for row, pod_class in classes.items():
        _place(state, row, pods[row], pod_class)
    return Scenario(state, pods, classes, pending, by_queue, config)


def _unbound(pod: Pod) -> Pod:
    """Return a pod as its author wrote it: where it runs says nothing of where it may go."""
    if not pod.spec.node_name:
        return pod
    return pod.model_copy(update={"spec": pod.spec.model_copy(update={"node_name": ""})})


def _check_names(objects: Iterable[ApiObject]) -> None:
    seen: set[tuple[str, str]] = set()
    for found in objects:
        identity = (found.kind, found.key)
        if identity in seen:
            raise InputError(
                f"{found.kind}/{found.key}: metadata.name",
                found=found.metadata.name,
                expected="each name once",
            )
        seen.add(identity)


def _place(state: ClusterState, row: int, pod: Pod, pod_class: PodClass) -> None:
    """Put a pod where it runs, or where it is nominated; nodes that aren't there hold nothing."""
    node = state.nodes.row_of.get(pod.spec.node_name, -1)
    nominated = state.nodes.row_of.get(pod.status.nominated_node_name, -1)
    if node >= 0:
        state.add_pod(row, pod_class, node)
        if pod.metadata.deletion_timestamp is not None:
            state.leave(row)
            if _preempted(pod):
                state.preempted.add(row)
    elif not pod.spec.node_name and nominated >= 0:
        state.nominated[row] = (nominated, pod_class)


def _preempted(pod: Pod) -> bool:
    """Return whether a pod is being deleted because a scheduler evicted it."""
    for condition in pod.status.conditions:
        if condition.type == "DisruptionTarget":
            return condition.status == "True" and condition.reason == "PreemptionByScheduler"
    return False


def _start_us(pod: Pod) -> int:
    text = pod.status.start_time or (UNKNOWN_START if pod.spec.node_name else "")
    if not text:
        return -1
    try:
        return time_us(text)
    except (ValueError, TypeError):
        raise InputError(
            f"Pod/{pod.key}: status.startTime",
            found=text,
            expected="a time as 2026-01-01T00:00:00Z",
        ) from None


def time_us(text: str) -> int:
    """Return an RFC 3339 time as microseconds since 1970.

    >>> time_us("1970-01-01T00:00:01.5Z")
    1500000
    """
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1)


def refuse_unplaceable(template: PodTemplate) -> None:
    """Raise for what no plugin looks at: claims for devices, and runtime classes.

    A pod that an API server has admitted carries what its runtime class adds.
    """
    for path, reason in unmodelled_fields(template):
        claims = path.startswith("spec.resourceClaims") or path.endswith(".resources.claims")
        runtime = path == "spec.runtimeClassName" and not template.metadata.uid
        if claims or runtime:
            raise InputError(path, found=f"<{reason}>", expected="only what schedlab models so far")
