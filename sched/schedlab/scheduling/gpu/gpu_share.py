"""GpuShare: some GPUs of the node have what the pod asks for, and are of a model that it accepts.

The other filters count a node's GPUs as one pool, in which two halves make a whole.
"""

from __future__ import annotations

import numpy as np

from schedlab.cluster.classes import PodClass
from schedlab.cluster.state import ClusterState
from schedlab.scheduling.framework.cluster_events import (
    NODE_ADD,
    NODE_UPDATE,
    POD_DELETE,
    ClusterEvent,
)
from schedlab.scheduling.framework.interface import (
    Code,
    Codes,
    Cycle,
    Depends,
    Rows,
)
from schedlab.scheduling.gpu.asked import asked_of
from schedlab.scheduling.gpu.kernels import NOT_FREE, TOO_FEW, WRONG_MODEL, share_codes

REASONS = {
    WRONG_MODEL: "node(s) had no GPU of a model that the pod accepts",
    TOO_FEW: "node(s) had fewer GPUs than the pod asks for",
    NOT_FREE: "Insufficient GPU share",
}


class GpuShare:
    """Filter by single GPUs."""

    name = "GpuShare"
    depends = Depends.NODE
    ignores_requests = True

    def concerns(self, state: ClusterState, pod: PodClass) -> bool:
        """Return whether pods of a class ask for GPUs."""
        return pod.devices is not None

    def queueing_hint(self, event: ClusterEvent, pod: PodClass, state: ClusterState) -> bool:
        """Return whether an event may help a pod for which no node had the GPUs."""
        wanted, row = pod.devices, event.node
        if wanted is None or event.name not in (POD_DELETE, NODE_ADD, NODE_UPDATE):
            return False
        if row < 0 or state.nodes.devices.choose(row, wanted) is not None:
            return True
        others = state.pods_on[row].values() if row < len(state.pods_on) else ()
        return any(other.devices and other.priority < pod.priority for other in others)

    def filter(self, cycle: Cycle, rows: Rows) -> Codes:
        """Return one of `REASONS` per node, 0 = passes."""
        asked, columns = asked_of(cycle), cycle.nodes.devices
        if asked.devices is None:
            return np.zeros(len(rows), np.int64)
        if not columns.width:
            return np.full(len(rows), WRONG_MODEL, np.int64)
        codes: Codes = share_codes(
            rows, columns.free, columns.count, columns.model, asked.pod, asked.models
        )
        return codes

    def reasons(self, cycle: Cycle, row: int, code: int) -> tuple[str, ...]:
        """Return the words for a code."""
        return (REASONS[code],)

    def status(self, cycle: Cycle, row: int, code: int) -> Code:
        """Return whether it would help if pods left the node."""
        return Code.UNSCHEDULABLE if code == NOT_FREE else Code.UNSCHEDULABLE_AND_UNRESOLVABLE
