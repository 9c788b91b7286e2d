"""Term counts against a walk over the pods, and the small rules of terms."""

import itertools

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from schedlab.api.objects import LabelSelector, Namespace, ObjectMeta, Service
from schedlab.api.selectors import label_selector_matches
from schedlab.cluster import ClassTable, ClusterState, ResourceNames
from schedlab.cluster import terms as terms_module
from schedlab.cluster.terms import PodTerm
from schedlab.errors import InputError
from schedlab.testing import pod_template, small_node

SPACES = ("default", "prod", "test")
LABELS = (
    {},
    {"app": "a"},
    {"app": "b"},
    {"app": "a", "tier": "web"},
    {"app": "b", "tier": "web"},
    {"tier": "db"},
)


def selector(labels=None, *conditions):
    keys = ("key", "operator", "values")
    return LabelSelector.model_validate(
        {
            "matchLabels": labels or {},
            "matchExpressions": [
                dict(zip(keys, (key, operator, list(values)), strict=True))
                for key, operator, *values in conditions
            ],
        }
    )


SELECTORS = (
    None,
    selector(),
    selector({"app": "a"}),
    selector({"tier": "web", "app": "a"}),
    selector({"app": "b"}, ("tier", "Exists")),
    selector(None, ("app", "In", "a")),
    selector(None, ("app", "In", "a", "b"), ("tier", "DoesNotExist")),
    selector(None, ("tier", "NotIn", "db")),
)
CHOSEN = (None, selector(), selector({"team": "x"}), selector(None, ("team", "Exists")))
SIMPLE = [
    PodTerm.of(names, labels, namespace_selector=chosen, live=live)
    for names, labels, chosen, live in itertools.product(
        (("default",), ("default", "prod"), ()), SELECTORS, CHOSEN, (False, True)
    )
]
TERMS = [*SIMPLE, *(PodTerm.all_of([SIMPLE[i], SIMPLE[i + 7]]) for i in range(0, 180, 11))]


def counted(state, term):
    """Return what `TermCounts.of` has to, by a walk over all pods."""
    parts = (term, *term.also)

    def meant(pod, pod_class):
        if term.live and pod in state.leaving:
            return False
        return all(
            label_selector_matches(part.selector, pod_class.labels)
            and (
                pod_class.namespace in part.namespaces
                or label_selector_matches(
                    part.namespace_selector, state.objects.namespace_labels(pod_class.namespace)
                )
            )
            for part in parts
        )

    counts = [sum(meant(pod, c) for pod, c in pods.items()) for pods in state.pods_on]
    return counts + [0] * (state.nodes.size - len(counts))


def namespace(name, team):
    labels = {} if team is None else {"team": team}
    return Namespace(metadata=ObjectMeta(name=name, labels=labels))


class Terms(RuleBasedStateMachine):
    """A cluster in which everything changes that term counts depend on."""

    def __init__(self):
        super().__init__()
        self.state = ClusterState(ClassTable(ResourceNames()))
        self.state.nodes.add(small_node("n0"))
        self.marks = []
        self.next = 0
        self.asked = {}

    def check(self, term):
        found = self.state.terms.of(term, self.state.nodes.size)
        assert found.tolist() == counted(self.state, term), term.key
        self.asked[term.key] = (term, found, self.state.terms.epoch)

    @rule(
        node=st.integers(0, 99),
        space=st.sampled_from(SPACES),
        labels=st.sampled_from(LABELS),
        cpu=st.integers(1, 2),
        leaving=st.booleans(),
    )
    def add(self, node, space, labels, cpu, leaving):
        if leaving:
            self.state.leave(self.next)
        template = pod_template(cpu)
        pod_class = self.state.classes.intern(space, template.spec, 0, labels=labels)
        self.state.add_pod(self.next, pod_class, node % self.state.nodes.size)
        self.next += 1

    @precondition(lambda self: self.state.node_of)
    @rule(which=st.integers(0, 99))
    def remove(self, which):
        pods = sorted(self.state.node_of)
        self.state.remove_pod(pods[which % len(pods)])

    @precondition(lambda self: self.state.node_of)
    @rule(which=st.integers(0, 99))
    def leave(self, which):
        pods = sorted(self.state.node_of)
        self.state.leave(pods[which % len(pods)])

    @rule()
    def mark(self):
        before = (dict(self.state.node_of), set(self.state.leaving))
        self.marks.append((self.state.mark(), before))

    @precondition(lambda self: self.marks)
    @rule()
    def undo(self):
        mark, before = self.marks.pop()
        self.state.undo(mark)
        assert (self.state.node_of, self.state.leaving) == before

    @precondition(lambda self: not self.marks)
    @rule(count=st.sampled_from((1, 1, 3, 20)))
    def grow(self, count):
        for _ in range(count):
            self.state.nodes.add(small_node(f"n{self.state.nodes.size}"))

    @rule(name=st.sampled_from(SPACES), team=st.sampled_from((None, "x", "y")))
    def relabel(self, name, team):
        self.state.objects.put(namespace(name, team))

    @rule(which=st.lists(st.integers(0, len(TERMS) - 1), min_size=1, max_size=30))
    def ask(self, which):
        for index in which:
            self.check(TERMS[index])

    @invariant()
    def kept_arrays_follow_the_cluster_within_an_epoch(self):
        for term, found, epoch in self.asked.values():
            if epoch == self.state.terms.epoch and not term.asks_namespaces():
                assert found.tolist() == counted(self.state, term)[: len(found)], term.key

    def teardown(self):
        for term in TERMS:
            self.check(term)


