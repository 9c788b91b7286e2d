"""Which events may help a pod that a plugin rejected, by table: plugin, pod, event, yes or no."""

from dataclasses import replace

import numpy as np
import pytest

from schedlab.api.base import Amounts
from schedlab.api.objects import (
    Namespace,
    NodeStatus,
    ObjectMeta,
    Service,
    ServiceSpec,
    Taint,
    Toleration,
)
from schedlab.api.objects import NodeAffinity as NodeAffinityTerms
from schedlab.scheduling.framework.cluster_events import (
    NODE_ADD,
    NODE_DELETE,
    NODE_UPDATE,
    PENDING_ADD,
    POD_ADD,
    POD_DELETE,
    ClusterEvent,
)
from schedlab.scheduling.framework.evaluation import evaluate_filters
from schedlab.scheduling.framework.interface import Cycle, Depends
from schedlab.scheduling.framework.profiles import Profile, read_profiles
from schedlab.scheduling.framework.queueing_hints import REGISTER, QueueingHints, rejectors
from schedlab.testing.affinity import pod_affinity, pod_term
from schedlab.testing.hints import (
    ZONE,
    asks,
    gone,
    helps,
    waiting_pod,
    zoned_cluster,
    zoned_node,
)
from schedlab.testing.spreading import spread
from schedlab.testing.storage import uses

GPU = "example.com/gpu"
CORDON = "node.kubernetes.io/unschedulable"


# --- nodes ----------------------------------------------------------------------------------------

TAINT = Taint(key="gpu", value="yes", effect="NoSchedule")
SOFT = Taint(key="gpu", value="yes", effect="PreferNoSchedule")
TOLERATES = (Toleration(key="gpu", operator="Exists"),)
NEEDS_SSD = {"node_selector": {"disk": "ssd"}}


@pytest.mark.parametrize(
    ("plugin", "pod", "old", "new", "expected"),
    [
        pytest.param(
            "NodeUnschedulable", asks(), None, zoned_node(), True, id="a node that takes pods"
        ),
        pytest.param(
            "NodeUnschedulable",
            asks(),
            None,
            zoned_node(unschedulable=True),
            False,
            id="a cordoned node",
        ),
        pytest.param(
            "NodeUnschedulable",
            asks(),
            zoned_node(unschedulable=True),
            zoned_node(),
            True,
            id="uncordoned",
        ),
        pytest.param(
            "NodeUnschedulable",
            asks(),
            zoned_node(),
            zoned_node(disk="ssd"),
            False,
            id="never cordoned",
        ),
        pytest.param(
            "NodeUnschedulable",
            asks(tolerations=(Toleration(key=CORDON, operator="Exists"),)),
            None,
            zoned_node(),
            False,
            id="a pod that tolerates cordons was not rejected for one",
        ),
        pytest.param("NodeName", asks(node_name="n0"), None, zoned_node("n0"), True, id="its node"),
        pytest.param(
            "NodeName", asks(node_name="n0"), None, zoned_node("n1"), False, id="another node"
        ),
        pytest.param(
            "TaintToleration", asks(), None, zoned_node(), True, id="a node without taints"
        ),
        pytest.param(
            "TaintToleration", asks(), None, zoned_node(taints=(TAINT,)), False, id="a tainted node"
        ),
        pytest.param(
            "TaintToleration",
            asks(tolerations=TOLERATES),
            None,
            zoned_node(taints=(TAINT,)),
            True,
            id="a taint that is tolerated",
        ),
        pytest.param(
            "TaintToleration", asks(), None, zoned_node(taints=(SOFT,)), True, id="a soft taint"
        ),
        pytest.param(
            "TaintToleration",
            asks(),
            zoned_node(taints=(TAINT,)),
            zoned_node(),
            True,
            id="the taint goes",
        ),
        pytest.param(
            "TaintToleration",
            asks(),
            zoned_node(),
            zoned_node(disk="ssd"),
            False,
            id="there was none before",
        ),
        pytest.param(
            "NodeAffinity",
            asks(**NEEDS_SSD),
            None,
            zoned_node(disk="ssd"),
            True,
            id="a matching node",
        ),
        pytest.param(
            "NodeAffinity",
            asks(**NEEDS_SSD),
            None,
            zoned_node(disk="hdd"),
            False,
            id="another disk",
        ),
        pytest.param(
            "NodeAffinity",
            asks(**NEEDS_SSD),
            zoned_node(),
            zoned_node(disk="ssd"),
            True,
            id="relabelled",
        ),
        pytest.param(
            "NodeAffinity",
            asks(**NEEDS_SSD),
            zoned_node(disk="ssd"),
            zoned_node(disk="ssd", rack="2"),
            False,
            id="it matched before as well",
        ),
        pytest.param(
            "NodePorts", asks(ports=[80]), None, zoned_node(), True, id="ports of a new node"
        ),
        pytest.param(
            "NodePorts",
            asks(ports=[80]),
            zoned_node(),
            zoned_node(disk="ssd"),
            False,
            id="ports stay taken",
        ),
        pytest.param(
            "VolumeRestrictions",
            asks(volumes=[uses("c")]),
            None,
            zoned_node(),
            True,
            id="disks on a new node",
        ),
        pytest.param(
            "VolumeBinding",
            asks(volumes=[uses("c")]),
            zoned_node(),
            zoned_node(disk="ssd"),
            True,
            id="volumes reach by labels",
        ),
        pytest.param(
            "VolumeBinding",
            asks(volumes=[uses("c")]),
            zoned_node(),
            zoned_node(taints=(TAINT,)),
            False,
            id="volumes don't reach by taints",
        ),
        pytest.param(
            "VolumeZone",
            asks(volumes=[uses("c")]),
            zoned_node(),
            zoned_node(zone="b"),
            True,
            id="a node in another zone",
        ),
        pytest.param("DynamicResources", asks(), None, zoned_node(), False, id="it never rejects"),
    ],
)
def test_changes_of_nodes(plugin, pod, old, new, expected):
    state = zoned_cluster("a", "b")
    row = state.nodes.add(new)
    event = ClusterEvent(NODE_ADD if old is None else NODE_UPDATE, row, old=old, new=new)
    assert helps(state, plugin, pod, event) == expected


