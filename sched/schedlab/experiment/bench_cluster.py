"""The cluster of a benchmark: its operations carried out, up to the pods that are measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import count as counter
from math import prod
from typing import Any

import numpy as np

from schedlab.api.base import Amounts
from schedlab.api.manifests import parse_object
from schedlab.api.objects import (
    ApiObject,
    CSINode,
    CSINodeDriver,
    CSINodeSpec,
    Namespace,
    Node,
    ObjectMeta,
    Pod,
    VolumeNodeResources,
)
from schedlab.cluster.classes import PodClass
from schedlab.cluster.nodes import HOSTNAME
from schedlab.controlplane.admission import Admission
from schedlab.experiment.bench_loop import SECOND_US, Loop
from schedlab.experiment.bench_specs import (
    Axis,
    Barrier,
    Benchmark,
    Churn,
    CreateAny,
    CreateNamespaces,
    CreateNodes,
    CreatePods,
    CreatePodSets,
    DeletePods,
    Operation,
    filled,
    templates,
    varies,
)
from schedlab.experiment.scenario import refuse_unplaceable
from schedlab.rng import Draws

MIGRATED = "storage.alpha.kubernetes.io/migrated-plugins"
"""Annotation of a CSINode: the in-tree plugins that its drivers stand in for."""


class Cluster:
    """Carries out the operations of a benchmark.

    Parameters
    ----------
    benchmark : Benchmark
        What to make.
    loop : Loop
        Whose cluster and queue it is made in.
    seed : int
        Of the pods' keys.

    Attributes
    ----------
    nodes, init_pods : int
        Nodes, and pods made before those that are measured.
    classes : set of int
        Ids of the pod classes of all pods.
    """

    def __init__(self, benchmark: Benchmark, loop: Loop, seed: int) -> None:
        self.nodes = 0
        self.init_pods = 0
        self.classes: set[int] = set()
        self._benchmark = benchmark
        self._loop = loop
        self._keys = Draws(seed, "bench pods").generator()
        self._admission = Admission(loop.state.classes, refuse=refuse_unplaceable)
        self._by_namespace: dict[str, list[int]] = {}
        self._serial = counter()

    def prepare(self) -> tuple[int, int]:
        """Do all that comes before the measured pods and queue those.

        Returns
        -------
        tuple of (int, int)
            Row of the first measured pod, and how many there are.
        """
        for number, operation in enumerate(self._benchmark.workload.operations):
            if isinstance(operation, CreatePods) and operation.measure:
                return self._create_pods(operation, operation.namespace or f"namespace-{number}")
            self._carry_out(number, operation)
        raise ValueError("a workload without measured pods")

    def _carry_out(self, number: int, operation: Operation) -> None:
        match operation:
            case CreatePods():
                namespace = operation.namespace or f"namespace-{number}"
                self.init_pods += self._create_pods(operation, namespace)[1]
                if operation.wait:
                    self._settle()
            case CreatePodSets():
                self._create_pod_sets(operation)
            case CreateNodes():
                self._create_nodes(operation)
            case CreateNamespaces():
                self._create_namespaces(operation)
            case CreateAny():
                values = {"namespace": operation.namespace}
                self._loop.state.objects.put(self._object(operation.template, values))
            case Churn():
                self._churn(operation)
            case DeletePods():
                self._delete_pods(operation)
            case Barrier():
                self._settle()

    def _settle(self) -> None:
        """Schedule until no pod is left to try."""
        self._loop.run(0, len(self._loop.pods))

    # --- objects ------------------------------------------------------------------------------

    def _object(self, template: str, values: Mapping[str, object]) -> Any:
        """Return the object that a template describes, under a name of its own."""
        content = templates()[template]
        metadata = content["metadata"]
        name = metadata.get("name") or f"{metadata['generateName']}{next(self._serial):06d}"
        document = filled(content, {"name": name, **values})
        document["metadata"] = {**document["metadata"], "name": name}
        if "namespace" in values and document["kind"] not in ("PersistentVolume", "Node"):
            document["metadata"]["namespace"] = values["namespace"]
        return parse_object(document)

    def _create_namespaces(self, operation: CreateNamespaces) -> None:
        for i in range(self._benchmark.number(operation.count)):
            meta = ObjectMeta(name=f"{operation.prefix}-{i}", labels=dict(operation.labels))
            self._loop.state.objects.put(Namespace(metadata=meta))

    def _create_nodes(self, operation: CreateNodes) -> None:
        for i in range(self._benchmark.number(operation.count)):
            node: Node = self._object(operation.template, {"index": i})
            own = {key: values[i % len(values)] for key, values in operation.labels.items()}
            labels = {**node.metadata.labels, HOSTNAME: node.metadata.name, **own}
            self._add_node(node, labels, operation.drivers)
            if operation.drivers:
                self._loop.state.objects.put(_csi_node(node.metadata.name, operation))
            self.nodes += 1

    def _add_node(self, node: Node, labels: Mapping[str, str], drivers: Mapping[str, int]) -> int:
        meta = node.metadata.model_copy(update={"labels": dict(labels)})
        status = node.status
        if drivers:
            limits = {f"attachable-volumes-csi-{name}": n for name, n in drivers.items()}
            whole_list = Amounts({**status.allocatable, **limits})
            status = status.model_copy(update={"allocatable": whole_list})
        whole = node.model_copy(update={"metadata": meta, "status": status})
        return self._loop.state.nodes.add(whole)

    # --- pods ---------------------------------------------------------------------------------

    def _create_pods(self, operation: CreatePods, namespace: str) -> tuple[int, int]:
        """Queue the pods of an operation; return the row of the first, and how many."""
        count = self._benchmark.number(operation.count)
        self._admission.namespaces.add(namespace)
        classes = [pod_class.id for pod_class in self._classes_of(operation, namespace, count)]
        first = self._add(operation.template, namespace, classes)
        for row in range(first, first + count):
            self._loop.enqueue(row)
        self._by_namespace.setdefault(namespace, []).extend(range(first, first + count))
        return first, count

    def _create_pod_sets(self, operation: CreatePodSets) -> None:
        for i in range(self._benchmark.number(operation.count)):
            namespace = f"{operation.prefix}-{i}"
            self.init_pods += self._create_pods(operation.pods, namespace)[1]
        self._settle()

    def _add(self, template: str, namespace: str, classes: list[int]) -> int:
        count, pods = len(classes), self._loop.pods
        stem = templates()[template]["metadata"]["generateName"]
        self.classes.update(classes)
        return pods.extend(
            [f"{namespace}/{stem}{next(self._serial):06d}" for _ in range(count)],
            pod_class=np.array(classes, np.int32),
            item=np.full(count, pods.items.add(f"{namespace}/{stem}"), np.int32),
            replica=np.arange(count, dtype=np.int32),
            key=self._keys.integers(0, 1 << 64, count, np.uint64),
            duration_us=np.full(count, -1, np.int64),
            estimate_us=np.full(count, -1, np.int64),
        )

    def _classes_of(self, operation: CreatePods, namespace: str, count: int) -> Iterator[PodClass]:
        """Yield the class of each pod of an operation."""
        content = templates()[operation.template]
        if operation.volume:
            for i in range(count):
                yield self._admitted(
                    _with_claim(content, self._claim(operation, namespace)), namespace, {"index": i}
                )
        elif not varies(content):
            pod_class = self._admitted(content, namespace, {})
            for _ in range(count):
                yield pod_class
        else:
            yield from self._varied(operation, content, namespace, count)

    def _varied(
        self, operation: CreatePods, content: Mapping[str, Any], namespace: str, count: int
    ) -> Iterator[PodClass]:
        numbered = varies(filled(content, {key: 0 for key in operation.vary} | {"index": "$index"}))
        period = count if numbered else prod(axis.values for axis in operation.vary.values())
        made: list[PodClass] = []
        for i in range(count):
            if i < period:
                values = _values(operation.vary, i)
                made.append(self._admitted(content, namespace, {**values, "index": i}))
            yield made[i % period]

    def _admitted(
        self, content: Mapping[str, Any], namespace: str, values: Mapping[str, object]
    ) -> PodClass:
        pod = parse_object(filled(content, values))
        if not isinstance(pod, Pod):
            raise TypeError(f"a template of pods holds a {content['kind']}")
        meta = pod.metadata.model_copy(update={"namespace": namespace})
        return self._admission.admit_pod(pod.model_copy(update={"metadata": meta}))

    def _claim(self, operation: CreatePods, namespace: str) -> str:
        """Make a claim and a volume that are bound to each other; return the claim's name."""
        objects, number = self._loop.state.objects, next(self._serial)
        volume, claim = f"pv-{number:06d}", f"pvc-{number:06d}"
        bound = {"volume": volume, "claim": claim, "namespace": namespace}
        for template, name in ((operation.volume, volume), (operation.claim, claim)):
            found: ApiObject = self._object(template, {**bound, "name": name})
            meta = found.metadata.model_copy(update={"name": name})
            objects.put(found.model_copy(update={"metadata": meta}))
        return claim

    # --- what goes on meanwhile ---------------------------------------------------------------

    def _churn(self, operation: Churn) -> None:
        step_us = operation.interval_ms * 1000
        doers = [self._doer(name, operation.mode == "recreate") for name in operation.templates]

        def churn(due_us: int) -> int:
            for do in doers:
                do()
            return due_us + step_us

        self._loop.at(self._loop.now_us + step_us, churn)

    def _doer(self, template: str, recreate: bool) -> Callable[[], None]:
        """Return what makes one more object of a template, or takes the last one away again."""
        undo: list[Callable[[], None]] = []

        def do() -> None:
            if recreate and undo:
                undo.pop()()
            else:
                undo.append(self._made(template))

        return do

    def _made(self, template: str) -> Callable[[], None]:
        """Make an object; return what deletes it."""
        loop, content = self._loop, templates()[template]
        if content["kind"] == "Pod":
            self._admission.namespaces.add("churn")
            row = self._add(template, "churn", [self._admitted(content, "churn", {}).id])
            loop.enqueue(row)
            return lambda: loop.delete(row)
        found = self._object(template, {"namespace": "churn"})
        if isinstance(found, Node):
            name = found.metadata.name
            loop.improved(self._add_node(found, {HOSTNAME: name}, {}))
            return lambda: loop.remove_node(name)
        loop.state.objects.put(found)
        return lambda: loop.state.objects.remove(found)

    def _delete_pods(self, operation: DeletePods) -> None:
        step_us = SECOND_US // operation.per_second
        rows = iter(self._by_namespace[operation.namespace])

        def delete(due_us: int) -> int:
            row = next(rows, -1)
            if row < 0:
                return -1
            self._loop.delete(row)
            return due_us + step_us

        self._loop.at(self._loop.now_us + step_us, delete)


