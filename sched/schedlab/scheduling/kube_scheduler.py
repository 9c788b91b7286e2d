"""kube-scheduler's policy: filter, score, normalise, choose; incremental and compiled.

What a class scored on a node is kept until that node changes; a decision refreshes the changed rows
and takes the arg-max, in two compiled calls. `schedlab.scheduling.framework.evaluation` is the same
without memory, and the tests hold both to the same decisions.

Not compiled are the plugins that `schedlab.scheduling.framework.profiles.engine_subset` leaves out;
pods that would need one of them are refused when the workload is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schedlab.cluster.classes import PodClass
from schedlab.cluster.nodes import REGION, ZONE, NodeColumns
from schedlab.cluster.state import ClusterState
from schedlab.errors import InputError
from schedlab.rng import Draws
from schedlab.scheduling.base import Placement, Pod, PodBatch
from schedlab.scheduling.framework.class_cache import ClassCaches, Cursor, StaticVerdicts
from schedlab.scheduling.framework.filter_cache import explain, request_arrays, static_filters
from schedlab.scheduling.framework.interface import Cycle, Depends, depends_on, skips_score
from schedlab.scheduling.framework.kernels import LEAST, MOST, RATIO, choose_kube, refresh_kube
from schedlab.scheduling.framework.profiles import (
    Profile,
    engine_subset,
    nodes_to_find,
    read_profiles,
)
from schedlab.scheduling.greedy import Decision, schedule_greedily
from schedlab.scheduling.plugins.node_affinity import NodeAffinity
from schedlab.scheduling.plugins.node_resources import scored_resources
from schedlab.scheduling.plugins.node_resources_balanced_allocation import (
    NodeResourcesBalancedAllocation,
)
from schedlab.scheduling.plugins.node_resources_fit import SHAPE_FACTOR, NodeResourcesFit
from schedlab.scheduling.plugins.taint_toleration import TaintToleration
from schedlab.scheduling.view import ClusterView

_STRATEGY = {"LeastAllocated": LEAST, "MostAllocated": MOST, "RequestedToCapacityRatio": RATIO}
_BYTES_PER_NODE = 42


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
    """

    tags = frozenset({"order_dependent", "stochastic", "stateful"})
    notes = (
        "kube-scheduler scores by NodeResourcesFit, NodeResourcesBalancedAllocation, "
        "TaintToleration and NodeAffinity; the default spreading of a Deployment's pods, image "
        "locality and preemption are not modelled yet",
    )

    def __init__(
        self,
        config: str | Path | Mapping[str, Any] | Profile | None = None,
        *,
        scheduler_name: str | None = None,
        tie_break: str = "random",
        percentage_of_nodes_to_score: int | None = None,
    ) -> None:
        if tie_break not in ("random", "first"):
            raise InputError("tie_break", found=tie_break, expected="random or first")
        self.profile = _profile(config, scheduler_name)
        _check_plugins(self.profile)
        share = percentage_of_nodes_to_score
        self._share = self.profile.percentage_of_nodes_to_score if share is None else share
        if not 0 <= self._share <= 100:
            raise InputError("percentage_of_nodes_to_score", found=self._share, expected="0 to 100")
        self._random = tie_break == "random"
        self._caches: ClassCaches[_ScoreCache] = ClassCaches(self._cache, _BYTES_PER_NODE)
        self._order = np.zeros(0, np.int64)
        self._order_of: tuple[int, int] = (-1, -1)
        self._start = 0
        self._rng: Draws | None = None
        self._ties = Draws(0)

    def schedule(self, pods: PodBatch, view: ClusterView, rng: Draws) -> Placement:
        """Place the pods one after the other."""
        if rng is not self._rng:
            self._rng, self._ties = rng, rng.stream("ties")
        state = view.state
        return schedule_greedily(pods, view, lambda pod: self._decide(pod, state))

    def _cache(self, pod: PodClass, state: ClusterState) -> _ScoreCache:
        return _ScoreCache(self.profile, pod, state)

    def _decide(self, pod: Pod, state: ClusterState) -> Decision:
        nodes = state.nodes
        mark = (id(nodes), nodes.attributes.count)
        if mark != self._order_of:
            self._order, self._order_of = visiting_order(nodes), mark
            self._start = 0 if not len(self._order) else self._start % len(self._order)
        order = self._order
        if not len(order):
            return Decision(-1, 0, 0, "0/0 nodes are available.")
        cache = self._caches.get(pod.pod_class, state)
        cache.refresh(nodes)
        u = self._ties.uniform(pod.key, pod.attempt) if self._random else -1.0
        wanted = nodes_to_find(len(order), self._share)
        row, found, visited = choose_kube(
            order,
            self._start,
            wanted,
            cache.verdicts.ok,
            cache.codes,
            cache.scores,
            cache.taints,
            cache.weight_taints,
            cache.preferred,
            cache.weight_preferred,
            u,
        )
        self._start = (self._start + visited) % len(order)
        if row < 0:
            return Decision(-1, 0, visited, cache.message(nodes))
        return Decision(row, found, visited, "")


def _profile(source: Any, name: str | None) -> Profile:
    if isinstance(source, Profile):
        return source
    if source is None:
        return Profile()
    profiles = [engine_subset(profile) for profile in read_profiles(source)]
    if name is None:
        return profiles[0]
    for profile in profiles:
        if profile.scheduler_name == name:
            return profile
    names = ", ".join(profile.scheduler_name for profile in profiles)
    raise InputError("scheduler_name", found=name, expected=f"one of {names}")


