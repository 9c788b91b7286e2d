"""NodeName: a pod that names its node goes there and nowhere else."""

from __future__ import annotations

import numpy as np

from schedlab.scheduling.framework.interface import Code, Codes, Cycle, Depends, Rows

REASON = "node(s) didn't match the requested node name"


class NodeName:
    """Filter by ``spec.nodeName``."""

    name = "NodeName"
    depends = Depends.STATIC

    def filter(self, cycle: Cycle, rows: Rows) -> Codes:
        """Return 1 for every node but the one that the pod names."""
        wanted = cycle.pod_class.spec.node_name
        if not wanted:
            return np.zeros(len(rows), np.int64)
        return np.asarray(rows != cycle.nodes.row_of.get(wanted, -1), np.int64)

    def reasons(self, cycle: Cycle, row: int, code: int) -> tuple[str, ...]:
        """Return upstream's words."""
        return (REASON,)

    def status(self, cycle: Cycle, row: int, code: int) -> Code:
        """Return that evictions can't help."""
        return Code.UNSCHEDULABLE_AND_UNRESOLVABLE
