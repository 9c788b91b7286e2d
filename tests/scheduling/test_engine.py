"""The incremental, compiled engine decides as the plain one that remembers nothing."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schedlab.api.base import Amounts
from schedlab.api.objects import (
    Affinity,
    NodeAffinity,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    PreferredSchedulingTerm,
)
from schedlab.rng import Draws
from schedlab.scheduling.base import PodBatch
from schedlab.scheduling.framework import kernels
from schedlab.scheduling.framework.evaluation import evaluate
from schedlab.scheduling.framework.interface import Code, Cycle, Depends, fit_error
from schedlab.scheduling.framework.profiles import (
    Profile,
    nodes_to_find,
    read_profiles,
)
from schedlab.scheduling.framework.visiting import visiting_order
from schedlab.scheduling.heuristics import BestFit, DotProduct, FirstFit, WorstFit
from schedlab.scheduling.kube_scheduler import KubeScheduler
from schedlab.scheduling.plugins.node_resources_fit import shape_scores
from schedlab.scheduling.view import ClusterView
from schedlab.testing.conformance import pending, random_class, random_cluster, random_nodes
from schedlab.testing.runs import pod_template, small_node

RATIO = {
    "apiVersion": "kubescheduler.config.k8s.io/v1",
    "kind": "KubeSchedulerConfiguration",
    "profiles": [
        {
            "pluginConfig": [
                {
                    "name": "NodeResourcesFit",
                    "args": {
                        "scoringStrategy": {
                            "type": "RequestedToCapacityRatio",
                            "resources": [
                                {"name": "cpu", "weight": 3},
                                {"name": "example.com/gpu", "weight": 5},
                            ],
                            "requestedToCapacityRatio": {
                                "shape": [
                                    {"utilization": 0, "score": 2},
                                    {"utilization": 40, "score": 10},
                                    {"utilization": 90, "score": 1},
                                ]
                            },
                        }
                    },
                },
                {
                    "name": "NodeResourcesBalancedAllocation",
                    "args": {
                        "resources": [{"name": n} for n in ("cpu", "memory", "example.com/gpu")]
                    },
                },
            ]
        }
    ],
}
MOST = {
    **{k: RATIO[k] for k in ("apiVersion", "kind")},
    "profiles": [
        {
            "plugins": {
                "score": {
                    "disabled": [{"name": "NodeResourcesBalancedAllocation"}],
                    "enabled": [{"name": "TaintToleration", "weight": 7}],
                }
            },
            "pluginConfig": [
                {"name": "NodeResourcesFit", "args": {"scoringStrategy": {"type": "MostAllocated"}}}
            ],
        }
    ],
}
PROFILES = [
    pytest.param(Profile.default(), id="default"),
    pytest.param(read_profiles(RATIO)[0], id="ratio and three balanced resources"),
    pytest.param(read_profiles(MOST)[0], id="most allocated, other weights"),
]
PREFERS_SSD = Affinity(
    node_affinity=NodeAffinity(
        preferred_during_scheduling_ignored_during_execution=(
            PreferredSchedulingTerm(
                weight=30,
                preference=NodeSelectorTerm(
                    match_expressions=(
                        NodeSelectorRequirement(key="disk", operator="In", values=("ssd",)),
                    )
                ),
            ),
        )
    )
)


def class_of(state, seed, number):
    """Every third class prefers disks."""
    found = random_class(state, seed, number)
    if number % 3:
        return found
    spec = found.spec.model_copy(update={"affinity": PREFERS_SSD})
    return state.classes.intern("default", spec, 0)


steps = st.lists(
    st.tuples(
        st.sampled_from(["schedule", "remove", "relabel", "add", "drop"]), st.integers(0, 99)
    ),
    min_size=5,
    max_size=40,
)


@pytest.mark.parametrize("profile", PROFILES)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 50), script=steps)
def test_incremental_decisions_are_those_of_a_fresh_evaluation(profile, seed, script):
    state = random_cluster(seed)
    engine = KubeScheduler(profile, tie_break="first", percentage_of_nodes_to_score=100)
    view, extra = ClusterView(state), random_nodes(seed + 1, 40)
    for row, (what, which) in enumerate(script):
        names = sorted(state.nodes.row_of)
        if what == "remove" and state.node_of:
            state.remove_pod(sorted(state.node_of)[which % len(state.node_of)])
        elif what == "add":
            node = extra[which % 40]
            name = f"x{which % 40}"
            moved = node.metadata.model_copy(update={"name": name})
            state.nodes.add(node.model_copy(update={"metadata": moved}))
        elif what == "relabel" and names:
            node = state.nodes.nodes[state.nodes.row_of[names[which % len(names)]]]
            labels = {**node.metadata.labels, "disk": ("ssd", "hdd", "none")[which % 3]}
            meta = node.metadata.model_copy(update={"labels": labels})
            state.nodes.add(node.model_copy(update={"metadata": meta}))
        elif what == "drop" and len(names) > 2:
            gone = names[which % len(names)]
            if not state.pods_on[state.nodes.row_of[gone] :][:1] or not any(
                node == state.nodes.row_of[gone] for node in state.node_of.values()
            ):
                state.nodes.remove(gone)
        pod = pending(class_of(state, seed, which % 9), row)
        placement = engine.schedule(PodBatch([pod]), view, Draws(seed))
        found = evaluate(profile, Cycle(state, pod.pod_class, pod))
        assert placement.feasible == [len(found.feasible)]
        if not len(found.feasible):
            assert placement.node == [-1]
            assert placement.reason[0].startswith(
                message(profile, Cycle(state, pod.pod_class), found)
            )
            continue
        totals = dict(zip(found.feasible.tolist(), found.total.tolist(), strict=True))
        best = [row for row in visiting_order(state.nodes).tolist() if row in totals]
        assert placement.node[0] == max(best, key=totals.__getitem__)
        if what == "schedule":
            state.add_pod(row, pod.pod_class, placement.node[0])


def message(profile, cycle, found):
    """Return the message from the verdicts of a fresh evaluation."""
    counts = {}
    for by, code in zip(found.rejected_by.tolist(), found.codes.tolist(), strict=True):
        for reason in profile.filters[by].reasons(cycle, -1, code):
            counts[reason] = counts.get(reason, 0) + 1
    return fit_error(len(found.rows), counts)


def test_random_ties_are_fair_and_keyed():
    state = random_cluster(0, 0)
    for i in range(4):
        state.nodes.add(small_node(f"n{i}"))
    pod_class = state.classes.intern("default", pod_template(100).spec, 0)
    view = ClusterView(state)
    engine = KubeScheduler(percentage_of_nodes_to_score=100)

    def choose(row):
        batch = PodBatch([pending(pod_class, row)])
        return engine.schedule(batch, view, Draws(3)).node[0]

    chosen = [choose(row) for row in range(4_000)]
    assert chosen[:50] == [choose(row) for row in range(50)]
    counts = np.bincount(chosen, minlength=4)
    assert (np.abs(counts - 1_000) < 5 * np.sqrt(4_000 * 0.25 * 0.75)).all()


@pytest.mark.parametrize(
    ("size", "percentage", "found"),
    [
        pytest.param(10, 0, 10, id="a small cluster is searched whole"),
        pytest.param(99, 10, 99, id="below 100 nodes the share does not count"),
        pytest.param(1_000, 0, 420, id="adaptive: 50 - 1000/125 = 42 %"),
        pytest.param(5_000, 0, 500, id="adaptive: 50 - 40 = 10 %"),
        pytest.param(6_000, 0, 300, id="adaptive: 50 - 48 = 2, at least 5 %"),
        pytest.param(1_000, 40, 400, id="given: 40 %"),
        pytest.param(200, 10, 100, id="at least 100 nodes"),
        pytest.param(1_000, 100, 1_000, id="all"),
    ],
)
def test_nodes_to_find_as_upstream(size, percentage, found):
    assert nodes_to_find(size, percentage) == found


def test_the_search_starts_where_the_last_one_ended():
    state = random_cluster(0, 0)
    for i in range(250):
        state.nodes.add(small_node(f"n{i:03d}"))
    pod_class = state.classes.intern("default", pod_template(100).spec, 0)
    view = ClusterView(state)
    engine = KubeScheduler(tie_break="first", percentage_of_nodes_to_score=40)
    placements = [
        engine.schedule(PodBatch([pending(pod_class, row)]), view, Draws(0)) for row in range(4)
    ]
    assert [p.node[0] for p in placements] == [0, 100, 200, 50]  # 100 found each time, of 250
    assert [p.work[0] for p in placements] == [100] * 4
    assert [p.feasible[0] for p in placements] == [100] * 4


def test_nodes_are_visited_zone_by_zone_in_turn():
    state = random_cluster(0, 0)
    zones = ["a", "a", "a", "b", "c", "b", "a"]
    for i, zone in enumerate(zones):
        state.nodes.add(small_node(f"n{i}", labels={"topology.kubernetes.io/zone": zone}))
    # a: 0 1 2 6; b: 3 5; c: 4 -> a b c, a b, a, a
    assert visiting_order(state.nodes).tolist() == [0, 3, 4, 1, 5, 2, 6]


@given(
    st.lists(st.tuples(st.integers(0, 100), st.integers(0, 10)), min_size=1, max_size=5,
             unique_by=lambda p: p[0]),
    st.integers(0, 100),
)  # fmt: skip
def test_the_compiled_shape_is_the_plain_one(points, utilization):
    shape = tuple(sorted(points))
    xs, ys = np.array([x for x, _ in shape]), np.array([10 * y for _, y in shape])
    plain = shape_scores(np.array([utilization]), shape)[0]
    assert kernels.ratio_score(utilization, xs, ys) == plain


@pytest.mark.parametrize(
    ("heuristic", "rank"),
    [
        pytest.param(BestFit, lambda q, f, a, c: -sum((f - q) / a), id="best-fit"),
        pytest.param(WorstFit, lambda q, f, a, c: sum((f - q) / a), id="worst-fit"),
        pytest.param(DotProduct, lambda q, f, a, c: sum((q / c) * (f / c)), id="dot-product"),
        pytest.param(FirstFit, lambda q, f, a, c: 0.0, id="first-fit"),
    ],
)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1_000))
def test_heuristics_take_the_best_rank(heuristic, rank, seed):
    state, scheduler = random_cluster(seed), heuristic()
    view = ClusterView(state)
    for row in range(25):
        pod = pending(random_class(state, seed, row % 7), row)
        chosen = scheduler.schedule(PodBatch([pod]), view, Draws(0)).node[0]
        rows = view.feasible(pod).tolist()
        if not rows:
            assert chosen == -1
            continue
        wanted = [(r, q) for r, q in pod.pod_class.requests if r != 3]
        at = np.array([r for r, _ in wanted], int)
        asked = np.array([q for _, q in wanted], float)
        largest = view.allocatable.max(axis=1)[at].astype(float)
        ranks = [
            rank(
                asked,
                (view.allocatable[at, n] - view.requested[at, n]).astype(float),
                view.allocatable[at, n].astype(float),
                largest,
            )
            if len(at)
            else 0.0
            for n in rows
        ]
        assert ranks[rows.index(chosen)] == pytest.approx(max(ranks), rel=1e-12)
        state.add_pod(row, pod.pod_class, chosen)


def asking(state, requests):
    """Return the class of pods with these requests."""
    template = pod_template(1)
    container = template.spec.containers[0]
    sized = container.resources.model_copy(update={"requests": Amounts(requests)})
    container = container.model_copy(update={"resources": sized})
    return state.classes.intern(
        "default", template.spec.model_copy(update={"containers": (container,)}), 0
    )


@pytest.mark.parametrize("kind", [KubeScheduler, FirstFit], ids=lambda k: k.__name__)
def test_a_resource_that_no_node_has_ever_named_fits_nowhere(kind):
    state = random_cluster(0, 0)
    for i in range(3):
        state.nodes.add(small_node(f"n{i}"))
    for i in range(30):  # many more than the columns were made for
        last = asking(state, {"cpu": 100, f"example.com/r{i}": 1})
    view, pod = ClusterView(state), pending(last, 0)
    placement = kind().schedule(PodBatch([pod]), view, Draws(0))
    assert placement.node == [-1]
    assert placement.reason[0].startswith(
        "0/3 nodes are available: 3 Insufficient example.com/r29."
    )
    assert view.feasible(pod).tolist() == []
    assert PodBatch([pod]).requests(view)[last.requests[-1][0]].tolist() == [1]
    assert evaluate(Profile.default(), Cycle(state, last)).feasible.tolist() == []


@pytest.mark.parametrize("kind", [KubeScheduler, FirstFit], ids=lambda k: k.__name__)
def test_a_class_that_slept_through_the_log_sees_the_nodes_as_they_are(kind):
    state, scheduler = random_cluster(0, 0), kind()
    nodes = [small_node(f"n{i}") for i in range(3)]
    for node in nodes:
        state.nodes.add(node)
    pod, view = pending(asking(state, {"cpu": 100}), 0), ClusterView(state)
    assert scheduler.schedule(PodBatch([pod]), view, Draws(0)).feasible != [0]
    assert len(view.feasible(pod)) == 3
    for node in nodes[:2]:
        cordoned = node.spec.model_copy(update={"unschedulable": True})
        state.nodes.add(node.model_copy(update={"spec": cordoned}))
    for _ in range(2 * len(state.nodes.attributes.rows)):
        state.nodes.add(nodes[2])
    assert scheduler.schedule(PodBatch([pod]), view, Draws(0)).node == [2]
    assert view.feasible(pod).tolist() == [2]


class Prime:
    """A plugin of one's own: it looks at what is requested."""

    name = "Prime"

    def __init__(self, depends):
        if depends is not None:
            self.depends = depends

    def filter(self, cycle, rows):
        return (cycle.nodes.requested[3, rows] == 2).astype(np.int64)

    def reasons(self, cycle, row, code):
        return ("two is a prime",)

    def status(self, cycle, row, code):
        return Code.UNSCHEDULABLE

    def score(self, cycle, rows):
        return cycle.nodes.requested[3, rows] * 7 % 50


class Scaled(Prime):
    def normalize(self, cycle, rows, raw):
        return raw * 100 // max(1, int(raw.max(initial=0)))


@pytest.mark.parametrize("kind", [Prime, Scaled])
@pytest.mark.parametrize("depends", [None, Depends.NODE, Depends.GLOBAL, Depends.DOMAIN])
def test_a_plugin_of_ones_own_has_its_say(kind, depends):
    own, base = kind(depends), Profile.default()
    profile = replace(base, filters=(*base.filters, own), scores=(*base.scores, (own, 3)))
    state = random_cluster(5)
    engine = KubeScheduler(profile, tie_break="first", percentage_of_nodes_to_score=100)
    for row in range(60):
        pod = pending(class_of(state, 5, row % 7), row)
        found = evaluate(profile, Cycle(state, pod.pod_class, pod))
        node = engine.schedule(PodBatch([pod]), ClusterView(state), Draws(0)).node[0]
        if not len(found.feasible):
            assert node == -1
            continue
        totals = dict(zip(found.feasible.tolist(), found.total.tolist(), strict=True))
        best = [row for row in visiting_order(state.nodes).tolist() if row in totals]
        assert node == max(best, key=totals.__getitem__)
        state.add_pod(row, pod.pod_class, node)
