"""NodeAffinity by tables: read them to learn which nodes a pod may go to, and which it likes.

The cases follow the spirit of upstream's (pkg/scheduler/framework/plugins/nodeaffinity). Conditions
on labels are written (key, operator, values...); PreFilter has a file of its own.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schedlab.api.objects import (
    Affinity,
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    PreferredSchedulingTerm,
)
from schedlab.api.objects import NodeAffinity as Terms
from schedlab.api.selectors import node_selector_matches
from schedlab.cluster import ClassTable, ClusterState, ResourceNames
from schedlab.scheduling.framework.cluster_events import NODE_ADD, NODE_UPDATE, ClusterEvent
from schedlab.scheduling.framework.evaluation import evaluate, evaluate_filters
from schedlab.scheduling.framework.interface import Code, Cycle, Depends, normalized
from schedlab.scheduling.framework.profiles import Profile
from schedlab.scheduling.plugins.node_affinity import (
    ADDED,
    POD,
    REASON,
    REASON_ADDED,
    NodeAffinity,
    selector_mask,
)
from schedlab.testing import pod_template, small_node
from schedlab.testing.hints import asks, gone, helps, zoned_cluster, zoned_node

PROFILE = Profile.default()
HOST = "kubernetes.io/hostname"
LABELS = {"zone": "a", "cpus": "32", "disk": "ssd", "none": "", "size": "032", "version": "1.5"}


def cluster(*nodes):
    state = ClusterState(ClassTable(ResourceNames()))
    for node in nodes:
        state.nodes.add(node)
    return state


def rows(state):
    return np.arange(state.nodes.size, dtype=np.int64)


def cycle_of(state, **spec):
    return Cycle(state, state.classes.intern("default", pod_template(**spec).spec, 0))


def requirement(key, operator, *values):
    return NodeSelectorRequirement(key=key, operator=operator, values=values)


def term(*conditions, fields=()):
    """Return a term of conditions on labels, and on fields."""
    return NodeSelectorTerm(
        match_expressions=tuple(requirement(*c) for c in conditions),
        match_fields=tuple(requirement("metadata.name", *c) for c in fields),
    )


def terms(*required, preferred=()):
    """Return a node affinity; *preferred* are (weight, term)."""
    selector = NodeSelector(node_selector_terms=required) if required else None
    return Terms(
        required_during_scheduling_ignored_during_execution=selector,
        preferred_during_scheduling_ignored_during_execution=tuple(
            PreferredSchedulingTerm(weight=weight, preference=found) for weight, found in preferred
        ),
    )


def needs(*required):
    return {"affinity": Affinity(node_affinity=terms(*required))}


def likes(*preferred):
    return {"affinity": Affinity(node_affinity=terms(preferred=preferred))}


# --- the operators (TestNodeAffinity)


@pytest.mark.parametrize(
    ("condition", "passes"),
    [
        pytest.param(("zone", "In", "a", "b"), True, id="in"),
        pytest.param(("zone", "In", "b", "a"), True, id="the last of the list"),
        pytest.param(("zone", "In", "b"), False, id="not in the list"),
        pytest.param(("rack", "In", "b"), False, id="in, label absent"),
        pytest.param(("zone", "In", "A"), False, id="values have their case"),
        pytest.param(("Zone", "In", "a"), False, id="keys have their case"),
        pytest.param(("disk", "In", "ss"), False, id="no beginning of a value"),
        pytest.param(("none", "In", ""), True, id="no value is a value"),
        pytest.param(("rack", "In", ""), False, id="but no label is none"),
        pytest.param(("cpus", "In", "032"), False, id="values are texts"),
        pytest.param(("zone", "NotIn", "b"), True, id="not in"),
        pytest.param(("zone", "NotIn", "a"), False, id="not in, but it is"),
        pytest.param(("zone", "NotIn", "b", "a"), False, id="not in, but the last is"),
        pytest.param(("rack", "NotIn", "a"), True, id="not in, label absent"),
        pytest.param(("zone", "Exists"), True, id="exists"),
        pytest.param(("none", "Exists"), True, id="exists without a value"),
        pytest.param(("rack", "Exists"), False, id="exists, label absent"),
        pytest.param(("zone", "DoesNotExist"), False, id="does not exist, but does"),
        pytest.param(
            ("none", "DoesNotExist"), False, id="does not exist, but does without a value"
        ),
        pytest.param(("rack", "DoesNotExist"), True, id="does not exist"),
        pytest.param(("cpus", "Gt", "16"), True, id="32 > 16"),
        pytest.param(("cpus", "Gt", "32"), False, id="32 > 32"),
        pytest.param(("cpus", "Gt", "100"), False, id="32 > 100, not by text"),
        pytest.param(("cpus", "Gt", "-1"), True, id="32 > -1"),
        pytest.param(("size", "Gt", "31"), True, id="032 is 32, > 31"),
        pytest.param(("cpus", "Lt", "64"), True, id="32 < 64"),
        pytest.param(("cpus", "Lt", "8"), False, id="32 < 8"),
        pytest.param(("cpus", "Lt", "32"), False, id="32 < 32"),
        pytest.param(("cpus", "Lt", "9223372036854775807"), True, id="32 < 2^63 - 1"),
        pytest.param(("cpus", "Lt", "9223372036854775808"), False, id="2^63 is no int64"),
        pytest.param(("zone", "Gt", "1"), False, id="a label that is no number"),
        pytest.param(("version", "Gt", "1"), False, id="a label that is no integer"),
        pytest.param(("none", "Lt", "1"), False, id="a label without a value"),
        pytest.param(("rack", "Lt", "1"), False, id="a number, label absent"),
    ],
)
def test_operators(condition, passes):
    state = cluster(small_node(labels=LABELS))
    plugin, cycle = NodeAffinity(), cycle_of(state, **needs(term(condition)))
    (code,) = plugin.filter(cycle, rows(state)).tolist()
    assert code == (0 if passes else POD)
    if code:
        words = plugin.reasons(cycle, 0, code)
        assert words == ("node(s) didn't match Pod's node affinity/selector",) == (REASON,)
        assert plugin.status(cycle, 0, code) is Code.UNSCHEDULABLE_AND_UNRESOLVABLE


# --- selectors and terms; n0 is in zone a and has an ssd, n1 is in zone b and has an hdd

IN_A, IN_B, IN_C = (("zone", "In", zone) for zone in "abc")
SSD, HDD = ("disk", "In", "ssd"), ("disk", "In", "hdd")
N0, N1, NOT_N1, GONE = ("In", "n0"), ("In", "n1"), ("NotIn", "n1"), ("In", "gone")


def two_nodes():
    return cluster(
        small_node("n0", labels=LABELS), small_node("n1", labels={"zone": "b", "disk": "hdd"})
    )


@pytest.mark.parametrize(
    ("spec", "codes"),
    [
        pytest.param({}, [0, 0], id="nothing is asked"),
        # spec.nodeSelector
        pytest.param({"node_selector": {"disk": "ssd"}}, [0, 1], id="a selector"),
        pytest.param({"node_selector": {"disk": "ssd", "zone": "b"}}, [1, 1], id="all must match"),
        pytest.param({"node_selector": {"disk": "ssd", "zone": "a"}}, [0, 1], id="and do on n0"),
        pytest.param({"node_selector": {"rack": "1"}}, [1, 1], id="a label that nobody has"),
        pytest.param({"node_selector": {"none": ""}}, [0, 1], id="a label without a value"),
        pytest.param({"node_selector": {HOST: "n1"}}, [1, 0], id="by the hostname's label"),
        # terms: one is enough, all conditions of it must hold
        pytest.param(needs(term(SSD)), [0, 1], id="a term"),
        pytest.param(needs(term(HDD), term(IN_A)), [0, 0], id="one of the terms is enough"),
        pytest.param(needs(term(HDD), term(IN_C)), [1, 0], id="one of them matches nowhere"),
        pytest.param(needs(term(HDD, IN_A)), [1, 1], id="all conditions of a term"),
        pytest.param(needs(term(SSD, IN_A)), [0, 1], id="all of them, on n0"),
        pytest.param(needs(term(SSD, IN_C), term(HDD, IN_B)), [1, 0], id="two terms of two"),
        pytest.param(needs(term(("disk", "NotIn", "ssd"), ("zone", "Exists"))), [1, 0], id="mixed"),
        pytest.param(needs(term()), [1, 1], id="an empty term matches nothing"),
        pytest.param(needs(term(), term(SSD)), [0, 1], id="nor does it stand in the way"),
        # fields
        pytest.param(needs(term(fields=[N1])), [1, 0], id="by name"),
        pytest.param(needs(term(fields=[NOT_N1])), [0, 1], id="by any other name"),
        pytest.param(needs(term(fields=[GONE])), [1, 1], id="by the name of none"),
        pytest.param(needs(term(fields=[N0, N1])), [1, 1], id="nobody has two names"),
        pytest.param(needs(term(fields=[N0]), term(fields=[N1])), [0, 0], id="one name or another"),
        pytest.param(needs(term(SSD, fields=[N0])), [0, 1], id="a label and a name"),
        pytest.param(needs(term(SSD, fields=[N1])), [1, 1], id="a label, and another's name"),
        # both
        pytest.param(
            {"node_selector": {"disk": "hdd"}, **needs(term(IN_A))},
            [1, 1],
            id="a selector and a term",
        ),
        pytest.param(
            {"node_selector": {"disk": "ssd"}, **needs(term(IN_A))}, [0, 1], id="both, on n0"
        ),
        # likes don't filter
        pytest.param(likes((1, term(IN_C))), [0, 0], id="what is liked is not needed"),
    ],
)
def test_selectors_and_terms(spec, codes):
    state = two_nodes()
    assert NodeAffinity().filter(cycle_of(state, **spec), rows(state)).tolist() == codes


# --- addedAffinity: what the profile needs of all its pods


@pytest.mark.parametrize(
    ("added", "spec", "codes"),
    [
        pytest.param(terms(term(SSD)), {}, [0, ADDED], id="for a pod that asks for nothing"),
        pytest.param(terms(term(SSD)), needs(term(IN_A)), [0, ADDED], id="beside what it asks for"),
        pytest.param(terms(term(SSD)), needs(term(IN_B)), [POD, ADDED], id="both must match"),
        pytest.param(terms(term(SSD)), needs(term(IN_C)), [POD, ADDED], id="its word is the first"),
        pytest.param(
            terms(term(SSD)), {"node_selector": {"zone": "b"}}, [POD, ADDED], id="and a selector"
        ),
        pytest.param(terms(term(fields=[N1])), {}, [ADDED, 0], id="by name"),
        pytest.param(terms(term(IN_A), term(IN_B)), {}, [0, 0], id="one term is enough"),
        pytest.param(terms(preferred=[(1, term(IN_C))]), {}, [0, 0], id="likes don't filter"),
        pytest.param(terms(), {}, [0, 0], id="nothing at all"),
    ],
)
def test_what_the_profile_adds(added, spec, codes):
    state = two_nodes()
    plugin, cycle = NodeAffinity(added), cycle_of(state, **spec)
    assert plugin.filter(cycle, rows(state)).tolist() == codes
    assert plugin.reasons(cycle, 0, POD) == (REASON,)
    assert plugin.reasons(cycle, 0, ADDED) == (REASON_ADDED,)
    assert REASON_ADDED == "node(s) didn't match scheduler-enforced node affinity"
    for row, node in enumerate(state.nodes.nodes[:2]):
        assert plugin.admits(cycle.pod_class, node) is (codes[row] == 0)


# --- the score (TestNodeAffinityPriority): weights of the preferred terms that match


@pytest.mark.parametrize(
    ("preferred", "raw", "scores"),
    [
        # 30 + 0, 0 + 0: 30 x 100 / 30
        pytest.param([(30, term(SSD))], [30, 0], [100, 0], id="one term"),
        # 10 x 100 / 30 = 33.3
        pytest.param(
            [(30, term(SSD)), (10, term(HDD))], [30, 10], [100, 33], id="33.3 is truncated"
        ),
        # 10 + 30, 10: 10 x 100 / 40
        pytest.param(
            [(10, term(("zone", "Exists"))), (30, term(SSD))],
            [40, 10],
            [100, 25],
            id="both match n0",
        ),
        pytest.param([(7, term(("zone", "Exists")))], [7, 7], [100, 100], id="all alike"),
        # the most is 0: all are 0
        pytest.param([(7, term(IN_C))], [0, 0], [0, 0], id="it matches nowhere"),
        # 100 + 100 = 200, 1 x 100 / 200 = 0.5
        pytest.param(
            [(100, term(SSD)), (100, term(IN_A)), (1, term(HDD))],
            [200, 1],
            [100, 0],
            id="above 100",
        ),
        pytest.param([(5, term(SSD)), (5, term(SSD))], [10, 0], [100, 0], id="twice counts twice"),
        pytest.param([(5, term(SSD, IN_B))], [0, 0], [0, 0], id="all conditions of a term"),
        pytest.param([(5, term(HDD, IN_B))], [0, 5], [0, 100], id="all of them, on n1"),
        pytest.param([(5, term(fields=[N1]))], [0, 5], [0, 100], id="by name"),
        pytest.param([(5, term(SSD, fields=[NOT_N1]))], [5, 0], [100, 0], id="label and name"),
        pytest.param([(5, term())], [0, 0], [0, 0], id="an empty term matches nothing"),
        pytest.param([(5, term()), (1, term(SSD))], [1, 0], [100, 0], id="beside another"),
        # 3 x 100 / 8 = 37.5
        pytest.param(
            [(3, term(("cpus", "Gt", "16"))), (8, term(("cpus", "DoesNotExist")))],
            [3, 8],
            [37, 100],
            id="37.5 is truncated",
        ),
    ],
)
def test_what_is_liked(preferred, raw, scores):
    state = two_nodes()
    plugin, cycle = NodeAffinity(), cycle_of(state, **likes(*preferred))
    assert not plugin.pre_score(cycle, rows(state))
    found = plugin.score(cycle, rows(state))
    assert found.tolist() == raw
    assert normalized(plugin, cycle, rows(state), found).tolist() == scores


@pytest.mark.parametrize(
    ("added", "spec", "raw"),
    [
        pytest.param([(5, term(SSD))], {}, [5, 0], id="the profile's alone"),
        pytest.param([(5, term(SSD))], likes((2, term(IN_B))), [5, 2], id="5 + 0, 0 + 2"),
        pytest.param([(5, term(SSD))], likes((2, term(IN_A))), [7, 0], id="5 + 2, 0 + 0"),
        pytest.param([(5, term(SSD))], needs(term(IN_B)), [5, 0], id="whatever is needed"),
        pytest.param([], {}, None, id="nobody likes anything: it is not asked"),
        pytest.param([], needs(term(SSD)), None, id="what is needed is not liked"),
        pytest.param([], {"node_selector": {"disk": "ssd"}}, None, id="neither is a selector"),
    ],
)
def test_likes_of_the_profile(added, spec, raw):
    state = two_nodes()
    plugin, cycle = NodeAffinity(terms(preferred=added)), cycle_of(state, **spec)
    assert plugin.pre_score(cycle, rows(state)) is (raw is None)
    assert plugin.score(cycle, rows(state)).tolist() == ([0, 0] if raw is None else raw)


@pytest.mark.parametrize(
    ("preferred", "needed", "weighted"),
    [
        # weight 2 in the default profile: (10 x 100 / 30) x 2 = 66
        pytest.param([(30, SSD), (10, HDD)], ("zone", "Exists"), [200, 66], id="33 x 2"),
        # n0 with its 30 is not feasible, so that 10 is the most
        pytest.param([(30, SSD), (10, HDD)], IN_B, [200], id="only feasible nodes count"),
    ],
)
def test_in_the_default_profile(preferred, needed, weighted):
    liked = [(weight, term(condition)) for weight, condition in preferred]
    affinity = Affinity(node_affinity=terms(term(needed), preferred=liked))
    found = evaluate(PROFILE, cycle_of(two_nodes(), affinity=affinity))
    assert found.weighted["NodeAffinity"].tolist() == weighted


# --- the message, and rows


def test_the_words_are_upstreams():
    cycle = cycle_of(two_nodes(), **needs(term(IN_C)))
    assert evaluate_filters(PROFILE, cycle).message(cycle, PROFILE.filters) == (
        "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector."
    )


def test_rows_may_come_in_any_order():
    cycle = cycle_of(two_nodes(), **needs(term(SSD)))
    assert NodeAffinity().filter(cycle, np.array([1, 0])).tolist() == [POD, 0]
    assert NodeAffinity.depends is Depends.STATIC


# --- what may help a pod that it rejected


@pytest.mark.parametrize(
    ("spec", "old", "new", "expected"),
    [
        pytest.param(
            needs(term(SSD)), None, zoned_node("n2", disk="ssd"), True, id="a match comes"
        ),
        pytest.param(needs(term(SSD)), None, zoned_node("n2"), False, id="another node comes"),
        pytest.param(
            needs(term(fields=[("In", "n2")])), None, zoned_node("n2"), True, id="by name"
        ),
        pytest.param(
            needs(term(SSD)),
            zoned_node("n2"),
            zoned_node("n2", disk="ssd"),
            True,
            id="a label comes",
        ),
        pytest.param(
            needs(term(("disk", "DoesNotExist"))),
            zoned_node("n2", disk="ssd"),
            zoned_node("n2"),
            True,
            id="a label goes",
        ),
        pytest.param(
            needs(term(SSD)),
            zoned_node("n2", disk="ssd"),
            zoned_node("n2"),
            False,
            id="a match goes",
        ),
        pytest.param(
            needs(term(SSD)),
            zoned_node("n2", disk="ssd"),
            zoned_node("n2", disk="ssd", cpu=8_000),
            False,
            id="it matched before",
        ),
        pytest.param(
            {"node_selector": {"disk": "ssd", "rack": "1"}},
            zoned_node("n2", disk="ssd"),
            zoned_node("n2", disk="ssd", rack="2"),
            False,
            id="one label of two",
        ),
    ],
)
def test_what_may_help(spec, old, new, expected):
    state = zoned_cluster("a", "b")
    event = ClusterEvent(
        NODE_ADD if old is None else NODE_UPDATE, state.nodes.add(new), old=old, new=new
    )
    assert helps(state, "NodeAffinity", asks(**spec), event) is expected


def test_a_pod_that_goes_helps_nobody():
    state = zoned_cluster("a", "b")
    assert not helps(state, "NodeAffinity", asks(**needs(term(SSD))), gone(state, asks()))


# --- vectors against the scalar rules


keys = st.sampled_from(["zone", "disk", "cpus", "rack"])
values = st.sampled_from(["a", "b", "ssd", "32", "8", "1", "x1"])
conditions = st.one_of(
    st.tuples(keys, st.sampled_from(["In", "NotIn"]), values, values),
    st.tuples(keys, st.sampled_from(["Exists", "DoesNotExist"])),
    st.tuples(keys, st.sampled_from(["Gt", "Lt"]), st.sampled_from(["8", "31", "-1", "x"])),
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.dictionaries(keys, values), min_size=1, max_size=6),
    st.lists(st.lists(conditions, max_size=3), min_size=1, max_size=3),
)
def test_masks_are_the_scalar_matches(label_sets, found):
    nodes = [small_node(f"n{i}", labels=labels) for i, labels in enumerate(label_sets)]
    selector = NodeSelector(
        node_selector_terms=tuple(
            NodeSelectorTerm(match_expressions=tuple(requirement(*c) for c in conditions))
            for conditions in found
        )
    )
    state = cluster(*nodes)
    mask = selector_mask(selector, state.nodes, rows(state))
    assert mask.tolist() == [
        node_selector_matches(selector, node.metadata.labels, node.metadata.name) for node in nodes
    ]
