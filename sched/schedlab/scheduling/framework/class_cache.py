"""What is remembered of a pod class between decisions, and how it is kept true.

Per class: which nodes its STATIC filters let pass, and a filter code and a score per node that
depend on what is requested there. The change logs of the columns say which rows to refresh; rows
that nobody touched cost nothing. Caches of classes that have not been used for long are dropped, so
that memory does not grow with classes x nodes.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from schedlab.cluster.classes import PodClass
from schedlab.cluster.nodes import NodeColumns
from schedlab.cluster.state import ClusterState
from schedlab.scheduling.framework.interface import Cycle, FilterPlugin

BUDGET_BYTES = 256 << 20
"""Memory that one kind of cache may take."""
MOST = 1024
"""Values that it keeps at most: memory that is used again costs less than fresh memory."""
LEAST = 16
"""Values that it keeps at least, however large the cluster is."""


@dataclass(slots=True)
class StaticVerdicts:
    """The verdicts of the STATIC filters for one class.

    Attributes
    ----------
    ok : bool array of shape [N]
        The node is there and passes.
    plugin : int8 array of shape [N]
        Index of the filter that rejects it, -1 where none does or no node is there.
    code : int64 array of shape [N]
        Its code.
    reasons : Counter, optional
        How many nodes gave each reason, once somebody asked.
    """

    ok: NDArray[np.bool_]
    plugin: NDArray[np.int8]
    code: NDArray[np.int64]
    reasons: Counter[str] | None = None

    @classmethod
    def of(cls, filters: tuple[tuple[int, FilterPlugin], ...], cycle: Cycle) -> StaticVerdicts:
        """Ask *filters*, each with its index in the profile, about all nodes."""
        size = cycle.nodes.size
        verdicts = cls(
            np.zeros(size, np.bool_), np.full(size, -1, np.int8), np.zeros(size, np.int64)
        )
        verdicts.refresh(filters, cycle, np.arange(size, dtype=np.int64))
        return verdicts

    def refresh(
        self,
        filters: tuple[tuple[int, FilterPlugin], ...],
        cycle: Cycle,
        rows: NDArray[np.int64],
    ) -> None:
        """Ask again about *rows*."""
        passed = cycle.nodes.present[rows].copy()
        self.reasons = None
        self.plugin[rows] = -1
        self.code[rows] = 0
        for index, plugin in filters:
            codes = plugin.filter(cycle, rows)
            new = passed & (codes != 0)
            self.plugin[rows[new]] = index
            self.code[rows[new]] = codes[new]
            passed &= codes == 0
        self.ok[rows] = passed


class Cursor:
    """How far a cache has followed the logs of the columns."""

    __slots__ = ("attributes", "capacity", "resources", "usage")

    def __init__(self) -> None:
        self.usage = -1
        self.attributes = -1
        self.capacity = -1
        self.resources = -1

    def outgrown(self, nodes: NodeColumns) -> bool:
        """Return whether rows or resources were added, so that arrays must be made anew.

        If so every resource has its row in the columns afterwards, the cursor stands at the newest
        change of attributes, and all usage counts as changed.
        """
        now = (nodes.size, len(nodes.resources))
        if (self.capacity, self.resources) == now:
            return False
        nodes.reserve_resources()  # compiled code does not check bounds
        self.capacity, self.resources = now
        self.attributes, self.usage = nodes.attributes.count, -1
        return True

    def changed_attributes(self, nodes: NodeColumns) -> NDArray[np.int64]:
        """Return the rows whose attributes changed since the last call, all if in doubt."""
        log, seen = nodes.attributes, self.attributes
        self.attributes = log.count
        rows = log.since(seen)
        if rows is None:
            return np.arange(nodes.size, dtype=np.int64)
        return np.unique(rows).astype(np.int64)

    def changed_usage(self, nodes: NodeColumns) -> NDArray[np.int32]:
        """Return the rows whose usage changed since the last call (some perhaps twice)."""
        log, seen = nodes.usage, self.usage
        self.usage = log.count
        rows = log.since(seen) if seen >= 0 else None
        if rows is None or len(rows) >= nodes.size:
            return np.arange(nodes.size, dtype=np.int32)
        return rows

    def changed_usage_of_two(
        self, other: Cursor, nodes: NodeColumns
    ) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return `changed_usage` of this cursor and of another, which mostly go side by side."""
        side_by_side = self.usage == other.usage
        rows = self.changed_usage(nodes)
        if side_by_side:
            other.usage = self.usage
            return rows, rows
        return rows, other.changed_usage(nodes)


C = TypeVar("C")


class LeastRecent(Generic[C]):
    """Values by key, the least recently used dropped first.

    Parameters
    ----------
    bytes_each : int
        What one value takes, to keep within `BUDGET_BYTES`.
    """

    __slots__ = ("_asked", "_limit", "_values")

    def __init__(self, bytes_each: int) -> None:
        self._values: OrderedDict[Hashable, C] = OrderedDict()
        self._asked: OrderedDict[Hashable, None] = OrderedDict()
        self._limit = max(LEAST, min(MOST, BUDGET_BYTES // bytes_each))

    def get(self, key: Hashable, make: Callable[[], C]) -> C:
        """Return the value under *key*, made where there is none."""
        found = self._values.get(key)
        if found is None:
            while len(self._values) >= self._limit:
                self._values.popitem(last=False)
            found = self._values[key] = make()
        else:
            self._values.move_to_end(key)
        return found

    def again(self, key: Hashable, make: Callable[[bool], C]) -> C:
        """Return the value under *key*, which is kept only where it was asked for lately.

        *make* is told whether it is.
        """
        found = self._values.get(key)
        if found is not None:
            self._values.move_to_end(key)
            return found
        if key in self._asked:
            del self._asked[key]
            return self.get(key, lambda: make(True))
        if len(self._asked) >= MOST:
            self._asked.popitem(last=False)
        self._asked[key] = None
        return make(False)

    def __len__(self) -> int:
        return len(self._values)


class ClassCaches(Generic[C]):
    """One cache per pod class, the least recently used dropped first.

    Parameters
    ----------
    make : callable
        Makes the cache of a class.
    bytes_per_node : int
        What one cache takes per node, to keep within `BUDGET_BYTES`.
    """

    def __init__(self, make: Callable[[PodClass, ClusterState], C], bytes_per_node: int) -> None:
        self._make = make
        self._bytes_per_node = bytes_per_node
        self._caches: OrderedDict[int, C] = OrderedDict()
        self._state: ClusterState | None = None

    def get(self, pod: PodClass, state: ClusterState) -> C:
        """Return the cache of a class, a fresh one where there is none."""
        if state is not self._state:
            self._caches.clear()
            self._state = state
        cache = self._caches.get(pod.id)
        if cache is None:
            limit = min(MOST, BUDGET_BYTES // max(1, state.nodes.size * self._bytes_per_node))
            limit = max(LEAST, limit)
            while len(self._caches) >= limit:
                self._caches.popitem(last=False)
            cache = self._caches[pod.id] = self._make(pod, state)
        else:
            self._caches.move_to_end(pod.id)
        return cache

    def __len__(self) -> int:
        return len(self._caches)
