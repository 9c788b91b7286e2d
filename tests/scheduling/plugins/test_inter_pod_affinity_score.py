"""InterPodAffinity, how it scores: read the tables to learn what kube-scheduler 1.35 does.

The cluster of the tables, where ``host`` is a label that every node has for itself::

    node   a1   a2      b1   c1
    zone   a    a       b    (none)
    disk   ssd  (none)  ssd  ssd
"""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schedlab.api.objects import Namespace, ObjectMeta
from schedlab.api.selectors import label_selector_matches
from schedlab.cluster import ClassTable, ClusterState, ResourceNames
from schedlab.scheduling.framework.interface import Cycle
from schedlab.scheduling.plugins.inter_pod_affinity import APART, NEAR, REPELLED, InterPodAffinity
from schedlab.testing import label_condition, pod_affinity, pod_template, pod_term, small_node

NODES = {
    "a1": {"zone": "a", "disk": "ssd"},
    "a2": {"zone": "a"},
    "b1": {"zone": "b", "disk": "ssd"},
    "c1": {"disk": "ssd"},
}
SPACES = {"default": {}, "prod": {"env": "prod"}, "test": {"env": "test"}}
WEB, DB = {"app": "web"}, {"app": "db"}
OK = 0


def term(key="zone", selector="web", **scope):
    return pod_term(key, selector, **scope)


def pod(labels=None, *, space="default", **affinity):
    """Return labels, namespace and affinity (see `pod_affinity`) of a pod."""
    return labels or {}, space, pod_affinity(**affinity)


def intern(state, spec):
    labels, space, affinity = spec
    return state.classes.intern(space, pod_template(affinity=affinity).spec, 0, labels=labels)


def cluster(placed=()):
    """Return the cluster; *placed* are pairs of a node's name and a pod."""
    state = ClusterState(ClassTable(ResourceNames()))
    for name, labels in SPACES.items():
        state.objects.put(Namespace(metadata=ObjectMeta(name=name, labels=labels)))
    for name, labels in NODES.items():
        state.nodes.add(small_node(name, labels={"host": name, **labels}))
    for row, (node, spec) in enumerate(placed):
        state.add_pod(row, intern(state, spec), state.nodes.row_of[node])
    return state


def scores(state, spec, plugin=None, rows=None):
    """Return whether the plugin skips, raw scores and normalised ones."""
    plugin = plugin or InterPodAffinity()
    cycle = Cycle(state, intern(state, spec))
    rows = cycle.rows() if rows is None else np.array(rows, np.int64)
    raw = plugin.score(cycle, rows)
    found = plugin.normalize(cycle, rows, raw)
    return plugin.pre_score(cycle, rows), raw.tolist(), found.tolist()


# --- Score: raw and normalised, on a1, a2, b1, c1


