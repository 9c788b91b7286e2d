"""Carried terms: what the pods that are placed say about pods to come.

Inter-pod affinity works both ways: a pod that has found its node keeps others away by its required
anti-affinity, and draws or deters them by its other terms. Scheduling one pod therefore asks: which
terms carried by placed pods mean it, and how many pods carry each of them on every node?
`CarriedTerms` keeps both answers up to date, so that a decision costs neither a walk over the
placed pods nor one over the classes.

A term that many pods carry is kept once, however many classes they are of. Which terms mean a class
is found by a label that the term asks for, kept per class, and extended when a new term turns up.
"""

from __future__ import annotations

import enum
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from schedlab.api.pods import PodAffinityTerm
from schedlab.cluster.classes import ClassTable, PodClass
from schedlab.cluster.objects import ClusterObjects
from schedlab.cluster.terms import BUDGET_BYTES, CountColumn, Pair, PodTerm


class Kind(enum.IntEnum):
    """What a term of a pod's affinity asks for."""

    NEAR = 1
    """Required affinity: pods that are meant have to be in the domain."""
    APART = 2
    """Required anti-affinity: pods that are meant must not be in the domain."""
    PREFERRED = 3
    """Preferred: affinity with a positive weight, anti-affinity with a negative one."""


@dataclass(frozen=True, slots=True)
class AffinityTerm:
    """One term of a pod's affinity or anti-affinity to pods.

    Attributes
    ----------
    kind : Kind
        What it asks for.
    topology_key : str
        Label of nodes: nodes with the same value form a domain.
    weight : int
        1 to 100, or -100 to -1 for anti-affinity, if preferred; else 0.
    pods : PodTerm
        Which pods it means.
    key : str
        Equal for equal terms.
    """

    kind: Kind = field(compare=False)
    topology_key: str = field(compare=False)
    weight: int = field(compare=False)
    pods: PodTerm = field(compare=False)
    key: str

    @classmethod
    def of(cls, pod: PodClass, term: PodAffinityTerm, kind: Kind, weight: int = 0) -> AffinityTerm:
        """Return *term* of pods of a class; without namespaces it means their own."""
        names = term.namespaces
        if not names and term.namespace_selector is None:
            names = (pod.namespace,)
        pods = PodTerm.of(names, term.label_selector, namespace_selector=term.namespace_selector)
        key = f"{kind.name}|{weight}|{term.topology_key}|{pods.key}"
        return cls(kind, term.topology_key, weight, pods, key)


def affinity_terms(pod: PodClass) -> tuple[AffinityTerm, ...]:
    """Return all terms of a class about other pods, those that it states twice twice."""
    affinity = pod.spec.affinity
    if affinity is None:
        return ()
    found: list[AffinityTerm] = []
    for side, kind, sign in (
        (affinity.pod_affinity, Kind.NEAR, 1),
        (affinity.pod_anti_affinity, Kind.APART, -1),
    ):
        if side is None:
            continue
        for term in side.required_during_scheduling_ignored_during_execution:
            found.append(AffinityTerm.of(pod, term, kind))
        for preferred in side.preferred_during_scheduling_ignored_during_execution:
            weight = sign * preferred.weight
            found.append(AffinityTerm.of(pod, preferred.pod_affinity_term, Kind.PREFERRED, weight))
    return tuple(found)


