"""Nodes in columns: what they offer, what is requested of them, what they are.

Rows grow by doubling. A removed node leaves a tombstone: its row stays, `present` is false and
nothing fits on it any more; the row is taken again by a later node under a new generation.
Two logs of changed rows, one of attributes and one of usage, let caches refresh only what changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schedlab.api.objects import Node, Taint
from schedlab.cluster.devices import GPU_MILLI, WHOLE, DeviceColumns
from schedlab.cluster.images import Images
from schedlab.cluster.vocabulary import ResourceNames, Vocabulary

HOSTNAME = "kubernetes.io/hostname"
ZONE = "topology.kubernetes.io/zone"
REGION = "topology.kubernetes.io/region"


class Domains(NamedTuple):
    """The topology domains under one label key."""

    of: NDArray[np.int32]
    """Number of each node's domain, int32 [size]; -1 where it lacks the key, or is not there."""
    sizes: NDArray[np.int64]
    """Nodes of each domain, int64 [D]."""


class ChangeLog:
    """Rows in the order in which they changed; a reader keeps its own cursor into it.

    Attributes
    ----------
    count : int
        Number of changes ever logged: the cursor of a reader that has seen all.
    rows : int32 array of shape [capacity]
        The last changes; the change with number i stands at index i - `base`.
    base : int
        Number of the oldest change that is still kept.
    """

    __slots__ = ("_view", "base", "count", "rows")

    def __init__(self, capacity: int = 1024) -> None:
        self.rows = np.zeros(capacity, np.int32)
        self._view = self.rows.data
        self.base = 0
        self.count = 0

    def append(self, row: int) -> None:
        """Log a change of *row*."""
        try:
            self._view[self.count - self.base] = row
        except IndexError:
            self._compact()
            self._view[self.count - self.base] = row
        self.count += 1

    def since(self, cursor: int) -> NDArray[np.int32] | None:
        """Return the rows changed since *cursor*, or None when the log no longer goes that far."""
        if cursor < self.base:
            return None
        return self.rows[cursor - self.base : self.count - self.base]

    def grow(self, nodes: int) -> None:
        """Make room for a log of four changes per node: beyond that a full refresh is cheaper."""
        if len(self.rows) < 4 * nodes:
            rows = np.zeros(4 * nodes, np.int32)
            kept = self.count - self.base
            rows[:kept] = self.rows[:kept]
            self.rows = rows
            self._view = rows.data

    def _compact(self) -> None:
        half = len(self.rows) // 2
        self.rows[: len(self.rows) - half] = self.rows[half:].copy()
        self.base += half