def _check_plugins(profile: Profile) -> None:
    """Refuse plugins that the engine would leave out: it compiles the built-in ones."""
    scored = (TaintToleration, NodeAffinity, NodeResourcesFit, NodeResourcesBalancedAllocation)
    strange = [
        plugin.name
        for plugin in profile.filters
        if depends_on(plugin) is not Depends.STATIC and not isinstance(plugin, NodeResourcesFit)
    ]
    strange += [plugin.name for plugin, _ in profile.scores if not isinstance(plugin, scored)]
    if strange:
        raise InputError(
            "config", found=strange, expected="STATIC filters and the built-in score plugins"
        )


def visiting_order(nodes: NodeColumns) -> NDArray[np.int64]:
    """Return the rows of the nodes in kube-scheduler's order: one of each zone in turn.

    A zone is a pair of region and zone label; zones come in the order in which they were first
    seen, nodes within a zone in the order of their rows.
    """
    zones: dict[tuple[str, str], int] = {}
    filled: list[int] = []
    keys = []
    for row in np.flatnonzero(nodes.present[: nodes.size]).tolist():
        labels = nodes.labels(row)
        zone = (labels.get(REGION, ""), labels.get(ZONE, ""))
        number = zones.setdefault(zone, len(zones))
        if number == len(filled):
            filled.append(0)
        keys.append((filled[number], number, row))
        filled[number] += 1
    return np.array([row for _, _, row in sorted(keys)], np.int64)


class _ScoreCache:
    """Verdicts and scores of one class under a profile."""

    def __init__(self, profile: Profile, pod: PodClass, state: ClusterState) -> None:
        self._profile = profile
        self._pod = pod
        self._cycle = Cycle(state, pod)
        self._cursor = Cursor()
        self._message: tuple[tuple[int, int], str] = ((-1, -1), "")
        self._static = static_filters(profile.filters)
        self.refresh(state.nodes)

    def _build(self, nodes: NodeColumns) -> None:
        size = nodes.size
        self.codes = np.zeros(size, np.int64)
        self.scores = np.zeros(size, np.int64)
        self.verdicts = StaticVerdicts.of(self._static, self._cycle)
        self._plan = self._make_plan(nodes)
        none = np.zeros(0, np.int64)
        self.weight_taints = self.weight_preferred = 0
        self.taints = self.preferred = none
        self._score_static(nodes)

    def _make_plan(self, nodes: NodeColumns) -> NDArray[np.int64]:
        """Return what the class asks for in the layout of `kernels.refresh_kube`."""
        pod = self._pod
        parts: list[NDArray[np.int64]] = [*request_arrays(self._profile.filters, pod, nodes)]
        fit: list[NDArray[np.int64]] = [np.zeros(0, np.int64)] * 3
        balanced, shape = fit[:2], fit[:2]
        strategy = weight_fit = weight_balanced = 0
        none = np.zeros(0, np.int64)
        for plugin, weight in self._profile.scores:
            if skips_score(plugin, self._cycle, none):
                continue
            if isinstance(plugin, NodeResourcesFit):
                scored = scored_resources(pod, nodes, plugin.args.resources, nonzero=True)
                fit = [scored.rows, scored.asked, scored.weights]
                points = np.array(plugin.args.shape, np.int64).reshape(-1, 2)
                shape = [points[:, 0], points[:, 1] * SHAPE_FACTOR]
                strategy, weight_fit = _STRATEGY[plugin.args.strategy], weight
            elif isinstance(plugin, NodeResourcesBalancedAllocation):
                scored = scored_resources(pod, nodes, plugin.resources, nonzero=False)
                balanced, weight_balanced = [scored.rows, scored.asked], weight
        lengths = [len(parts[0]), len(fit[0]), len(balanced[0]), len(shape[0])]
        head = np.array([*lengths, strategy, weight_fit, weight_balanced], np.int64)
        rows = [head, *parts, *fit, *balanced, *shape]
        plan = np.zeros((len(rows), max(map(len, rows))), np.int64)
        for i, row in enumerate(rows):
            plan[i, : len(row)] = row
        return plan

    def _score_static(self, nodes: NodeColumns) -> None:
        rows = np.arange(nodes.size, dtype=np.int64)
        for plugin, weight in self._profile.scores:
            if isinstance(plugin, TaintToleration):
                raw = plugin.score(self._cycle, rows)
                self.taints, self.weight_taints = raw, weight if raw.any() else 0
            elif isinstance(plugin, NodeAffinity) and not skips_score(plugin, self._cycle, rows):
                raw = plugin.score(self._cycle, rows)
                self.preferred, self.weight_preferred = raw, weight if raw.any() else 0

    def refresh(self, nodes: NodeColumns) -> None:
        """Bring verdicts and scores up to date."""
        cursor = self._cursor
        if cursor.outgrown(nodes):
            self._build(nodes)
        if cursor.attributes != nodes.attributes.count:
            rows = cursor.changed_attributes(nodes)
            self.verdicts.refresh(self._static, self._cycle, rows)
            self._score_static(nodes)
        if cursor.usage != nodes.usage.count:
            refresh_kube(
                cursor.changed_usage(nodes),
                nodes.requested,
                nodes.nonzero_requested,
                nodes.allocatable,
                self._plan,
                self.codes,
                self.scores,
            )

    def message(self, nodes: NodeColumns) -> str:
        """Return why the class fits nowhere, in kube-scheduler's words."""
        now = (nodes.usage.count, nodes.attributes.count)
        if self._message[0] != now:
            text = explain(self._profile.filters, self._cycle, self.verdicts, self.codes)
            self._message = (now, text)
        return self._message[1]
