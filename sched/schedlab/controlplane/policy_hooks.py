"""What a policy may be asked beside its decision, and what holds where it has no answer.

Every hook is optional (see `schedlab.scheduling.base.Scheduler`). Which of them concern pods of a
class is asked once per class.
"""

from __future__ import annotations

from typing import Any

from schedlab.cluster.classes import PodClass
from schedlab.cluster.pods import PodTable
from schedlab.controlplane.requeueing import Register, default_hints
from schedlab.controlplane.scheduling_queue import SortKey
from schedlab.scheduling.base import Pod, Scheduler
from schedlab.scheduling.framework.binding import HOOKS
from schedlab.scheduling.framework.interface import Code, Refusal, Rejection
from schedlab.scheduling.view import ClusterView

GATED = Refusal("SchedulingGates", Rejection(Code.UNSCHEDULABLE_AND_UNRESOLVABLE, ()))


def served(name: str, policy: Scheduler) -> tuple[str, ...]:
    """Return each ``schedulerName`` that a policy under *name* serves."""
    own: tuple[str, ...] = getattr(policy, "scheduler_names", ())
    return own or (name,)


def pod_of(pods: PodTable, row: int) -> Pod:
    """Return a pod as policies see it."""
    return Pod(
        row,
        pods.classes[pods.pod_class[row]],
        pods.names[row],
        pods.key[row],
        pods.attempts[row],
        pods.created_us[row],
        pods.estimate_us[row],
    )


class PolicyHooks:
    """The hooks of one policy.

    Parameters
    ----------
    policy : Scheduler
        The policy.
    pods : PodTable
        All pods of the run.
    view : ClusterView
        What the policy sees.
    """

    def __init__(self, policy: Any, pods: PodTable, view: ClusterView) -> None:
        self._policy = policy
        self._pods = pods
        self._view = view
        self._of_class: dict[int, frozenset[str]] = {}

    def of(self, pod_class: PodClass) -> frozenset[str]:
        """Return the points at which the policy wants to be asked about pods of a class."""
        found = self._of_class.get(pod_class.id)
        if found is None:
            own = getattr(self._policy, "hooks_for", None)
            if own is None:
                found = frozenset(hook for hook in HOOKS if hasattr(self._policy, hook))
            else:
                found = own(pod_class, self._view)
            self._of_class[pod_class.id] = found
        return found

    def refusal(self, row: int) -> Refusal | None:
        """Return why a pod may not enter the queue; None when it may."""
        pods = self._pods
        pod_class = pods.classes[pods.pod_class[row]]
        if "pre_enqueue" in self.of(pod_class):
            found: Refusal | None = self._policy.pre_enqueue(pod_of(pods, row), self._view)
            return found
        # only a policy that knows of gates may do without them
        gated = pod_class.spec.scheduling_gates and not hasattr(self._policy, "pre_enqueue")
        return GATED if gated else None

    def sort_key(self) -> SortKey | None:
        """Return the order of the queue; None = upstream's."""
        own = getattr(self._policy, "sort_key", None)
        return None if own is None else lambda row, since: own(pod_of(self._pods, row), since)

    def register(self) -> Register:
        """Return what says which events may help a pod."""
        own = getattr(self._policy, "events_to_register", None)
        if own is None:
            return default_hints(self._view.state)
        return lambda pod, rejected_by: own(pod, rejected_by, self._view)
