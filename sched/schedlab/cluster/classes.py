"""Pod classes: pods that look the same to a scheduler share one row of every cache.

A cluster of a hundred thousand pods has a few hundred classes; filtering and scoring once per
class and changed node, instead of once per pod and node, is what makes the model fast.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schedlab.api.objects import PodSpec, PodStatus
from schedlab.api.requests import nonzero_requests, pod_requests
from schedlab.cluster.devices import GPU_MILLI, DeviceRequest, device_request
from schedlab.cluster.vocabulary import MOST_ASKED, ResourceNames, Vocabulary
from schedlab.errors import InputError

UNIQUE_LABELS = frozenset(
    {
        "apps.kubernetes.io/pod-index",
        "batch.kubernetes.io/controller-uid",
        "batch.kubernetes.io/job-completion-index",
        "batch.kubernetes.io/job-name",
        "controller-uid",
        "job-name",
        "statefulset.kubernetes.io/pod-name",
    }
)
"""Labels that controllers give to each pod or Job alone: they part classes only where a selector
mentions them (see `ClassTable.mention`)."""


AMOUNTS: Final[Any] = {
    "resources": True,
    "overhead": True,
    "containers": {"__all__": {"resources"}},
    "init_containers": {"__all__": {"resources"}},
}
"""Fields of a pod spec that say how much its pods ask for."""

ANY_ADDRESS = "0.0.0.0"
"""Stands for all addresses of a node."""


class HostPort(NamedTuple):
    """A port of the node that a pod takes."""

    protocol: str
    ip: str
    port: int


def collide(one: HostPort, other: HostPort) -> bool:
    """Return whether two ports of a node can't be taken at once."""
    if one.port != other.port or one.protocol != other.protocol:
        return False
    return one.ip == other.ip or ANY_ADDRESS in (one.ip, other.ip)


@dataclass(frozen=True, slots=True, eq=False)
class PodClass:
    """What a scheduler may know of a pod before it looks at the pod itself.

    Attributes
    ----------
    id : int
        Row of the class in its `ClassTable`.
    namespace : str
        Namespace of the pods.
    labels : mapping of str to str
        Their labels, but for `UNIQUE_LABELS` that no selector mentions.
    owner : tuple of (str, str)
        Kind and name of the controller whose selector default spreading asks for; ("", "") = none.
    spec : PodSpec
        The pod spec, after defaulting.
    priority : int
        Resolved priority.
    requests : tuple of (int, int)
        Sparse request vector: (resource row, amount), the row ``pods`` with amount 1 included.
    nonzero : tuple of (int, int)
        Milli-cores and bytes that upstream's LeastAllocated counts: 100m and 200Mi stand in for a
        container that asks for nothing.
    scored : tuple of (int, int)
        The same for a pod that is still to be placed: NodeResourcesFit scores it without its
        pod-level requests and its status (see `api.requests.nonzero_requests`).
    host_ports : tuple of HostPort
        Ports that its pods take on their node, without repetition.
    devices : DeviceRequest, optional
        GPUs, or the share of one, that its pods hold.
    form : int
        The same for classes that differ in nothing but what their containers ask for.
    """

    id: int
    namespace: str
    labels: Mapping[str, str]
    owner: tuple[str, str]
    spec: PodSpec
    priority: int
    requests: tuple[tuple[int, int], ...]
    nonzero: tuple[int, int]
    scored: tuple[int, int]
    host_ports: tuple[HostPort, ...]
    devices: DeviceRequest | None = None
    form: int = -1

    def request_vector(self, resources: int) -> NDArray[np.int64]:
        """Return the request as a dense int64 array of shape [*resources*]."""
        vector = np.zeros(resources, np.int64)
        for row, amount in self.requests:
            vector[row] = amount
        return vector