def test_affinity_that_the_profile_adds():
    required = {
        "nodeSelectorTerms": [
            {"matchExpressions": [{"key": "pool", "operator": "In", "values": ["mine"]}]}
        ]
    }
    added = NodeAffinityTerms.model_validate(
        {"requiredDuringSchedulingIgnoredDuringExecution": required}
    )
    (profile,) = read_profiles(
        {
            "apiVersion": "kubescheduler.config.k8s.io/v1",
            "kind": "KubeSchedulerConfiguration",
            "profiles": [
                {
                    "pluginConfig": [
                        {
                            "name": "NodeAffinity",
                            "args": {"addedAffinity": added.model_dump(mode="json", by_alias=True)},
                        }
                    ]
                }
            ],
        }
    )
    state = zoned_cluster("a", "b")
    for labels, expected in (({"pool": "mine"}, True), ({}, False)):
        new = zoned_node("n2", **labels)
        event = ClusterEvent(NODE_ADD, state.nodes.add(new), new=new)
        assert helps(state, "NodeAffinity", asks(), event, profile) == expected


# --- resources and ports --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "pod", "expected"),
    [
        # each node has 4 cpus; *left* stays on n0 when a pod goes from there
        pytest.param([], asks(cpu=4_000), True, id="4 of 4 are free"),
        pytest.param([asks(cpu=1_000)], asks(cpu=3_000), True, id="1 stays, 3 fit"),
        pytest.param([asks(cpu=2_000)], asks(cpu=3_000), False, id="2 stay, 3 don't fit"),
        pytest.param(
            [asks(cpu=2_000)],
            asks(cpu=3_000, priority=5),
            True,
            id="2 stay, but they can be preempted",
        ),
        pytest.param(
            [asks(cpu=2_000, priority=5)],
            asks(cpu=3_000, priority=5),
            False,
            id="equals can't be preempted",
        ),
        pytest.param(
            [asks(cpu=1_000, priority=9), asks(cpu=1_000)],
            asks(cpu=3_000, priority=5),
            True,
            id="1 stays for good, 3 fit after preemption",
        ),
        pytest.param(
            [asks(cpu=2_000, priority=9), asks(cpu=1_000)],
            asks(cpu=3_000, priority=5),
            False,
            id="2 stay for good",
        ),
        pytest.param(
            [asks(cpu=2_000)],
            asks(cpu=3_000, priority=5, preemption_policy="Never"),
            False,
            id="a pod that never preempts",
        ),
    ],
)
def test_room_that_a_pod_leaves(left, pod, expected):
    state = zoned_cluster("a", "b", pods=[(0, wanted) for wanted in left])
    assert helps(state, "NodeResourcesFit", pod, gone(state, asks(cpu=1_000))) == expected


