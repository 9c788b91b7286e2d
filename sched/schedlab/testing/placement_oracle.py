"""Tiny placement problems, solved by trying everything: the oracle of the solvers.

Problems are plain tuples, and the rules are stated here once more, pod by pod, in the words of
Kubernetes: nothing is shared with the framework's plugins or with the solvers' model.

A placement is admissible when every pod that it places or moves is content where it is, with all
others in place, and when the new pods could have come in some order in which each that needs
partners found them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations, product
from typing import Any

from schedlab.api.base import Amounts
from schedlab.api.objects import (
    Affinity,
    Container,
    ContainerPort,
    LabelSelector,
    Node,
    NodeSpec,
    NodeStatus,
    ObjectMeta,
    PodAffinity,
    PodAffinityTerm,
    PodAntiAffinity,
    PodDisruptionBudget,
    PodDisruptionBudgetSpec,
    PodDisruptionBudgetStatus,
    PodSpec,
    ResourceRequirements,
    Taint,
    Toleration,
    TopologySpreadConstraint,
)
from schedlab.cluster.classes import ClassTable
from schedlab.cluster.devices import GPU_COUNT, GPU_MILLI
from schedlab.cluster.state import ClusterState
from schedlab.cluster.vocabulary import ResourceNames
from schedlab.rng import entity_key
from schedlab.scheduling.base import Pod

ZONE = "zone"
HOST = "host"
GANG = "pod-group.scheduling.sigs.k8s.io"


@dataclass(frozen=True)
class TinyNode:
    """A node: what it has, its zone ("" = none), whether it is tainted, its number of GPUs."""

    cpu: int
    memory: int
    pods: int
    zone: str
    tainted: bool = False
    gpus: int = 0


@dataclass(frozen=True)
class TinyPod:
    """A pod, and where it runs (-1 = it waits).

    Attributes
    ----------
    near, apart : tuple of (key, app)
        Required affinity and anti-affinity, by host or zone, to pods of an app.
    spread : tuple of (key, max_skew, min_domains, app)
        DoNotSchedule constraints.
    gpus, milli : int
        How many GPUs, and thousandths of each.
    devices : tuple of int
        The GPUs that it holds, where it runs.
    """

    cpu: int
    memory: int = 0
    priority: int = 0
    app: str = "a"
    zone: str = ""
    tolerates: bool = False
    port: int = 0
    near: tuple[tuple[str, str], ...] = ()
    apart: tuple[tuple[str, str], ...] = ()
    spread: tuple[tuple[str, int, int, str], ...] = ()
    gang: str = ""
    gpus: int = 0
    milli: int = 1000
    node: int = -1
    devices: tuple[int, ...] = ()


@dataclass(frozen=True)
class TinyProblem:
    """Nodes, pods, and what may be done to those that run.

    Attributes
    ----------
    displace : {"none", "any", "lower"}
        Which running pods may be displaced.
    moves : bool
        They may be placed again.
    budget : int or None
        Most of them.
    disruptions : int or None
        ``disruptionsAllowed`` of a PodDisruptionBudget over the pods of app a; None = no budget.
    """

    nodes: tuple[TinyNode, ...]
    pods: tuple[TinyPod, ...]
    displace: str = "none"
    moves: bool = True
    budget: int | None = None
    disruptions: int | None = None

    def domain(self, node: int, key: str) -> str:
        """Return the value of a node's label; "" = it has none."""
        return f"n{node}" if key == HOST else self.nodes[node].zone

    def movable(self, pod: TinyPod) -> bool:
        """Return whether a running pod may be displaced."""
        waiting = [p.priority for p in self.pods if p.node < 0]
        lower = pod.priority < max(waiting, default=0)
        return self.displace == "any" or (self.displace == "lower" and lower)


Where = tuple[int, ...]
"""Node of each pod, -1 = none."""


