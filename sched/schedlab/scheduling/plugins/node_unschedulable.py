"""NodeUnschedulable: a cordoned node takes only pods that tolerate its taint."""

from __future__ import annotations

import numpy as np

from schedlab.api.objects import Taint
from schedlab.api.selectors import toleration_tolerates
from schedlab.cluster.classes import PodClass
from schedlab.cluster.nodes import NodeColumns
from schedlab.scheduling.framework.interface import Code, Codes, Depends, Rows

TAINT = Taint(key="node.kubernetes.io/unschedulable", effect="NoSchedule")
REASON = "node(s) were unschedulable"


class NodeUnschedulable:
    """Filter by ``spec.unschedulable``."""

    name = "NodeUnschedulable"
    depends = Depends.STATIC

    def filter(self, pod: PodClass, nodes: NodeColumns, rows: Rows) -> Codes:
        """Return 1 for cordoned nodes, unless the pod tolerates the cordon's taint."""
        if any(toleration_tolerates(t, TAINT) for t in pod.spec.tolerations):
            return np.zeros(len(rows), np.int64)
        return nodes.unschedulable[rows].astype(np.int64)

    def reasons(self, pod: PodClass, nodes: NodeColumns, code: int) -> tuple[str, ...]:
        """Return upstream's words."""
        return (REASON,)

    def status(self, pod: PodClass, nodes: NodeColumns, row: int, code: int) -> Code:
        """Return that evictions can't help."""
        return Code.UNSCHEDULABLE_AND_UNRESOLVABLE