def _values(axes: Mapping[str, Axis], number: int) -> dict[str, int]:
    """Return what the placeholders stand for in pod *number*.

    >>> axes = {"a": Axis(first=5, values=2), "b": Axis(first=10, values=3, step=10)}
    >>> [_values(axes, n) for n in (0, 1, 2)]
    [{'a': 5, 'b': 10}, {'a': 6, 'b': 10}, {'a': 5, 'b': 20}]
    """
    found = {}
    for name, axis in axes.items():
        number, step = divmod(number, axis.values)
        found[name] = axis.first + step * axis.step
    return found


def _with_claim(content: Mapping[str, Any], claim: str) -> dict[str, Any]:
    volume = {"name": "vol", "persistentVolumeClaim": {"claimName": claim}}
    return {**content, "spec": {**content["spec"], "volumes": [volume]}}


def _csi_node(name: str, operation: CreateNodes) -> CSINode:
    drivers = tuple(
        CSINodeDriver(name=driver, nodeID=name, allocatable=VolumeNodeResources(count=limit))
        for driver, limit in operation.drivers.items()
    )
    notes = {MIGRATED: ",".join(operation.migrated)} if operation.migrated else {}
    return CSINode(
        metadata=ObjectMeta(name=name, annotations=notes), spec=CSINodeSpec(drivers=drivers)
    )