def best_value(problem: TinyProblem, objective: str) -> tuple[int, ...]:
    """Return the best value that any admissible placement has, the greater the better.

    Parameters
    ----------
    problem : TinyProblem
        The problem.
    objective : {"placed", "placed+disruption", "placed,evictions,nodes"}
        Which levels, in which order.
    """
    return max(value_of(problem, where, objective) for where in placements(problem))


def placements(problem: TinyProblem) -> Iterator[Where]:
    """Yield the admissible placements, of equal pods only one order each."""
    choices: list[Sequence[int]] = []
    nodes = range(-1, len(problem.nodes))
    for pod in problem.pods:
        free = pod.node < 0 or problem.movable(pod)
        choices.append(nodes if free else (pod.node,))
    seen = set()
    for where in product(*choices):
        pairs = list(zip(problem.pods, where, strict=True))
        key = tuple(sorted((repr(pod), node) for pod, node in pairs))
        if key not in seen and admissible(problem, where):
            seen.add(key)
            yield where


def admissible(problem: TinyProblem, where: Where) -> bool:
    """Return whether a placement keeps all rules."""
    pods = problem.pods
    moved = [i for i, p in enumerate(pods) if p.node >= 0 and where[i] != p.node]
    new = [i for i, p in enumerate(pods) if where[i] >= 0 and where[i] != p.node]
    if not problem.moves and any(where[i] >= 0 for i in moved):
        return False
    if problem.budget is not None and len(moved) > problem.budget:
        return False
    disrupted = sum(pods[i].app == "a" for i in moved)
    if problem.disruptions is not None and disrupted > problem.disruptions:
        return False
    return (
        _rooms(problem, where)
        and all(_gpus(problem, where, n) for n in range(len(problem.nodes)))
        and _gangs(problem, where)
        and all(_content(problem, where, i) for i in new)
        and _reachable(problem, where, new)
    )


def _rooms(problem: TinyProblem, where: Where) -> bool:
    for n, node in enumerate(problem.nodes):
        on = [p for p, at in zip(problem.pods, where, strict=True) if at == n]
        before = [p for p in problem.pods if p.node == n]
        for limit, amount in (
            (node.cpu, lambda p: p.cpu),
            (node.memory, lambda p: p.memory),
            (node.pods, lambda p: 1),
        ):
            # what was overcommitted before may stay so, as long as nothing new asks for it
            added = any(p.node != n and amount(p) for p in on)
            held = 0 if added else sum(map(amount, before))
            if sum(map(amount, on)) > max(limit, held):
                return False
    return True


def _gpus(problem: TinyProblem, where: Where, n: int) -> bool:
    """Return whether all pods on a node have their GPUs, those that stay the ones they hold."""
    pairs = [(p, at) for p, at in zip(problem.pods, where, strict=True) if at == n and p.gpus]
    left = [1000] * problem.nodes[n].gpus
    for pod, _ in pairs:
        if pod.node == n:
            for device in pod.devices:
                left[device] -= pod.milli
    coming = [p for p, _ in pairs if p.node != n]
    return any(_served(left, choice, coming) for choice in _device_choices(len(left), coming))


def _device_choices(devices: int, pods: Sequence[TinyPod]) -> Iterator[tuple[tuple[int, ...], ...]]:
    return product(*(combinations(range(devices), pod.gpus) for pod in pods))


def _served(left: Sequence[int], choice: Sequence[Sequence[int]], pods: Sequence[TinyPod]) -> bool:
    rest = list(left)
    for pod, own in zip(pods, choice, strict=True):
        for device in own:
            rest[device] -= pod.milli
    return min(rest, default=0) >= 0


def _gangs(problem: TinyProblem, where: Where) -> bool:
    for name in {p.gang for p in problem.pods if p.gang and p.node < 0}:
        placed = [
            at >= 0
            for p, at in zip(problem.pods, where, strict=True)
            if p.gang == name and p.node < 0
        ]
        if any(placed) and not all(placed):
            return False
    return True


