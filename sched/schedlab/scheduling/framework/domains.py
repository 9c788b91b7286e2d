"""What topology domains contribute to one class's decisions, kept up to date.

Topology spreading and inter-pod affinity ask how many pods of some kind are in a node's domain. A
`DomainEntry` says which pods, which domains and what follows from the number; `DomainCounts` holds
the numbers for all entries of a class as the arrays that `schedlab.scheduling.framework.choice`
reads, and moves them by the rows of the usage log: a placement costs as much as there are entries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schedlab.cluster.compiled import compiled
from schedlab.cluster.nodes import HOSTNAME as HOSTNAME_LABEL
from schedlab.cluster.nodes import Domains, NodeColumns
from schedlab.scheduling.framework.choice import (
    ANTI,
    SOFT,
)
from schedlab.scheduling.framework.class_cache import Cursor
from schedlab.scheduling.framework.runs import move_counts

Column = NDArray[np.int64]
SCALAR_UP_TO = 8


@dataclass(frozen=True, slots=True)
class DomainEntry:
    """One number per topology domain, and what follows from it.

    Attributes
    ----------
    kind : int
        SPREAD, AFFINITY, ANTI, SOFT or PREFERRED of `choice`.
    topology_key : str
        Label of nodes whose values part them into domains.
    sources : tuple of (int64 array of shape [N], int)
        Columns of pods per node, each with its weight. They are live: they move with the cluster.
    eligible : bool array of shape [N], optional
        Nodes whose pods count; all when absent.
    max_skew, min_domains, self_match : int
        Of SPREAD (and SOFT: maxSkew); self_match 1 where the pod matches its own terms.
    """

    kind: int
    topology_key: str
    sources: tuple[tuple[Column, int], ...]
    eligible: NDArray[np.bool_] | None = None
    max_skew: int = 0
    min_domains: int = 1
    self_match: int = 0

    def by_node(self) -> bool:
        """Return whether each node counts for itself (soft constraints on the hostname)."""
        return self.kind == SOFT and self.topology_key == HOSTNAME_LABEL


NO_ENTRIES = (
    np.zeros((0, 0), np.int32),
    np.zeros((0, 0), np.int64),
    np.zeros((0, 0), np.int64),
    np.zeros((0, 6), np.int64),
)
"""(doms, counts, sizes, params) without entries."""


class DomainCounts:
    """The numbers of E entries over N nodes and at most D domains.

    Parameters
    ----------
    entries : sequence of DomainEntry
        What is counted.
    nodes : NodeColumns
        The nodes; all is built anew by whoever made this when their attributes change.

    Attributes
    ----------
    doms : int32 array of shape [E, N]
        Domain of each node, -1 = it lacks the key.
    counts, sizes : int64 array of shape [E, D]
        The numbers, and how many eligible nodes each domain has.
    params : int64 array of shape [E, 6]
        See `choice`.
    eligible : bool array of shape [E, N]
        Nodes whose pods count.
    own : int64 array of shape [E]
        What one more pod of the class itself adds; set by whoever knows the class.
    """

    def __init__(self, entries: Sequence[DomainEntry], nodes: NodeColumns) -> None:
        self.entries = tuple(entries)
        size, number = nodes.size, len(self.entries)
        domains = [_domains(entry, nodes) for entry in self.entries]
        width = max((len(sizes) for _, sizes in domains), default=0)
        self.doms = np.empty((number, size), np.int32)
        self.counts = np.zeros((number, width), np.int64)
        self.sizes = np.zeros((number, width), np.int64)
        self.params = np.zeros((number, 6), np.int64)
        self.eligible = np.ones((number, size), np.bool_)
        self._seen = np.zeros((number, size), np.int64)
        self.own = np.zeros(number, np.int64)
        for e, (entry, (of, sizes)) in enumerate(zip(self.entries, domains, strict=True)):
            count = len(sizes)
            self.doms[e] = of
            self.params[e] = (entry.kind, count, entry.max_skew, entry.min_domains,
                              entry.self_match, entry.topology_key == HOSTNAME_LABEL)  # fmt: skip
            if entry.eligible is not None:
                self.eligible[e] = entry.eligible[:size]
                counted = of[self.eligible[e] & (of >= 0)]
                sizes = np.bincount(counted, minlength=count)
            self.sizes[e, :count] = sizes
        self.arrays = (self.doms, self.counts, self.sizes, self.params)
        self._cursor = Cursor()
        self._cursor.outgrown(nodes)

    def totals(self, row: int) -> NDArray[np.int64]:
        """Return the weighted sum of each entry's columns on one node, int64 [E]."""
        return np.array(
            [sum(w * int(column[row]) for column, w in entry.sources) for entry in self.entries],
            np.int64,
        )

    def refresh(self, nodes: NodeColumns) -> NDArray[np.int32]:
        """Bring the numbers up to date; return the rows looked at (some perhaps twice)."""
        rows = self._cursor.changed_usage(nodes)
        if len(rows) <= SCALAR_UP_TO:
            few = rows.tolist()
            for e, entry in enumerate(self.entries):
                self._move(e, entry.sources, few)
        else:
            every = len(rows) == nodes.size
            for e, entry in enumerate(self.entries):
                now = np.zeros(len(rows), np.int64)
                for column, weight in entry.sources:
                    now += weight * (column if every else column[rows])
                move_counts(
                    rows, now, self.doms[e], self.eligible[e], self._seen[e], self.counts[e]
                )
        return rows

    def _move(self, e: int, columns: tuple[tuple[Column, int], ...], rows: list[int]) -> None:
        of, seen, counts, eligible = self.doms[e], self._seen[e], self.counts[e], self.eligible[e]
        for row in rows:
            now = 0
            for column, weight in columns:
                now += weight * int(column[row])
            domain = of[row]
            if now != seen[row] and domain >= 0 and eligible[row]:
                counts[domain] += now - seen[row]
                seen[row] = now


def _domains(entry: DomainEntry, nodes: NodeColumns) -> Domains:
    """Return the domains that an entry counts by."""
    found = nodes.domains(entry.topology_key)
    if not entry.by_node():
        return found
    rows = np.arange(nodes.size, dtype=np.int32)
    return Domains(np.where(found.of >= 0, rows, np.int32(-1)), np.ones(nodes.size, np.int64))


@compiled
def block_rows(rows: Any, alone: Any, doms: Any, counts: Any, blocked: Any) -> None:
    """Note which of *rows* the entries *alone* reject, whose domains are single nodes."""
    for k in range(len(rows)):
        n = rows[k]
        blocked[n] = False
        for e in alone:
            d = doms[e, n]
            if d >= 0 and counts[e, d] > 0:
                blocked[n] = True


def keeps_single_nodes(entry: DomainEntry, nodes: NodeColumns) -> bool:
    """Return whether an entry rejects nodes one by one: each of its domains is a single node."""
    if entry.kind != ANTI:
        return False
    sizes = nodes.domains(entry.topology_key).sizes
    return len(sizes) > 1 and int(sizes.max()) == 1
