"""Nodes in columns, the state on top of them, and the observers that check both."""

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from schedlab.api.base import Amounts
from schedlab.api.objects import Container, PodSpec, ResourceRequirements
from schedlab.cluster import ClassTable, ClusterState, NodeColumns, ResourceNames, Vocabulary
from schedlab.cluster.invariants import bound_once, columns_are_sums, no_overcommit, violations
from schedlab.cluster.nodes import ChangeLog
from schedlab.cluster.pods import PodLatency, PodTable
from schedlab.cluster.vocabulary import MOST_ASKED
from schedlab.errors import InputError
from schedlab.rng import Draws
from schedlab.scheduling.base import PodBatch
from schedlab.scheduling.kube_scheduler import KubeScheduler
from schedlab.scheduling.view import ClusterView
from schedlab.sim import Exponential
from schedlab.testing import pod_template, small_node
from schedlab.testing.conformance import pending


def test_columns_grow_and_keep_what_they_hold():
    nodes = NodeColumns(ResourceNames())
    for i in range(100):
        nodes.add(small_node(f"n{i}", cpu=1_000 + i, labels={"rack": f"r{i % 5}"}))
    assert nodes.size == 100
    assert nodes.allocatable[0, :100].tolist() == list(range(1_000, 1_100))
    column = nodes.label_column("rack")
    assert [nodes.label_values[v] for v in column.tolist()] == [f"r{i % 5}" for i in range(100)]
    assert nodes.label_column("colour") is None


def test_a_resource_that_comes_up_late_gets_a_row():
    nodes = NodeColumns(ResourceNames())
    nodes.add(small_node("plain"))
    for i in range(20):
        node = small_node(f"n{i}")
        offer = Amounts({**node.status.allocatable, f"example.com/r{i}": i + 1})
        status = node.status.model_copy(update={"allocatable": offer})
        nodes.add(node.model_copy(update={"status": status}))
    row = nodes.resources.get("example.com/r19")
    assert nodes.allocatable[row, nodes.row_of["n19"]] == 20
    assert nodes.allocatable[row, nodes.row_of["plain"]] == 0
    assert nodes.allocatable[0, nodes.row_of["plain"]] == 4_000


def test_a_removed_node_is_a_tombstone_until_its_row_is_recycled():
    nodes = NodeColumns(ResourceNames())
    for name in ("a", "b"):
        nodes.add(small_node(name))
    row = nodes.remove("a")
    assert not nodes.present[row]
    assert not nodes.fits(row, ((0, 1),))
    assert nodes.add(small_node("c")) == 2
    nodes.recycle(row)
    assert nodes.add(small_node("d")) == row
    assert (nodes.generation[row], nodes.names[row]) == (2, "d")


def test_a_row_in_use_or_free_already_is_not_recycled():
    state = ClusterState(ClassTable(ResourceNames()))
    row = state.nodes.add(small_node("a"))
    state.add_pod(0, state.classes.intern("default", pod_template().spec, 0), row)
    state.nodes.remove("a")
    with pytest.raises(ValueError, match="in use"):
        state.nodes.recycle(row)
    state.remove_pod(0)
    state.nodes.recycle(row)
    with pytest.raises(ValueError, match="free already"):
        state.nodes.recycle(row)
    assert [state.nodes.add(small_node(name)) for name in ("b", "c")] == [row, row + 1]


def asking_for(count):
    amounts = Amounts({f"example.com/r{i}": 1 for i in range(count)})
    resources = ResourceRequirements(requests=amounts)
    return PodSpec(containers=(Container(name="c", resources=resources),))


def test_a_pod_asks_for_no_more_resources_than_bits_in_a_verdict():
    table = ClassTable(ResourceNames())
    known = table.intern("default", asking_for(MOST_ASKED - 1), 0)
    assert len(known.requests) == MOST_ASKED  # pods is the last
    with pytest.raises(InputError, match="at most 62 resources that a pod asks for, found 63"):
        table.intern("default", asking_for(MOST_ASKED), 0)


def test_a_cluster_has_as_many_resources_as_it_likes():
    state = ClusterState(ClassTable(ResourceNames()))
    for i in range(200):
        node = small_node(f"n{i}")
        amounts = Amounts({**node.status.allocatable, f"example.com/r{i}": 1})
        status = node.status.model_copy(update={"allocatable": amounts})
        state.nodes.add(node.model_copy(update={"status": status}))
    view, scheduler = ClusterView(state), KubeScheduler()
    for i in (150, 3, 150):
        resources = ResourceRequirements(requests=Amounts({f"example.com/r{i}": 1}))
        spec = PodSpec(containers=(Container(name="c", resources=resources),))
        pod = pending(state.classes.intern("default", spec, 0), len(state.node_of))
        placement = scheduler.schedule(PodBatch([pod]), view, Draws(0))
        if placement.node[0] >= 0:
            state.add_pod(pod.row, pod.pod_class, placement.node[0])
            assert placement.node == [i]
    assert placement.reason[0].startswith(
        "0/200 nodes are available: 200 Insufficient example.com/r150."
    )


def test_a_change_log_forgets_its_oldest_half():
    log = ChangeLog(8)
    for row in range(8):
        log.append(row)
    assert log.since(3).tolist() == [3, 4, 5, 6, 7]
    log.append(8)
    assert log.since(3) is None  # no longer kept: refresh everything
    assert log.since(4).tolist() == [4, 5, 6, 7, 8]
    assert log.count == 9


