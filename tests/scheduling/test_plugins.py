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
from schedlab.scheduling.framework.interface import Code, Cycle, fit_error
from schedlab.scheduling.plugins import node_affinity
from schedlab.scheduling.plugins.node_resources_balanced_allocation import (
    NodeResourcesBalancedAllocation,
)
from schedlab.scheduling.plugins.node_resources_fit import FitArgs, NodeResourcesFit
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


# --- NodeResourcesFit: filter (TestEnoughRequests)


@pytest.mark.parametrize(
    ("used", "asked", "reasons"),
    [
        pytest.param((0, 0), (0, 0), (), id="nothing asked, nothing used"),
        pytest.param((10, 20), (0, 0), (), id="nothing asked of a full node"),
        pytest.param((0, 0), (10, 20), (), id="exactly the whole node"),
        pytest.param((0, 0), (11, 20), ("Insufficient cpu",), id="one core too many"),
        pytest.param((0, 0), (10, 21), ("Insufficient memory",), id="one byte too many"),
        pytest.param((5, 19), (1, 1), (), id="5 + 1 <= 10, 19 + 1 <= 20"),
        pytest.param((9, 19), (2, 1), ("Insufficient cpu",), id="9 + 2 > 10"),
        pytest.param((5, 19), (1, 2), ("Insufficient memory",), id="19 + 2 > 20"),
        pytest.param(
            (10, 20), (1, 1), ("Insufficient cpu", "Insufficient memory"), id="both are full"
        ),
        pytest.param((10, 0), (0, 20), (), id="a full cpu does not matter to a pod without cpu"),
    ],
)
def test_what_fits(used, asked, reasons):
    state = cluster(small_node(cpu=10, memory=20))
    state.add_pod(0, pod_class(state, *used), 0)
    pod, plugin = pod_class(state, *asked), NodeResourcesFit()
    (code,) = plugin.filter(Cycle(state, pod), rows(state)).tolist()
    assert (plugin.reasons(Cycle(state, pod), 0, code) if code else ()) == reasons
    assert state.nodes.fits(0, pod.requests) == (not reasons)


@pytest.mark.parametrize(
    ("args", "reasons"),
    [
        pytest.param(FitArgs(), ("Insufficient example.com/fpga",), id="an extended resource"),
        pytest.param(FitArgs(ignored=frozenset({"example.com/fpga"})), (), id="ignored by name"),
        pytest.param(FitArgs(ignored_groups=frozenset({"example.com"})), (), id="by its group"),
        pytest.param(
            FitArgs(ignored_groups=frozenset({"other.com"})),
            ("Insufficient example.com/fpga",),
            id="another group",
        ),
    ],
)
def test_extended_resources(args, reasons):
    state = cluster(small_node())
    pod, plugin = pod_class(state, extra={"example.com/fpga": 1}), NodeResourcesFit(args)
    state.nodes.reserve_resources()
    (code,) = plugin.filter(Cycle(state, pod), rows(state)).tolist()
    assert (plugin.reasons(Cycle(state, pod), 0, code) if code else ()) == reasons


def test_too_many_pods():
    state = cluster(small_node(pods=1))
    state.add_pod(0, pod_class(state), 0)
    plugin, pod = NodeResourcesFit(), pod_class(state, cpu=1)
    (code,) = plugin.filter(Cycle(state, pod), rows(state)).tolist()
    assert plugin.reasons(Cycle(state, pod), 0, code) == ("Too many pods",)
    assert plugin.status(Cycle(state, pod), 0, code) == Code.UNSCHEDULABLE


@pytest.mark.parametrize(
    ("cpu", "code"),
    [
        pytest.param(3_000, Code.UNSCHEDULABLE, id="an empty node would do"),
        pytest.param(5_000, Code.UNSCHEDULABLE_AND_UNRESOLVABLE, id="no eviction helps"),
    ],
)
def test_whether_evictions_could_help(cpu, code):
    state = cluster(small_node(cpu=4_000))
    state.add_pod(0, pod_class(state, cpu=2_000), 0)
    plugin, pod = NodeResourcesFit(), pod_class(state, cpu=cpu)
    (found,) = plugin.filter(Cycle(state, pod), rows(state)).tolist()
    assert plugin.status(Cycle(state, pod), 0, found) == code


# --- NodeResourcesFit: score (TestLeastAllocatedScoringStrategy and its siblings)


