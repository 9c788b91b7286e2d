"""Random: any feasible node, and any GPU on it that has room; drawn by the pod's key.

All nodes score alike, so that the scheduler's own draw among equals decides (``tie_break:
random``). A score of 100 for one drawn node, as in the program of FGD's authors, was rejected: it
would depend on all feasible nodes and be worked out anew for each pod.
"""

from __future__ import annotations

import numpy as np

from schedlab.cluster.devices import WHOLE
from schedlab.rng import Draws
from schedlab.scheduling.framework.interface import Cycle, Depends, Rejection, Rows, Scores


class Random:
    """A node and a GPU by chance."""

    name = "Random"
    depends = Depends.STATIC

    def score(self, cycle: Cycle, rows: Rows) -> Scores:
        """Return zeros."""
        return np.zeros(len(rows), np.int64)

    def reserve(self, cycle: Cycle, row: int) -> Rejection | None:
        """Draw the GPU of a share among those that have room."""
        wanted, pod = cycle.pod_class.devices, cycle.pod
        if wanted is None or pod is None or wanted.milli == WHOLE:
            return None
        columns = cycle.nodes.devices
        fitting = np.flatnonzero(columns.free[row, : columns.count[row]] >= wanted.milli)
        if len(fitting):
            draws = cycle.memo("draws", lambda: Draws(0)).stream("gpu")
            device = fitting[draws.integer(len(fitting), pod.key, pod.attempt)]
            cycle.put("devices", (int(device),))
        return None