def _content(problem: TinyProblem, where: Where, i: int) -> bool:
    pod, n = problem.pods[i], where[i]
    node = problem.nodes[n]
    others = [(q, at) for j, (q, at) in enumerate(zip(problem.pods, where, strict=True))
              if j != i and at >= 0]  # fmt: skip
    if (node.tainted and not pod.tolerates) or (pod.zone and node.zone != pod.zone):
        return False
    if pod.port and any(q.port == pod.port and at == n for q, at in others):
        return False
    return (
        _apart(problem, pod, n, others)
        and _has_partners(problem, pod, n, others)
        and all(_spread(problem, pod, n, others, rule) for rule in pod.spread)
    )


Others = Sequence[tuple[TinyPod, int]]


def _apart(problem: TinyProblem, pod: TinyPod, n: int, others: Others) -> bool:
    for one, at, other, there in (
        *((pod, n, q, m) for q, m in others),
        *((q, m, pod, n) for q, m in others),
    ):
        for key, app in one.apart:
            domain = problem.domain(at, key)
            if other.app == app and domain and domain == problem.domain(there, key):
                return False
    return True


def _has_partners(problem: TinyProblem, pod: TinyPod, n: int, others: Others) -> bool:
    if not pod.near:
        return True
    if any(not problem.domain(n, key) for key, _ in pod.near):
        return False

    def meant(q: TinyPod) -> bool:
        return all(q.app == app for _, app in pod.near)

    partners = [m for q, m in others if meant(q)]
    if all(
        any(problem.domain(m, key) == problem.domain(n, key) for m in partners)
        for key, _ in pod.near
    ):
        return True
    anywhere = any(problem.domain(m, key) for m in partners for key, _ in pod.near)
    return meant(pod) and not anywhere


def _spread(
    problem: TinyProblem, pod: TinyPod, n: int, others: Others, rule: tuple[str, int, int, str]
) -> bool:
    key, max_skew, min_domains, app = rule
    keys = [k for k, _, _, _ in pod.spread]
    eligible = [
        m
        for m, node in enumerate(problem.nodes)
        if (not pod.zone or node.zone == pod.zone) and all(problem.domain(m, k) for k in keys)
    ]
    if n not in eligible:
        return False
    counts = {problem.domain(m, key): 0 for m in eligible}
    for q, m in others:
        if q.app == app and m in eligible:
            counts[problem.domain(m, key)] += 1
    least = 0 if len(counts) < min_domains else min(counts.values())
    return counts[problem.domain(n, key)] + (pod.app == app) - least <= max_skew


def _reachable(problem: TinyProblem, where: Where, new: list[int]) -> bool:
    """Return whether the new pods could have come in some order, as far as partners go."""
    if not any(problem.pods[i].near for i in new):
        return True
    stay = [(p, at) for p, at in zip(problem.pods, where, strict=True) if at >= 0 and at == p.node]
    for order in permutations(new):
        there = list(stay)
        for i in order:
            if not _has_partners(problem, problem.pods[i], where[i], there):
                break
            there.append((problem.pods[i], where[i]))
        else:
            return True
    return False


def value_of(problem: TinyProblem, where: Where, objective: str) -> tuple[int, ...]:
    """Return the levels of an objective, each the greater the better."""
    pairs = list(zip(problem.pods, where, strict=True))
    counted = [(p, at) for p, at in pairs if p.node < 0 or problem.movable(p)]
    tiers = sorted({p.priority for p, _ in counted}, reverse=True)
    value: list[int] = []
    for tier in tiers:
        part = [(p, at) for p, at in counted if p.priority >= tier]
        value.append(sum(at >= 0 for _, at in part))
        if objective == "placed+disruption":
            lost = [at for p, at in part if 0 <= p.node != at]
            value.append(-sum(1 if at < 0 else 2 for at in lost))
    if objective == "placed,evictions,nodes":
        value.append(-sum(0 <= p.node != at for p, at in counted))
        value.append(-len({at for _, at in pairs if at >= 0}))
    return tuple(value)


