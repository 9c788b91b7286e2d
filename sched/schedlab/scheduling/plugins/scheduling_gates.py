"""SchedulingGates: a pod waits outside the queue until its last gate is lifted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schedlab.scheduling.framework.interface import Code, Rejection

if TYPE_CHECKING:
    from schedlab.scheduling.base import Pod


class SchedulingGates:
    """Keep pods with scheduling gates out of the queue."""

    name = "SchedulingGates"

    def pre_enqueue(self, pod: Pod, state: object) -> Rejection | None:
        """Return the pod's gates, in the order of its spec."""
        gates = pod.pod_class.spec.scheduling_gates
        if not gates:
            return None
        words = f"waiting for scheduling gates: [{' '.join(gate.name for gate in gates)}]"
        return Rejection(Code.UNSCHEDULABLE_AND_UNRESOLVABLE, (words,))
