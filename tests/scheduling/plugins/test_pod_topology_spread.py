"""PodTopologySpread: read the tables to learn what kube-scheduler 1.35 does.

The tables use this cluster, and count pods with the label ``app: web``::

    node   a1   a2   b1   b2   c1      x1
    zone   a    a    b    b    c       (none)
    disk   ssd  ssd  ssd  hdd  (none)  hdd

*pods* says how many of them are on a1 .. x1. Answers are for a1 .. x1 as well.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schedlab.api.objects import Affinity, Service, Taint, Toleration
from schedlab.cluster import ClassTable, ClusterState, ResourceNames
from schedlab.scheduling.framework.interface import Code, Cycle, Depends, FilterPlugin, ScorePlugin
from schedlab.scheduling.plugins.default_selector import default_selector
from schedlab.scheduling.plugins.pod_topology_spread import (
    LABEL,
    SKEW,
    SYSTEM_DEFAULTS,
    PodTopologySpread,
)
from schedlab.testing import label_condition, pod_template, small_node
from schedlab.testing.spreading import HOSTNAME, SpreadOracle, spread, spread_scores

ZONE = "topology.kubernetes.io/zone"
NODES = {
    "a1": {ZONE: "a", "disk": "ssd"},
    "a2": {ZONE: "a", "disk": "ssd"},
    "b1": {ZONE: "b", "disk": "ssd"},
    "b2": {ZONE: "b", "disk": "hdd"},
    "c1": {ZONE: "c"},
    "x1": {"disk": "hdd"},
}
WEB = {"app": "web"}
OLD, NEW = {**WEB, "hash": "old"}, {**WEB, "hash": "new"}
TAINTS = {effect: Taint(key="t", effect=effect) for effect in ("NoSchedule", "PreferNoSchedule")}
OK = 0
FREE = [OK, OK, OK, OK, OK, LABEL]  # x1 is in no zone


def cluster(pods=(), *, tainted=None, others=()):
    """Return the cluster with *pods* web pods per node, and *others*: (node, labels, namespace)."""
    state = ClusterState(ClassTable(ResourceNames()))
    for name, labels in NODES.items():
        taints = (TAINTS[tainted],) if tainted and name == "c1" else ()
        state.nodes.add(small_node(name, labels=labels, taints=taints))
    placed = [(row, WEB, "default") for row, count in enumerate(pods) for _ in range(count)]
    placed += [(state.nodes.row_of[node], *rest) for node, *rest in others]
    for pod, (row, labels, space) in enumerate(placed):
        state.add_pod(pod, intern(state, labels, space), row)
    return state


def intern(state, labels, space="default", owner=("", ""), **spec):
    return state.classes.intern(space, pod_template(**spec).spec, 0, labels=labels, owner=owner)


def incoming(state, *constraints, labels=WEB, **spec):
    """Return a cycle of a pod with constraints."""
    return Cycle(state, intern(state, labels, topology_spread_constraints=constraints, **spec))


def verdicts(cycle, plugin=None):
    return (plugin or PodTopologySpread()).filter(cycle, cycle.rows()).tolist()


def scores(cycle, plugin=None, rows=None):
    """Return raw and normalised scores."""
    plugin = plugin or PodTopologySpread()
    rows = cycle.rows() if rows is None else np.array(rows, np.int64)
    assert not plugin.pre_score(cycle, rows)
    raw = plugin.score(cycle, rows)
    return raw.tolist(), plugin.normalize(cycle, rows, raw).tolist()


# --- Filter: fails when matching + (1 if the pod matches itself) - least matching > maxSkew


@pytest.mark.parametrize(
    ("pods", "constraints", "expected"),
    [
        # zones a, b, c hold 0, 0, 0: 0 + 1 - 0 = 1
        pytest.param([0, 0, 0, 0, 0, 0], [spread(ZONE)], FREE, id="an empty cluster"),
        # 1, 0, 0: a would have 1 + 1 - 0 = 2 > 1
        pytest.param(
            [1, 0, 0, 0, 0, 0], [spread(ZONE)], [SKEW, SKEW, OK, OK, OK, LABEL],
            id="the whole zone is ahead",
        ),
        # 1, 1, 1: 1 + 1 - 1 = 1
        pytest.param([1, 0, 0, 1, 1, 0], [spread(ZONE)], FREE, id="all zones are level"),
        # 3, 2, 1: a 3 + 1 - 1 = 3 > 2, b 2 + 1 - 1 = 2, c 1
        pytest.param(
            [2, 1, 1, 1, 1, 0], [spread(ZONE, 2)], [SKEW, SKEW, OK, OK, OK, LABEL],
            id="a maxSkew of 2",
        ),
        pytest.param([2, 1, 1, 1, 1, 0], [spread(ZONE, 3)], FREE, id="a maxSkew of 3"),
        # pods on x1 are in no zone
        pytest.param([1, 0, 1, 0, 1, 9], [spread(ZONE)], FREE, id="pods outside all zones"),
        # a1 1 + 1 - 0 = 2
        pytest.param(
            [1, 0, 0, 0, 0, 0], [spread(HOSTNAME)], [SKEW, OK, OK, OK, OK, OK],
            id="hosts are domains too",
        ),
        # ssd 2 on a1, a2, b1; hdd 0 on b2, x1; c1 has none
        pytest.param(
            [1, 0, 1, 0, 0, 0], [spread("disk")], [SKEW, SKEW, SKEW, OK, LABEL, OK],
            id="any label makes domains",
        ),
        pytest.param([1, 0, 0, 0, 0, 0], [spread("rack")], [LABEL] * 6, id="one no node has"),
        # zones 1, 1, 1 are level; of the hosts a2 and b2 are empty, a1, b1, c1 1 + 1 - 0 = 2
        pytest.param(
            [1, 0, 1, 0, 1, 0], [spread(ZONE), spread(HOSTNAME)],
            [SKEW, OK, SKEW, OK, SKEW, LABEL],
            id="all constraints must hold",
        ),
        # hosts a1 .. c1 hold 1 each: 1 + 1 - 1; the empty host x1 lacks a zone and doesn't count
        pytest.param(
            [1, 1, 1, 1, 1, 0], [spread(ZONE, 9), spread(HOSTNAME)], FREE,
            id="nodes that lack any of the keys are left out for all constraints",
        ),
        # only a1 .. b2 have both keys: c is no zone, its 9 pods don't count: 0 + 1 - 0
        pytest.param(
            [0, 0, 0, 0, 9, 9], [spread(ZONE), spread("disk")], [OK, OK, OK, OK, LABEL, LABEL],
            id="and so are their pods",
        ),
        # disks: hdd 2 (b2), ssd 0. b2 and x1 have 2 + 1 - 0 = 3, so says the first constraint.
        # zones: a 0, b 2: b1 has 3
        pytest.param(
            [0, 0, 0, 2, 0, 0], [spread("disk"), spread(ZONE)],
            [OK, OK, SKEW, SKEW, LABEL, SKEW],
            id="the first constraint that fails gives the reason",
        ),
        # 1, 1, 1, but fewer than 4 zones: 1 + 1 - 0 = 2
        pytest.param(
            [1, 0, 1, 0, 1, 0], [spread(ZONE, minDomains=4)], [SKEW] * 5 + [LABEL],
            id="too few domains: the least is taken for 0",
        ),
        pytest.param([1, 0, 1, 0, 1, 0], [spread(ZONE, minDomains=3)], FREE, id="just enough"),
        # 2, 1, 1 with maxSkew 2: a 2 + 1 - 0 = 3, b 1 + 1 - 0 = 2
        pytest.param(
            [2, 0, 1, 0, 1, 0], [spread(ZONE, 2, minDomains=9)],
            [SKEW, SKEW, OK, OK, OK, LABEL],
            id="up to maxSkew pods a domain while there are too few",
        ),
        # no selector: 0 + 0 - 0 everywhere
        pytest.param([3, 0, 0, 0, 0, 0], [spread(ZONE, 1, None)], FREE, id="no selector"),
        # upstream counts no pods by an empty selector, though the pod itself matches: 0 + 1 - 0
        pytest.param([3, 0, 0, 0, 0, 0], [spread(ZONE, 1, {})], FREE, id="an empty selector"),
        # not db: 1, 0, 0
        pytest.param(
            [1, 0, 0, 0, 0, 0], [spread(ZONE, 1, label_condition("app", "NotIn", "db"))],
            [SKEW, SKEW, OK, OK, OK, LABEL],
            id="a selector by condition",
        ),
        pytest.param(
            [9, 0, 0, 0, 0, 0], [spread(ZONE, soft=True)], [OK] * 6,
            id="soft constraints rule nothing out",
        ),
    ],
)  # fmt: skip
def test_what_is_ruled_out(pods, constraints, expected):
    assert verdicts(incoming(cluster(pods), *constraints)) == expected


@pytest.mark.parametrize(
    ("pods", "others", "labels", "constraint", "expected"),
    [
        # zone a 1 + 0 - 0 = 1
        pytest.param(
            [1, 0, 0, 0, 0, 0], [], {"app": "db"}, spread(ZONE), FREE,
            id="a pod that doesn't match itself adds nothing",
        ),
        # 2 + 0 - 0 = 2
        pytest.param(
            [2, 0, 0, 0, 0, 0], [], {"app": "db"}, spread(ZONE),
            [SKEW, SKEW, OK, OK, OK, LABEL],
            id="but is kept from where there are too many",
        ),
        pytest.param(
            [], [("a1", WEB, "prod")], WEB, spread(ZONE), FREE, id="pods of other namespaces"
        ),
        pytest.param(
            [], [("a1", {"app": "db"}, "default")], WEB, spread(ZONE), FREE, id="other pods"
        ),
        # old pods don't matter to new ones: 0 + 1 - 0
        pytest.param(
            [], [("a1", OLD, "default")], NEW, spread(ZONE, matchLabelKeys=["hash"]), FREE,
            id="matchLabelKeys: the old revision is not counted",
        ),
        pytest.param(
            [], [("a1", NEW, "default")], NEW, spread(ZONE, matchLabelKeys=["hash"]),
            [SKEW, SKEW, OK, OK, OK, LABEL],
            id="matchLabelKeys: the new one is",
        ),
        pytest.param(
            [], [("a1", OLD, "default")], NEW, spread(ZONE), [SKEW, SKEW, OK, OK, OK, LABEL],
            id="without them both are",
        ),
        pytest.param(
            [], [("a1", OLD, "default")], WEB, spread(ZONE, matchLabelKeys=["hash"]),
            [SKEW, SKEW, OK, OK, OK, LABEL],
            id="matchLabelKeys: a key that the pod lacks doesn't matter",
        ),
        # {hash: new} alone: 1, 0, 0, whatever the app
        pytest.param(
            [], [("a1", {"app": "db", "hash": "new"}, "default")], NEW,
            spread(ZONE, 1, {}, matchLabelKeys=["hash"]), [SKEW, SKEW, OK, OK, OK, LABEL],
            id="matchLabelKeys: an empty selector is none any more",
        ),
        pytest.param(
            [], [("a1", NEW, "default")], NEW, spread(ZONE, 1, None, matchLabelKeys=["hash"]),
            FREE,
            id="matchLabelKeys: without a selector they don't matter",
        ),
    ],
)  # fmt: skip
def test_which_pods_count(pods, others, labels, constraint, expected):
    state = cluster(pods, others=others)
    assert verdicts(incoming(state, constraint, labels=labels)) == expected


NOT_C = Affinity.model_validate(
    {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [
                    {"matchExpressions": [{"key": ZONE, "operator": "NotIn", "values": ["c"]}]}
                ]
            }
        }
    }
)
TOLERANT = {"tolerations": (Toleration(key="t", operator="Exists"),)}
AHEAD = [SKEW, SKEW, SKEW, SKEW, OK, LABEL]


@pytest.mark.parametrize(
    ("pods", "tainted", "spec", "policies", "expected"),
    [
        # of the nodes with an ssd: a 1, b 0; the 3 of b2 don't count: a 1 + 1 - 0 = 2
        pytest.param(
            [1, 0, 0, 3, 0, 0], None, {"node_selector": {"disk": "ssd"}}, {},
            [SKEW, SKEW, OK, OK, OK, LABEL],
            id="nodes that the pod doesn't select don't count",
        ),
        # only zone a: 1 + 1 - 1 = 1; elsewhere 0 + 1 - 1 = 0
        pytest.param(
            [1, 0, 0, 0, 0, 0], None, {"node_selector": {ZONE: "a"}}, {}, FREE,
            id="nor do their domains: the emptiest is among the others",
        ),
        # 1, 0, 0
        pytest.param(
            [1, 0, 0, 0, 0, 0], None, {"node_selector": {ZONE: "a"}},
            {"nodeAffinityPolicy": "Ignore"}, [SKEW, SKEW, OK, OK, OK, LABEL],
            id="nodeAffinityPolicy: Ignore counts them all",
        ),
        # zones a, b: 1, 1: 1 + 1 - 1; c is not asked about
        pytest.param(
            [1, 0, 1, 0, 0, 0], None, {"affinity": NOT_C}, {}, FREE,
            id="required node affinity likewise",
        ),
        pytest.param(
            [1, 0, 1, 0, 0, 0], None, {"affinity": NOT_C},
            {"minDomains": 3}, [SKEW, SKEW, SKEW, SKEW, OK, LABEL],
            id="minDomains asks for domains that count: two zones are too few",
        ),
        # 1, 1, 0
        pytest.param(
            [1, 0, 1, 0, 0, 0], "NoSchedule", {}, {}, AHEAD,
            id="tainted nodes count by default",
        ),
        # 1, 1: 1 + 1 - 1
        pytest.param(
            [1, 0, 1, 0, 0, 0], "NoSchedule", {}, {"nodeTaintsPolicy": "Honor"}, FREE,
            id="nodeTaintsPolicy: Honor leaves them out",
        ),
        pytest.param(
            [1, 0, 1, 0, 0, 0], "NoSchedule", TOLERANT, {"nodeTaintsPolicy": "Honor"}, AHEAD,
            id="but for those that the pod tolerates",
        ),
        pytest.param(
            [1, 0, 1, 0, 0, 0], "PreferNoSchedule", {}, {"nodeTaintsPolicy": "Honor"}, AHEAD,
            id="and those that only deter",
        ),
        # no node counts, so there are fewer domains than 1, and the least is 0: 0 + 1 - 0
        pytest.param(
            [5, 0, 0, 0, 0, 0], None, {"node_selector": {"disk": "tape"}}, {}, FREE,
            id="no domain at all",
        ),
    ],
)  # fmt: skip
def test_which_nodes_count(pods, tainted, spec, policies, expected):
    state = cluster(pods, tainted=tainted)
    assert verdicts(incoming(state, spread(ZONE, **policies), **spec)) == expected


def test_pods_that_are_being_deleted_do_not_count():
    state = cluster([1, 0, 0, 0, 0, 0])
    state.leave(0)
    assert verdicts(incoming(state, spread(ZONE))) == FREE


def test_nodes_with_the_same_value_are_one_domain_even_of_the_hostname():
    state = cluster([1, 0, 0, 0, 0, 0])
    state.nodes.add(small_node("a2", labels={**NODES["a2"], HOSTNAME: "a1"}))
    assert verdicts(incoming(state, spread(HOSTNAME))) == [SKEW, SKEW, OK, OK, OK, OK]


def test_an_empty_value_is_a_domain_to_the_filter():
    state = cluster([1, 0, 1, 0, 1, 0])
    state.nodes.add(small_node("x1", labels={ZONE: ""}))
    assert verdicts(incoming(state, spread(ZONE))) == [SKEW] * 5 + [OK]  # 1, 1, 1 and 0


def test_a_node_that_is_gone_makes_no_domain():
    state = cluster([1, 0, 1, 0, 0, 0])
    state.nodes.remove("c1")
    cycle = incoming(state, spread(ZONE))
    assert cycle.rows().tolist() == [0, 1, 2, 3, 5]
    assert verdicts(cycle) == [OK, OK, OK, OK, LABEL]  # 1, 1


def test_reasons_and_codes_are_upstreams():
    cycle, plugin = incoming(cluster(), spread(ZONE)), PodTopologySpread()
    assert plugin.reasons(cycle, 0, SKEW) == (
        "node(s) didn't match pod topology spread constraints",
    )
    assert plugin.status(cycle, 0, SKEW) == Code.UNSCHEDULABLE
    assert plugin.reasons(cycle, 0, LABEL) == (
        "node(s) didn't match pod topology spread constraints (missing required label)",
    )
    assert plugin.status(cycle, 0, LABEL) == Code.UNSCHEDULABLE_AND_UNRESOLVABLE
    assert isinstance(plugin, FilterPlugin)
    assert isinstance(plugin, ScorePlugin)
    assert plugin.depends is Depends.DOMAIN


# --- Trials: what preemption sees


@pytest.mark.parametrize(
    ("leaving", "constraint", "expected"),
    [
        # before: a 2, b 0, c 0; one is taken from a1: 1 + 1 - 0 = 2
        pytest.param(False, spread(ZONE), SKEW, id="one of two goes: 1 + 1 - 0"),
        # of the two on a1 one is being deleted, so a has 1. Taking that one off as well leaves
        # upstream with 0: 0 + 1 - 0
        pytest.param(True, spread(ZONE), OK, id="a pod that didn't count is taken off again"),
        # 0 pods counted, 1 taken off: a -1, and the least is -1 as well: -1 + 1 + 1
        pytest.param(False, spread(ZONE, 1, {}), OK, id="likewise by an empty selector"),
    ],
)
def test_taking_a_pod_away_for_a_trial(leaving, constraint, expected):
    state = cluster([2, 0, 0, 0, 0, 0])
    if leaving:
        state.leave(0)
    before = verdicts(incoming(state, constraint))
    mark = state.mark()
    state.remove_pod(0)
    assert verdicts(incoming(state, constraint))[0] == expected
    state.undo(mark)
    assert verdicts(incoming(state, constraint)) == before


def test_a_pod_put_on_a_node_for_a_trial_counts_by_an_empty_selector():
    state = cluster([2, 0, 0, 0, 0, 0])
    mark = state.mark()
    state.add_pod(9, intern(state, WEB), 0)
    # the two that are there don't count, the third does: 1 + 1 - 0
    assert verdicts(incoming(state, spread(ZONE, 1, {})))[:3] == [SKEW, SKEW, OK]
    state.undo(mark)


# --- Skip


@pytest.mark.parametrize(
    ("constraints", "skips"),
    [
        pytest.param([], (True, True), id="no constraints, no defaults that apply"),
        pytest.param([spread(ZONE)], (False, True), id="a hard one"),
        pytest.param([spread(ZONE, soft=True)], (True, False), id="a soft one"),
        pytest.param([spread(ZONE), spread(HOSTNAME, soft=True)], (False, False), id="both"),
        pytest.param([spread("rack", 1, None)], (False, True), id="one that selects nothing"),
    ],
)
def test_who_is_skipped(constraints, skips):
    cycle, plugin = incoming(cluster(), *constraints), PodTopologySpread()
    assert (plugin.pre_filter(cycle).skip, plugin.pre_score(cycle, cycle.rows())) == skips


# --- Score: sum of matching x ln(domains + 2) + maxSkew - 1, then 100 (max + min - raw) / max


@pytest.mark.parametrize(
    ("pods", "constraints", "raw", "normalized"),
    [
        # zones 2, 1, 0; ln(3 + 2) = 1.609: 3.219, 1.609, 0. x1 is ignored
        pytest.param(
            [2, 0, 1, 0, 0, 0], [spread(ZONE, soft=True)],
            [3, 3, 2, 2, 0, 0], [0, 0, 33, 33, 100, 0],  # 100 (3 + 0 - 2) / 3 = 33
            id="fewer is better, and a node without a zone is worst",
        ),
        # + 4: 7.219, 5.609, 4; 100 (7 + 4 - 7) / 7 = 57, 100 (11 - 6) / 7 = 71
        pytest.param(
            [2, 0, 1, 0, 0, 0], [spread(ZONE, 5, soft=True)],
            [7, 7, 6, 6, 4, 0], [57, 57, 71, 71, 100, 0],
            id="a larger maxSkew makes differences matter less",
        ),
        # ln(6 + 2) = 2.079: 4.159, 0, 2.079; 100 (4 + 0 - 2) / 4
        pytest.param(
            [2, 0, 1, 0, 0, 0], [spread(HOSTNAME, soft=True)],
            [4, 0, 2, 0, 0, 0], [0, 100, 50, 100, 100, 100],
            id="hosts",
        ),
        # two disks: ln 4 = 1.386; ssd 3 -> 4.159, hdd 0
        pytest.param(
            [2, 0, 1, 0, 0, 0], [spread("disk", soft=True)],
            [4, 4, 4, 0, 0, 0], [0, 0, 0, 100, 0, 100],
            id="a domain across zones",
        ),
        # zones 1, 0, 1 x 1.609; hosts, but for x1: ln(5 + 2) = 1.946
        # a1 and c1 3.555, a2 1.609; 100 (4 - 2) / 4
        pytest.param(
            [1, 0, 0, 0, 1, 0], [spread(ZONE, soft=True), spread(HOSTNAME, soft=True)],
            [4, 2, 0, 0, 4, 0], [0, 50, 100, 100, 0, 0],
            id="constraints add up",
        ),
        pytest.param(
            [0, 0, 0, 0, 0, 5], [spread(ZONE, soft=True)],
            [0] * 6, [100, 100, 100, 100, 100, 0],
            id="nothing anywhere: all the same, but for the ignored",
        ),
        # maxSkew - 1 = 1 each; 100 (1 + 1 - 1) / 1
        pytest.param(
            [0] * 6, [spread(HOSTNAME, 2, soft=True)], [1] * 6, [100] * 6,
            id="all the same above zero",
        ),
        pytest.param(
            [3] * 6, [spread("rack", soft=True)], [0] * 6, [0] * 6,
            id="no node has the label: all are ignored",
        ),
        pytest.param(
            [3, 0, 0, 0, 0, 0], [spread(ZONE, 1, {}, soft=True)],
            [0] * 6, [100, 100, 100, 100, 100, 0],
            id="an empty selector counts nothing",
        ),
        pytest.param(
            [3, 0, 0, 0, 0, 0], [spread(ZONE, 2, None, soft=True)],
            [1, 1, 1, 1, 1, 0], [100, 100, 100, 100, 100, 0],
            id="nor does none",
        ),
        # only the soft one is scored: ln 5 x 1
        pytest.param(
            [1, 0, 0, 0, 0, 0], [spread(HOSTNAME), spread(ZONE, soft=True)],
            [2, 2, 0, 0, 0, 0], [0, 0, 100, 100, 100, 0],
            id="hard constraints are not scored",
        ),
    ],
)  # fmt: skip
def test_scores(pods, constraints, raw, normalized):
    assert scores(incoming(cluster(pods), *constraints)) == (raw, normalized)


@pytest.mark.parametrize(
    ("pods", "rows", "constraint", "spec", "raw", "normalized"),
    [
        # zone a has 2 + 1 = 3, though a2 is not feasible; two zones are left: ln 4 = 1.386
        # 4.159, 1.386; 100 (4 + 1 - 4) / 4 = 25
        pytest.param(
            [2, 1, 1, 0, 0, 0], [0, 2], spread(ZONE, soft=True), {}, [4, 1], [25, 100],
            id="all pods of a domain count, but only domains with a feasible node weigh",
        ),
        # a host counts its own pods: 3 ln 3 = 3.296
        pytest.param(
            [3, 0, 0, 0, 0, 0], [0], spread(HOSTNAME, soft=True), {}, [3], [100],
            id="one feasible node has the least and the most",
        ),
        # by disk = ssd the 3 of b2 are not in zone b; ln 5
        pytest.param(
            [1, 0, 0, 3, 0, 0], [0, 2, 4], spread(ZONE, soft=True),
            {"node_selector": {"disk": "ssd"}}, [2, 0, 0], [0, 100, 100],
            id="pods on nodes that the pod doesn't select don't count",
        ),
        # b 3 ln 5 = 4.828
        pytest.param(
            [1, 0, 0, 3, 0, 0], [0, 2, 4],
            spread(ZONE, soft=True, nodeAffinityPolicy="Ignore"),
            {"node_selector": {"disk": "ssd"}}, [2, 5, 0], [60, 0, 100],
            id="nodeAffinityPolicy: Ignore",
        ),
        # 3 ln 4 = 4.159 on b2, whatever the pod selects
        pytest.param(
            [0, 0, 0, 3, 0, 0], [2, 3], spread(HOSTNAME, soft=True),
            {"node_selector": {"disk": "ssd"}}, [0, 4], [100, 0],
            id="the pods of a host count all the same",
        ),
        # c1 is tainted: its 2 pods don't count in zone c; ln 4
        pytest.param(
            [1, 0, 0, 0, 2, 0], [0, 4], spread(ZONE, soft=True, nodeTaintsPolicy="Honor"), {},
            [1, 0], [0, 100],
            id="nodeTaintsPolicy: Honor",
        ),
    ],
)  # fmt: skip
def test_scores_of_feasible_nodes(pods, rows, constraint, spec, raw, normalized):
    state = cluster(pods, tainted="NoSchedule")
    assert scores(incoming(state, constraint, **spec), rows=rows) == (raw, normalized)


def test_pods_of_a_host_that_are_being_deleted_do_not_count():
    state = cluster([2, 0, 0, 0, 0, 0])
    state.leave(1)
    raw, _ = scores(incoming(state, spread(HOSTNAME, soft=True)))
    assert raw == [2, 0, 0, 0, 0, 0]  # 1 x ln 8 = 2.079


def test_scores_and_verdicts_need_no_point_before():
    state = cluster([2, 0, 1, 0, 0, 0])
    cycle, plugin = incoming(state, spread(ZONE, soft=True)), PodTopologySpread()
    raw = plugin.score(cycle, cycle.rows())
    assert raw.tolist() == [3, 3, 2, 2, 0, 0]
    again = Cycle(state, cycle.pod_class)
    assert plugin.normalize(again, cycle.rows(), raw).tolist() == [0, 0, 33, 33, 100, 0]


# --- Default constraints: those of the profile, with the selector of the pod's Services and owner


def served(pods=(), **options):
    """Return the cluster with a Service of the web pods."""
    state = cluster(pods, **options)
    service = {"metadata": {"name": "web"}, "spec": {"selector": WEB}}
    state.objects.put(Service.model_validate(service))
    return state


SOFT_ZONE = spread(ZONE, 1, None, soft=True)


@pytest.mark.parametrize(
    ("defaults", "raw", "normalized"),
    [
        # hosts: ln 8 = 2.079, + 2; zones a, b, c and "none": ln 6 = 1.792, + 4. With 2 pods on a1
        # a1: 4.159 + 2 + 3.584 + 4 = 13.743; a2: 2 + 3.584 + 4 = 9.584; b1, b2, c1: 2 + 4
        # x1 has no zone, so 2 for its host alone
        # max 14, min 2: 100 x 2 / 14, 6 / 14, 10 / 14, 14 / 14
        pytest.param(
            None,
            [14, 10, 6, 6, 6, 2],
            [14, 42, 71, 71, 71, 100],
            id="built in: nodes without a zone are spread over as hosts",
        ),
        # x1 is ignored. hosts: ln 7 = 1.946; zones: ln 5 = 1.609
        # a1: 3.892 + 2 + 3.219 + 4 = 13.111; a2: 2 + 3.219 + 4 = 9.219; b1, b2, c1: 6
        # max 13, min 6: 100 x 6 / 13, 10 / 13, 13 / 13
        pytest.param(
            SYSTEM_DEFAULTS,
            [13, 9, 6, 6, 6, 0],
            [46, 76, 100, 100, 100, 0],
            id="the same constraints as a list: nodes without a zone are ignored",
        ),
        # 2 ln 5 = 3.219
        pytest.param(
            (SOFT_ZONE,), [3, 3, 0, 0, 0, 0], [0, 0, 100, 100, 100, 0], id="a list of one"
        ),
    ],
)
def test_scores_by_default_constraints(defaults, raw, normalized):
    cycle = incoming(served([2, 0, 0, 0, 0, 0]))
    assert scores(cycle, PodTopologySpread(defaults)) == (raw, normalized)


def test_an_empty_zone_and_none_are_one_domain_to_the_built_in_constraints():
    state = served([0, 0, 0, 0, 0, 3])
    state.nodes.add(small_node("c1", labels={ZONE: ""}))
    # hosts: ln 8; zones a, b and "": ln 5. c1: 2 + 4 + 3 x 1.609 = 10.828; x1: 2 + 3 x 2.079
    raw, _ = scores(incoming(state))
    assert raw == [6, 6, 6, 6, 11, 8]


def test_hard_default_constraints_filter():
    plugin = PodTopologySpread((spread(ZONE, 1, None),))
    assert verdicts(incoming(served([1, 0, 0, 0, 0, 0])), plugin) == [
        SKEW, SKEW, OK, OK, OK, LABEL,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("defaults", "labels", "constraints", "skips"),
    [
        pytest.param(None, WEB, [], (True, False), id="built in: soft ones"),
        pytest.param(None, {"app": "db"}, [], (True, True), id="of no Service, so of no group"),
        pytest.param((), WEB, [], (True, True), id="an empty list"),
        pytest.param((spread(ZONE, 1, None),), WEB, [], (False, True), id="a hard one"),
        pytest.param(
            (spread(ZONE, 1, None),), WEB, [spread(ZONE, soft=True)], (True, False),
            id="a pod with a constraint of its own gets none, not even of the other strength",
        ),
    ],
)  # fmt: skip
def test_who_gets_default_constraints(defaults, labels, constraints, skips):
    cycle, plugin = incoming(served(), *constraints, labels=labels), PodTopologySpread(defaults)
    assert (plugin.pre_filter(cycle).skip, plugin.pre_score(cycle, cycle.rows())) == skips


# --- Against the rules told node by node

KEYS = (ZONE, HOSTNAME, "rack")
VALUES = st.sampled_from(["", "a", "b"])
NODE = st.tuples(
    st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=3),
    st.sampled_from([(), (TAINTS["NoSchedule"],), (TAINTS["PreferNoSchedule"],)]),
)
POD_LABELS = st.fixed_dictionaries(
    {}, optional={"app": st.sampled_from("wd"), "hash": st.sampled_from("on")}
)
CONSTRAINT = st.builds(
    spread,
    st.sampled_from(KEYS),
    st.integers(1, 3),
    st.sampled_from(["w", "d", None, {}, label_condition("app", "Exists")]),
    soft=st.booleans(),
    nodeAffinityPolicy=st.sampled_from([None, "Honor", "Ignore"]),
    nodeTaintsPolicy=st.sampled_from([None, "Honor", "Ignore"]),
)
MORE = st.fixed_dictionaries(
    {}, optional={"min_domains": st.integers(1, 4), "match_label_keys": st.just(("hash",))}
)


@st.composite
def situations(draw):
    """Draw a cluster with pods, some of them being deleted, and a pod to come."""
    state = ClusterState(ClassTable(ResourceNames()))
    for i, (labels, taints) in enumerate(draw(st.lists(NODE, min_size=1, max_size=7))):
        node = small_node(f"n{i}", labels=labels, taints=taints)
        if i % 3 == 2:  # every third has no hostname
            kept = {k: v for k, v in node.metadata.labels.items() if k != HOSTNAME}
            metadata = node.metadata.model_copy(update={"labels": kept})
            node = node.model_copy(update={"metadata": metadata})
        state.nodes.add(node)
    if state.nodes.size > 3 and draw(st.booleans()):
        state.nodes.remove("n1")
    rows = [row for row in range(state.nodes.size) if state.nodes.present[row]]
    spaces = st.sampled_from(("default", "default", "prod"))
    placed = st.lists(st.tuples(st.sampled_from(rows), POD_LABELS, spaces, st.booleans()))
    for pod, (row, labels, space, leaving) in enumerate(draw(placed)):
        state.add_pod(pod, intern(state, labels, space), row)
        if leaving:
            state.leave(pod)
    constraints = tuple(
        found.model_copy(
            update={
                key: value
                for key, value in draw(MORE).items()
                if key != "min_domains" or found.when_unsatisfiable == "DoNotSchedule"
            }
        )
        for found in draw(st.lists(CONSTRAINT, min_size=1, max_size=3))
    )
    selected = draw(st.sampled_from([{}, {}, {"rack": "a"}, {ZONE: "b"}]))
    tolerant = draw(st.sampled_from([{}, TOLERANT]))
    spec = {"node_selector": selected, **tolerant}
    return state, draw(POD_LABELS), constraints, spec


def answers(cycle, plugin, rows):
    codes = plugin.filter(cycle, np.array(rows, np.int64)).tolist()
    return [{OK: "", LABEL: "label", SKEW: "skew"}[code] for code in codes]


@settings(max_examples=300, deadline=None)
@given(situations(), st.data())
def test_columns_answer_as_a_walk_over_the_nodes_does(situation, data):
    state, labels, constraints, spec = situation
    plugin = PodTopologySpread()
    cycle = incoming(state, *constraints, labels=labels, **spec)
    rows = cycle.rows().tolist()
    oracle = SpreadOracle(state, cycle.pod_class, constraints)
    assert answers(cycle, plugin, rows) == [oracle.verdict(row) for row in rows]
    feasible = data.draw(st.lists(st.sampled_from(rows), min_size=1, unique=True).map(sorted))
    if any(c.when_unsatisfiable == "ScheduleAnyway" for c in constraints):
        assert scores(cycle, plugin, feasible) == spread_scores(
            state, cycle.pod_class, constraints, feasible
        )
    # a trial on one node, as preemption makes it
    row = data.draw(st.sampled_from(rows))
    mark = state.mark()
    there = list(state.pods_on[row].items()) if row < len(state.pods_on) else []
    for pod, pod_class in there:
        if data.draw(st.booleans()):
            state.remove_pod(pod)
            oracle.move(pod_class, row, -1)
            if data.draw(st.booleans()):
                state.add_pod(pod, pod_class, row)
                oracle.move(pod_class, row, 1)
    if data.draw(st.booleans()):
        nominated = intern(state, data.draw(POD_LABELS))
        state.add_pod(1_000, nominated, row)
        oracle.move(nominated, row, 1)
    again = Cycle(state, cycle.pod_class)
    assert answers(again, plugin, rows) == [oracle.verdict(r) for r in rows]
    state.undo(mark)
    assert answers(Cycle(state, cycle.pod_class), plugin, rows) == answers(cycle, plugin, rows)


@settings(max_examples=150, deadline=None)
@given(situations(), st.booleans(), st.data())
def test_default_constraints_answer_as_a_walk_over_the_nodes_does(situation, listed, data):
    state, labels, constraints, spec = situation
    service = {"metadata": {"name": "w"}, "spec": {"selector": {"app": "w"}}}
    state.objects.put(Service.model_validate(service))
    plugin = PodTopologySpread(constraints if listed else None)
    wanted = constraints if listed else SYSTEM_DEFAULTS
    cycle = incoming(state, labels=labels, **spec)
    rows = cycle.rows().tolist()
    chosen = default_selector(state, cycle.pod_class)
    assert (chosen is None) == (labels.get("app") != "w")
    if chosen is None:
        assert plugin.pre_filter(cycle).skip
        assert plugin.pre_score(cycle, cycle.rows())
        return
    oracle = SpreadOracle(state, cycle.pod_class, wanted, chosen)
    assert answers(cycle, plugin, rows) == [oracle.verdict(row) for row in rows]
    feasible = data.draw(st.lists(st.sampled_from(rows), min_size=1, unique=True).map(sorted))
    if any(c.when_unsatisfiable == "ScheduleAnyway" for c in wanted):
        assert scores(cycle, plugin, feasible) == spread_scores(
            state, cycle.pod_class, wanted, feasible, default=chosen, all_keys=listed
        )


def test_what_a_class_asks_for_is_told_without_counts():
    state = cluster([1, 0, 0, 0, 0, 0], tainted="NoSchedule")
    constraint = spread(ZONE, 2, minDomains=3, nodeTaintsPolicy="Honor")
    cycle = incoming(state, constraint, spread("disk", soft=True))
    found = PodTopologySpread().hard_constraints(cycle)
    assert found.all_keys
    assert found.labelled.tolist() == [True] * 5 + [False]
    (hard,) = found.constraints
    assert (hard.topology_key, hard.max_skew, hard.min_domains) == (ZONE, 2, 3)
    assert (hard.counted, hard.self_match) == (True, True)
    assert hard.eligible.tolist() == [True] * 4 + [False, False]  # c1 is tainted
    assert state.terms.of(hard.term, state.nodes.size).tolist() == [1, 0, 0, 0, 0, 0]
    (soft,) = PodTopologySpread().soft_constraints(cycle).constraints
    assert soft.eligible.tolist() == [True] * 4 + [False, True]
    system = PodTopologySpread().soft_constraints(incoming(served()))
    assert not system.all_keys
    assert [c.eligible.all() for c in system.constraints] == [True, True]