def test_without_post_filter_nobody_is_preempted():
    config = {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "profiles": [{"plugins": {"postFilter": {"disabled": [{"name": "*"}]}}}],
    }
    state = zoned_cluster("a", "b", pods=[(0, asks(cpu=2_000))])
    pod, event = asks(cpu=3_000, priority=5), gone(state, asks(cpu=1_000))
    assert helps(state, "NodeResourcesFit", pod, event)
    assert not helps(state, "NodeResourcesFit", pod, event, read_profiles(config)[0])


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param(None, 4_000, True, id="a node with room"),
        pytest.param(None, 2_000, False, id="a node that is too small"),
        pytest.param(2_000, 4_000, True, id="it grows"),
        pytest.param(4_000, 4_000, False, id="it stays"),
        pytest.param(8_000, 4_000, False, id="it shrinks"),
        pytest.param(1_000, 2_000, False, id="it grows, not enough"),
    ],
)
def test_nodes_that_grow(before, after, expected):
    state = zoned_cluster()
    old = None if before is None else zoned_node(cpu=before)
    new = zoned_node(cpu=after)
    event = ClusterEvent(
        NODE_ADD if old is None else NODE_UPDATE, state.nodes.add(new), old=old, new=new
    )
    assert helps(state, "NodeResourcesFit", asks(cpu=3_000), event) == expected


def test_more_of_a_resource_that_nobody_asked_for():
    state = zoned_cluster()
    old = zoned_node()
    offers = Amounts({**old.status.allocatable, GPU: 2})
    new = old.model_copy(update={"status": NodeStatus(allocatable=offers)})
    event = ClusterEvent(NODE_UPDATE, state.nodes.add(new), old=old, new=new)
    assert not helps(state, "NodeResourcesFit", asks(), event)


@pytest.mark.parametrize(
    ("pod", "other", "expected"),
    [
        pytest.param(asks(ports=[80]), asks(ports=[80]), True, id="the same port"),
        pytest.param(asks(ports=[80]), asks(ports=[81]), False, id="another port"),
        pytest.param(asks(ports=[80]), asks(), False, id="no port"),
        pytest.param(asks(ports=[80, 81]), asks(ports=[81]), True, id="one of them"),
        pytest.param(
            asks(ports=[80], ip="10.0.0.1"),
            asks(ports=[80], ip="10.0.0.2"),
            False,
            id="another address",
        ),
        pytest.param(asks(ports=[80], ip="10.0.0.1"), asks(ports=[80]), True, id="all addresses"),
    ],
)
def test_ports_that_a_pod_leaves(pod, other, expected):
    state = zoned_cluster("a", "b")
    assert helps(state, "NodePorts", pod, gone(state, other)) == expected


# --- affinity and spreading -----------------------------------------------------------------------

NEAR_DB = pod_affinity(near=[pod_term(ZONE, "db")])
NEAR_WEB = pod_affinity(near=[pod_term(ZONE, "web")])
FAR_FROM_DB = pod_affinity(apart=[pod_term(ZONE, "db")])
FAR_FROM_WEB = pod_affinity(apart=[pod_term(ZONE, "web")])
ANYWHERE = pod_affinity(near=[pod_term(ZONE, "db", namespaceSelector={"matchLabels": {"t": "x"}})])