def test_a_vocabulary_numbers_values_once():
    words = Vocabulary(["a"])
    assert [words.add(w) for w in ("b", "a", "b", "c")] == [1, 0, 1, 2]
    assert (words.get("z"), list(words), len(words)) == (-1, ["a", "b", "c"], 3)


def test_classes_are_alike_whatever_their_labels():
    classes = ClassTable(ResourceNames())
    one = classes.intern("default", pod_template(500).spec, 0)
    assert classes.intern("default", pod_template(500).spec, 0) is one
    assert classes.intern("default", pod_template(501).spec, 0) is not one
    assert classes.intern("default", pod_template(500).spec, 7) is not one
    assert classes.intern("other", pod_template(500).spec, 0) is not one
    assert one.requests == ((0, 500), (3, 1))
    assert one.nonzero == (500, 200 << 20)  # 200Mi stand in for no memory request
    assert one.request_vector(5).tolist() == [500, 0, 0, 1, 0]


class Overlay(RuleBasedStateMachine):
    """A state with nested overlays against one that is copied."""

    def __init__(self):
        super().__init__()
        self.state = ClusterState(ClassTable(ResourceNames()))
        for i in range(4):
            self.state.nodes.add(small_node(f"n{i}"))
        self.classes = [
            self.state.classes.intern("default", pod_template(100 * (k + 1)).spec, 0)
            for k in range(3)
        ]
        self.saved = []
        self.next = 0

    @rule(node=st.integers(0, 3), k=st.integers(0, 2))
    def add(self, node, k):
        self.state.add_pod(self.next, self.classes[k], node)
        self.next += 1

    @precondition(lambda self: self.state.node_of)
    @rule(which=st.integers(0, 99))
    def remove(self, which):
        pods = sorted(self.state.node_of)
        self.state.remove_pod(pods[which % len(pods)])

    @rule()
    def mark(self):
        before = (self.state.nodes.requested.copy(), dict(self.state.node_of))
        self.saved.append((self.state.mark(), before))

    @precondition(lambda self: self.saved)
    @rule()
    def undo(self):
        mark, (requested, node_of) = self.saved.pop()
        self.state.undo(mark)
        assert np.array_equal(self.state.nodes.requested, requested)
        assert self.state.node_of == node_of

    @invariant()
    def sums(self):
        assert columns_are_sums(self.state) == []
        assert bound_once(self.state) == []


TestOverlay = Overlay.TestCase
TestOverlay.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


def test_a_pod_holds_resources_once():
    state = ClusterState(ClassTable(ResourceNames()))
    row = state.nodes.add(small_node())
    pod_class = state.classes.intern("default", pod_template().spec, 0)
    state.add_pod(7, pod_class, row)
    with pytest.raises(ValueError, match="pod 7 is on node 0 already"):
        state.add_pod(7, pod_class, row)
    assert state.remove_pod(7) == row
    assert state.remove_pod(7) == -1


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        pytest.param(
            lambda s: s.nodes.requested.__setitem__((0, 0), 5), "n0: cpu requested is 5",
            id="a column that is no sum",
        ),
        pytest.param(
            lambda s: s.nodes.nonzero_requested.__setitem__((0, 0), 5), "nonzero request 0",
            id="a nonzero column that is no sum",
        ),
        pytest.param(
            lambda s: s.pods_on[1].update(s.pods_on[0]), "pod 0 is on nodes 0 and 1",
            id="a pod on two nodes",
        ),
        pytest.param(lambda s: s.node_of.clear(), "index of pods by node", id="a lost index"),
        pytest.param(
            lambda s: s.nodes.allocatable.__setitem__((0, 0), 500), "cpu requested 1000 of 500",
            id="overcommit",
        ),
    ],
)  # fmt: skip
def test_invariants_find_the_damage(damage, sentence):
    state = ClusterState(ClassTable(ResourceNames()))
    for name in ("n0", "n1"):
        state.nodes.add(small_node(name))
    pod_class = state.classes.intern("default", pod_template().spec, 0)
    state.add_pod(0, pod_class, 0)
    state.add_pod(1, pod_class, 1)
    assert violations(state) == []
    damage(state)
    assert sentence in "; ".join(violations(state))


def test_overcommit_is_allowed_where_several_schedulers_bind():
    state = ClusterState(ClassTable(ResourceNames()))
    state.nodes.add(small_node(cpu=500))
    state.add_pod(0, state.classes.intern("default", pod_template().spec, 0), 0)
    assert len(no_overcommit(state)) == 1
    assert violations(state, single_scheduler=False) == []


def test_latencies_drawn_in_bulk_are_those_drawn_one_by_one():
    def table(at_once):
        pods = PodTable(ClassTable(ResourceNames()))
        ones, keys = np.ones(40, np.int32), np.arange(40).astype(np.uint64) * 977
        if at_once:
            pods.extend(
                [f"p{i}" for i in range(40)],
                pod_class=ones, item=ones, replica=ones, key=keys,
                duration_us=ones.astype(np.int64), estimate_us=ones.astype(np.int64),
            )  # fmt: skip
        latency = PodLatency(Exponential(1_000_000), Draws(3, "x"), pods)
        if not at_once:
            for key in keys.tolist():
                pods.add("p", pod_class=1, item=1, replica=1, incarnation=0, key=key,
                         duration_us=1, estimate_us=1, owner=-1)  # fmt: skip
                latency.us(len(pods) - 1)
        return [latency.us(row) for row in range(40)]

    assert table(at_once=True) == table(at_once=False)
