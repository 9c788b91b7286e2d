"""NodeUnschedulable by tables: read them to learn who may go to a cordoned node.

The cases follow the spirit of upstream's (pkg/scheduler/framework/plugins/nodeunschedulable). A
cordon is ``spec.unschedulable``; a pod passes that would tolerate the taint
``node.kubernetes.io/unschedulable:NoSchedule``, whether the node has that taint or not.
"""

import numpy as np
import pytest

from schedlab.api.objects import Taint, Toleration
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
from schedlab.scheduling.plugins.node_unschedulable import REASON, TAINT, NodeUnschedulable
from schedlab.testing import pod_template, small_node
from schedlab.testing.hints import asks, gone, helps, zoned_cluster, zoned_node

PROFILE = Profile.default()
PLUGIN = NodeUnschedulable()
KEY = "node.kubernetes.io/unschedulable"


def node(name="n0", *, cordoned=False, taints=()):
    found = small_node(name)
    spec = found.spec.model_copy(update={"unschedulable": cordoned, "taints": taints})
    return found.model_copy(update={"spec": spec})


def cluster(*nodes):
    state = ClusterState(ClassTable(ResourceNames()))
    for found in nodes:
        state.nodes.add(found)
    return state


def tolerating(*tolerations):
    return tuple(Toleration.model_validate(fields) for fields in tolerations)


def cycle_of(state, *tolerations):
    spec = pod_template(tolerations=tolerating(*tolerations)).spec
    return Cycle(state, state.classes.intern("default", spec, 0))


def codes(state, *tolerations):
    cycle = cycle_of(state, *tolerations)
    return PLUGIN.filter(cycle, cycle.rows()).tolist()