class NodeColumns:
    """The nodes that one component sees, in columns of capacity N.

    Parameters
    ----------
    resources : ResourceNames
        Names of the rows of `allocatable` and `requested`.
    scored : bool, default True
        Keep what scoring needs: `nonzero_requested` and the log `usage`. A component that only
        counts what is requested saves a third of the time per pod without them.

    Attributes
    ----------
    size : int
        Number of rows in use, tombstones included; columns are valid up to here.
    names : list of str
        Node names by row.
    allocatable, requested : int64 array of shape [R, N]
        Milli-cores, bytes or counts; the row ``pods`` counts pods.
    nonzero_requested : int64 array of shape [2, N]
        Milli-cores and bytes with upstream's defaults for pods that ask for nothing.
    present : bool array of shape [N]
        False for tombstones.
    unschedulable : bool array of shape [N]
        ``spec.unschedulable``.
    generation : int32 array of shape [N]
        Counts the nodes that have had this row.
    usage, attributes : ChangeLog
        Rows whose `requested` changed; rows that were added, removed or relabelled.
    devices : DeviceColumns
        The nodes' GPUs, one by one.
    images : Images
        Which nodes have which image.
    """

    def __init__(self, resources: ResourceNames, *, scored: bool = True) -> None:
        self.resources = resources
        self.scored = scored
        self.size = 0
        self.names: list[str] = []
        self.row_of: dict[str, int] = {}
        self.nodes: list[Node | None] = []
        self.taints: list[tuple[Taint, ...]] = []
        self.label_values: Vocabulary[str] = Vocabulary()
        self.devices = DeviceColumns()
        self.images = Images()
        self.usage = ChangeLog()
        self.attributes = ChangeLog()
        self._label_columns: dict[str, NDArray[np.int32]] = {}
        self._domains: dict[str, tuple[int, Domains]] = {}
        self._free_rows: list[int] = []
        self.allocatable = np.zeros((0, 0), np.int64)
        self.requested = np.zeros((0, 0), np.int64)
        self.nonzero_requested = np.zeros((2, 0), np.int64)
        self.present = np.zeros(0, np.bool_)
        self.unschedulable = np.zeros(0, np.bool_)
        self.generation = np.zeros(0, np.int32)
        self._allocate(16, max(8, len(resources)))

    def _allocate(self, capacity: int, resources: int) -> None:
        """Make room for *capacity* rows and *resources* resources, keeping what is there."""
        used = self.size

        def matrix(old: NDArray[np.int64], height: int) -> NDArray[np.int64]:
            new = np.zeros((height, capacity), np.int64)
            new[: old.shape[0], :used] = old[:, :used]
            return new

        self.allocatable = matrix(self.allocatable, resources)
        self.requested = matrix(self.requested, resources)
        self.nonzero_requested = matrix(self.nonzero_requested, 2)
        self.present = np.concatenate([self.present[:used], np.zeros(capacity - used, np.bool_)])
        self.unschedulable = np.concatenate(
            [self.unschedulable[:used], np.zeros(capacity - used, np.bool_)]
        )
        self.generation = np.concatenate(
            [self.generation[:used], np.zeros(capacity - used, np.int32)]
        )
        for key, column in self._label_columns.items():
            absent = np.full(capacity - used, -1, np.int32)
            self._label_columns[key] = np.concatenate([column[:used], absent])
        self.capacity = capacity
        self._height = resources
        self._allocatable_flat = memoryview(self.allocatable.data).cast("B").cast("q")
        self._requested_flat = memoryview(self.requested.data).cast("B").cast("q")
        self._nonzero_flat = memoryview(self.nonzero_requested.data).cast("B").cast("q")
        self.usage.grow(capacity)
        self.attributes.grow(capacity)

    def reserve_resources(self) -> None:
        """Give every resource of the vocabulary a row."""
        if len(self.resources) > self.allocatable.shape[0]:
            self._allocate(self.capacity, len(self.resources) * 5 // 4 + 4)

    def add(self, node: Node) -> int:
        """Add a node, or replace the attributes of the one with its name; return its row."""
        name = node.metadata.name
        row = self.row_of.get(name, -1)
        if row < 0:
            row = self._new_row(name)
        for resource in node.status.allocatable:
            self.resources.add(resource)
        self.reserve_resources()
        self.allocatable[:, row] = 0
        for resource, amount in node.status.allocatable.items():
            self.allocatable[self.resources.get(resource), row] = amount
        gpus = self.devices.set(row, node, self.capacity)
        if gpus:
            self._offer(row, GPU_MILLI, gpus * WHOLE)
        old = self.nodes[row]
        if old is not None:
            self.images.remove(row, old.status.images)
        self.images.add(row, node.status.images)
        self.nodes[row] = node
        self.taints[row] = node.spec.taints
        self.present[row] = True
        self.unschedulable[row] = bool(node.spec.unschedulable)
        for key in node.metadata.labels:
            if key not in self._label_columns:
                self._label_columns[key] = np.full(self.capacity, -1, np.int32)
        for key, column in self._label_columns.items():
            value = node.metadata.labels.get(key)
            column[row] = -1 if value is None else self.label_values.add(value)
        self.attributes.append(row)
        self.usage.append(row)
        return row

    def _offer(self, row: int, resource: str, amount: int) -> None:
        number = self.resources.add(resource)
        self.reserve_resources()
        self.allocatable[number, row] = amount

    def _new_row(self, name: str) -> int:
        if self._free_rows:
            row = self._free_rows.pop()
            self.names[row] = name
        else:
            if self.size == self.capacity:
                self._allocate(2 * self.capacity, self.allocatable.shape[0])
            row = self.size
            self.size += 1
            self.names.append(name)
            self.nodes.append(None)
            self.taints.append(())
        self.generation[row] += 1
        self.row_of[name] = row
        return row

    def remove(self, name: str) -> int:
        """Turn the row of a node into a tombstone and return it."""
        row = self.row_of.pop(name)
        self.present[row] = False
        self.allocatable[:, row] = 0
        old = self.nodes[row]
        if old is not None:
            self.images.remove(row, old.status.images)
        self.nodes[row] = None
        self.devices.clear(row)
        self.attributes.append(row)
        self.usage.append(row)
        return row

    def recycle(self, row: int) -> None:
        """Let a later node take the tombstone *row*, once no component refers to it any more."""
        if self.present[row] or self.requested[:, row].any() or row in self._free_rows:
            raise ValueError(f"row {row} is in use or free already")
        self._free_rows.append(row)

    def label_column(self, key: str) -> NDArray[np.int32] | None:
        """Return a label's value numbers, int32 [size], -1 = absent; None for an unknown key."""
        column = self._label_columns.get(key)
        return None if column is None else column[: self.size]

    def domains(self, key: str) -> Domains:
        """Return the topology domains under a label key."""
        known = self._domains.get(key)
        if known is None or known[0] != self.attributes.count:
            column = self.label_column(key)
            of = np.full(self.size, -1, np.int32)
            sizes = np.zeros(0, np.int64)
            if column is not None:
                there = self.present[: self.size] & (column >= 0)
                _, numbers, sizes = np.unique(
                    column[there], return_inverse=True, return_counts=True
                )
                of[there] = numbers
            known = self._domains[key] = (self.attributes.count, Domains(of, sizes))
        return known[1]

    def charge(
        self, row: int, requests: tuple[tuple[int, int], ...], nonzero: tuple[int, int], sign: int
    ) -> None:
        """Add (*sign* 1) or subtract (-1) the request of one pod on node *row*.

        *requests* is sorted by resource row, so that its last entry tells whether there is room.
        """
        if requests and requests[-1][0] >= self._height:
            self.reserve_resources()
        flat, width = self._requested_flat, self.capacity
        for resource, amount in requests:
            flat[resource * width + row] += sign * amount
        if self.scored:
            extra = self._nonzero_flat
            extra[row] += sign * nonzero[0]
            extra[width + row] += sign * nonzero[1]
            self.usage.append(row)

    def fits(self, row: int, requests: tuple[tuple[int, int], ...]) -> bool:
        """Tell whether a request fits into what is free on node *row*."""
        if requests and requests[-1][0] >= self._height:
            self.reserve_resources()
        requested, allocatable, width = self._requested_flat, self._allocatable_flat, self.capacity
        for resource, amount in requests:
            at = resource * width + row
            if requested[at] + amount > allocatable[at]:
                return False
        return bool(self.present[row])

    def labels(self, row: int) -> Mapping[str, str]:
        """Return the labels of the node in *row*."""
        node = self.nodes[row]
        return {} if node is None else node.metadata.labels