@pytest.mark.parametrize(
    ("strategy", "node", "used", "asked", "score"),
    [
        # cpu (4000 - 3000) x 100 / 4000 = 25, memory (10000 - 5000) x 100 / 10000 = 50: 75 / 2 = 37
        pytest.param("LeastAllocated", (4_000, 10_000), (0, 0), (3_000, 5_000), 37, id="least"),
        # cpu (6000 - 3000) = 50, memory 50
        pytest.param("LeastAllocated", (6_000, 10_000), (0, 0), (3_000, 5_000), 50, id="even"),
        # cpu (10000 - 6000) = 40, memory (20000 - 10000) = 50: 90 / 2 = 45
        pytest.param(
            "LeastAllocated", (10_000, 20_000), (3_000, 5_000), (3_000, 5_000), 45, id="on top"
        ),
        # cpu would be over capacity: 0; memory (10000 - 5000) = 50: 50 / 2 = 25
        pytest.param("LeastAllocated", (4_000, 10_000), (3_000, 0), (3_000, 5_000), 25, id="over"),
        # cpu 3000 x 100 / 4000 = 75, memory 5000 x 100 / 10000 = 50: 125 / 2 = 62
        pytest.param("MostAllocated", (4_000, 10_000), (0, 0), (3_000, 5_000), 62, id="most"),
        # cpu min(6000, 4000) = 100, memory 50: 150 / 2 = 75
        pytest.param("MostAllocated", (4_000, 10_000), (3_000, 0), (3_000, 5_000), 75, id="capped"),
    ],
)
def test_least_and_most_allocated(strategy, node, used, asked, score):
    state = cluster(small_node(cpu=node[0], memory=node[1]))
    if any(used):
        state.add_pod(0, pod_class(state, used[0], used[1] or 1), 0)
        state.nodes.nonzero_requested[1, 0] = used[1]
    plugin = NodeResourcesFit(FitArgs(strategy))
    pod = pod_class(state, *asked)
    assert plugin.score(Cycle(state, pod), rows(state)).tolist() == [score]


def test_a_container_that_asks_nothing_counts_as_100m_and_200mi():
    state = cluster(small_node(cpu=1_000, memory=2_000 << 20))
    # cpu (1000 - 100) x 100 / 1000 = 90, memory (2000 - 200) x 100 / 2000 = 90
    score = NodeResourcesFit().score(Cycle(state, pod_class(state)), rows(state))
    assert score.tolist() == [90]


@pytest.mark.parametrize(
    ("used", "score"),
    [
        pytest.param(0, 0, id="0 % is the first point"),
        pytest.param(25, 50, id="25 %: half-way from 0 to 100"),
        pytest.param(50, 100, id="50 % is a point"),
        pytest.param(75, 75, id="75 %: half-way from 100 to 50"),
        pytest.param(100, 50, id="100 % is the last point"),
    ],
)
def test_requested_to_capacity_ratio(used, score):
    shape = ((0, 0), (50, 10), (100, 5))
    args = FitArgs("RequestedToCapacityRatio", (("cpu", 1),), shape)
    state = cluster(small_node(cpu=100_000))
    pod = pod_class(state, cpu=used * 1_000) if used else pod_class(state, cpu=1)
    assert NodeResourcesFit(args).score(Cycle(state, pod), rows(state)).tolist() == [score]


def test_weights_and_resources_that_do_not_count():
    state = cluster(small_node(cpu=1_000, memory=1_000))
    args = FitArgs("LeastAllocated", (("cpu", 3), ("memory", 1), ("example.com/gpu", 9)))
    # cpu 50 x 3 + memory 10 x 1 = 160 / 4 = 40; the resource that is not asked for does not count
    pod = pod_class(state, 500, 900)
    assert NodeResourcesFit(args).score(Cycle(state, pod), rows(state)).tolist() == [40]


# --- NodeResourcesBalancedAllocation (TestNodeResourcesBalancedAllocation)


@pytest.mark.parametrize(
    ("node", "asked", "score"),
    [
        # |0.75 - 0.5| / 2 = 0.125: 87.5 is truncated
        pytest.param((4_000, 10_000), (3_000, 5_000), 87, id="a quarter apart"),
        pytest.param((6_000, 10_000), (3_000, 5_000), 100, id="even"),
        # shares are capped at 1: |1 - 0.5| / 2 = 0.25
        pytest.param((2_000, 10_000), (3_000, 5_000), 75, id="over capacity counts as full"),
        # a resource that the node lacks does not count: one share has no deviation
        pytest.param((4_000, 0), (3_000, 5_000), 100, id="one resource only"),
    ],
)
def test_balance(node, asked, score):
    state = cluster(small_node(cpu=node[0], memory=node[1]))
    plugin, pod = NodeResourcesBalancedAllocation(), pod_class(state, *asked)
    assert plugin.score(Cycle(state, pod), rows(state)).tolist() == [score]


def test_balance_over_three_resources():
    node = small_node(cpu=1_000, memory=1_000)
    offer = Amounts({**node.status.allocatable, "example.com/gpu": 4})
    status = node.status.model_copy(update={"allocatable": offer})
    state = cluster(node.model_copy(update={"status": status}))
    plugin = NodeResourcesBalancedAllocation((("cpu", 1), ("memory", 1), ("example.com/gpu", 1)))
    pod = pod_class(state, 200, 400, {"example.com/gpu": 3})
    # shares 0.2, 0.4, 0.75, mean 0.45: sqrt((0.0625 + 0.0025 + 0.09) / 3) = 0.2273: 77
    assert plugin.score(Cycle(state, pod), rows(state)).tolist() == [77]


def test_a_pod_that_asks_nothing_is_not_balanced():
    state, plugin = cluster(small_node()), NodeResourcesBalancedAllocation()
    assert plugin.pre_score(Cycle(state, pod_class(state)), rows(state))
    assert not plugin.pre_score(Cycle(state, pod_class(state, cpu=1)), rows(state))


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


def test_the_message_is_upstreams():
    counts = {"Insufficient memory": 2, "Insufficient cpu": 10, "Too many pods": 1}
    assert fit_error(12, counts) == (
        "0/12 nodes are available: 1 Too many pods, 10 Insufficient cpu, 2 Insufficient memory."
    )