@pytest.mark.parametrize(
    ("pod", "event", "other", "expected"),
    [
        pytest.param(asks(affinity=NEAR_DB), POD_ADD, asks(app="db"), True, id="a partner comes"),
        pytest.param(asks(affinity=NEAR_DB), POD_ADD, asks(app="x"), False, id="somebody comes"),
        pytest.param(
            asks(affinity=NEAR_DB),
            POD_ADD,
            asks(app="db", namespace="else"),
            False,
            id="a partner of another namespace",
        ),
        pytest.param(
            asks(affinity=pod_affinity(near=[pod_term(ZONE, "db"), pod_term("rack", "x")])),
            POD_ADD,
            asks(app="db"),
            False,
            id="one pod has to match all terms",
        ),
        pytest.param(asks(), POD_ADD, asks(app="db"), False, id="nobody is wanted"),
        pytest.param(
            asks(affinity=FAR_FROM_DB),
            POD_ADD,
            asks(app="x"),
            False,
            id="nobody who comes helps to be apart",
        ),
        pytest.param(
            asks(affinity=FAR_FROM_DB), POD_DELETE, asks(app="db"), True, id="it was in the way"
        ),
        pytest.param(asks(affinity=FAR_FROM_DB), POD_DELETE, asks(app="x"), False, id="it was not"),
        pytest.param(
            asks(), POD_DELETE, asks(app="db", affinity=FAR_FROM_WEB), True, id="it kept us away"
        ),
        pytest.param(
            asks(app="x"),
            POD_DELETE,
            asks(app="db", affinity=FAR_FROM_WEB),
            False,
            id="it kept others away",
        ),
        pytest.param(
            asks(affinity=NEAR_DB), POD_DELETE, asks(app="db"), False, id="a partner that goes"
        ),
        pytest.param(
            asks(affinity=NEAR_WEB),
            POD_DELETE,
            asks(app="web"),
            True,
            id="a partner that goes: perhaps the last, so that the pod may start anew",
        ),
    ],
)
def test_pods_that_come_and_go_by_affinity(pod, event, other, expected):
    state = zoned_cluster("a", "b")
    found = ClusterEvent(event, 0, other.of(state))
    assert helps(state, "InterPodAffinity", pod, found) == expected


@pytest.mark.parametrize(
    ("pod", "old", "new", "expected"),
    [
        pytest.param(asks(affinity=NEAR_DB), None, zoned_node(), True, id="a node of some zone"),
        pytest.param(
            asks(affinity=NEAR_DB), None, zoned_node(zone=""), False, id="a node of no zone"
        ),
        pytest.param(
            asks(affinity=FAR_FROM_DB), None, zoned_node(zone=""), True, id="apart from all"
        ),
        pytest.param(
            asks(affinity=NEAR_DB), zoned_node(), zoned_node(zone="b"), True, id="another zone"
        ),
        pytest.param(
            asks(affinity=NEAR_DB), zoned_node(), zoned_node(cpu=1), False, id="the same labels"
        ),
    ],
)
def test_nodes_by_affinity(pod, old, new, expected):
    state = zoned_cluster("a", "b")
    name = NODE_ADD if old is None else NODE_UPDATE
    event = ClusterEvent(name, state.nodes.add(new), old=old, new=new)
    assert helps(state, "InterPodAffinity", pod, event) == expected


@pytest.mark.parametrize(
    ("affinity", "expected"),
    [
        pytest.param(NEAR_DB, False, id="its own namespace"),
        pytest.param(ANYWHERE, True, id="namespaces by label"),
    ],
)
def test_namespaces_that_are_labelled(affinity, expected):
    state = zoned_cluster("a", "b")
    found = Namespace(metadata=ObjectMeta(name="else", labels={"t": "x"}))
    event = ClusterEvent("Namespace/Update", old=found, new=found)
    assert helps(state, "InterPodAffinity", asks(affinity=affinity), event) == expected


SPREAD = asks(topology_spread_constraints=(spread(ZONE, 1, "web"),))
WEB, OTHER = asks(), asks(app="x")