@pytest.mark.parametrize(
    ("placed", "incoming", "raw", "normalised"),
    [
        # zone a holds 1 web pod: 1 x 5 = 5
        pytest.param(
            [("a1", pod(WEB))], pod(prefer=[(5, term())]), [5, 5, 0, 0], [100, 100, 0, 0],
            id="preferred affinity: the weight in the whole domain",
        ),
        # zone a: 3 x 5 = 15, zone b: 1 x 5 = 5; 100 x 5 / 15 = 33.3
        pytest.param(
            [("a1", pod(WEB)), ("a1", pod(WEB)), ("a2", pod(WEB)), ("b1", pod(WEB))],
            pod(prefer=[(5, term())]), [15, 15, 5, 0], [100, 100, 33, 0],
            id="preferred affinity: once per pod; 33.3 is truncated",
        ),
        # zone a: -5; from -5 to 0: (-5 + 5) / 5 = 0, (0 + 5) / 5 = 1
        pytest.param(
            [("a1", pod(WEB))], pod(avoid=[(5, term())]), [-5, -5, 0, 0], [0, 0, 100, 100],
            id="preferred anti-affinity counts down",
        ),
        # zone: a 5, b 0; host: a1 -2, b1 0 -> a1 3, a2 5, b1 0, c1 0; 100 x 3 / 5 = 60
        pytest.param(
            [("a1", pod(WEB))], pod(prefer=[(5, term())], avoid=[(2, term("host"))]),
            [3, 5, 0, 0], [60, 100, 0, 0],
            id="terms of different keys add up",
        ),
        # zone: web 1 x 5, db 2 x 3 on a; db on b 1 x 3
        pytest.param(
            [("a1", pod(WEB)), ("a2", pod(DB)), ("a2", pod(DB)), ("b1", pod(DB))],
            pod(prefer=[(5, term()), (3, term(selector="db"))]),
            [11, 11, 3, 0], [100, 100, 27, 0],
            id="terms of one key add up: 5 + 6 = 11, 100 x 3 / 11 = 27.2",
        ),
        # a pod that matches one of two preferred terms counts for that one: no 'all must match'
        pytest.param(
            [("a1", pod({"app": "web", "tier": "x"})), ("b1", pod(WEB))],
            pod(prefer=[(4, term()), (6, term(selector=label_condition("tier", "Exists")))]),
            [10, 10, 4, 0], [100, 100, 40, 0],
            id="each preferred term by itself",
        ),
        pytest.param(
            [("c1", pod(WEB))], pod(prefer=[(5, term("disk"))]), [5, 0, 5, 5], [100, 0, 100, 100],
            id="a node without the key gets nothing",
        ),
        # zone a: -4, zone b: -2, c1: 0; -4 -> 0, -2 -> 100 x 2 / 4 = 50, 0 -> 100
        pytest.param(
            [("a1", pod(WEB)), ("a2", pod(WEB)), ("b1", pod(WEB))], pod(avoid=[(2, term())]),
            [-4, -4, -2, 0], [0, 0, 50, 100],
            id="the least is 0, even below zero",
        ),
        # symmetry: the placed pod would like a web pod near (7), one elsewhere not (2)
        pytest.param(
            [("a1", pod(prefer=[(7, term())])), ("b1", pod(avoid=[(2, term())]))], pod(WEB),
            [7, 7, -2, 0], [100, 100, 0, 22],
            id="preferences of placed pods: (0 + 2) / 9 = 0.22",
        ),
        pytest.param(
            [("a1", pod(DB, prefer=[(7, term())]))], pod(WEB, prefer=[(3, term(selector="db"))]),
            [10, 10, 0, 0], [100, 100, 0, 0],
            id="both like each other: 7 + 3",
        ),
        # zone a: one web pod (5) that itself wants to avoid the incoming one (-5)
        pytest.param(
            [("a1", pod(WEB, avoid=[(5, term(selector="db"))]))], pod(DB, prefer=[(5, term())]),
            [0, 0, 0, 0], [0, 0, 0, 0],
            id="what cancels out leaves zero everywhere, not Skip",
        ),
        # required affinity of placed pods: hardPodAffinityWeight is 1
        pytest.param(
            [("a1", pod(near=[term()])), ("a2", pod(near=[term(), term("host")]))], pod(WEB),
            [2, 3, 0, 0], [66, 100, 0, 0],
            id="required affinity of placed pods draws: a1 1 + 1, a2 1 + 1 + 1; 66.6",
        ),
        pytest.param(
            [("a1", pod(WEB))], pod(near=[term()], prefer=[(5, term("host"))]),
            [5, 0, 0, 0], [100, 0, 0, 0],
            id="the incoming pod's required affinity adds nothing to the score",
        ),
        # 29 / 100 = 0.28999..., times 100 = 28.999...96: 28 where integers would give 29
        pytest.param(
            [("a1", pod(prefer=[(100, term("host"))])), ("a2", pod(prefer=[(29, term("host"))]))],
            pod(WEB), [100, 29, 0, 0], [100, 28, 0, 0],
            id="float64, then truncated: 29 of 100 are 28",
        ),
        pytest.param(
            [("a1", pod(prefer=[(7, term(selector="db"))])), ("b1", pod(prefer=[(1, term())]))],
            pod(WEB), [0, 0, 1, 0], [0, 0, 100, 0],
            id="only placed pods that mean the incoming one",
        ),
    ],
)  # fmt: skip
def test_how_a_pod_scores(placed, incoming, raw, normalised):
    assert scores(cluster(placed=placed), incoming) == (False, raw, normalised)


