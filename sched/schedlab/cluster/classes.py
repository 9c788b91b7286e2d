"""Pod classes: pods that look the same to a scheduler share one row of every cache.

A cluster of a hundred thousand pods has a few hundred classes; filtering and scoring once per
class and changed node, instead of once per pod and node, is what makes the model fast.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from schedlab.api.objects import PodSpec
from schedlab.api.requests import nonzero_requests, pod_requests
from schedlab.cluster.vocabulary import ResourceNames


@dataclass(frozen=True, slots=True, eq=False)
class PodClass:
    """What a scheduler may know of a pod before it looks at the pod itself.

    Attributes
    ----------
    id : int
        Row of the class in its `ClassTable`.
    namespace : str
        Namespace of the pods.
    spec : PodSpec
        The pod spec, after defaulting.
    priority : int
        Resolved priority.
    requests : tuple of (int, int)
        Sparse request vector: (resource row, amount), the row ``pods`` with amount 1 included.
    nonzero : tuple of (int, int)
        Milli-cores and bytes that upstream's LeastAllocated counts: 100m and 200Mi stand in for a
        container that asks for nothing.
    """

    id: int
    namespace: str
    spec: PodSpec
    priority: int
    requests: tuple[tuple[int, int], ...]
    nonzero: tuple[int, int]

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

    def intern(self, namespace: str, spec: PodSpec, priority: int) -> PodClass:
        """Return the class of pods with *spec*.

        Labels and annotations are not part of a class: no modelled plugin looks at a pod's labels,
        and with them every Deployment would be a class of its own.

        Parameters
        ----------
        namespace : str
            Namespace of the pods.
        spec : PodSpec
            After defaulting.
        priority : int
            Resolved priority.
        """
        key = (namespace, priority, spec.model_dump_json())
        known = self._by_key.get(key)
        if known is None:
            amounts = {**pod_requests(spec), "pods": 1}
            requests = tuple((self.resources.add(name), n) for name, n in amounts.items() if n)
            known = PodClass(
                len(self._classes),
                namespace,
                spec,
                priority,
                tuple(sorted(requests)),
                nonzero_requests(spec),
            )
            self._classes.append(known)
            self._by_key[key] = known
        return known

    def __getitem__(self, class_id: int) -> PodClass:
        return self._classes[class_id]

    def __len__(self) -> int:
        return len(self._classes)

    def __iter__(self) -> Iterator[PodClass]:
        return iter(self._classes)
