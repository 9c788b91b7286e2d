"""NodeName: a pod that names its node goes there and nowhere else."""

from __future__ import annotations

import numpy as np

from schedlab.cluster.classes import PodClass
from schedlab.cluster.nodes import NodeColumns
from schedlab.scheduling.framework.interface import Code, Codes, Depends, Rows

REASON = "node(s) didn't match the requested node name"


class NodeName:
    """Filter by ``spec.nodeName``."""

    name = "NodeName"
    depends = Depends.STATIC

    def filter(self, pod: PodClass, nodes: NodeColumns, rows: Rows) -> Codes:
        """Return 1 for every node but the one that the pod names."""
        wanted = pod.spec.node_name
        if not wanted:
            return np.zeros(len(rows), np.int64)
        return np.asarray(rows != nodes.row_of.get(wanted, -1), np.int64)

    def reasons(self, pod: PodClass, nodes: NodeColumns, code: int) -> tuple[str, ...]:
        """Return upstream's words."""
        return (REASON,)

    def status(self, pod: PodClass, nodes: NodeColumns, row: int, code: int) -> Code:
        """Return that evictions can't help."""
        return Code.UNSCHEDULABLE_AND_UNRESOLVABLE
