"""What a policy may be asked beside its decision, and what holds where it has no answer.

Every hook is optional (see `schedlab.scheduling.base.Scheduler`). Which of them concern pods of a
class is asked once per class. A policy that only chooses nodes leaves the rest to kube-scheduler's
own plugins: gates hold pods back, and claims get their volumes before a pod is bound.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schedlab.cluster.classes import PodClass
from schedlab.cluster.pods import PodTable
from schedlab.controlplane.requeueing import Register, default_hints
from schedlab.controlplane.scheduling_queue import SortKey
from schedlab.scheduling.base import Pod, Scheduler
from schedlab.scheduling.framework.binding import HOOKS, BindingPoints
from schedlab.scheduling.framework.interface import Code, Permit, Refusal, Rejection, Writes
from schedlab.scheduling.framework.profiles import Profile
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


class Points:
    """What is asked on the way to the binding: the policy, or the default plugins in its place.

    Parameters
    ----------
    policy : Scheduler
        The policy.
    """

    def __init__(self, policy: Any) -> None:
        self._policy = policy
        self._default = BindingPoints(Profile.default())

    def hooks(self, pod_class: PodClass, view: ClusterView) -> frozenset[str]:
        """Return the points at which somebody wants to be asked about pods of a class."""
        own = getattr(self._policy, "hooks_for", None)
        if own is not None:
            found: frozenset[str] = own(pod_class, view)
            return found
        named = frozenset(hook for hook in HOOKS if hasattr(self._policy, hook))
        return named | (self._default.hooks(pod_class, view.state) - {"pre_enqueue"})

    def reserve(self, pod: Pod, row: int, view: ClusterView) -> Refusal | None:
        """Let plugins take what the pod needs on its node."""
        own = getattr(self._policy, "reserve", None)
        found: Refusal | None = (
            self._default.reserve(pod, row, view.state) if own is None else own(pod, row, view)
        )
        return found

    def unreserve(self, pod: Pod, row: int) -> None:
        """Let them give it back."""
        self._default.unreserve(pod.row, row)
        own = getattr(self._policy, "unreserve", None)
        if own is not None:
            own(pod, row)

    def permit(self, pod: Pod, row: int, view: ClusterView) -> Mapping[str, Permit]:
        """Return what each plugin says; a policy without plugins may say it as a whole."""
        said = self._policy.permit(pod, row, view)
        return {"": said} if isinstance(said, Permit) else said

    def pre_bind(self, pod: Pod, row: int, view: ClusterView) -> Refusal | Writes | None:
        """Return what has to be done before the pod can be bound."""
        own = getattr(self._policy, "pre_bind", None)
        found: Refusal | Writes | None = (
            self._default.pre_bind(pod, row, view.state) if own is None else own(pod, row, view)
        )
        return found

    def bind(self, pod: Pod, row: int, view: ClusterView) -> None:
        """Tell that the binding is being sent."""
        self._policy.bind(pod, row, view)

    def post_bind(self, pod: Pod, row: int, view: ClusterView) -> None:
        """Tell that the pod is bound."""
        self._default.post_bind(pod, row, view.state)
        own = getattr(self._policy, "post_bind", None)
        if own is not None:
            own(pod, row, view)


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
        self.points = Points(policy)
        self._of_class: dict[int, frozenset[str]] = {}

    def of(self, pod_class: PodClass) -> frozenset[str]:
        """Return the points at which the policy wants to be asked about pods of a class."""
        found = self._of_class.get(pod_class.id)
        if found is None:
            found = self._of_class[pod_class.id] = self.points.hooks(pod_class, self._view)
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