@dataclass(slots=True)
class ClassTable:
    """All pod classes of a run, shared by its components: a class never changes.

    Attributes
    ----------
    resources : ResourceNames
        The resources of the cluster; a class that asks for a new one adds it.
    """

    resources: ResourceNames
    _classes: list[PodClass] = field(default_factory=list)
    _by_key: dict[tuple[object, ...], PodClass] = field(default_factory=dict)
    _specs: dict[int, tuple[PodSpec, str]] = field(default_factory=dict)
    _forms: Vocabulary[tuple[object, ...]] = field(default_factory=Vocabulary)
    _mentioned: set[str] = field(default_factory=set)
    _left_out: set[str] = field(default_factory=set)

    def intern(
        self,
        namespace: str,
        spec: PodSpec,
        priority: int,
        *,
        labels: Mapping[str, str] | None = None,
        owner: tuple[str, str] = ("", ""),
        status: PodStatus | None = None,
        annotations: Mapping[str, str] | None = None,
    ) -> PodClass:
        """Return the class of pods with *spec*.

        Parameters
        ----------
        namespace : str
            Namespace of the pods.
        spec : PodSpec
            After defaulting.
        priority : int
            Resolved priority.
        labels : mapping of str to str, optional
            Labels of the pods.
        owner : tuple of (str, str), optional
            Kind and name of the ReplicaSet, StatefulSet or ReplicationController that owns them.
        status : PodStatus, optional
            Where it says what the kubelet granted, that counts (see `api.requests.pod_requests`).
        annotations : mapping of str to str, optional
            Those of the pods: they may ask for GPUs (see `cluster.devices.device_request`).

        Raises
        ------
        InputError
            The pods ask for more than `MOST_ASKED` resources.
        """
        devices = device_request(annotations) if annotations else None
        text = self._text(spec)
        kept = self.projected(labels or {})
        granted = ""
        if status is not None and (status.container_statuses or status.init_container_statuses):
            granted = status.model_dump_json(
                include={"container_statuses", "init_container_statuses", "conditions"}
            )
        pairs = tuple(sorted(kept.items()))
        key = (namespace, priority, text, pairs, owner, granted, devices)
        known = self._by_key.get(key)
        if known is None:
            amounts = {**pod_requests(spec, status), "pods": 1}
            if devices is not None:
                amounts[GPU_MILLI] = devices.total
            requests = tuple((self.resources.add(name), n) for name, n in amounts.items() if n)
            if len(requests) > MOST_ASKED:
                raise InputError(
                    "resources.requests",
                    found=len(requests),
                    expected=f"at most {MOST_ASKED} resources that a pod asks for",
                )
            bare = spec.model_dump_json(exclude=AMOUNTS)
            known = PodClass(
                len(self._classes),
                namespace,
                kept,
                owner,
                spec,
                priority,
                tuple(sorted(requests)),
                nonzero_requests(spec, status),
                nonzero_requests(spec, pod_level=False),
                host_ports(spec),
                devices,
                self._forms.add((namespace, priority, bare, pairs, owner, devices)),
            )
            self._classes.append(known)
            self._by_key[key] = known
        return known

    def projected(self, labels: Mapping[str, str]) -> dict[str, str]:
        """Return those of a pod's labels that part classes; the others are left out for good."""
        left_out = UNIQUE_LABELS.intersection(labels) - self._mentioned
        self._left_out |= left_out
        return {k: v for k, v in labels.items() if k not in left_out}

    def _text(self, spec: PodSpec) -> str:
        """Return *spec* as text; pods of one template share the object, so it is kept.

        What its own selectors look at has to stay among the labels of its pods: a Job that keeps
        its pods apart asks for the name of the Job.
        """
        known = self._specs.get(id(spec))
        if known is None:
            self.mention(selector_keys(spec))
            known = self._specs[id(spec)] = (spec, spec.model_dump_json())  # keeps the id alive
        return known[1]

    def mention(self, keys: Iterable[str]) -> None:
        """Say that a selector looks at labels *keys* of pods.

        Raises
        ------
        InputError
            One of `UNIQUE_LABELS` is mentioned only after classes have been made without it.
        """
        for key in UNIQUE_LABELS.intersection(keys) - self._mentioned:
            if key in self._left_out:
                raise InputError(
                    "labelSelector", found=key, expected="selectors of labels that pods of one "
                    "template share, or this one before the first pod that has it",
                )  # fmt: skip
            self._mentioned.add(key)

    def __getitem__(self, class_id: int) -> PodClass:
        return self._classes[class_id]

    def __len__(self) -> int:
        return len(self._classes)

    def __iter__(self) -> Iterator[PodClass]:
        return iter(self._classes)


def selector_keys(spec: PodSpec) -> Iterator[str]:
    """Yield the labels of pods that a pod's own affinities and spread constraints look at."""
    selectors = [constraint.label_selector for constraint in spec.topology_spread_constraints]
    for constraint in spec.topology_spread_constraints:
        yield from constraint.match_label_keys
    affinity = spec.affinity
    for side in () if affinity is None else (affinity.pod_affinity, affinity.pod_anti_affinity):
        if side is not None:
            preferred = side.preferred_during_scheduling_ignored_during_execution
            terms = [weighted.pod_affinity_term for weighted in preferred]
            terms += side.required_during_scheduling_ignored_during_execution
            selectors += [term.label_selector for term in terms]
            for term in terms:
                yield from term.match_label_keys
                yield from term.mismatch_label_keys
    for selector in selectors:
        if selector is not None:
            yield from selector.match_labels
            yield from (condition.key for condition in selector.match_expressions)


def host_ports(spec: PodSpec) -> tuple[HostPort, ...]:
    """Return the ports of the node that a pod takes: its containers' and its sidecars'.

    As upstream's ``GetHostPorts``: the empty address is 0.0.0.0, the empty protocol TCP; with
    *hostNetwork* the API server makes every container port a host port.
    """
    containers = [c for c in spec.init_containers if c.restart_policy == "Always"]
    found: dict[HostPort, None] = {}
    for container in (*containers, *spec.containers):
        for port in container.ports:
            number = port.host_port or (port.container_port if spec.host_network else 0)
            if number > 0:
                found[HostPort(port.protocol or "TCP", port.host_ip or ANY_ADDRESS, number)] = None
    return tuple(found)
