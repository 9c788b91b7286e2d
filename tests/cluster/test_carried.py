"""The terms that placed pods carry, against a walk over the pods."""

import itertools

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from schedlab.api.objects import Affinity, Namespace, ObjectMeta
from schedlab.cluster import ClassTable, ClusterState, ResourceNames
from schedlab.cluster import carried as carried_module
from schedlab.cluster.carried import Kind, affinity_terms
from schedlab.errors import InputError
from schedlab.testing import pod_template, small_node

SPACES = ("default", "prod")
LABELS = ({}, {"app": "a"}, {"app": "b"}, {"app": "a", "tier": "web"})
SELECTORS = (
    {"matchLabels": {"app": "a"}},
    {"matchLabels": {"app": "b"}},
    {"matchExpressions": [{"key": "app", "operator": "In", "values": ["a"]}]},
    {"matchExpressions": [{"key": "tier", "operator": "Exists"}]},
    {},
    None,
)
SCOPES = (
    {},
    {"namespaces": ["prod"]},
    {"namespaces": ["default", "prod"]},
    {"namespaceSelector": {}},
    {"namespaceSelector": {"matchLabels": {"team": "x"}}},
)
TERMS = [
    {"topologyKey": key, "labelSelector": selector, **scope}
    for key, selector, scope in itertools.product(("zone", "rack"), SELECTORS, SCOPES)
]
SIDES = ("podAffinity", "podAntiAffinity")
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def affinity(side, *required, preferred=()):
    """Return an Affinity; *preferred* are pairs of weight and term."""
    weighted = [{"weight": weight, "podAffinityTerm": term} for weight, term in preferred]
    return Affinity.model_validate({side: {REQUIRED: list(required), PREFERRED: weighted}})


def fresh(*nodes):
    state = ClusterState(ClassTable(ResourceNames()))
    for name in nodes:
        state.nodes.add(small_node(name))
    return state


def intern(state, labels=None, namespace="default", **spec):
    return state.classes.intern(namespace, pod_template(**spec).spec, 0, labels=labels or {})


def namespace(name, team):
    labels = {} if team is None else {"team": team}
    return Namespace(metadata=ObjectMeta(name=name, labels=labels))


def walked(state, pod_class):
    """Return, per term that means a class, how many pods carry it on each node: all pods asked."""
    found = {}
    for node, pods in enumerate(state.pods_on):
        for carrier in pods.values():
            for term in affinity_terms(carrier):
                if term.pods.matches(pod_class, state.objects):
                    counts = found.setdefault(term.key, [0] * state.nodes.size)
                    counts[node] += 1
    return found