# --- the same problem as a cluster ----------------------------------------------------------


def as_cluster(problem: TinyProblem) -> tuple[ClusterState, list[Pod], list[int]]:
    """Return a problem as a cluster, the pods that wait, and their positions in the problem."""
    state = ClusterState(ClassTable(ResourceNames()))
    for n, node in enumerate(problem.nodes):
        labels = {HOST: f"n{n}"} | ({ZONE: node.zone} if node.zone else {})
        offered = Amounts(cpu=node.cpu, memory=node.memory, pods=node.pods)
        if node.gpus:
            offered[GPU_MILLI] = 1000 * node.gpus
        taints = (Taint(key="t", effect="NoSchedule"),) if node.tainted else ()
        state.nodes.add(
            Node(
                metadata=ObjectMeta(name=f"n{n}", labels=labels),
                spec=NodeSpec(taints=taints),
                status=NodeStatus(allocatable=offered),
            )
        )
    if problem.disruptions is not None:
        state.objects.put(
            PodDisruptionBudget(
                metadata=ObjectMeta(name="b", namespace="default"),
                spec=PodDisruptionBudgetSpec(selector=LabelSelector(match_labels={"app": "a"})),
                status=PodDisruptionBudgetStatus(disruptions_allowed=problem.disruptions),
            )
        )
    state.names = [f"default/p{i}" for i in range(len(problem.pods))]
    waiting, positions = [], []
    for i, pod in enumerate(problem.pods):
        labels = {"app": pod.app} | ({GANG: pod.gang} if pod.gang else {})
        gpus = {GPU_COUNT: str(pod.gpus), GPU_MILLI: str(pod.milli)} if pod.gpus else {}
        pod_class = state.classes.intern(
            "default", _spec(pod), pod.priority, labels=labels, annotations=gpus
        )
        if pod.node >= 0:
            state.add_pod(i, pod_class, pod.node, pod.devices or None)
        else:
            waiting.append(Pod(i, pod_class, f"default/p{i}", entity_key("p", i), 1, 0, -1))
            positions.append(i)
    return state, waiting, positions


def _term(key: str, app: str) -> PodAffinityTerm:
    return PodAffinityTerm(
        topology_key=key, label_selector=LabelSelector(match_labels={"app": app})
    )


def _spec(pod: TinyPod) -> PodSpec:
    ports = (ContainerPort(container_port=pod.port, host_port=pod.port),) if pod.port else ()
    requests = Amounts(cpu=pod.cpu, memory=pod.memory)
    spec: dict[str, Any] = {
        "containers": (
            Container(name="c", ports=ports, resources=ResourceRequirements(requests=requests)),
        )
    }
    if pod.zone:
        spec["node_selector"] = {ZONE: pod.zone}
    if pod.tolerates:
        spec["tolerations"] = (Toleration(key="t", operator="Exists"),)
    if pod.near or pod.apart:
        near = tuple(_term(*rule) for rule in pod.near)
        apart = tuple(_term(*rule) for rule in pod.apart)
        spec["affinity"] = Affinity(
            pod_affinity=PodAffinity(required_during_scheduling_ignored_during_execution=near)
            if near
            else None,
            pod_anti_affinity=PodAntiAffinity(
                required_during_scheduling_ignored_during_execution=apart
            )
            if apart
            else None,
        )
    spec["topology_spread_constraints"] = tuple(
        TopologySpreadConstraint(
            topology_key=key,
            max_skew=max_skew,
            min_domains=min_domains if min_domains > 1 else None,
            when_unsatisfiable="DoNotSchedule",
            label_selector=LabelSelector(match_labels={"app": app}),
        )
        for key, max_skew, min_domains, app in pod.spread
    )
    return PodSpec(**spec)
