"""The compiled search for victims finds what trials on the cluster's state find, step by step."""

from array import array

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
    TopologySpreadConstraint,
)
from schedlab.cluster import ClassTable, ClusterState, ResourceNames
from schedlab.rng import Draws
from schedlab.scheduling.base import Pod
from schedlab.scheduling.framework.evaluation import evaluate_filters
from schedlab.scheduling.framework.interface import Code, Cycle, Depends
from schedlab.scheduling.framework.pod_slots import PodSlots
from schedlab.scheduling.framework.profiles import Profile
from schedlab.scheduling.framework.resource_preemption import start_times
from schedlab.scheduling.framework.runtime import Framework
from schedlab.scheduling.plugins.default_preemption import DefaultPreemption
from schedlab.scheduling.plugins.inter_pod_affinity import InterPodAffinity
from schedlab.scheduling.plugins.node_ports import NodePorts
from schedlab.scheduling.plugins.node_resources_fit import NodeResourcesFit
from schedlab.scheduling.plugins.node_unschedulable import NodeUnschedulable
from schedlab.scheduling.plugins.pod_topology_spread import PodTopologySpread

GPU = "example.com/gpu"
APPS = ("a", "b", "c")
HOST = "kubernetes.io/hostname"
ZONE = "topology.kubernetes.io/zone"
TRAITS = ("", "", "", "port", "spread", "apart", "near")
"""What other filters look at, beside resources."""


def traits(trait, app):
    """Return the fields of a pod spec that make a trait; *app* is the other pods' label."""
    others = LabelSelector(match_labels={"app": app})
    if trait == "spread":
        constraint = TopologySpreadConstraint(
            max_skew=1, topology_key=ZONE, when_unsatisfiable="DoNotSchedule", label_selector=others
        )
        return {"topology_spread_constraints": (constraint,)}
    terms = (PodAffinityTerm(topology_key=HOST, label_selector=others),)
    if trait == "apart":
        apart = PodAntiAffinity(required_during_scheduling_ignored_during_execution=terms)
        return {"affinity": Affinity(pod_anti_affinity=apart)}
    if trait == "near":
        near = PodAffinity(required_during_scheduling_ignored_during_execution=terms)
        return {"affinity": Affinity(pod_affinity=near)}
    return {}


class Odd:
    """A filter of one's own: nodes of odd rows won't do for pods of two cores, for now."""

    name = "Odd"
    depends = Depends.STATIC

    def filter(self, cycle, rows):
        two = cycle.pod_class.request_vector(4)[0] == 2
        return np.where(two, rows % 2, 0).astype(np.int64)

    def reasons(self, cycle, row, code):
        return ("odd",)

    def status(self, cycle, row, code):
        return Code.UNSCHEDULABLE


nodes = st.builds(
    lambda cpu, memory, gpus, pods, cordoned: (
        Amounts({"cpu": cpu, "memory": memory, "pods": pods, **({GPU: gpus} if gpus else {})}),
        cordoned,
    ),
    st.integers(3, 10),
    st.integers(3, 10),
    st.integers(0, 3),
    st.integers(2, 6),
    st.sampled_from([False, False, False, True]),
)
kinds = st.tuples(
    st.integers(0, 6),  # cpu
    st.integers(0, 4),  # memory
    st.integers(0, 2),  # gpus
    st.integers(-1, 3),  # priority
    st.sampled_from(APPS),
    st.sampled_from(TRAITS),
)
steps = st.one_of(
    st.tuples(st.just("run"), kinds, st.integers(0, 9), st.integers(-1, 4)),
    st.tuples(st.just("end"), st.integers(0, 40)),
    st.tuples(st.just("leave"), st.integers(0, 40)),
    st.tuples(st.just("start"), st.integers(0, 40), st.integers(0, 4)),
    st.tuples(st.just("nominate"), kinds, st.integers(0, 9)),
    st.tuples(st.just("budget"), st.sampled_from(APPS), st.integers(0, 2)),
    st.tuples(st.just("drain"), st.integers(0, 9)),
    st.tuples(st.just("node"), nodes),
    st.tuples(st.just("preempt"), kinds, st.booleans()),
)


FILTERS = (NodeUnschedulable(), NodePorts(), NodeResourcesFit(), PodTopologySpread(),
           InterPodAffinity())  # fmt: skip


