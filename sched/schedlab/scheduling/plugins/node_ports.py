"""NodePorts: a host port can be taken once per node.

Two ports collide when number and protocol are the same and the addresses are, or one of them is
0.0.0.0, which stands for all. What is taken on a node is `ClusterState.used_ports`; nodes share few
distinct sets, and each is judged once per call.
"""

from __future__ import annotations

import numpy as np

from schedlab.cluster.classes import HostPort, PodClass, collide
from schedlab.cluster.state import ClusterState
from schedlab.scheduling.framework.interface import (
    GO_ON,
    SKIP,
    Code,
    Codes,
    Cycle,
    Depends,
    PreFiltered,
    Rows,
)

REASON = "node(s) didn't have free ports for the requested pod ports"


class NodePorts:
    """Filter by host ports."""

    name = "NodePorts"
    depends = Depends.NODE

    def concerns(self, state: ClusterState, pod: PodClass) -> bool:
        """Return whether pods of a class take ports of their node."""
        return bool(pod.host_ports)

    def pre_filter(self, cycle: Cycle) -> PreFiltered:
        """Skip pods without host ports."""
        return GO_ON if cycle.pod_class.host_ports else SKIP

    def filter(self, cycle: Cycle, rows: Rows) -> Codes:
        """Return 1 where one of the pod's ports is taken."""
        codes = np.zeros(len(rows), np.int64)
        wanted, used = cycle.pod_class.host_ports, cycle.state.used_ports
        if not wanted or not used:
            return codes
        known: dict[frozenset[HostPort], bool] = {}
        for i, row in enumerate(rows.tolist()):
            taken = used.get(row)
            if taken is None:
                continue
            collides = known.get(taken)
            if collides is None:
                collides = known[taken] = any(collide(a, b) for a in wanted for b in taken)
            codes[i] = collides
        return codes

    def moved_by(self, cycle: Cycle, other: PodClass) -> bool:
        """Return whether pods of another class take host ports."""
        return bool(other.host_ports)

    def reasons(self, cycle: Cycle, row: int, code: int) -> tuple[str, ...]:
        """Return upstream's words."""
        return (REASON,)

    def status(self, cycle: Cycle, row: int, code: int) -> Code:
        """Return that evictions could help."""
        return Code.UNSCHEDULABLE
