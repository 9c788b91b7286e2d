"""kube-scheduler's policy: its framework and plugins, decision for decision.

The decisions are made by the incremental engine (`schedlab.scheduling.framework.engine`); this
module is what a scheduler has around it: profiles, the order of visit and its rotation, ties, the
node that a pod was nominated for, and preemption where no node will do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from schedlab.cluster.classes import PodClass
from schedlab.cluster.state import ClusterState
from schedlab.errors import InputError
from schedlab.rng import Draws
from schedlab.scheduling.base import Eviction, Placement, Pod, PodBatch, Verdict
from schedlab.scheduling.framework.binding import BindingPoints
from schedlab.scheduling.framework.cluster_events import Hint
from schedlab.scheduling.framework.engine import Engine, Outlook
from schedlab.scheduling.framework.feasibility import NO_NODES
from schedlab.scheduling.framework.interface import Code, Cycle, Permit, Refusal, Writes
from schedlab.scheduling.framework.profiles import Profile, nodes_to_find, read_configured
from schedlab.scheduling.framework.queueing_hints import QueueingHints, rejectors
from schedlab.scheduling.framework.runtime import Framework
from schedlab.scheduling.framework.visiting import Visits
from schedlab.scheduling.greedy import Decision, schedule_greedily
from schedlab.scheduling.plugins.priority_sort import PrioritySort
from schedlab.scheduling.view import ClusterView


class KubeScheduler:
    """The default scheduler of Kubernetes.

    Parameters
    ----------
    config : str, Path, mapping or Profile, optional
        A KubeSchedulerConfiguration (v1); `Profile.default` when absent.
    scheduler_name : str, optional
        Which of its profiles; when absent all of them, each for the pods that name it.
    tie_break : {"random", "first"}, default "random"
        Among the best nodes: one drawn by the pod's key, or the first in the order of visit.
    percentage_of_nodes_to_score : int, optional
        Overrides the configuration's; 100 looks at all nodes, 0 is upstream's adaptive share.
    by_zone : bool, default True
        Visit nodes of all zones in turn, as upstream's scheduler does; False = in order of row.
    cached : bool, default True
        Keep what plugins said between decisions. False makes the same decisions from nothing each
        time, for tests and benches.
    """

    tags = frozenset({"order_dependent", "stochastic", "stateful"})

    def __init__(
        self,
        config: str | Path | Mapping[str, Any] | Profile | None = None,
        *,
        scheduler_name: str | None = None,
        tie_break: str = "random",
        percentage_of_nodes_to_score: int | None = None,
        by_zone: bool = True,
        cached: bool = True,
    ) -> None:
        if tie_break not in ("random", "first"):
            raise InputError("tie_break", found=tie_break, expected="random or first")
        profiles, self.backoff_seconds = _configured(config, scheduler_name)
        self.profile = profiles[0]
        share = percentage_of_nodes_to_score
        self._share = self.profile.percentage_of_nodes_to_score if share is None else share
        if not 0 <= self._share <= 100:
            raise InputError("percentage_of_nodes_to_score", found=self._share, expected="0 to 100")
        self._random = tie_break == "random"
        self._cached = cached
        self._engine = Engine(self.profile)
        self._visits = Visits(by_zone=by_zone)
        self._points = BindingPoints(self.profile)
        self._hints = QueueingHints(self.profile)
        self._rng: Draws | None = None
        self._ties = Draws(0)
        self._framework = Framework(self.profile)
        self._others: dict[str, KubeScheduler] = {}
        for profile in profiles[1:]:
            other = KubeScheduler(
                profile,
                tie_break=tie_break,
                percentage_of_nodes_to_score=share,
                by_zone=by_zone,
                cached=cached,
            )
            other._visits = self._visits  # one rotation, whichever profile is asked
            self._others[profile.scheduler_name] = other
        self.scheduler_names = tuple(p.scheduler_name for p in profiles) if self._others else ()

    def schedule(self, pods: PodBatch, view: ClusterView, rng: Draws) -> Placement:
        """Place the pods one after the other."""
        if self._others:
            return self._by_profile(pods, view, rng)
        self._use(rng)
        state = view.state
        if len(pods) > 1 and self._cached and len({pod.pod_class.id for pod in pods}) == 1:
            placement = self._place_run(pods, state)
            if placement is not None:
                return placement
        return schedule_greedily(
            pods,
            view,
            lambda pod: self._decide(pod, state),
            lambda pod, row: self._points.try_reserve(Cycle(state, pod.pod_class, pod), row),
        )

    def _use(self, rng: Draws) -> None:
        """Draw from *rng* from now on."""
        if rng is not self._rng:
            self._rng, self._ties = rng, rng.stream("ties")
            starts = rng.stream("preemption") if self._random else None
            self._framework = Framework(self.profile, draws=starts)

    def _of(self, pod_class: PodClass) -> KubeScheduler:
        """Return who decides on pods of a class: the profile that they name."""
        return self._others.get(pod_class.spec.scheduler_name, self) if self._others else self

    def _by_profile(self, pods: PodBatch, view: ClusterView, rng: Draws) -> Placement:
        state = view.state
        for one in (self, *self._others.values()):
            one._use(rng)

        def reserve(pod: Pod, row: int) -> None:
            points = self._of(pod.pod_class)._points
            points.try_reserve(Cycle(state, pod.pod_class, pod), row)

        return schedule_greedily(
            pods, view, lambda pod: self._of(pod.pod_class)._decide(pod, state), reserve
        )

    def _place_run(self, pods: PodBatch, state: ClusterState) -> Placement | None:
        """Place pods of one class in one call; None where that would not be exact."""
        visits = self._visits
        visits.refresh(state.nodes)
        size = len(visits.order)
        if not size or nodes_to_find(size, self._share) < size:
            return None
        outlook = self._engine.outlook(pods[0].pod_class, state, visits)
        if not outlook.runs or not self._random or pods[0].pod_class.devices is not None:
            return None
        us = self._ties.uniforms(
            np.array([pod.key for pod in pods], np.uint64), np.array([pod.attempt for pod in pods])
        )
        rows, found = outlook.place_run(us, visits)
        if len(rows) < len(pods):
            return None  # the next one needs a message, or preemption: one by one
        count = len(rows)
        return Placement(
            [Verdict.PLACED] * count, rows, [""] * count, [0] * count, found, [size] * count
        )

    def _decide(self, pod: Pod, state: ClusterState) -> Decision:
        visits = self._visits
        visits.refresh(state.nodes)
        size = len(visits.order)
        if not size:
            return Decision(-1, 0, 0, NO_NODES)
        if not self._cached:
            self._engine.forget()
        outlook = self._engine.outlook(pod.pod_class, state, visits)
        if state.nominated:
            nominated = state.nominated.get(pod.row)
            if nominated is not None and outlook.passes(pod, nominated[0]):
                return self._on(pod, state, nominated[0], 1, 1)
        u = self._ties.uniform(pod.key, pod.attempt) if self._random else -1.0
        row, found, visited = outlook.choose(pod, visits, nodes_to_find(size, self._share), u)
        visits.passed(visited)
        if row < 0:
            return self._preempt(pod, state, outlook, visited)
        return self._on(pod, state, row, found, visited)

    def _on(self, pod: Pod, state: ClusterState, row: int, found: int, visited: int) -> Decision:
        """Return the decision for a node, with the devices that a plugin picks there."""
        if pod.pod_class.devices is None:
            return Decision(row, found, visited, "")
        cycle = Cycle(state, pod.pod_class, pod)
        cycle.put("draws", self._ties)
        devices = self._points.devices(cycle, row)
        return Decision(row, found, visited, "", devices)

    def _preempt(self, pod: Pod, state: ClusterState, outlook: Outlook, visited: int) -> Decision:
        """Ask the PostFilter plugins for room, as no node will do."""
        reason = outlook.message(pod)
        cycle = Cycle(state, pod.pod_class, pod)
        found = outlook.verdicts(cycle)
        by = rejectors(found, self.profile)
        answer = self._framework.post_filter(cycle, found)
        if answer is None or answer.chosen is None:
            withdrawn = False
            if answer is not None and answer.rejection is not None:
                reason = " ".join((reason, *answer.rejection.reasons))
                withdrawn = answer.eligible and answer.rejection.code == Code.UNSCHEDULABLE
            return Decision(-1, 0, visited, reason, rejected_by=by, withdrawn=withdrawn)
        evictions = tuple(
            Eviction(victim.pod, f"Preempted by {pod.name}") for victim in answer.chosen.victims
        )
        row = answer.chosen.row
        return Decision(-1, 0, visited, reason, None, row, evictions, by)

    # --- what the component asks around the decision, see `Scheduler` ---------------------------

    @property
    def sort_key(self) -> Callable[[Pod, int], Any] | None:
        """What the queue is sorted by; None = by priority, then by time."""
        (plugin,) = self.profile.plugins("sort_key") or (PrioritySort(),)
        return None if isinstance(plugin, PrioritySort) else plugin.sort_key

    def hooks_for(self, pod_class: PodClass, view: ClusterView) -> frozenset[str]:
        """Return which of the following points concern pods of a class."""
        return self._of(pod_class)._points.hooks(pod_class, view.state)

    def events_to_register(
        self, pod: Pod, rejected_by: frozenset[str] | None, view: ClusterView
    ) -> Mapping[str, tuple[Hint, ...]]:
        """Return what may help a pod that these plugins rejected."""
        return self._of(pod.pod_class)._hints.of(pod, rejected_by, view.state)

    def pre_enqueue(self, pod: Pod, view: ClusterView) -> Refusal | None:
        """Return why the pod may not enter the queue yet."""
        return self._of(pod.pod_class)._points.pre_enqueue(pod, view.state)

    def still_fits(self, pod: Pod, row: int, view: ClusterView) -> bool:
        """Return whether the pod passes the filters on a node now."""
        own = self._of(pod.pod_class)
        own._visits.refresh(view.state.nodes)
        return own._engine.outlook(pod.pod_class, view.state, own._visits).passes(pod, row)

    def reserve(self, pod: Pod, row: int, view: ClusterView) -> Refusal | None:
        """Let the Reserve plugins take what a pod needs on the node it has been assumed on.

        Parameters
        ----------
        pod : Pod
            The pod.
        row : int
            Row of the node.
        view : ClusterView
            The component's projection; plugins change its volumes.

        Returns
        -------
        Refusal or None
            Why the pod can't be bound there after all; nothing is taken then.
        """
        points = self._of(pod.pod_class)._points if self._others else self._points
        return points.reserve(pod, row, view.state)

    def unreserve(self, pod: Pod, row: int) -> None:
        """Give back what `reserve` took: the pod could not be bound."""
        self._of(pod.pod_class)._points.unreserve(pod.row, row)

    def permit(self, pod: Pod, row: int, view: ClusterView) -> dict[str, Permit]:
        """Return what each Permit plugin says of a pod before it is bound, by name."""
        return self._of(pod.pod_class)._points.permit(pod, row, view.state)

    def pre_bind(self, pod: Pod, row: int, view: ClusterView) -> Refusal | Writes | None:
        """Return what is to be done before the pod is bound; None = it can be."""
        return self._of(pod.pod_class)._points.pre_bind(pod, row, view.state)

    def bind(self, pod: Pod, row: int, view: ClusterView) -> bool:
        """Ask the Bind plugins, up to the first that sees to the binding."""
        return self._of(pod.pod_class)._points.bind(pod, row, view.state)

    def post_bind(self, pod: Pod, row: int, view: ClusterView) -> None:
        """Tell the PostBind plugins that the pod is bound."""
        self._of(pod.pod_class)._points.post_bind(pod, row, view.state)


Backoff = tuple[int | None, int | None]


def _configured(source: Any, name: str | None) -> tuple[list[Profile], Backoff]:
    """Return the profiles to use, and first and longest backoff where the file says."""
    if isinstance(source, Profile):
        return [source], (None, None)
    if source is None:
        return [Profile.default()], (None, None)
    profiles, backoff = read_configured(source)
    if name is None:
        return profiles, backoff
    for profile in profiles:
        if profile.scheduler_name == name:
            return [profile], backoff
    names = ", ".join(profile.scheduler_name for profile in profiles)
    raise InputError("scheduler_name", found=name, expected=f"one of {names}")