NOT_READY = {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"}
UNREACHABLE = {**NOT_READY, "key": "node.kubernetes.io/unreachable"}


@pytest.mark.parametrize(
    ("tolerations", "passes"),
    [
        pytest.param([], False, id="nothing is tolerated"),
        # the operator Exists
        pytest.param([{"key": KEY, "operator": "Exists"}], True, id="the key, any effect"),
        pytest.param(
            [{"key": KEY, "operator": "Exists", "effect": "NoSchedule"}],
            True,
            id="the key and the effect",
        ),
        pytest.param(
            [{"key": KEY, "operator": "Exists", "effect": "NoExecute"}],
            False,
            id="the key, but NoExecute",
        ),
        pytest.param(
            [{"key": KEY, "operator": "Exists", "effect": "PreferNoSchedule"}],
            False,
            id="the key, but PreferNoSchedule",
        ),
        # the operator Equal: the taint has the value ""
        pytest.param([{"key": KEY}], True, id="no operator means Equal, no value the empty one"),
        pytest.param([{"key": KEY, "operator": "Equal"}], True, id="equal to nothing"),
        pytest.param(
            [{"key": KEY, "operator": "Equal", "value": "", "effect": "NoSchedule"}],
            True,
            id="equal to nothing, for that effect",
        ),
        pytest.param([{"key": KEY, "value": "true"}], False, id="equal to something"),
        pytest.param(
            [{"key": KEY, "value": "true", "effect": "NoSchedule"}],
            False,
            id="equal to something, for that effect",
        ),
        pytest.param([{"key": KEY, "effect": "NoExecute"}], False, id="equal, for another effect"),
        # no key
        pytest.param([{"operator": "Exists"}], True, id="every key, every effect"),
        pytest.param([{"operator": "Exists", "effect": "NoSchedule"}], True, id="every key"),
        pytest.param(
            [{"operator": "Exists", "effect": "NoExecute"}], False, id="every key, NoExecute"
        ),
        pytest.param(
            [{"operator": "Exists", "effect": "PreferNoSchedule"}],
            False,
            id="every key, PreferNoSchedule",
        ),
        # other keys
        pytest.param([NOT_READY], False, id="another key"),
        pytest.param(
            [{"key": "unschedulable", "operator": "Exists"}], False, id="the key without its domain"
        ),
        pytest.param(
            [{"key": "node.kubernetes.io/Unschedulable", "operator": "Exists"}],
            False,
            id="keys have their case",
        ),
        pytest.param([{"key": "x", "value": KEY}], False, id="the key as a value"),
        # several
        pytest.param(
            [NOT_READY, UNREACHABLE, {"key": KEY, "operator": "Exists"}], True, id="one of three"
        ),
        pytest.param(
            [{"key": KEY, "operator": "Exists", "effect": "NoExecute"}, {**NOT_READY}],
            False,
            id="none of two",
        ),
        pytest.param(
            [
                {"key": KEY, "operator": "Exists", "effect": "NoExecute"},
                {"key": "x", "operator": "Exists", "effect": "NoSchedule"},
            ],
            False,
            id="the key of one and the effect of the other",
        ),
        pytest.param(
            [{**NOT_READY, "tolerationSeconds": 300}, {**UNREACHABLE, "tolerationSeconds": 300}],
            False,
            id="what the API server gives to every pod",
        ),
        pytest.param(
            [
                NOT_READY,
                UNREACHABLE,
                {"key": KEY, "operator": "Exists", "effect": "NoSchedule"},
            ],
            True,
            id="what the controller gives to pods of a DaemonSet",
        ),
        pytest.param(
            [{**NOT_READY, "key": KEY, "tolerationSeconds": 3600}],
            False,
            id="for an hour: seconds are for NoExecute",
        ),
    ],
)
def test_who_passes_on_a_cordoned_node(tolerations, passes):
    assert codes(cluster(node(cordoned=True)), *tolerations) == [int(not passes)]
    assert codes(cluster(node()), *tolerations) == [0]  # on an open node everybody does


@pytest.mark.parametrize(
    ("nodes", "tolerations", "expected"),
    [
        pytest.param([node()], [], [0], id="an open node"),
        pytest.param([node(cordoned=True, taints=(TAINT,))], [], [1], id="as kubectl cordons it"),
        pytest.param(
            [node(taints=(TAINT,))], [], [0], id="the taint alone is TaintToleration's to judge"
        ),
        pytest.param(
            [node(cordoned=True, taints=(Taint(key="x", effect="NoSchedule"),))],
            [{"key": KEY, "operator": "Exists"}],
            [0],
            id="so is any other",
        ),
        pytest.param(
            [node("a"), node("b", cordoned=True), node("c"), node("d", cordoned=True)],
            [],
            [0, 1, 0, 1],
            id="each node for itself",
        ),
        pytest.param(
            [node("a"), node("b", cordoned=True)], [{"operator": "Exists"}], [0, 0], id="all pass"
        ),
        pytest.param([], [], [], id="no nodes"),
    ],
)
def test_nodes(nodes, tolerations, expected):
    assert codes(cluster(*nodes), *tolerations) == expected


def test_rows_may_come_in_any_order():
    state = cluster(node("a"), node("b", cordoned=True), node("c"))
    cycle = cycle_of(state)
    assert PLUGIN.filter(cycle, np.array([2, 1])).tolist() == [0, 1]
    assert PLUGIN.filter(cycle, np.array([], np.int64)).tolist() == []


def test_a_cordon_comes_and_goes():
    state = cluster(node())
    assert codes(state) == [0]
    state.nodes.add(node(cordoned=True))
    assert codes(state) == [1]
    state.nodes.add(node())
    assert codes(state) == [0]


def test_the_words_are_upstreams():
    cycle = cycle_of(cluster(node(cordoned=True), node("n1", cordoned=True)))
    assert PLUGIN.reasons(cycle, 0, 1) == ("node(s) were unschedulable",) == (REASON,)
    # no pod that goes opens the node
    assert PLUGIN.status(cycle, 0, 1) is Code.UNSCHEDULABLE_AND_UNRESOLVABLE
    message = evaluate_filters(PROFILE, cycle).message(cycle, PROFILE.filters)
    assert message == "0/2 nodes are available: 2 node(s) were unschedulable."


def test_it_is_always_asked():
    assert prepared(PLUGIN, cycle_of(cluster(node()))) != SKIP
    assert PLUGIN.depends is Depends.STATIC


# --- what may help a pod that it rejected


TOLERANT = asks(tolerations=tolerating({"key": KEY, "operator": "Exists"}))
OPEN, CORDONED = zoned_node(), zoned_node(unschedulable=True)


@pytest.mark.parametrize(
    ("pod", "name", "old", "new", "expected"),
    [
        pytest.param(asks(), NODE_ADD, None, OPEN, True, id="a new node"),
        pytest.param(asks(), NODE_ADD, None, CORDONED, False, id="a new node with a cordon"),
        pytest.param(asks(), NODE_UPDATE, CORDONED, OPEN, True, id="the cordon is lifted"),
        pytest.param(asks(), NODE_UPDATE, OPEN, CORDONED, False, id="a node is cordoned"),
        pytest.param(asks(), NODE_UPDATE, CORDONED, CORDONED, False, id="it stays cordoned"),
        pytest.param(
            asks(), NODE_UPDATE, OPEN, zoned_node(disk="ssd"), False, id="it was open before"
        ),
        pytest.param(asks(), NODE_DELETE, CORDONED, None, False, id="a node goes"),
        pytest.param(
            TOLERANT, NODE_UPDATE, CORDONED, OPEN, False, id="it can't have rejected this pod"
        ),
    ],
)
def test_what_may_help(pod, name, old, new, expected):
    state = zoned_cluster("a", "b")
    row = state.nodes.add(new) if new is not None else 0
    event = ClusterEvent(name, row, old=old, new=new)
    assert helps(state, "NodeUnschedulable", pod, event) is expected


def test_a_pod_that_goes_helps_nobody():
    state = zoned_cluster("a", "b")
    assert not helps(state, "NodeUnschedulable", asks(), gone(state, asks()))