class Carried(RuleBasedStateMachine):
    """A cluster in which everything changes that carried terms depend on."""

    def __init__(self):
        super().__init__()
        self.state = fresh("n0")
        self.askers = [intern(self.state, labels, space) for labels in LABELS for space in SPACES]
        self.marks = []
        self.next = 0
        self.kept = {}

    def check(self, asker):
        carried, size = self.state.carried, self.state.nodes.size
        about = carried.about(asker)
        keys = [term.key for term in about]
        assert len(set(keys)) == len(keys)
        columns = {term.key: carried.of(term, size) for term in about}
        found = {key: counts.tolist() for key, counts in columns.items() if counts.any()}
        assert found == walked(self.state, asker)
        assert all(term.pods.matches(asker, self.state.objects) for term in about)
        assert carried.about(asker) is about
        self.kept.update({key: (carried.epoch, counts) for key, counts in columns.items()})

    @rule(
        node=st.integers(0, 99),
        labels=st.sampled_from(LABELS),
        space=st.sampled_from(SPACES),
        side=st.sampled_from(SIDES),
        required=st.lists(st.integers(0, len(TERMS) - 1), max_size=2),
        preferred=st.lists(
            st.tuples(st.integers(1, 2), st.integers(0, len(TERMS) - 1)), max_size=2
        ),
    )
    def add(self, node, labels, space, side, required, preferred):
        both = affinity(
            side, *(TERMS[t] for t in required), preferred=[(w, TERMS[t]) for w, t in preferred]
        )
        pod_class = intern(self.state, labels, space, affinity=both)
        self.state.add_pod(self.next, pod_class, node % self.state.nodes.size)
        self.next += 1

    @rule(node=st.integers(0, 99), labels=st.sampled_from(LABELS))
    def add_plain(self, node, labels):
        self.state.add_pod(self.next, intern(self.state, labels), node % self.state.nodes.size)
        self.next += 1

    @precondition(lambda self: self.state.node_of)
    @rule(which=st.integers(0, 99))
    def remove(self, which):
        pods = sorted(self.state.node_of)
        self.state.remove_pod(pods[which % len(pods)])

    @precondition(lambda self: self.state.node_of)
    @rule(which=st.integers(0, 99))
    def leave(self, which):
        """Being deleted changes nothing: such pods count until they are gone."""
        pods = sorted(self.state.node_of)
        self.state.leave(pods[which % len(pods)])

    @rule()
    def mark(self):
        self.marks.append((self.state.mark(), dict(self.state.node_of)))

    @precondition(lambda self: self.marks)
    @rule()
    def undo(self):
        mark, before = self.marks.pop()
        self.state.undo(mark)
        assert self.state.node_of == before

    @precondition(lambda self: not self.marks)
    @rule(count=st.sampled_from((1, 1, 20)))
    def grow(self, count):
        for _ in range(count):
            self.state.nodes.add(small_node(f"n{self.state.nodes.size}"))

    @rule(name=st.sampled_from(SPACES), team=st.sampled_from((None, "x", "y")))
    def relabel_namespace(self, name, team):
        self.state.objects.put(namespace(name, team))

    @rule(which=st.integers(0, 99))
    def ask(self, which):
        self.check(self.askers[which % len(self.askers)])

    @rule()
    def ask_all(self):
        for asker in self.askers:
            self.check(asker)

    @invariant()
    def columns_move_with_the_cluster(self):
        for key, (epoch, counts) in self.kept.items():
            if epoch == self.state.carried.epoch:
                known = self.state.pods_on[: len(counts)]  # nodes may have come since
                pods = [p for row in known for p in row.values()]
                carriers = [t.key for pod in pods for t in affinity_terms(pod)]
                assert counts.sum() == carriers.count(key)


class CrowdedCarried(Carried):
    """The same with hardly any memory: columns are dropped and made again all the time."""

    def __init__(self):
        super().__init__()
        self.budget = carried_module.BUDGET_BYTES
        carried_module.BUDGET_BYTES = 0  # leaves the minimum of 16 columns

    def teardown(self):
        carried_module.BUDGET_BYTES = self.budget


TestCarried = Carried.TestCase
TestCarried.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestCrowdedCarried = CrowdedCarried.TestCase
TestCrowdedCarried.settings = settings(max_examples=30, stateful_step_count=60, deadline=None)


def test_what_a_class_asks_for():
    state = fresh()
    term = {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "a"}}}
    pod = intern(
        state,
        namespace="prod",
        affinity=Affinity.model_validate(
            {
                "podAffinity": {
                    REQUIRED: [term],
                    PREFERRED: [{"weight": 7, "podAffinityTerm": term}],
                },
                "podAntiAffinity": {
                    REQUIRED: [term, term],
                    PREFERRED: [{"weight": 9, "podAffinityTerm": term}],
                },
            }
        ),
    )
    found = affinity_terms(pod)
    assert [(t.kind, t.weight) for t in found] == [
        (Kind.NEAR, 0),
        (Kind.PREFERRED, 7),
        (Kind.APART, 0),
        (Kind.APART, 0),  # stated twice
        (Kind.PREFERRED, -9),
    ]
    assert {t.topology_key for t in found} == {"zone"}
    assert len({t.pods.key for t in found}) == 1
    assert found[0].pods.namespaces == {"prod"}  # its own, as the term names none
    assert affinity_terms(intern(state)) == ()


@pytest.mark.parametrize(
    ("scope", "namespaces"),
    [
        pytest.param({}, {"prod"}, id="without both: the pod's own"),
        pytest.param({"namespaces": []}, {"prod"}, id="an empty list is no list"),
        pytest.param({"namespaces": ["a", "b"]}, {"a", "b"}, id="a list replaces the pod's own"),
        pytest.param({"namespaceSelector": {}}, set(), id="a selector replaces it too"),
        pytest.param(
            {"namespaces": ["a"], "namespaceSelector": {}}, {"a"}, id="both: one or the other"
        ),
    ],
)
def test_the_namespaces_of_a_term(scope, namespaces):
    term = {"topologyKey": "zone", "labelSelector": {}, **scope}
    pod = intern(fresh(), namespace="prod", affinity=affinity("podAffinity", term))
    (found,) = affinity_terms(pod)
    assert found.pods.namespaces == namespaces


