"""The semantics of each plugin, by tables: read them to learn what kube-scheduler does.

The cases follow the spirit of upstream's own tables (pkg/scheduler/framework/plugins/*_test.go);
arithmetic is int64 and truncating.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schedlab.api.base import Amounts
from schedlab.api.objects import (
    Affinity,
    NodeAffinity,
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    PreferredSchedulingTerm,
)
from schedlab.api.selectors import node_selector_matches
from schedlab.cluster import ClassTable, ClusterState, ResourceNames
from schedlab.scheduling.framework.interface import Cycle
from schedlab.scheduling.plugins import node_affinity
from schedlab.testing import pod_template, small_node

GIB = 1 << 30


def cluster(*nodes):
    state = ClusterState(ClassTable(ResourceNames()))
    for node in nodes:
        state.nodes.add(node)
    return state


def pod_class(state, cpu=0, memory=0, extra=None, **spec):
    """Return the class of a pod of one container."""
    template = pod_template(1, **spec)
    container = template.spec.containers[0]
    requests = Amounts({k: v for k, v in (("cpu", cpu), ("memory", memory)) if v})
    requests.update(extra or {})
    resources = container.resources.model_copy(update={"requests": requests})
    sized = container.model_copy(update={"resources": resources})
    return state.classes.intern(
        "default", template.spec.model_copy(update={"containers": (sized,)}), 0
    )


def rows(state):
    return np.arange(state.nodes.size, dtype=np.int64)


# --- NodeAffinity (TestNodeAffinity, TestNodeAffinityPriority)

LABELS = {"zone": "a", "cpus": "32", "disk": "ssd"}


def requirement(key, operator, *values):
    return NodeSelectorRequirement(key=key, operator=operator, values=values)


def required(*terms):
    selector = NodeSelector(node_selector_terms=terms)
    affinity = NodeAffinity(required_during_scheduling_ignored_during_execution=selector)
    return Affinity(node_affinity=affinity)


@pytest.mark.parametrize(
    ("condition", "passes"),
    [
        pytest.param(("zone", "In", "a", "b"), True, id="in"),
        pytest.param(("zone", "In", "b"), False, id="not in the list"),
        pytest.param(("rack", "In", "b"), False, id="in, label absent"),
        pytest.param(("zone", "NotIn", "b"), True, id="not in"),
        pytest.param(("zone", "NotIn", "a"), False, id="not in, but it is"),
        pytest.param(("rack", "NotIn", "a"), True, id="not in, label absent"),
        pytest.param(("zone", "Exists"), True, id="exists"),
        pytest.param(("rack", "Exists"), False, id="exists, label absent"),
        pytest.param(("zone", "DoesNotExist"), False, id="does not exist, but does"),
        pytest.param(("rack", "DoesNotExist"), True, id="does not exist"),
        pytest.param(("cpus", "Gt", "16"), True, id="32 > 16"),
        pytest.param(("cpus", "Gt", "32"), False, id="32 > 32"),
        pytest.param(("cpus", "Lt", "64"), True, id="32 < 64"),
        pytest.param(("cpus", "Lt", "8"), False, id="32 < 8"),
        pytest.param(("zone", "Gt", "1"), False, id="a label that is no number"),
        pytest.param(("rack", "Lt", "1"), False, id="a number, label absent"),
    ],
)
def test_operators(condition, passes):
    state = cluster(small_node(labels=LABELS))
    term = NodeSelectorTerm(match_expressions=(requirement(*condition),))
    pod, plugin = pod_class(state, affinity=required(term)), node_affinity.NodeAffinity()
    (code,) = plugin.filter(Cycle(state, pod), rows(state)).tolist()
    assert (code == 0) == passes
    if code:
        words = plugin.reasons(Cycle(state, pod), 0, code)
        assert words == ("node(s) didn't match Pod's node affinity/selector",)


@pytest.mark.parametrize(
    ("spec", "codes"),
    [
        pytest.param({"node_selector": {"disk": "ssd"}}, [0, 1], id="a selector"),
        pytest.param({"node_selector": {"disk": "ssd", "zone": "b"}}, [1, 1], id="all must match"),
        pytest.param(
            {
                "affinity": required(
                    NodeSelectorTerm(match_expressions=(requirement("disk", "In", "hdd"),)),
                    NodeSelectorTerm(match_expressions=(requirement("zone", "In", "a"),)),
                )
            },
            [0, 0],
            id="one of the terms is enough",
        ),
        pytest.param(
            {
                "affinity": required(
                    NodeSelectorTerm(
                        match_expressions=(
                            requirement("disk", "In", "hdd"),
                            requirement("zone", "In", "a"),
                        )
                    )
                )
            },
            [1, 1],
            id="all conditions of a term",
        ),
        pytest.param({"affinity": required(NodeSelectorTerm())}, [1, 1], id="an empty term"),
        pytest.param(
            {
                "affinity": required(
                    NodeSelectorTerm(match_fields=(requirement("metadata.name", "In", "n1"),))
                )
            },
            [1, 0],
            id="by name",
        ),
        pytest.param(
            {
                "node_selector": {"disk": "hdd"},
                "affinity": required(
                    NodeSelectorTerm(match_expressions=(requirement("zone", "In", "a"),))
                ),
            },
            [1, 1],
            id="selector and affinity",
        ),
    ],
)
def test_selectors_and_terms(spec, codes):
    state = cluster(
        small_node("n0", labels=LABELS), small_node("n1", labels={"zone": "b", "disk": "hdd"})
    )
    found = node_affinity.NodeAffinity().filter(Cycle(state, pod_class(state, **spec)), rows(state))
    assert (found != 0).astype(int).tolist() == codes


def test_preferred_terms_add_their_weights():
    state = cluster(
        small_node("n0", labels=LABELS), small_node("n1", labels={"zone": "a"}), small_node("n2")
    )

    def preferred(weight, *condition):
        term = NodeSelectorTerm(match_expressions=(requirement(*condition),))
        return PreferredSchedulingTerm(weight=weight, preference=term)

    terms = (preferred(10, "zone", "In", "a"), preferred(30, "disk", "Exists"))
    affinity = NodeAffinity(preferred_during_scheduling_ignored_during_execution=terms)
    pod = pod_class(state, affinity=Affinity(node_affinity=affinity))
    plugin = node_affinity.NodeAffinity()
    raw = plugin.score(Cycle(state, pod), rows(state))
    assert raw.tolist() == [40, 10, 0]
    assert plugin.normalize(None, None, raw).tolist() == [100, 25, 0]  # 10 x 100 / 40
    assert plugin.pre_score(Cycle(state, pod_class(state)), rows(state))


def test_an_added_affinity_counts_for_every_pod():
    term = NodeSelectorTerm(match_expressions=(requirement("disk", "In", "ssd"),))
    added = required(term).node_affinity
    plugin = node_affinity.NodeAffinity(added)
    state = cluster(small_node("n0", labels=LABELS), small_node("n1"))
    pod = pod_class(state)
    codes = plugin.filter(Cycle(state, pod), rows(state)).tolist()
    assert codes == [0, node_affinity.ADDED]
    assert plugin.reasons(Cycle(state, pod), 0, codes[1]) == (
        "node(s) didn't match scheduler-enforced node affinity",
    )


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
def test_masks_are_the_scalar_matches(label_sets, terms):
    nodes = [small_node(f"n{i}", labels=labels) for i, labels in enumerate(label_sets)]
    selector = NodeSelector(
        node_selector_terms=tuple(
            NodeSelectorTerm(match_expressions=tuple(requirement(*c) for c in term))
            for term in terms
        )
    )
    state = cluster(*nodes)
    mask = node_affinity.selector_mask(selector, state.nodes, rows(state))
    assert mask.tolist() == [
        node_selector_matches(selector, node.metadata.labels, node.metadata.name) for node in nodes
    ]