TestTerms = Terms.TestCase
TestTerms.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@pytest.fixture
def tight(monkeypatch):
    """Leave room for 16 columns only, so that the oldest are forgotten all the time."""
    monkeypatch.setattr(terms_module, "BUDGET_BYTES", 0)


@pytest.mark.usefixtures("tight")
class TestTermsForgotten(Terms.TestCase):
    settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@pytest.mark.usefixtures("tight")
def test_the_budget_holds():
    state = ClusterState(ClassTable(ResourceNames()))
    state.nodes.add(small_node())
    for term in TERMS:
        state.terms.of(term, 1)
        assert len(state.terms._columns) <= 16


@pytest.mark.parametrize(
    ("labels", "space", "term", "meant"),
    [
        pytest.param({"app": "a"}, "default", PodTerm.of(["default"], None), False,
                     id="no selector, no pods"),
        pytest.param({}, "default", PodTerm.of(["default"], selector()), True,
                     id="an empty selector, all pods"),
        pytest.param({}, "prod", PodTerm.of(["default"], selector()), False,
                     id="of its namespaces only"),
        pytest.param({"app": "a"}, "prod",
                     PodTerm.of([], selector({"app": "a"}), namespace_selector=selector()), True,
                     id="an empty namespace selector, all namespaces"),
        pytest.param({"app": "a"}, "prod",
                     PodTerm.of([], selector({"app": "a"}),
                                namespace_selector=selector(
                                    {"kubernetes.io/metadata.name": "prod"})), True,
                     id="the name is a label of the namespace"),
        pytest.param({"app": "a"}, "default", PodTerm.of([], selector()), False,
                     id="no namespaces, no pods"),
        pytest.param({"app": "a", "tier": "web"}, "default",
                     PodTerm.all_of([PodTerm.of(["default"], selector({"app": "a"})),
                                     PodTerm.of(["default"], selector({"tier": "db"}))]), False,
                     id="all of several terms"),
    ],
)  # fmt: skip
def test_who_is_meant(labels, space, term, meant):
    state = ClusterState(ClassTable(ResourceNames()))
    pod = state.classes.intern(space, pod_template().spec, 0, labels=labels)
    assert term.matches(pod, state.objects) is meant


def test_equal_terms_share_a_key_whatever_the_order_of_their_conditions():
    one = selector({"app": "a", "tier": "web"}, ("x", "In", "1", "2"), ("y", "Exists"))
    two = selector({"tier": "web", "app": "a"}, ("y", "Exists"), ("x", "In", "2", "1"))
    assert PodTerm.of(["b", "a"], one) == PodTerm.of(["a", "b"], two)
    others = [
        PodTerm.of(["a"], one),
        PodTerm.of(["a", "b"], one, live=True),
        PodTerm.of(["a", "b"], one, namespace_selector=selector()),
        PodTerm.of(["a", "b"], None),
        PodTerm.of(["a", "b"], selector()),
    ]
    assert len({PodTerm.of(["b", "a"], one).key, *(term.key for term in others)}) == 6


def test_terms_of_terms_are_flat():
    a, b, c = (PodTerm.of(["default"], selector({"app": name})) for name in "abc")
    assert PodTerm.all_of([PodTerm.all_of([a, b]), c]).also == (b, c)
    assert PodTerm.all_of([a]) is a


def test_a_label_that_parts_pods_is_mentioned_before_the_first_of_them():
    state = ClusterState(ClassTable(ResourceNames()))
    state.nodes.add(small_node())
    by_job = PodTerm.of(["default"], selector({"job-name": "j"}))
    assert state.terms.of(by_job, 1).tolist() == [0]
    pod = state.classes.intern("default", pod_template().spec, 0, labels={"job-name": "j"})
    state.add_pod(0, pod, 0)
    assert state.terms.of(by_job, 1).tolist() == [1]
    other = {"controller-uid": "u"}
    assert not state.classes.intern("default", pod_template().spec, 0, labels=other).labels
    with pytest.raises(InputError, match="controller-uid"):
        state.terms.of(PodTerm.of(["default"], selector(other)), 1)


def test_a_pod_that_is_gone_is_not_being_deleted_any_more():
    state = ClusterState(ClassTable(ResourceNames()))
    state.nodes.add(small_node())
    pod = state.classes.intern("default", pod_template().spec, 0)
    live, every = (PodTerm.of(["default"], selector(), live=live) for live in (True, False))
    state.add_pod(0, pod, 0)
    state.leave(0)
    assert (state.terms.of(live, 1)[0], state.terms.of(every, 1)[0]) == (0, 1)
    mark = state.mark()
    state.remove_pod(0)
    assert list(state.tried()) == [(-1, 0, pod, 0)]
    state.undo(mark)
    assert state.leaving == {0}
    assert list(state.tried()) == []
    state.remove_pod(0)
    assert state.leaving == set()
    assert np.concatenate([state.terms.of(live, 1), state.terms.of(every, 1)]).tolist() == [0, 0]


def test_what_follows_from_objects_is_made_anew_when_they_change():
    objects = ClusterState(ClassTable(ResourceNames())).objects
    made = []

    def names():
        made.append(sorted(s.metadata.name for s in objects.all(Service)))
        return made[-1]

    service = Service(metadata=ObjectMeta(name="web"))
    kinds = ("Service", "ReplicaSet")
    assert objects.derived("names", kinds, names) == []
    objects.put(namespace("prod", None))  # of a kind that it does not look at
    assert objects.derived("names", kinds, names) is made[0]
    objects.put(service)
    assert objects.derived("names", kinds, names) == ["web"]
    objects.remove(service)
    assert objects.derived("names", kinds, names) == []
    assert len(made) == 3