@pytest.mark.parametrize(
    ("pods", "new", "expected"),
    [
        # zones a and b; the pod was rejected, then *new* came, as (node, what it is)
        pytest.param([(0, WEB)], (1, WEB), True, id="1 / 0 -> 1 / 1: the emptiest zone is fuller"),
        pytest.param([(0, WEB), (0, WEB)], (0, WEB), False, id="2 / 0 -> 3 / 0: it is as empty"),
        pytest.param([(0, WEB)], (1, OTHER), False, id="a pod that isn't counted"),
        pytest.param([(0, WEB), (0, WEB)], (1, WEB), True, id="2 / 0 -> 2 / 1"),
        pytest.param([], (0, WEB), False, id="0 / 0 -> 1 / 0"),
        pytest.param(
            [(0, WEB)], (1, replace(WEB, namespace="else")), False, id="another namespace"
        ),
    ],
)
def test_pods_that_come_by_spreading(pods, new, expected):
    state = zoned_cluster("a", "b", pods=pods)
    hints = QueueingHints(Profile.default())
    pod = waiting_pod(state, SPREAD)
    found = hints.of(pod, frozenset(("PodTopologySpread",)), state)
    where, wanted = new
    state.add_pod(50, wanted.of(state), where)
    event = ClusterEvent(POD_ADD, where, wanted.of(state))
    assert any(hint(event) for hint in found[POD_ADD]) == expected


@pytest.mark.parametrize(
    ("pod", "event", "other", "expected"),
    [
        pytest.param(SPREAD, POD_DELETE, WEB, True, id="a counted pod goes"),
        pytest.param(SPREAD, POD_DELETE, OTHER, False, id="a pod that isn't counted goes"),
        pytest.param(asks(), POD_DELETE, WEB, False, id="nothing is spread"),
        pytest.param(
            asks(topology_spread_constraints=(spread(ZONE, 1, "web", soft=True),)),
            POD_DELETE,
            WEB,
            False,
            id="soft constraints reject nobody",
        ),
    ],
)
def test_pods_that_go_by_spreading(pod, event, other, expected):
    state = zoned_cluster("a", "b", pods=[(0, WEB)])
    found = ClusterEvent(event, 0, other.of(state))
    assert helps(state, "PodTopologySpread", pod, found) == expected


@pytest.mark.parametrize(
    ("name", "old", "new", "expected"),
    [
        pytest.param(NODE_ADD, None, zoned_node(zone="c"), True, id="a new zone"),
        pytest.param(NODE_ADD, None, zoned_node(zone=""), False, id="no zone"),
        pytest.param(NODE_DELETE, zoned_node(zone="c"), None, True, id="the emptiest zone may go"),
        pytest.param(NODE_DELETE, zoned_node(zone=""), None, False, id="a node of no zone goes"),
        pytest.param(
            NODE_UPDATE, zoned_node(zone="a"), zoned_node(zone="b"), True, id="another zone"
        ),
        pytest.param(
            NODE_UPDATE, zoned_node(), zoned_node(taints=(TAINT,)), True, id="taints may count"
        ),
        pytest.param(
            NODE_UPDATE, zoned_node(), zoned_node(cpu=1), False, id="neither labels nor taints"
        ),
    ],
)
def test_nodes_by_spreading(name, old, new, expected):
    event = ClusterEvent(name, 0, old=old, new=new)
    assert helps(zoned_cluster("a", "b"), "PodTopologySpread", SPREAD, event) == expected


def test_services_matter_where_constraints_are_hard_by_default():
    constraint = {"maxSkew": 1, "topologyKey": ZONE, "whenUnsatisfiable": "DoNotSchedule"}
    args = {"defaultingType": "List", "defaultConstraints": [constraint]}
    (profile,) = read_profiles(
        {
            "apiVersion": "kubescheduler.config.k8s.io/v1",
            "kind": "KubeSchedulerConfiguration",
            "profiles": [{"pluginConfig": [{"name": "PodTopologySpread", "args": args}]}],
        }
    )
    found = Service(metadata=ObjectMeta(name="s"), spec=ServiceSpec(selector={"app": "web"}))
    event = ClusterEvent("Service/Delete", old=found)
    state = zoned_cluster("a", "b")
    assert helps(state, "PodTopologySpread", asks(), event, profile)
    assert not helps(state, "PodTopologySpread", SPREAD, event, profile)
    assert not helps(state, "PodTopologySpread", asks(), event)


# --- plugins of one's own, and who rejected -------------------------------------------------------


