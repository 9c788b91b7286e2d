"""kube-scheduler's policy: its framework and plugins, decision for decision.

The decisions are made by the incremental engine (`schedlab.scheduling.framework.engine`); this
module is what a scheduler has around it: profiles, the order of visit and its rotation, ties, the
node that a pod was nominated for, and preemption where no node will do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from schedlab.cluster.devices import Devices
from schedlab.cluster.state import ClusterState
from schedlab.errors import InputError
from schedlab.rng import Draws
from schedlab.scheduling.base import Eviction, Placement, Pod, PodBatch, Verdict
from schedlab.scheduling.framework.engine import Engine, Outlook
from schedlab.scheduling.framework.feasibility import NO_NODES
from schedlab.scheduling.framework.interface import Cycle, Rejection
from schedlab.scheduling.framework.profiles import Profile, nodes_to_find, read_profiles
from schedlab.scheduling.framework.runtime import Framework
from schedlab.scheduling.framework.static_part import of_upstream
from schedlab.scheduling.framework.visiting import Visits
from schedlab.scheduling.greedy import Decision, schedule_greedily
from schedlab.scheduling.view import ClusterView


class KubeScheduler:
    """The default scheduler of Kubernetes.

    Parameters
    ----------
    config : str, Path, mapping or Profile, optional
        A KubeSchedulerConfiguration (v1); upstream's default profile when absent.
    scheduler_name : str, optional
        Which of its profiles; the first when absent.
    tie_break : {"random", "first"}, default "random"
        Among the best nodes: one drawn by the pod's key, or the first in the order of visit.
    percentage_of_nodes_to_score : int, optional
        Overrides the configuration's; 100 looks at all nodes, 0 is upstream's adaptive share.
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
        cached: bool = True,
    ) -> None:
        if tie_break not in ("random", "first"):
            raise InputError("tie_break", found=tie_break, expected="random or first")
        self.profile = _profile(config, scheduler_name)
        share = percentage_of_nodes_to_score
        self._share = self.profile.percentage_of_nodes_to_score if share is None else share
        if not 0 <= self._share <= 100:
            raise InputError("percentage_of_nodes_to_score", found=self._share, expected="0 to 100")
        self._random = tie_break == "random"
        self._cached = cached
        self._engine = Engine(self.profile)
        self._visits = Visits()
        self._reserving = self.profile.plugins("reserve")
        self._asks = any(not of_upstream(plugin) for plugin in self._reserving)
        self._holding: dict[int, Cycle] = {}
        self._rng: Draws | None = None
        self._ties = Draws(0)
        self._framework = Framework(self.profile)

    def schedule(self, pods: PodBatch, view: ClusterView, rng: Draws) -> Placement:
        """Place the pods one after the other."""
        if rng is not self._rng:
            self._rng, self._ties = rng, rng.stream("ties")
            starts = rng.stream("preemption") if self._random else None
            self._framework = Framework(self.profile, draws=starts)
        state = view.state
        if len(pods) > 1 and self._cached and len({pod.pod_class.id for pod in pods}) == 1:
            placement = self._place_run(pods, state)
            if placement is not None:
                return placement
        return schedule_greedily(
            pods,
            view,
            lambda pod: self._decide(pod, state),
            lambda pod, row: self._reserved(Cycle(state, pod.pod_class, pod), row),
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
        mark = state.mark()
        try:
            self._reserved(cycle, row)
        finally:
            state.undo(mark)
        devices: Devices | None = cycle.memo("devices", lambda: None)
        return Decision(row, found, visited, "", devices)

    def _preempt(self, pod: Pod, state: ClusterState, outlook: Outlook, visited: int) -> Decision:
        """Ask the PostFilter plugins for room, as no node will do."""
        reason = outlook.message(pod)
        if not self.profile.plugins("post_filter"):
            return Decision(-1, 0, visited, reason)
        cycle = Cycle(state, pod.pod_class, pod)
        answer = self._framework.post_filter(cycle, outlook.verdicts(cycle))
        if answer is None or answer.chosen is None:
            if answer is not None and answer.rejection is not None:
                reason = " ".join((reason, *answer.rejection.reasons))
            return Decision(-1, 0, visited, reason)
        evictions = tuple(
            Eviction(victim.pod, f"Preempted by {pod.name}") for victim in answer.chosen.victims
        )
        row = answer.chosen.row
        return Decision(-1, 0, visited, reason, nominated=row, evictions=evictions)

    def reserve(self, pod: Pod, row: int, view: ClusterView) -> Rejection | None:
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
        Rejection or None
            Why the pod can't be bound there after all; nothing is taken then.
        """
        if pod.pod_class.devices is None and not pod.pod_class.spec.volumes and not self._asks:
            return None
        cycle = Cycle(view.state, pod.pod_class, pod)
        rejection = self._reserved(cycle, row)
        if rejection is None:
            self._holding[pod.row] = cycle
        return rejection

    def unreserve(self, pod: Pod, row: int) -> None:
        """Give back what `reserve` took: the pod could not be bound."""
        cycle = self._holding.pop(pod.row, None)
        if cycle is not None:
            self._give_back(cycle, row, self._reserving)

    def _reserved(self, cycle: Cycle, row: int) -> Rejection | None:
        for number, plugin in enumerate(self._reserving):
            rejection: Rejection | None = plugin.reserve(cycle, row)
            if rejection is not None:
                self._give_back(cycle, row, self._reserving[: number + 1])
                return rejection
        return None

    def _give_back(self, cycle: Cycle, row: int, plugins: Sequence[Any]) -> None:
        for plugin in reversed(plugins):
            if hasattr(plugin, "unreserve"):
                plugin.unreserve(cycle, row)


def _profile(source: Any, name: str | None) -> Profile:
    if isinstance(source, Profile):
        return source
    if source is None:
        return Profile.default()
    profiles = read_profiles(source)
    if name is None:
        return profiles[0]
    for profile in profiles:
        if profile.scheduler_name == name:
            return profile
    names = ", ".join(profile.scheduler_name for profile in profiles)
    raise InputError("scheduler_name", found=name, expected=f"one of {names}")
