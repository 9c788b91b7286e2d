"""NodeName by tables: read them to learn where a pod goes that names its node.

The cases follow the spirit of upstream's (pkg/scheduler/framework/plugins/nodename).
"""

import numpy as np
import pytest

from schedlab.api.objects import Taint
from schedlab.cluster import ClassTable, ClusterState, ResourceNames
from schedlab.scheduling.framework.cluster_events import (
    NODE_ADD,
    NODE_DELETE,
    NODE_UPDATE,
    ClusterEvent,
)
from schedlab.scheduling.framework.evaluation import evaluate_filters
from schedlab.scheduling.framework.interface import SKIP, Code, Cycle, Depends, prepared
from schedlab.scheduling.framework.profiles import Profile
from schedlab.scheduling.plugins.node_name import REASON, NodeName
from schedlab.testing import pod_template, small_node
from schedlab.testing.hints import asks, gone, helps, zoned_cluster, zoned_node

PROFILE = Profile.default()
PLUGIN = NodeName()
HOST = "kubernetes.io/hostname"


def cluster(*nodes):
    """Return a cluster of nodes, given as such or by name."""
    state = ClusterState(ClassTable(ResourceNames()))
    for node in nodes:
        state.nodes.add(small_node(node) if isinstance(node, str) else node)
    return state


def cycle_of(state, wanted, **spec):
    spec = pod_template(node_name=wanted, **spec).spec
    return Cycle(state, state.classes.intern("default", spec, 0))


def codes(state, wanted):
    cycle = cycle_of(state, wanted)
    return PLUGIN.filter(cycle, cycle.rows()).tolist()


@pytest.mark.parametrize(
    ("nodes", "wanted", "expected"),
    [
        pytest.param(["n0", "n1"], "", [0, 0], id="any"),
        pytest.param(["n0", "n1"], "n1", [1, 0], id="that one"),
        pytest.param(["n0", "n1"], "n0", [0, 1], id="the first"),
        pytest.param(["n0", "n1"], "gone", [1, 1], id="none"),
        pytest.param(["n0"], "n0", [0], id="the only one"),
        pytest.param(["n0"], "n1", [1], id="not the only one"),
        pytest.param([], "", [], id="no nodes, no wish"),
        pytest.param([], "n0", [], id="no nodes"),
        pytest.param(["n0", "n1", "n2", "n3"], "n2", [1, 1, 0, 1], id="one of four"),
        # names are compared as they stand
        pytest.param(["n1", "n10"], "n1", [0, 1], id="no beginning of a name"),
        pytest.param(["n1", "n10"], "n10", [1, 0], id="nor more than a name"),
        pytest.param(["n1"], "N1", [1], id="names have their case"),
        pytest.param(["n1"], "n-1", [1], id="every character counts"),
        pytest.param(["a.b.example", "a.c.example"], "a.b.example", [0, 1], id="whole domains"),
        pytest.param(["a.b.example"], "a", [1], id="the first label of a domain is another name"),
        pytest.param(["1", "01"], "1", [0, 1], id="digits are no numbers"),
        pytest.param(["n0"], "n*", [1], id="there are no patterns"),
        # what else a node has is for others to judge
        pytest.param(
            [small_node("n0", labels={HOST: "n1"}), "n2"], "n1", [1, 1], id="the hostname is none"
        ),
        pytest.param(
            [small_node("n0", labels={HOST: "n1"}), "n1"], "n1", [1, 0], id="nor if both are there"
        ),
        pytest.param([small_node("n0", cpu=0, pods=0), "n1"], "n0", [0, 1], id="a full node"),
        pytest.param(
            [small_node("n0", taints=(Taint(key="x", effect="NoSchedule"),)), "n1"],
            "n0",
            [0, 1],
            id="a tainted node",
        ),
        pytest.param([zoned_node("n0", unschedulable=True)], "n0", [0], id="a cordoned node"),
    ],
)
def test_node_name(nodes, wanted, expected):
    assert codes(cluster(*nodes), wanted) == expected


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param([2, 1, 0], [1, 0, 1], id="backwards"),
        pytest.param([1], [0], id="that one alone"),
        pytest.param([0, 2], [1, 1], id="all others"),
        pytest.param([], [], id="none"),
    ],
)
def test_rows_may_be_any_in_any_order(rows, expected):
    cycle = cycle_of(cluster("n0", "n1", "n2"), "n1")
    assert PLUGIN.filter(cycle, np.array(rows, np.int64)).tolist() == expected


def test_a_node_that_goes_and_comes_back():
    state = cluster("n0", "n1")
    row = state.nodes.remove("n0")
    assert codes(state, "n0") == [1]
    state.nodes.recycle(row)
    state.nodes.add(small_node("n2"))  # takes the row, not the name
    assert codes(state, "n0") == [1, 1]
    back = state.nodes.add(small_node("n0"))
    assert np.flatnonzero(np.array(codes(state, "n0")) == 0).tolist() == [back]


def test_the_words_are_upstreams():
    cycle = cycle_of(cluster("n0", "n1", "n2"), "gone")
    words = "node(s) didn't match the requested node name"
    assert PLUGIN.reasons(cycle, 0, 1) == (words,) == (REASON,)
    # no pod that goes gives the node another name
    assert PLUGIN.status(cycle, 0, 1) is Code.UNSCHEDULABLE_AND_UNRESOLVABLE
    message = evaluate_filters(PROFILE, cycle).message(cycle, PROFILE.filters)
    assert message == f"0/3 nodes are available: 3 {words}."


def test_the_named_node_has_to_pass_the_others_still():
    cycle = cycle_of(cluster("n0", small_node("n1", cpu=500)), "n1")  # the pod asks for 1 cpu
    message = evaluate_filters(PROFILE, cycle).message(cycle, PROFILE.filters)
    assert message == (
        "0/2 nodes are available: 1 Insufficient cpu, "
        "1 node(s) didn't match the requested node name."
    )


def test_it_is_always_asked():
    assert prepared(PLUGIN, cycle_of(cluster("n0"), "")) != SKIP
    assert PLUGIN.depends is Depends.STATIC


# --- what may help a pod that it rejected


@pytest.mark.parametrize(
    ("wanted", "name", "old", "new", "expected"),
    [
        pytest.param("n9", NODE_ADD, None, zoned_node("n9"), True, id="its node comes"),
        pytest.param("n9", NODE_ADD, None, zoned_node("n8"), False, id="another node comes"),
        pytest.param("n9", NODE_ADD, None, zoned_node("n99"), False, id="one of a longer name"),
        pytest.param(
            "n9",
            NODE_UPDATE,
            zoned_node("n9"),
            zoned_node("n9", disk="ssd"),
            False,
            id="its node is there already",
        ),
        pytest.param(
            "n9", NODE_UPDATE, zoned_node("n8"), zoned_node("n8", cpu=9), False, id="another grows"
        ),
        pytest.param("n0", NODE_DELETE, zoned_node("n0"), None, False, id="its node goes"),
        pytest.param("n9", NODE_DELETE, zoned_node("n0"), None, False, id="another node goes"),
    ],
)
def test_what_may_help(wanted, name, old, new, expected):
    state = zoned_cluster("a", "b")
    row = state.nodes.add(new) if new is not None else 0
    event = ClusterEvent(name, row, old=old, new=new)
    assert helps(state, "NodeName", asks(node_name=wanted), event) is expected


def test_a_pod_that_goes_helps_nobody():
    state = zoned_cluster("a", "b")
    assert not helps(state, "NodeName", asks(node_name="n9"), gone(state, asks()))
