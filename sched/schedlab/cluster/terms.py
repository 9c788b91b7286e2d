"""Terms: which pods a selector means, and how many of them stand on each node.

Inter-pod affinity and topology spreading both ask "how many pods that match this are there?". A
`PodTerm` says which pods; `TermCounts` keeps an int64 column of counts per node for each term that
somebody has asked for, and moves it with every pod that is added or removed. Counts per topology
domain are sums over nodes, and are the asking plugin's business: which nodes are eligible depends
on the pod that asks.

Counting on demand over the pods of all nodes was rejected: it costs pods x terms per decision.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from schedlab.api.objects import LabelSelector
from schedlab.api.selectors import label_selector_matches
from schedlab.cluster.classes import ClassTable, PodClass
from schedlab.cluster.objects import ClusterObjects

BUDGET_BYTES = 256 << 20
"""Memory that the columns of one `TermCounts` may take; the least recently asked for go first."""

Pair = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class PodTerm:
    """Which pods are meant: those of some namespaces that a label selector selects.

    Attributes
    ----------
    namespaces : frozenset of str
        Namespaces by name.
    namespace_selector : LabelSelector, optional
        Namespaces by label as well; an empty selector means all, None none.
    selector : LabelSelector, optional
        Labels of the pods; an empty selector means all, None none.
    live : bool
        Leave out pods that are being deleted (topology spreading does, affinity does not).
    key : str
        Equal for equal terms.
    also : tuple of PodTerm
        Further terms that have to mean the pods as well (see `all_of`).
    """

    namespaces: frozenset[str] = field(compare=False)
    namespace_selector: LabelSelector | None = field(compare=False)
    selector: LabelSelector | None = field(compare=False)
    live: bool = field(compare=False)
    key: str
    also: tuple[PodTerm, ...] = field(default=(), compare=False)

    @classmethod
    def of(
        cls,
        namespaces: Iterable[str],
        selector: LabelSelector | None,
        *,
        namespace_selector: LabelSelector | None = None,
        live: bool = False,
    ) -> PodTerm:
        """Return a term."""
        names = frozenset(namespaces)
        parts = [
            ",".join(sorted(names)),
            _text(namespace_selector),
            _text(selector),
            "live" if live else "all",
        ]
        return cls(names, namespace_selector, selector, live, "|".join(parts))

    @classmethod
    def all_of(cls, terms: Sequence[PodTerm]) -> PodTerm:
        """Return a term of the pods that every one of *terms* means, at least one of them."""
        first, *others = terms
        if not others:
            return first
        key = "&".join(f"({term.key})" for term in terms)
        return replace(first, key=key, also=(*first.also, *others))

    def covers(self, namespace: str, objects: ClusterObjects) -> bool:
        """Return whether pods of *namespace* are meant."""
        if namespace in self.namespaces:
            return True
        chosen = self.namespace_selector
        return chosen is not None and label_selector_matches(
            chosen, objects.namespace_labels(namespace)
        )

    def matches(self, pod: PodClass, objects: ClusterObjects) -> bool:
        """Return whether pods of a class are meant."""
        return (
            label_selector_matches(self.selector, pod.labels)
            and self.covers(pod.namespace, objects)
            and all(term.matches(pod, objects) for term in self.also)
        )

    def keys(self) -> frozenset[str]:
        """Return the label keys of pods that the term looks at."""
        found = {key for term in self.also for key in term.keys()}
        if self.selector is not None:
            found.update(self.selector.match_labels)
            found.update(condition.key for condition in self.selector.match_expressions)
        return frozenset(found)

    def asks_namespaces(self) -> bool:
        """Return whether the labels of namespaces matter."""
        return self.namespace_selector is not None or any(t.asks_namespaces() for t in self.also)

    def pair(self) -> Pair | None:
        """Return a (namespace, label key, value) that every pod meant has, or None."""
        if self.selector is None or self.namespace_selector is not None:
            return None
        if len(self.namespaces) != 1:
            return None
        (namespace,) = self.namespaces
        for key, value in self.selector.match_labels.items():
            return namespace, key, value
        for condition in self.selector.match_expressions:
            if condition.operator == "In" and len(condition.values) == 1:
                return namespace, condition.key, condition.values[0]
        return None


def _text(selector: LabelSelector | None) -> str:
    """Return the conditions of *selector* as text, whatever their order; "" when it is absent."""
    if selector is None:
        return ""
    conditions = [f"{key}={value}" for key, value in selector.match_labels.items()]
    for condition in selector.match_expressions:
        values = ",".join(sorted(condition.values))
        conditions.append(f"{condition.key} {condition.operator} ({values})")
    return f"[{';'.join(sorted(conditions))}]"


class CountColumn:
    """Counts per node.

    Attributes
    ----------
    counts : int64 array of shape [capacity]
        The counts.
    view : memoryview
        The same, for single items: four times as fast as the array.
    """

    __slots__ = ("counts", "view")

    def __init__(self, capacity: int) -> None:
        self.resize(np.zeros(0, np.int64), capacity)

    def resize(self, old: NDArray[np.int64], capacity: int) -> None:
        """Make room for *capacity* nodes, keeping *old* counts."""
        self.counts = np.zeros(capacity, np.int64)
        self.counts[: len(old)] = old
        self.view = self.counts.data


class _Column(CountColumn):
    """The counts of one term."""

    __slots__ = ("term",)

    def __init__(self, term: PodTerm, capacity: int) -> None:
        super().__init__(capacity)
        self.term = term


class TermCounts:
    """How many pods each term means, per node.

    Parameters
    ----------
    classes : ClassTable
        The pod classes of the run.
    objects : ClusterObjects
        Labels of namespaces.
    placed : mapping of int to (mapping of int to int)
        Class -> node row -> number of its pods there.
    leaving : mapping of int to (mapping of int to int)
        The same for the pods among them that are being deleted.

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
        leaving: Mapping[int, Mapping[int, int]],
    ) -> None:
        self._classes = classes
        self._objects = objects
        self._placed = placed
        self._leaving = leaving
        self._columns: OrderedDict[str, _Column] = OrderedDict()
        self._by_pair: dict[Pair | None, dict[str, _Column]] = {}
        self._classes_by_pair: dict[Pair, dict[int, None]] = {}
        self._seen: set[int] = set()
        self._of_class: dict[int, tuple[_Column, ...]] = {}
        self._capacity = 16
        self._namespaces = -1
        self.epoch = 0

    def of(self, term: PodTerm, size: int) -> NDArray[np.int64]:
        """Return how many pods *term* means on each of the first *size* nodes, int64 [size].

        The array is the live column: it moves with the cluster, and is not to be changed.
        """
        if self._namespaces != self._objects.versions["Namespace"]:
            self._namespaces = self._objects.versions["Namespace"]
            self._forget(c for c in self._columns.values() if c.term.asks_namespaces())
        if size > self._capacity:
            self._grow(size)
        column = self._columns.get(term.key)
        if column is None:
            column = self._register(term)
        else:
            self._columns.move_to_end(term.key)
        return column.counts[:size]

    def _register(self, term: PodTerm) -> _Column:
        limit = max(16, BUDGET_BYTES // (8 * self._capacity))
        while len(self._columns) >= limit:
            self._forget([next(iter(self._columns.values()))])
        self._classes.mention(term.keys())
        column = _Column(term, self._capacity)
        self._columns[term.key] = column
        pair = term.pair()
        self._by_pair.setdefault(pair, {})[term.key] = column
        for class_id in list(self._placed if pair is None else self._meant_by(pair)):
            pod = self._classes[class_id]
            if term.matches(pod, self._objects):
                known = self._of_class.get(class_id)
                if known is not None:
                    self._of_class[class_id] = (*known, column)
                for node, count in self._placed.get(class_id, {}).items():
                    column.counts[node] += count
                if term.live:
                    for node, count in self._leaving.get(class_id, {}).items():
                        column.counts[node] -= count
        return column

    def _meant_by(self, pair: Pair) -> Iterable[int]:
        for class_id in range(len(self._seen), len(self._classes)):
            pod = self._classes[class_id]
            self._seen.add(class_id)
            for key, value in pod.labels.items():
                self._classes_by_pair.setdefault((pod.namespace, key, value), {})[class_id] = None
        return self._classes_by_pair.get(pair, ())

    def _forget(self, columns: Iterable[_Column]) -> None:
        for column in list(columns):
            self.epoch += 1
            del self._columns[column.term.key]
            pair = column.term.pair()
            self._by_pair[pair].pop(column.term.key)
            for class_id in list(self._of_class) if pair is None else self._meant_by(pair):
                known = self._of_class.get(class_id, ())
                if column in known:
                    self._of_class[class_id] = tuple(c for c in known if c is not column)

    def _grow(self, size: int) -> None:
        self._capacity = max(size, 2 * self._capacity)
        self.epoch += 1
        for column in self._columns.values():
            column.resize(column.counts, self._capacity)

    def _columns_of(self, pod: PodClass) -> tuple[_Column, ...]:
        found = self._of_class.get(pod.id)
        if found is None:
            found = self._of_class[pod.id] = tuple(
                column
                for column in self._candidates(pod)
                if column.term.matches(pod, self._objects)
            )
        return found

    def _candidates(self, pod: PodClass) -> Iterator[_Column]:
        yield from self._by_pair.get(None, {}).values()
        for key, value in pod.labels.items():
            yield from self._by_pair.get((pod.namespace, key, value), {}).values()

    def move(self, pod: PodClass, node: int, change: int, *, leaving: bool) -> None:
        """Count *change* pods of a class more on *node*.

        *leaving* says that they are being deleted, which `PodTerm.live` leaves out.
        """
        if not self._columns:
            return
        if node >= self._capacity:
            self._grow(node + 1)
        for column in self._columns_of(pod):
            if not (leaving and column.term.live):
                column.view[node] += change

    def leave(self, pod: PodClass, node: int, change: int) -> None:
        """Count *change* pods of a class on *node* among those being deleted, or back (-)."""
        for column in self._columns_of(pod):
            if column.term.live:
                column.view[node] -= change
