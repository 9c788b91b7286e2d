"""The conformance kit: what every scheduler has to satisfy, whoever wrote it.

>>> from schedlab.scheduling.heuristics import BestFit
>>> check_scheduler(BestFit)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from schedlab.api.base import Amounts
from schedlab.api.objects import Node, NodeSpec, PodSpec, Taint, Toleration
from schedlab.cluster.classes import ClassTable, PodClass
from schedlab.cluster.state import ClusterState
from schedlab.cluster.vocabulary import ResourceNames
from schedlab.rng import Draws, entity_key
from schedlab.scheduling.base import Placement, Pod, PodBatch, Scheduler, Verdict
from schedlab.scheduling.framework.feasibility import Feasibility
from schedlab.scheduling.view import ClusterView
from schedlab.testing.runs import pod_template, small_node

Factory = Callable[[], Scheduler]
ROUNDS = 40
TAINTS = (
    Taint(key="dedicated", value="x", effect="NoSchedule"),
    Taint(key="dedicated", value="x", effect="PreferNoSchedule"),
    Taint(key="dedicated", value="x", effect="NoExecute"),
)


def check_scheduler(factory: Factory, *, seeds: Sequence[int] = (0, 1, 2)) -> None:
    """Check a scheduler against the conformance kit.

    It places only on feasible nodes, the pods of one batch included; gives the same answer for the
    same seed; leaves the view as it was; survives a cluster without nodes and a batch without pods;
    and, unless tagged ``order_dependent``, does not care in which order the nodes come, where no
    two of them are equally good.

    Parameters
    ----------
    factory : callable
        Returns a fresh scheduler.
    seeds : sequence of int
        Seeds of the random clusters and pods.

    Raises
    ------
    AssertionError
        A rule is broken; the message says which, with the seed.
    """
    _check_odd_sizes(factory)
    for seed in seeds:
        _check_run(factory, seed)
        if "order_dependent" not in getattr(factory(), "tags", frozenset({"order_dependent"})):
            _check_order(factory, seed)


def random_cluster(seed: int, nodes: int = 12) -> ClusterState:
    """Return a made-up cluster: sizes, zones, taints, a cordon, an extended resource."""
    state = ClusterState(ClassTable(ResourceNames()))
    for node in random_nodes(seed, nodes):
        state.nodes.add(node)
    return state


def random_nodes(seed: int, count: int) -> list[Node]:
    """Return the nodes of `random_cluster`, none equal to another in size."""
    draws = Draws(seed, "conformance/nodes")
    found = []
    for i in range(count):
        node = small_node(
            f"n{i}",
            cpu=2_000 + 7 * i + draws.integer(6_000, i),
            memory=(4 << 30) + (i << 20) + draws.integer(8 << 30, i, 1),
            pods=4 + draws.integer(10, i, 2),
            labels={"topology.kubernetes.io/zone": f"z{i % 3}", "disk": ("ssd", "hdd")[i % 2]},
        )
        taints = (TAINTS[draws.integer(3, i, 3)],) if draws.uniform(i, 4) < 0.3 else ()
        spec = NodeSpec(taints=taints, unschedulable=draws.uniform(i, 5) < 0.1)
        offer = dict(node.status.allocatable)
        if i % 4 == 0:
            offer["example.com/gpu"] = 1 + draws.integer(4, i, 6)
        status = node.status.model_copy(update={"allocatable": Amounts(offer)})
        found.append(node.model_copy(update={"spec": spec, "status": status}))
    return found


def random_class(state: ClusterState, seed: int, number: int) -> PodClass:
    """Return a made-up class of pods: requests, selectors, tolerations."""
    draws = Draws(seed, "conformance/classes")
    requests = Amounts(
        cpu=draws.integer(30, number) * 100, memory=draws.integer(30, number, 1) << 27
    )
    if draws.uniform(number, 2) < 0.2:
        requests["example.com/gpu"] = 1
    spec: dict[str, Any] = {}
    if draws.uniform(number, 3) < 0.3:
        spec["node_selector"] = {"disk": "ssd"}
    if draws.uniform(number, 4) < 0.5:
        spec["tolerations"] = (Toleration(key="dedicated", operator="Exists"),)
    template = pod_template(1, **spec)
    container = template.spec.containers[0]
    resources = container.resources.model_copy(update={"requests": requests})
    sized: PodSpec = template.spec.model_copy(
        update={"containers": (container.model_copy(update={"resources": resources}),)}
    )
    return state.classes.intern("default", sized, 0)


def pending(pod_class: PodClass, row: int, *, attempt: int = 1) -> Pod:
    """Return a pending pod of a class."""
    return Pod(row, pod_class, f"default/p{row}", entity_key("pod", row), attempt, 0, -1)


def _check_odd_sizes(factory: Factory) -> None:
    empty = random_cluster(0, 0)
    placement = factory().schedule(PodBatch([]), ClusterView(empty), Draws(0))
    _expect(len(placement.node) == 0, "a batch without pods has an answer for none")
    pod = pending(random_class(empty, 0, 0), 0)
    placement = factory().schedule(PodBatch([pod]), ClusterView(empty), Draws(0))
    _expect(placement.node == [-1], "without nodes nothing can be placed")
    full = random_cluster(0)
    huge = full.classes.intern("default", pod_template(10**9).spec, 0)
    placement = factory().schedule(PodBatch([pending(huge, 0)]), ClusterView(full), Draws(0))
    _expect(placement.node == [-1], "a pod larger than every node was placed")
    _expect(placement.verdict[0] != Verdict.PLACED, "a pod without a node is called placed")


def _check_run(factory: Factory, seed: int) -> None:
    """Fill a cluster batch by batch, two instances in lock-step."""
    state = random_cluster(seed)
    one, two, view, other = factory(), factory(), ClusterView(state), ClusterView(state)
    feasibility, sizes = Feasibility(ClusterView(state)), Draws(seed, "conformance/sizes")
    row = 0
    for turn in range(ROUNDS):
        count = 1 + sizes.integer(4, turn)
        batch = [pending(random_class(state, seed, (row + i) % 17), row + i) for i in range(count)]
        row += count
        before = (state.nodes.requested.copy(), dict(state.node_of))
        where = f"seed {seed}, batch {turn}"
        placement = one.schedule(PodBatch(batch), view, Draws(seed))
        same = np.array_equal(before[0], state.nodes.requested) and before[1] == state.node_of
        _expect(same, f"{where}: the view was changed")
        again = two.schedule(PodBatch(batch), other, Draws(seed))
        _expect(placement.node == again.node, f"{where}: two instances disagree")
        _place(state, feasibility, batch, placement, where)
        for old in [p for p in list(state.node_of) if sizes.uniform(p, turn) < 0.1]:
            state.remove_pod(old)


def _place(
    state: ClusterState,
    feasibility: Feasibility,
    batch: list[Pod],
    placement: Placement,
    where: str,
) -> None:
    for pod, node, verdict in zip(batch, placement.node, placement.verdict, strict=True):
        _expect(
            (node >= 0) == (verdict == Verdict.PLACED),
            f"{where}: {pod.name} has node {node} and verdict {verdict.name}",
        )
        if node >= 0:
            _expect(
                node in feasibility.rows(pod).tolist(),
                f"{where}: {pod.name} was placed on {state.nodes.names[node]}, which can't take it",
            )
            state.add_pod(pod.row, pod.pod_class, node)


def _check_order(factory: Factory, seed: int) -> None:
    """Give the nodes in reverse: the same pods have to go to nodes of the same names."""
    names = []
    for step in (1, -1):
        state = ClusterState(ClassTable(ResourceNames()))
        for node in random_nodes(seed, 12)[::step]:
            state.nodes.add(node)
        scheduler, view, chosen = factory(), ClusterView(state), []
        for row in range(30):
            pod = pending(random_class(state, seed, row), row)
            node_row = scheduler.schedule(PodBatch([pod]), view, Draws(seed)).node[0]
            chosen.append(state.nodes.names[node_row] if node_row >= 0 else "")
            if node_row >= 0 and pod.pod_class.requests[0][0] == 0:
                state.add_pod(row, pod.pod_class, node_row)
            else:  # it asks for no cpu: nodes may tie for it
                chosen.pop()
        names.append(chosen)
    _expect(names[0] == names[1], f"seed {seed}: the order of the nodes decides")


def _expect(holds: bool, sentence: str) -> None:
    if not holds:
        raise AssertionError(sentence)