class World:
    """A cluster that steps change; both searches look at the same state."""

    def __init__(self, wanted, offers, filters=FILTERS):
        self.state = ClusterState(ClassTable(ResourceNames()))
        self.state.start_us = array("q")
        self.state.names = []
        plugin = DefaultPreemption(0, wanted)
        prepare = tuple(p for p in filters if hasattr(p, "pre_filter"))
        others = {"post_filter": (plugin,), "pre_filter": prepare}
        profile = Profile(filters=filters, scores=(), others=others)
        self.profile = profile
        draws = Draws(7)
        self.frameworks = [
            Framework(profile, draws=draws, lists_candidates=True, compiled=compiled)
            for compiled in (False, True)
        ]
        self.brief = Framework(profile, draws=draws)
        self.pods = 0
        self.compared = 0
        for offer in offers:
            self.node(offer)

    def node(self, offer):
        allocatable, cordoned = offer
        size = self.state.nodes.size
        name = f"n{size}"
        self.state.nodes.add(
            Node(
                metadata=ObjectMeta(name=name, labels={HOST: name, ZONE: f"z{size % 2}"}),
                spec=NodeSpec(unschedulable=cordoned),
                status=NodeStatus(allocatable=allocatable),
            )
        )

    def new_pod(self, kind, started):
        cpu, memory, gpus, priority, app, trait = kind
        amounts = {"cpu": cpu, "memory": memory, GPU: gpus}
        requests = Amounts({name: amount for name, amount in amounts.items() if amount})
        port = (ContainerPort(container_port=80, host_port=80),) if trait == "port" else ()
        resources = ResourceRequirements(requests=requests)
        container = Container(name="c", resources=resources, ports=port)
        other = APPS[(APPS.index(app) + 1) % 3]
        spec = PodSpec(containers=(container,), **traits(trait, other))
        self.state.start_us.append(started)
        self.state.names.append(f"default/p{self.pods}")
        self.pods += 1
        classes = self.state.classes
        return self.pods - 1, classes.intern("default", spec, priority, labels={"app": app})

    def run(self, kind, at, started):
        rows = np.flatnonzero(self.state.nodes.present[: self.state.nodes.size])
        if len(rows):
            row = int(rows[at % len(rows)])
            pod, pod_class = self.new_pod(kind, started)
            if self.state.nodes.fits(row, pod_class.requests):
                self.state.add_pod(pod, pod_class, row)

    def end(self, pod):
        self.state.remove_pod(pod)

    def leave(self, pod):
        if pod in self.state.node_of:
            self.state.leave(pod)

    def start(self, pod, started):
        if pod in self.state.node_of and self.state.start_us[pod] < 0:
            self.state.start_us[pod] = started

    def nominate(self, kind, at):
        pod, pod_class = self.new_pod(kind, -1)
        row = at % max(1, self.state.nodes.size)
        if row < self.state.nodes.size and self.state.nodes.present[row]:
            self.state.nominated[pod] = (row, pod_class)

    def budget(self, app, allowed):
        self.state.objects.put(
            PodDisruptionBudget(
                metadata=ObjectMeta(name=app),
                spec=PodDisruptionBudgetSpec(selector=LabelSelector(match_labels={"app": app})),
                status=PodDisruptionBudgetStatus(disruptions_allowed=allowed),
            )
        )

    def drain(self, at):
        """Remove a node with its pods and nominations."""
        state = self.state
        row = at % max(1, state.nodes.size)
        if row < state.nodes.size and state.nodes.present[row]:
            for pod in list(state.pods_on[row]) if row < len(state.pods_on) else ():
                state.remove_pod(pod)
            for pod in [p for p, (node, _) in state.nominated.items() if node == row]:
                del state.nominated[pod]
            state.nodes.remove(state.nodes.names[row])

    def preempt(self, kind, evict):
        pod, pod_class = self.new_pod(kind, -1)
        cycle = Cycle(self.state, pod_class, Pod(pod, pod_class, "default/x", pod, 1, 0, -1))
        found = evaluate_filters(self.profile, cycle)
        if len(found.feasible):
            return
        plain, quick = (f.post_filter(cycle, found) for f in self.frameworks)
        assert quick == plain
        assert self.brief.post_filter(cycle, found).chosen == plain.chosen
        self.compared += 1
        if evict and plain.chosen is not None:
            for victim in plain.chosen.victims:
                self.state.remove_pod(victim.pod)
            self.state.add_pod(pod, pod_class, plain.chosen.row)


@settings(max_examples=150, deadline=None)
@given(
    st.integers(1, 4),
    st.lists(nodes, min_size=1, max_size=5),
    st.lists(st.tuples(kinds, st.integers(0, 9), st.integers(-1, 4)), min_size=8, max_size=25),
    st.lists(steps, max_size=25),
)
def test_both_searches_find_the_same(wanted, offers, running, script):
    world = World(wanted, offers)
    for pod in running:
        world.run(*pod)
    for name, *arguments in script:
        getattr(world, name)(*arguments)
    for cpu, priority in ((3, 0), (6, 2), (1, 4), (4, 4)):
        for trait in ("", "port", "spread", "apart"):
            world.preempt((cpu, 3, 0, priority, "a", trait), False)


