"""In which order nodes are visited, and where a search starts: node tree and rotation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from schedlab.cluster.nodes import REGION, ZONE, NodeColumns


def visiting_order(nodes: NodeColumns) -> NDArray[np.int64]:
    """Return the rows of the nodes in kube-scheduler's order: one of each zone in turn.

    A zone is a pair of region and zone label; zones come in the order in which they were first
    seen, nodes within a zone in the order of their rows.
    """
    zones: dict[tuple[str, str], int] = {}
    filled: list[int] = []
    keys = []
    for row in np.flatnonzero(nodes.present[: nodes.size]).tolist():
        labels = nodes.labels(row)
        zone = (labels.get(REGION, ""), labels.get(ZONE, ""))
        number = zones.setdefault(zone, len(zones))
        if number == len(filled):
            filled.append(0)
        keys.append((filled[number], number, row))
        filled[number] += 1
    return np.array([row for _, _, row in sorted(keys)], np.int64)


class Visits:
    """The order of visit, and where the next search starts: one after where the last one ended.

    Parameters
    ----------
    by_zone : bool, default True
        Interleave zones as upstream does; False visits nodes by row (the recording semantics).

    Attributes
    ----------
    order : int64 array of shape [M]
        Rows of the nodes.
    start : int
        Index into *order*.
    """

    __slots__ = ("_by_zone", "_of", "order", "start")

    def __init__(self, *, by_zone: bool = True) -> None:
        self._by_zone = by_zone
        self._of: tuple[int, int] = (-1, -1)
        self.order = np.zeros(0, np.int64)
        self.start = 0

    def refresh(self, nodes: NodeColumns) -> None:
        """Bring the order up to date."""
        mark = (id(nodes), nodes.attributes.count)
        if mark == self._of:
            return
        self._of = mark
        if self._by_zone:
            self.order = visiting_order(nodes)
        else:
            self.order = np.flatnonzero(nodes.present[: nodes.size]).astype(np.int64)
        self.start = self.start % len(self.order) if len(self.order) else 0

    def passed(self, visited: int) -> None:
        """Note that a search has looked at *visited* nodes."""
        if len(self.order):
            self.start = (self.start + visited) % len(self.order)