@pytest.mark.parametrize(
    ("weight", "ignore", "incoming", "raw"),
    [
        # on a1 a pod requires web near, on a2 one prefers it with 4; keys are hosts
        pytest.param(1, False, pod(WEB), [1, 4, 0, 0], id="the default: 1"),
        pytest.param(10, False, pod(WEB), [10, 4, 0, 0], id="required counts 10"),
        pytest.param(0, False, pod(WEB), [0, 4, 0, 0], id="required doesn't count"),
        pytest.param(10, True, pod(WEB), None, id="ignore: Skip, required counts as little"),
        pytest.param(
            10, True, pod(WEB, near=[term()]), None, id="ignore: required terms don't help"
        ),
        # with a preferred term of its own, all is as ever: 3 for the web pod on b1
        pytest.param(
            10, True, pod(WEB, prefer=[(3, term("host"))]), [10, 4, 3, 0],
            id="ignore: not where the incoming pod has a preferred term",
        ),
        pytest.param(
            10, True, pod(WEB, avoid=[(3, term("host"))]), [10, 4, -3, 0],
            id="ignore: nor where it is an anti-affinity",
        ),
    ],
)  # fmt: skip
def test_the_arguments(weight, ignore, incoming, raw):
    state = cluster(
        placed=[
            ("a1", pod(near=[term("host")])),
            ("a2", pod(prefer=[(4, term("host"))])),
            ("b1", pod(WEB)),
        ]
    )
    skip, found, _ = scores(state, incoming, InterPodAffinity(weight, ignore))
    assert (skip, found) == (raw is None, raw or [0] * 4)


@pytest.mark.parametrize(
    ("placed", "incoming", "weight", "skip"),
    [
        pytest.param([], pod(WEB), 1, True, id="nobody says anything"),
        pytest.param([("a1", pod(DB))], pod(prefer=[(5, term())]), 1, True, id="nobody matches"),
        pytest.param(
            [("c1", pod(WEB))], pod(prefer=[(5, term())]), 1, True, id="or only outside of domains"
        ),
        pytest.param([("a1", pod(near=[term()]))], pod(WEB), 1, False, id="required, weight 1"),
        pytest.param([("a1", pod(near=[term()]))], pod(WEB), 0, True, id="required, weight 0"),
        pytest.param(
            [("a1", pod(apart=[term()]))], pod(WEB), 1, True, id="anti-affinity isn't scored"
        ),
        pytest.param(
            [("a1", pod(WEB))], pod(near=[term()]), 1, True, id="nor is the pod's own required one"
        ),
        pytest.param(
            [("a1", pod(prefer=[(5, term())])), ("a1", pod(avoid=[(5, term())]))],
            pod(WEB),
            1,
            False,
            id="5 - 5 = 0, but somebody said something",
        ),
    ],
)
def test_when_the_score_is_skipped(placed, incoming, weight, skip):
    found, raw, normalised = scores(cluster(placed=placed), incoming, InterPodAffinity(weight))
    assert found == skip
    if skip:
        assert raw == normalised == [0] * 4


def test_scores_are_scaled_over_the_feasible_nodes():
    placed = [("a1", pod(WEB))] * 3 + [("b1", pod(WEB))] * 2
    incoming = pod(prefer=[(1, term("host"))])
    state = cluster(placed=placed)
    assert scores(state, incoming)[1:] == ([3, 0, 2, 0], [100, 0, 66, 0])
    assert scores(state, incoming, rows=[2, 3])[1:] == ([2, 0], [100, 0])
    assert scores(state, incoming, rows=[2])[1:] == ([2], [0])  # no spread: 0, not 100
    assert scores(state, incoming, rows=[])[1:] == ([], [])


# --- Filter and score against upstream's way: pairs of key and value, counted pod by pod