class Silent:
    """Says nothing of what may help."""

    name = "Silent"

    def filter(self, cycle, rows):
        return np.ones(len(rows), np.int64)


class ByNode(Silent):
    """Rejects nodes with less than two cpus free, whatever is asked."""

    name = "ByNode"
    depends = Depends.NODE

    def filter(self, cycle, rows):
        nodes = cycle.nodes
        return (nodes.allocatable[0, rows] - nodes.requested[0, rows] < 2_000).astype(np.int64)


class Hinting(Silent):
    """Waits for pods of the app that it is told of."""

    name = "Hinting"

    def queueing_hint(self, event, pod_class, state):
        return event.pod is not None and event.pod.labels.get("app") == "db"


@pytest.mark.parametrize(
    ("plugin", "event", "other", "expected"),
    [
        pytest.param(Silent(), POD_ADD, asks(), True, id="anything may help"),
        pytest.param(Silent(), PENDING_ADD, asks(), True, id="even what no other plugin looks at"),
        pytest.param(ByNode(), POD_DELETE, asks(), True, id="the node passes now"),
        pytest.param(ByNode(), POD_ADD, asks(), False, id="a pod that comes takes room"),
        pytest.param(Hinting(), POD_ADD, asks(app="db"), True, id="a hint says so"),
        pytest.param(Hinting(), POD_ADD, asks(), False, id="a hint says no"),
    ],
)
def test_plugins_of_ones_own(plugin, event, other, expected):
    state = zoned_cluster("a", "b")
    profile = Profile(filters=(plugin,))
    found = ClusterEvent(event, 0, other.of(state))
    assert helps(state, plugin.name, asks(), found, profile) == expected


def test_a_node_that_a_plugin_still_rejects():
    state = zoned_cluster("a", "b", pods=[(0, asks(cpu=3_000))])
    profile = Profile(filters=(ByNode(),))
    assert not helps(state, "ByNode", asks(), gone(state, asks()), profile)


def test_where_nobody_says_who_rejected_all_filters_count():
    state = zoned_cluster("a", "b", pods=[(0, asks(cpu=2_000))])
    hints = QueueingHints(Profile.default(), preempts=False)
    pod = waiting_pod(state, asks(cpu=3_000, affinity=NEAR_DB))
    found = hints.of(pod, None, state)
    partner = ClusterEvent(POD_ADD, 0, asks(app="db").of(state))
    assert any(hint(partner) for hint in found[POD_ADD])
    assert not any(hint(gone(state, asks())) for hint in found[POD_DELETE])  # 2 of 4 cpus are free
    plain = waiting_pod(state, asks(cpu=3_000))
    assert POD_ADD not in hints.of(plain, None, state)


def test_every_filter_of_the_default_profile_has_its_line():
    upstream = [p.name for p in Profile.default().filters if "plugins" in type(p).__module__]
    assert set(upstream) <= set(REGISTER)


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        pytest.param(asks(cpu=9_000), {"NodeResourcesFit"}, id="too large for all"),
        pytest.param(
            asks(cpu=9_000, node_selector={"kubernetes.io/hostname": "n0"}),
            {"NodeResourcesFit", "NodeAffinity"},
            id="too large for one, the other doesn't match",
        ),
        pytest.param(
            asks(volumes=[uses("c")]),
            {"VolumeRestrictions"},
            id="a PreFilter: the claim is not there",
        ),
        pytest.param(
            asks(
                affinity={
                    "nodeAffinity": {
                        "requiredDuringSchedulingIgnoredDuringExecution": {
                            "nodeSelectorTerms": [
                                {
                                    "matchFields": [
                                        {
                                            "key": "metadata.name",
                                            "operator": "In",
                                            "values": ["n0"],
                                        }
                                    ]
                                }
                            ]
                        }
                    }
                },
                cpu=9_000,
            ),
            {"NodeResourcesFit", "NodeAffinity"},
            id="a PreFilter leaves one node",
        ),
    ],
)
def test_who_rejected_a_pod(pod, expected):
    state = zoned_cluster("a", "b")
    cycle = Cycle(state, pod.of(state), waiting_pod(state, pod))
    profile = Profile.default()
    assert rejectors(evaluate_filters(profile, cycle), profile) == expected