class CarriedTerms:
    """The affinity terms of placed pods: which of them mean a class, and how many pods carry them.

    Parameters
    ----------
    classes : ClassTable
        The pod classes of the run.
    objects : ClusterObjects
        Labels of namespaces.
    placed : mapping of int to (mapping of int to int)
        Class -> node row -> number of its pods there.

    Attributes
    ----------
    epoch : int
        Grows when an array that `of` returned earlier may have stopped to follow the cluster, so
        that whoever keeps some has to ask again.
    """

    def __init__(
        self,
        classes: ClassTable,
        objects: ClusterObjects,
        placed: Mapping[int, Mapping[int, int]],
    ) -> None:
        self._classes = classes
        self._objects = objects
        self._placed = placed
        self._own: dict[int, tuple[AffinityTerm, ...]] = {}
        self._carriers: dict[str, dict[int, int]] = {}
        self._by_pair: dict[Pair | None, list[AffinityTerm]] = {}
        self._about: dict[int, tuple[AffinityTerm, ...]] = {}
        self._asked_by_pair: dict[Pair, list[int]] = {}
        self._columns: OrderedDict[str, CountColumn] = OrderedDict()
        self._moved: dict[int, tuple[CountColumn, ...]] = {}
        self._capacity = 16
        self._namespaces = objects.versions["Namespace"]
        self.epoch = 0

    def own(self, pod: PodClass) -> tuple[AffinityTerm, ...]:
        """Return the terms of a class itself."""
        found = self._own.get(pod.id)
        if found is None:
            found = self._own[pod.id] = affinity_terms(pod)
        return found

    def about(self, pod: PodClass) -> tuple[AffinityTerm, ...]:
        """Return the terms that mean pods of a class and that placed pods carry, or have carried.

        It is the same object until there are more, or namespaces change.
        """
        if self._namespaces != self._objects.versions["Namespace"]:
            self._namespaces = self._objects.versions["Namespace"]
            self._about.clear()
            self._asked_by_pair.clear()
        found = self._about.get(pod.id)
        if found is None:
            found = tuple(t for t in self._candidates(pod) if t.pods.matches(pod, self._objects))
            self._about[pod.id] = found
            for pair in pod.labels.items():
                self._asked_by_pair.setdefault((pod.namespace, *pair), []).append(pod.id)
        return found

    def _candidates(self, pod: PodClass) -> Iterator[AffinityTerm]:
        yield from self._by_pair.get(None, ())
        for pair in pod.labels.items():
            yield from self._by_pair.get((pod.namespace, *pair), ())

    def of(self, term: AffinityTerm, size: int) -> NDArray[np.int64]:
        """Return how many pods carry *term* on each of the first *size* nodes, int64 [size].

        A pod that states a term twice counts twice. The array is the live column: it moves with
        the cluster, and is not to be changed.
        """
        if size > self._capacity:
            self._grow(size)
        column = self._columns.get(term.key)
        if column is None:
            column = self._fill(term.key)
        else:
            self._columns.move_to_end(term.key)
        return column.counts[:size]

    def _fill(self, key: str) -> CountColumn:
        limit = max(16, BUDGET_BYTES // (8 * self._capacity))
        while len(self._columns) >= limit:
            self._drop(next(iter(self._columns)))
        column = self._columns[key] = CountColumn(self._capacity)
        for class_id, times in self._carriers.get(key, {}).items():
            self._moved[class_id] += (column,) * times
            for node, count in self._placed.get(class_id, {}).items():
                column.counts[node] += times * count
        return column

    def _drop(self, key: str) -> None:
        self.epoch += 1
        column = self._columns.pop(key)
        for class_id in self._carriers.get(key, ()):
            self._moved[class_id] = tuple(c for c in self._moved[class_id] if c is not column)

    def _grow(self, size: int) -> None:
        self.epoch += 1
        self._capacity = max(size, 2 * self._capacity)
        for column in self._columns.values():
            column.resize(column.counts, self._capacity)

    def move(self, pod: PodClass, node: int, change: int) -> None:
        """Count *change* pods of a class more on *node*; `placed` counts them already."""
        columns = self._moved.get(pod.id)
        if columns is None:
            columns = self._carry(pod)
        if columns:
            if node >= self._capacity:
                self._grow(node + 1)
            for column in columns:
                column.view[node] += change

    def _carry(self, pod: PodClass) -> tuple[CountColumn, ...]:
        """Note what pods of a class carry when the first of them is placed."""
        terms = self.own(pod)
        for term in terms:
            carriers = self._carriers.get(term.key)
            if carriers is None:
                carriers = self._carriers[term.key] = {}
                self._announce(term)
            carriers[pod.id] = carriers.get(pod.id, 0) + 1
        columns = (self._columns.get(term.key) for term in terms)
        found = self._moved[pod.id] = tuple(c for c in columns if c is not None)
        return found

    def _announce(self, term: AffinityTerm) -> None:
        """Tell the classes that have been asked about of a term that nobody carried before."""
        self._classes.mention(term.pods.keys())
        pair = term.pods.pair()
        self._by_pair.setdefault(pair, []).append(term)
        asked = list(self._about) if pair is None else self._asked_by_pair.get(pair, ())
        for class_id in asked:
            if term.pods.matches(self._classes[class_id], self._objects):
                self._about[class_id] += (term,)
