"""NodeUnschedulable: a cordoned node takes only pods that tolerate its taint."""

from __future__ import annotations

import numpy as np

from schedlab.api.objects import Taint
from schedlab.api.selectors import toleration_tolerates
from schedlab.scheduling.framework.interface import Code, Codes, Cycle, Depends, Rows

TAINT = Taint(key="node.kubernetes.io/unschedulable", effect="NoSchedule")
REASON = "node(s) were unschedulable"


class NodeUnschedulable:
    """Filter by ``spec.unschedulable``."""

    name = "NodeUnschedulable"
    depends = Depends.STATIC

    def filter(self, cycle: Cycle, rows: Rows) -> Codes:
        """Return 1 for cordoned nodes, unless the pod tolerates the cordon's taint."""
        if any(toleration_tolerates(t, TAINT) for t in cycle.pod_class.spec.tolerations):
            return np.zeros(len(rows), np.int64)
        return cycle.nodes.unschedulable[rows].astype(np.int64)

    def reasons(self, cycle: Cycle, row: int, code: int) -> tuple[str, ...]:
        """Return upstream's words."""
        return (REASON,)

    def status(self, cycle: Cycle, row: int, code: int) -> Code:
        """Return that evictions can't help."""
        return Code.UNSCHEDULABLE_AND_UNRESOLVABLE