@settings(max_examples=50, deadline=None)
@given(
    st.permutations([*FILTERS, Odd(), Odd()]),
    st.lists(nodes, min_size=1, max_size=5),
    st.lists(st.tuples(kinds, st.integers(0, 9), st.integers(-1, 4)), min_size=8, max_size=25),
)
def test_whatever_the_order_of_the_filters(filters, offers, running):
    world = World(2, offers, tuple(filters))
    for pod in running:
        world.run(*pod)
    for cpu, priority in ((2, 2), (3, 0), (6, 2), (1, 4)):
        for trait in ("", "port", "spread"):
            world.preempt((cpu, 3, 0, priority, "a", trait), True)


def crowded(pods_per_node, seed, *, mixed=False):
    """Return a world of 30 nodes full of pods, *mixed* by what filters look at; and a generator."""
    rng = np.random.Generator(np.random.PCG64(seed))
    offers = [
        (Amounts({"cpu": 40, "memory": 40, "pods": pods_per_node, GPU: 4}), False)
        for _ in range(30)
    ]
    world = World(3, offers)
    for k in range(30 * pods_per_node):
        trait = TRAITS[int(rng.integers(0, len(TRAITS)))] if mixed else ""
        kind = (*rng.integers(0, (5, 5, 2)).tolist(), int(rng.integers(-1, 5)), APPS[k % 3], trait)
        world.run(kind, k, int(rng.integers(-1, 9)))
    return world, rng


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("pods_per_node", [4, 12, 30])
def test_full_nodes_for_long(pods_per_node, mixed):
    world, rng = crowded(pods_per_node, pods_per_node, mixed=mixed)
    world.budget("a", 1)
    for k in range(60):
        if k % 10 == 5:
            world.budget(APPS[k % 3], int(rng.integers(0, 3)))
        if k % 7 == 3:
            world.nominate((10, 10, 1, 4, "b", ""), int(rng.integers(0, 30)))
        trait = TRAITS[k % len(TRAITS)] if mixed else ""
        kind = (*rng.integers(5, (25, 25, 6)).tolist(), int(rng.integers(0, 6)), "c", trait)
        world.preempt(kind, k % 3 != 0)
    assert world.compared > 30


def test_slots_follow_the_pods():
    world, rng = crowded(6, 1)
    state, slots = world.state, PodSlots(world.state)
    for _ in range(20):
        for pod in rng.integers(0, world.pods, 10).tolist():
            world.end(pod)
        world.run((1, 1, 0, 0, "a", ""), int(rng.integers(0, 30)), 0)
        slots.refresh()
        for row in range(state.nodes.size):
            count = int(slots.counts[row])
            there = zip(
                slots.pods[row, :count].tolist(), slots.classes[row, :count].tolist(), strict=True
            )
            assert dict(there) == {p: c.id for p, c in state.pods_on[row].items()}


def test_a_disrupted_pod_violates_nothing():
    world = World(1, [(Amounts(cpu=5, memory=5, pods=5), False)])
    for _ in range(2):
        world.run((2, 1, 0, 0, "a", ""), 0, 0)
    budget = PodDisruptionBudget(
        metadata=ObjectMeta(name="x"),
        spec=PodDisruptionBudgetSpec(selector=LabelSelector(match_labels={"app": "a"})),
        status=PodDisruptionBudgetStatus(disrupted_pods={"p0": "2026-01-01T00:00:00Z"}),
    )
    world.state.objects.put(budget)
    world.preempt((5, 1, 0, 1, "a", ""), False)
    assert world.compared == 1


@pytest.mark.parametrize(
    "start",
    [
        pytest.param([5, -1, 7], id="a list"),
        pytest.param((5, -1, 7), id="a tuple"),
        pytest.param({0: 5, 2: 7}, id="a mapping with gaps"),
        pytest.param(array("q", [5, -1, 7]), id="an array of the standard library"),
        pytest.param(np.array([5, -1, 7]), id="an array"),
    ],
)
def test_start_times(start):
    state = ClusterState(ClassTable(ResourceNames()))
    state.start_us = start
    assert start_times(state).tolist() == [5, -1, 7]


@pytest.mark.parametrize("start", [[], (), {}, array("q"), np.zeros(0, np.int64)])
def test_no_start_times(start):
    state = ClusterState(ClassTable(ResourceNames()))
    state.start_us = start
    assert start_times(state).tolist() == []


def test_start_times_may_grow_after_a_search():
    # an array of the standard library can't grow while somebody looks into its buffer
    world = World(1, [(Amounts(cpu=5, memory=5, pods=5), False)])
    world.run((5, 1, 0, 0, "a", ""), 0, 0)
    world.preempt((5, 1, 0, 1, "a", ""), False)
    world.state.start_us.append(3)