def test_a_term_that_many_classes_carry_is_one_column():
    state = fresh("n0", "n1")
    keep_off = affinity("podAntiAffinity", {"topologyKey": "zone", "labelSelector": {}})
    for pod, node in enumerate((0, 1, 1)):
        state.add_pod(pod, intern(state, cpu=pod + 1, affinity=keep_off), node)
    (term,) = state.carried.about(intern(state))
    assert state.carried.of(term, 2).tolist() == [1, 2]


def test_a_term_stated_twice_counts_twice():
    state = fresh("n0")
    term = {"topologyKey": "zone", "labelSelector": {}}
    state.add_pod(0, intern(state, affinity=affinity("podAffinity", term, term)), 0)
    (found,) = state.carried.about(intern(state))
    assert state.carried.of(found, 1).tolist() == [2]
    state.add_pod(1, intern(state, affinity=affinity("podAffinity", term)), 0)
    assert state.carried.of(found, 1).tolist() == [3]
    state.remove_pod(0)
    assert state.carried.of(found, 1).tolist() == [1]


def test_what_nobody_carries_is_zero_everywhere():
    state = fresh("n0", "n1")
    pod = intern(state, affinity=affinity("podAffinity", {"topologyKey": "zone"}))
    (term,) = state.carried.own(pod)
    before = state.carried.of(term, 2)
    assert before.tolist() == [0, 0]
    state.add_pod(0, pod, 1)
    assert before.tolist() == [0, 1]


def test_what_is_known_of_a_class_is_the_same_object_until_more_is_known():
    state = fresh("n0")
    asker, other = intern(state, {"app": "a"}), intern(state, {"app": "b"})
    nothing, of_other = state.carried.about(asker), state.carried.about(other)
    only_a = {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "a"}}}
    carrier = intern(state, affinity=affinity("podAffinity", only_a))
    state.add_pod(0, carrier, 0)
    found = state.carried.about(asker)
    assert (nothing, len(found)) == ((), 1)
    assert state.carried.about(other) is of_other
    state.add_pod(1, carrier, 0)
    assert state.carried.about(asker) is found


def test_pods_without_affinity_leave_no_trace():
    state = fresh("n0")
    state.add_pod(0, intern(state), 0)
    assert not state.carried._moved
    state.add_pod(1, intern(state, affinity=Affinity()), 0)  # empty: neither
    assert state.carried.about(intern(state)) == ()


def test_an_epoch_ends_when_columns_move_to_new_memory():
    state = fresh("n0")
    state.add_pod(0, intern(state, affinity=affinity("podAffinity", TERMS[0])), 0)
    (term,) = state.carried.own(intern(state, affinity=affinity("podAffinity", TERMS[0])))
    before = state.carried.of(term, 1)
    epoch = state.carried.epoch
    assert np.shares_memory(state.carried.of(term, 1), before)
    assert state.carried.epoch == epoch
    state.carried.of(term, 1_000)
    assert state.carried.epoch > epoch


def test_a_term_that_looks_at_a_label_left_out_before_is_refused():
    state = fresh("n0")
    intern(state, {"job-name": "j1"})  # a class without the label, as no selector mentions it
    term = {"topologyKey": "zone", "labelSelector": {"matchLabels": {"job-name": "j1"}}}
    with pytest.raises(InputError, match="job-name"):
        intern(state, affinity=affinity("podAntiAffinity", term))


@pytest.mark.parametrize(
    "selector",
    [
        pytest.param({"matchLabels": {"job-name": "j1"}}, id="by value"),
        pytest.param(
            {"matchExpressions": [{"key": "job-name", "operator": "In", "values": ["j1"]}]},
            id="by condition",
        ),
    ],
)
def test_a_job_may_keep_its_own_pods_apart(selector):
    state = fresh("n0")
    apart = affinity("podAntiAffinity", {"topologyKey": "zone", "labelSelector": selector})
    first = intern(state, {"job-name": "j1"}, affinity=apart)
    state.add_pod(0, first, 0)
    assert first.labels == {"job-name": "j1"}
    assert len(state.carried.about(first)) == 1
    assert not state.carried.about(intern(state, {"job-name": "j2"}))
