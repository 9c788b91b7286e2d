"""Scenes for preemption: a small cluster, its pods by name, and a pod that fits nowhere.

Pods are written (name, node, priority, milli-cores, started at second).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Self

from schedlab.api.base import Amounts
from schedlab.api.objects import (
    Container,
    ContainerPort,
    LabelSelector,
    ObjectMeta,
    PodDisruptionBudget,
    PodDisruptionBudgetSpec,
    PodDisruptionBudgetStatus,
    PodSpec,
    ResourceRequirements,
)
from schedlab.cluster import ClassTable, ClusterState, ResourceNames
from schedlab.cluster.classes import PodClass
from schedlab.rng import Draws
from schedlab.scheduling.base import Pod
from schedlab.scheduling.framework.evaluation import evaluate_filters
from schedlab.scheduling.framework.interface import Candidate, Cycle, PostFiltered
from schedlab.scheduling.framework.profiles import Profile
from schedlab.scheduling.framework.runtime import Framework
from schedlab.scheduling.plugins.default_preemption import DefaultPreemption
from schedlab.scheduling.plugins.inter_pod_affinity import InterPodAffinity
from schedlab.scheduling.plugins.node_ports import NodePorts
from schedlab.scheduling.plugins.node_resources_fit import NodeResourcesFit
from schedlab.scheduling.plugins.node_unschedulable import NodeUnschedulable
from schedlab.scheduling.plugins.taint_toleration import TaintToleration
from schedlab.testing.runs import small_node
from schedlab.units import SECOND

FILTERS = (NodeUnschedulable(), TaintToleration(), NodePorts(), NodeResourcesFit(),
           InterPodAffinity())  # fmt: skip


@dataclass
class PreemptionScene:
    """A cluster of nodes of 1,000 milli-cores.

    Attributes
    ----------
    compiled : bool
        Let compiled code look for victims where it can.
    plugin : DefaultPreemption, optional
        The plugin.
    draws : Draws, optional
        Where searches begin; at the first node without.
    """

    compiled: bool
    plugin: DefaultPreemption = field(default_factory=DefaultPreemption)
    draws: Draws | None = None

    def __post_init__(self) -> None:
        self.state = ClusterState(ClassTable(ResourceNames()))
        self._names: list[str] = []
        self._started: list[int] = []
        self.state.names, self.state.start_us = self._names, self._started
        others = {"post_filter": (self.plugin,), "pre_filter": (FILTERS[2], FILTERS[4])}
        self.profile = Profile(filters=FILTERS, scores=(), others=others)

    def nodes(self, *names: str, **fields: Any) -> Self:
        """Add nodes; *fields* as of `small_node`."""
        for name in names:
            self.state.nodes.add(small_node(name, **{"cpu": 1_000, **fields}))
        return self

    def pod_class(
        self,
        priority: int,
        cpu: int,
        *,
        labels: dict[str, str] | None = None,
        port: int = 0,
        **spec: Any,
    ) -> PodClass:
        """Return the class of pods of one container, which may take a host port."""
        ports = (ContainerPort(container_port=port, host_port=port),) if port else ()
        resources = ResourceRequirements(requests=Amounts(cpu=cpu))
        container = Container(name="c", resources=resources, ports=ports)
        return self.state.classes.intern(
            "default", PodSpec(containers=(container,), **spec), priority, labels=labels
        )

    def pod(
        self, name: str, node: str, priority: int, cpu: int, started: int = 0, **spec: Any
    ) -> Self:
        """Let a pod run."""
        pod_class = self.pod_class(priority, cpu, **spec)
        self.state.add_pod(len(self._names), pod_class, self.state.nodes.row_of[node])
        self._names.append(f"default/{name}")
        self._started.append(started * SECOND if started >= 0 else -1)
        return self

    def pods(self, *pods: tuple[Any, ...]) -> Self:
        """Let several pods run."""
        for pod in pods:
            self.pod(*pod)
        return self

    def budget(
        self,
        name: str,
        allowed: int,
        selector: LabelSelector | None,
        disrupted: Iterable[str] = (),
        namespace: str = "default",
    ) -> Self:
        """Add or replace a PodDisruptionBudget."""
        self.state.objects.put(
            PodDisruptionBudget(
                metadata=ObjectMeta(name=name, namespace=namespace),
                spec=PodDisruptionBudgetSpec(selector=selector),
                status=PodDisruptionBudgetStatus(
                    disruptions_allowed=allowed,
                    disrupted_pods=dict.fromkeys(disrupted, "2026-01-01T00:00:00Z"),
                ),
            )
        )
        return self

    def row(self, name: str) -> int:
        """Return the row of a pod."""
        return self._names.index(f"default/{name}")

    def preempt(
        self, priority: int = 100, cpu: int = 1_000, row: int | None = None, **spec: Any
    ) -> PostFiltered | None:
        """Let a pod look for room; return what PostFilter says."""
        row = len(self._names) if row is None else row
        pod = Pod(row, self.pod_class(priority, cpu, **spec), "default/preemptor", row, 1, 0, -1)
        self.cycle = Cycle(self.state, pod.pod_class, pod)
        self.found = evaluate_filters(self.profile, self.cycle)
        if len(self.found.feasible):
            raise ValueError("the pod fits")
        framework = Framework(
            self.profile, draws=self.draws, lists_candidates=True, compiled=self.compiled
        )
        return framework.post_filter(self.cycle, self.found)

    def told(self, candidate: Candidate) -> tuple[str, list[str], int]:
        """Return a candidate as (node, victims, violations)."""
        names = [self._names[victim.pod].partition("/")[2] for victim in candidate.victims]
        return self.state.nodes.names[candidate.row], names, candidate.violations

    def victims(self, **preemptor: Any) -> tuple[str, list[str]]:
        """Return the node that is cleared, and of whom."""
        answer = self.preempt(**preemptor)
        if answer is None or answer.chosen is None:
            raise ValueError(f"no node is cleared: {answer}")
        return self.told(answer.chosen)[:2]