class Walk:
    """Maps from (key, value) to counts, by a walk over nodes, pods and their terms."""

    def __init__(self, state, asked, weight, ignore):
        self.state, self.asked, self.weight = state, asked, weight
        self.near, self.apart, self.repelling = Counter(), Counter(), Counter()
        self.score = Counter()
        self.said = False
        self.own = self.terms(asked)
        for node, pods in enumerate(state.pods_on):
            for placed in pods.values():
                self.see(state.nodes.labels(node), placed)
                if self.own["soft"] or not ignore:
                    self.weigh(state.nodes.labels(node), placed)

    def see(self, labels, placed):
        near, asked = self.own["near"], self.asked
        if all(self.means(asked, t, placed) for t, _ in near):
            for t, _ in near:
                self.count(self.near, labels, t, 1)
        for t, _ in self.own["apart"]:
            if self.means(asked, t, placed):
                self.count(self.apart, labels, t, 1)
        for t, _ in self.terms(placed)["apart"]:
            if self.means(placed, t, asked):
                self.count(self.repelling, labels, t, 1)

    def weigh(self, labels, placed):
        theirs = self.terms(placed)
        hard = [(t, self.weight) for t, _ in theirs["near"] if self.weight]
        for owner, terms, other in (
            (self.asked, self.own["soft"], placed),
            (placed, hard + theirs["soft"], self.asked),
        ):
            for t, change in terms:
                if self.means(owner, t, other):
                    self.said |= self.count(self.score, labels, t, change)

    @staticmethod
    def terms(pod_class):
        affinity = pod_class.spec.affinity
        near, apart = affinity.pod_affinity, affinity.pod_anti_affinity
        soft = "preferred_during_scheduling_ignored_during_execution"
        hard = "required_during_scheduling_ignored_during_execution"
        return {
            "near": [(t, 0) for t in getattr(near, hard)],
            "apart": [(t, 0) for t in getattr(apart, hard)],
            "soft": [(t.pod_affinity_term, t.weight) for t in getattr(near, soft)]
            + [(t.pod_affinity_term, -t.weight) for t in getattr(apart, soft)],
        }

    def means(self, owner, t, other):
        names = t.namespaces or (() if t.namespace_selector else (owner.namespace,))
        labels = self.state.objects.namespace_labels(other.namespace)
        return label_selector_matches(t.label_selector, other.labels) and (
            other.namespace in names or label_selector_matches(t.namespace_selector, labels)
        )

    @staticmethod
    def count(pairs, labels, t, change):
        if t.topology_key not in labels:
            return False
        pairs[t.topology_key, labels[t.topology_key]] += change
        return True

    def verdict(self, node):
        labels, near = self.state.nodes.labels(node), self.own["near"]
        keys = [t.topology_key for t, _ in near]
        there = all(key in labels for key in keys)
        first = not self.near and all(self.means(self.asked, t, self.asked) for t, _ in near)
        if not there or not (first or all(self.near[key, labels[key]] for key in keys)):
            return NEAR
        if any(self.apart[pair] for pair in labels.items()):
            return APART
        return REPELLED if any(self.repelling[pair] for pair in labels.items()) else OK

    def raw(self, node):
        return sum(self.score[pair] for pair in self.state.nodes.labels(node).items())


terms = st.builds(
    lambda key, selector, scope: term(key, selector, **scope),
    st.sampled_from(("zone", "host", "disk")),
    st.sampled_from(("web", "db", {}, None, label_condition("app", "Exists"))),
    st.sampled_from(
        (
            {},
            {"namespaces": ["prod"]},
            {"namespaceSelector": {}},
            {"namespaceSelector": {"matchLabels": {"env": "prod"}}},
        )
    ),
)
weighted = st.tuples(st.integers(1, 3), terms)
pods = st.builds(
    pod,
    st.sampled_from(({}, WEB, DB)),
    space=st.sampled_from(("default", "prod")),
    near=st.lists(terms, max_size=2),
    apart=st.lists(terms, max_size=1),
    prefer=st.lists(weighted, max_size=2),
    avoid=st.lists(weighted, max_size=1),
)


@settings(max_examples=150, deadline=None)
@given(
    placed=st.lists(st.tuples(st.sampled_from(tuple(NODES)), pods), max_size=6),
    incoming=pods,
    weight=st.sampled_from((0, 1, 5)),
    ignore=st.booleans(),
)
def test_it_agrees_with_a_walk_over_pods(placed, incoming, weight, ignore):
    state = cluster(placed=placed)
    asked = intern(state, incoming)
    cycle, walk = Cycle(state, asked), Walk(state, asked, weight, ignore)
    plugin = InterPodAffinity(weight, ignore)
    asks = walk.own["near"] or walk.own["apart"] or walk.repelling
    assert plugin.pre_filter(cycle).skip == (not asks)
    rows = cycle.rows()
    assert plugin.filter(cycle, rows).tolist() == [walk.verdict(row) for row in rows]
    assert plugin.pre_score(cycle, rows) == (not walk.said)
    assert plugin.score(cycle, rows).tolist() == [walk.raw(row) for row in rows]
