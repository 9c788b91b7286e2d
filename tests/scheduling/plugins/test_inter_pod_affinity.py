"""InterPodAffinity, what it filters: read the tables to learn what kube-scheduler 1.35 does.

The cluster of the tables, where ``host`` is a label that every node has for itself::

    node   a1   a2      b1   c1
    zone   a    a       b    (none)
    disk   ssd  (none)  ssd  ssd
"""

import pytest

from schedlab.api.objects import Namespace, ObjectMeta
from schedlab.cluster import ClassTable, ClusterState, ResourceNames
from schedlab.scheduling.framework.interface import Code, Cycle, Depends, FilterPlugin, ScorePlugin
from schedlab.scheduling.plugins.inter_pod_affinity import APART, NEAR, REPELLED, InterPodAffinity
from schedlab.scheduling.plugins.inter_pod_counts import preferred, required
from schedlab.testing import label_condition, pod_affinity, pod_template, pod_term, small_node

NODES = {
    "a1": {"zone": "a", "disk": "ssd"},
    "a2": {"zone": "a"},
    "b1": {"zone": "b", "disk": "ssd"},
    "c1": {"disk": "ssd"},
}
SPACES = {"default": {}, "prod": {"env": "prod"}, "test": {"env": "test"}}
WEB, DB = {"app": "web"}, {"app": "db"}
ANY_TIER = label_condition("tier", "Exists")
OK = 0


def term(key="zone", selector="web", **scope):
    return pod_term(key, selector, **scope)


def pod(labels=None, *, space="default", **affinity):
    """Return labels, namespace and affinity (see `pod_affinity`) of a pod."""
    return labels or {}, space, pod_affinity(**affinity)


def intern(state, spec):
    labels, space, affinity = spec
    return state.classes.intern(space, pod_template(affinity=affinity).spec, 0, labels=labels)


def cluster(placed=()):
    """Return the cluster; *placed* are pairs of a node's name and a pod."""
    state = ClusterState(ClassTable(ResourceNames()))
    for name, labels in SPACES.items():
        state.objects.put(Namespace(metadata=ObjectMeta(name=name, labels=labels)))
    for name, labels in NODES.items():
        state.nodes.add(small_node(name, labels={"host": name, **labels}))
    for row, (node, spec) in enumerate(placed):
        state.add_pod(row, intern(state, spec), state.nodes.row_of[node])
    return state


def verdicts(state, spec):
    cycle = Cycle(state, intern(state, spec))
    return InterPodAffinity().filter(cycle, cycle.rows()).tolist()


def raw_scores(state, spec):
    cycle = Cycle(state, intern(state, spec))
    return InterPodAffinity().score(cycle, cycle.rows()).tolist()


# --- Filter: verdicts on a1, a2, b1, c1


@pytest.mark.parametrize(
    ("placed", "incoming", "expected"),
    [
        pytest.param([("a1", pod(WEB))], pod(WEB), [OK, OK, OK, OK], id="who asks for nothing"),
        # zone a = {a1, a2} holds 1 web pod, zone b = {b1} holds 0; c1 is in no zone
        pytest.param(
            [("a1", pod(WEB))], pod(near=[term()]), [OK, OK, NEAR, NEAR],
            id="near: the whole domain of a matching pod will do",
        ),
        pytest.param(
            [("a1", pod(WEB))], pod(near=[term("host")]), [OK, NEAR, NEAR, NEAR],
            id="near: a domain may be a single node",
        ),
        pytest.param(
            [("c1", pod(WEB))], pod(near=[term()]), [NEAR, NEAR, NEAR, NEAR],
            id="near: a pod on a node without the key is in no domain, not in the same one",
        ),
        pytest.param(
            [("c1", pod(WEB)), ("b1", pod(WEB))], pod(near=[term()]), [NEAR, NEAR, OK, NEAR],
            id="near: a node without the key won't do",
        ),
        pytest.param(
            [("a1", pod(WEB))], pod(near=[term("rack")]), [NEAR, NEAR, NEAR, NEAR],
            id="near: a key that no node has",
        ),
        # host asks for a1, zone for {a1, a2}, disk for {a1, b1, c1}: a1 is in all of them
        pytest.param(
            [("a1", pod(WEB))], pod(near=[term("host"), term("zone"), term("disk")]),
            [OK, NEAR, NEAR, NEAR],
            id="near: every term has to hold, each in a domain of its own key",
        ),
        # the pod on a1 matches both terms: zone {a1, a2} and disk {a1, b1, c1} intersect in a1
        pytest.param(
            [("a1", pod({"app": "web", "tier": "x"}))],
            pod(near=[term(), term("disk", ANY_TIER)]), [OK, NEAR, NEAR, NEAR],
            id="near: one pod that matches all the terms counts for all keys",
        ),
        # a1 has a pod that matches only the first term, another only the second: neither counts
        pytest.param(
            [("a1", pod(WEB)), ("a1", pod({"tier": "x"}))],
            pod(near=[term(), term("zone", ANY_TIER)]), [NEAR, NEAR, NEAR, NEAR],
            id="near: two pods that match one term each are no pod that matches both",
        ),
        # the same pod matches both terms, and a1, b1 share disk=ssd; a web pod alone in zone b
        # (1 term of 2) adds nothing: zone b has none that match all, so b1 fails on the zone
        pytest.param(
            [("a1", pod({"app": "web", "tier": "x"})), ("b1", pod(WEB))],
            pod(near=[term("disk"), term("zone", ANY_TIER)]),
            [OK, NEAR, NEAR, NEAR],
            id="near: a pod that matches one term of two is invisible to that term as well",
        ),
        pytest.param(
            [], pod(WEB, near=[term()]), [OK, OK, OK, NEAR],
            id="first of a series: no match anywhere and it matches itself, so where the key is",
        ),
        pytest.param(
            [], pod(DB, near=[term()]), [NEAR, NEAR, NEAR, NEAR],
            id="first of a series: not for a pod that doesn't match its own term",
        ),
        pytest.param(
            [], pod(WEB, near=[term(), term("disk")]), [OK, NEAR, OK, NEAR],
            id="first of a series: the node needs all the keys: a1 and b1 have zone and disk",
        ),
        pytest.param(
            [], pod(WEB, near=[term(), term("zone", "db")]), [NEAR, NEAR, NEAR, NEAR],
            id="first of a series: it has to match all of its terms",
        ),
        pytest.param(
            [], pod(WEB, near=[term(namespaces=["prod"])]), [NEAR, NEAR, NEAR, NEAR],
            id="first of a series: matching itself is a matter of namespaces, too",
        ),
        pytest.param(
            [("b1", pod(WEB))], pod(WEB, near=[term()]), [NEAR, NEAR, OK, NEAR],
            id="first of a series: no longer once a match is in some domain",
        ),
        # the match on c1 is in no domain of zone (c1 lacks the label), so the count of pairs is 0
        pytest.param(
            [("c1", pod(WEB))], pod(WEB, near=[term()]), [OK, OK, OK, NEAR],
            id="first of a series: still, if all that match are outside every domain",
        ),
        # c1 lacks the zone but has disk=ssd: (disk, ssd) counts 1, so this is no first pod;
        # zones a and b count 0
        pytest.param(
            [("c1", pod(WEB))], pod(WEB, near=[term(), term("disk")]), [NEAR, NEAR, NEAR, NEAR],
            id="first of a series: a domain of any of the keys ends it",
        ),
        pytest.param(
            [("a1", pod(WEB))], pod(apart=[term()]), [APART, APART, OK, OK],
            id="apart: the whole domain is closed, nodes without the key are open",
        ),
        pytest.param(
            [("a1", pod(WEB))], pod(WEB, apart=[term("host")]), [APART, OK, OK, OK],
            id="apart: one pod per node",
        ),
        # zone a has a web pod, disk ssd = {a1, b1, c1} has a db pod (on c1)
        pytest.param(
            [("a2", pod(WEB)), ("c1", pod(DB))], pod(apart=[term(), term("disk", "db")]),
            [APART, APART, APART, APART],
            id="apart: one term that is broken is enough",
        ),
        pytest.param(
            [("c1", pod(WEB))], pod(apart=[term()]), [OK, OK, OK, OK],
            id="apart: a match outside every domain is nowhere",
        ),
        pytest.param(
            [], pod(WEB, apart=[term()]), [OK, OK, OK, OK], id="apart: not from itself",
        ),
        pytest.param(
            [("a1", pod(apart=[term()]))], pod(WEB), [REPELLED, REPELLED, OK, OK],
            id="symmetry: a placed pod keeps its domain free of what it can't bear",
        ),
        pytest.param(
            [("a1", pod(apart=[term()]))], pod(DB), [OK, OK, OK, OK],
            id="symmetry: only of that",
        ),
        pytest.param(
            [("c1", pod(apart=[term()]))], pod(WEB), [OK, OK, OK, OK],
            id="symmetry: a placed pod outside every domain can't keep anyone away",
        ),
        pytest.param(
            [("a1", pod(apart=[term("host")])), ("b1", pod(apart=[term()]))], pod(WEB),
            [REPELLED, OK, REPELLED, OK],
            id="symmetry: each placed pod by the key of its own term",
        ),
        pytest.param(
            [("a1", pod(near=[term(selector="db")]))], pod(WEB), [OK, OK, OK, OK],
            id="symmetry: required affinity of a placed pod binds nobody else",
        ),
        pytest.param(
            [("a1", pod(avoid=[(100, term())]))], pod(WEB), [OK, OK, OK, OK],
            id="symmetry: nor does what it would only rather avoid",
        ),
        # b1: no db near; a1: db near, but a web pod as well; a2: db near, and nothing else
        pytest.param(
            [("a1", pod(DB)), ("a1", pod(WEB))],
            pod(near=[term(selector="db")], apart=[term("host")]), [APART, OK, NEAR, NEAR],
            id="order: first what is missing, then what is in the way",
        ),
        pytest.param(
            [("a1", pod(WEB, apart=[term(selector="db")]))],
            pod(DB, near=[term("disk")], apart=[term("host")]), [APART, NEAR, OK, OK],
            id="order: all of these on a1: its own rule tells; a2 lacks the disk",
        ),
        pytest.param(
            [("a1", pod(WEB, apart=[term(selector="db")]))], pod(DB, apart=[term("host")]),
            [APART, REPELLED, OK, OK],
            id="order: its own anti-affinity before that of placed pods",
        ),
    ],
)  # fmt: skip
def test_where_a_pod_can_go(placed, incoming, expected):
    assert verdicts(cluster(placed=placed), incoming) == expected


# --- Which pods a term means: the incoming pod has it, a1 holds the pod in question


@pytest.mark.parametrize(
    ("found", "selector", "meant"),
    [
        pytest.param(WEB, {"matchLabels": WEB}, True, id="equal"),
        pytest.param({"app": "web", "x": "y"}, {"matchLabels": WEB}, True, id="more labels"),
        pytest.param({}, {"matchLabels": WEB}, False, id="no label"),
        pytest.param(WEB, label_condition("app", "In", "db", "web"), True, id="In"),
        pytest.param(WEB, label_condition("app", "NotIn", "db"), True, id="NotIn"),
        pytest.param({}, label_condition("app", "NotIn", "db"), True, id="NotIn without the label"),
        pytest.param(WEB, label_condition("app", "Exists"), True, id="Exists"),
        pytest.param(WEB, label_condition("app", "DoesNotExist"), False, id="DoesNotExist"),
        pytest.param(
            WEB,
            {"matchLabels": WEB, **label_condition("app", "NotIn", "web")},
            False,
            id="both have to hold",
        ),
        pytest.param({}, {}, True, id="an empty selector: every pod"),
        pytest.param(WEB, None, False, id="no selector: no pod"),
    ],
)
def test_which_labels_a_term_means(found, selector, meant):
    expected = [APART, APART, OK, OK] if meant else [OK] * 4
    state = cluster(placed=[("a1", pod(found))])
    assert verdicts(state, pod(apart=[term(selector=selector)])) == expected
    # and the other way round: the pod on a1 has the term
    state = cluster(placed=[("a1", pod(apart=[term(selector=selector)]))])
    expected = [REPELLED, REPELLED, OK, OK] if meant else [OK] * 4
    assert verdicts(state, pod(found)) == expected


@pytest.mark.parametrize(
    ("scope", "meant"),
    [
        pytest.param({}, {"test"}, id="neither: the namespace of the pod that has the term"),
        pytest.param({"namespaces": ["prod"]}, {"prod"}, id="a list: only those"),
        pytest.param({"namespaces": ["prod", "test"]}, {"prod", "test"}, id="a longer list"),
        pytest.param({"namespaces": ["gone"]}, set(), id="a list of what isn't there"),
        pytest.param(
            {"namespaceSelector": {}}, {"default", "prod", "test"}, id="an empty selector: all"
        ),
        pytest.param({"namespaceSelector": None}, {"test"}, id="null: as if it weren't there"),
        pytest.param(
            {"namespaceSelector": {"matchLabels": {"env": "prod"}}}, {"prod"}, id="by label"
        ),
        pytest.param(
            {"namespaceSelector": label_condition("env", "NotIn", "prod")},
            {"default", "test"},
            id="NotIn",
        ),
        pytest.param(
            {
                "namespaceSelector": label_condition(
                    "kubernetes.io/metadata.name", "In", "prod", "x"
                )
            },
            {"prod"},
            id="by the name that the API server adds as a label",
        ),
        pytest.param(
            {"namespaces": ["default"], "namespaceSelector": {"matchLabels": {"env": "prod"}}},
            {"default", "prod"},
            id="list and selector: one or the other",
        ),
        pytest.param(
            {"namespaceSelector": {"matchLabels": {"env": "none"}}}, set(), id="none has the label"
        ),
    ],
)
def test_which_namespaces_a_term_means(scope, meant):
    keeper = pod(space="test", apart=[term("host", **scope)])
    for space in SPACES:
        state = cluster(placed=[("a1", pod(WEB, space=space))])
        assert verdicts(state, keeper)[0] == (APART if space in meant else OK)
        state = cluster(placed=[("a1", keeper)])
        assert verdicts(state, pod(WEB, space=space))[0] == (REPELLED if space in meant else OK)


def test_a_namespace_may_get_other_labels():
    chosen = {"namespaceSelector": {"matchLabels": {"env": "prod"}}}
    picky = pod(space="test", apart=[term("host", **chosen)])
    state = cluster(placed=[("a1", picky), ("b1", pod(WEB, space="default"))])
    assert verdicts(state, pod(WEB)) == [OK] * 4
    assert verdicts(state, picky) == [OK] * 4
    state.objects.put(Namespace(metadata=ObjectMeta(name="default", labels={"env": "prod"})))
    assert verdicts(state, pod(WEB)) == [REPELLED, OK, OK, OK]
    assert verdicts(state, picky) == [OK, OK, APART, OK]


def test_several_terms_may_mean_different_namespaces():
    # all terms have to match: web (default and prod) and in a prod namespace: only prod's pod
    near = [
        term("host", namespaces=["default", "prod"]),
        term("host", {}, namespaceSelector={"matchLabels": {"env": "prod"}}),
    ]
    placed = [("a1", pod(WEB)), ("a2", pod(DB, space="prod")), ("b1", pod(WEB, space="prod"))]
    assert verdicts(cluster(placed=placed), pod(near=near)) == [NEAR, NEAR, OK, NEAR]


# --- PreFilter: Skip


@pytest.mark.parametrize(
    ("placed", "incoming", "skip"),
    [
        pytest.param([], pod(WEB), True, id="nothing asked, nobody there"),
        pytest.param([("a1", pod(WEB))], pod(near=[term()]), False, id="required affinity"),
        pytest.param([], pod(apart=[term()]), False, id="required anti-affinity"),
        pytest.param([], pod(prefer=[(1, term())]), True, id="preferences are no filter"),
        pytest.param([("a1", pod(apart=[term()]))], pod(WEB), False, id="a placed pod objects"),
        pytest.param([("a1", pod(apart=[term()]))], pod(DB), True, id="to others"),
        pytest.param(
            [("c1", pod(apart=[term()]))], pod(WEB), True, id="or is outside every domain"
        ),
        pytest.param([("a1", pod(near=[term()]))], pod(WEB), True, id="it only wants it near"),
    ],
)
def test_when_the_filter_is_skipped(placed, incoming, skip):
    state = cluster(placed=placed)
    cycle = Cycle(state, intern(state, incoming))
    plugin = InterPodAffinity()
    assert plugin.pre_filter(cycle).skip == skip
    if skip:
        assert not plugin.filter(cycle, cycle.rows()).any()


def test_what_is_said_of_a_rejected_node():
    state = cluster()
    cycle, plugin = Cycle(state, intern(state, pod(WEB))), InterPodAffinity()
    told = {
        code: (plugin.reasons(cycle, 0, code), plugin.status(cycle, 0, code))
        for code in (NEAR, APART, REPELLED)
    }
    assert told == {
        NEAR: (
            ("node(s) didn't match pod affinity rules",),
            Code.UNSCHEDULABLE_AND_UNRESOLVABLE,  # evictions bring no pods near
        ),
        APART: (("node(s) didn't match pod anti-affinity rules",), Code.UNSCHEDULABLE),
        REPELLED: (
            ("node(s) didn't satisfy existing pods anti-affinity rules",),
            Code.UNSCHEDULABLE,
        ),
    }


def test_it_is_a_plugin():
    plugin = InterPodAffinity()
    assert isinstance(plugin, FilterPlugin)
    assert isinstance(plugin, ScorePlugin)
    assert (plugin.name, plugin.depends) == ("InterPodAffinity", Depends.DOMAIN)


# --- What changes


def test_pods_being_deleted_count_until_they_are_gone():
    state = cluster(placed=[("a1", pod(WEB)), ("b1", pod(apart=[term()]))])
    state.leave(0)
    state.leave(1)
    assert verdicts(state, pod(near=[term()])) == [OK, OK, NEAR, NEAR]
    assert verdicts(state, pod(WEB)) == [OK, OK, REPELLED, OK]
    assert raw_scores(state, pod(prefer=[(5, term())])) == [5, 5, 0, 0]
    state.remove_pod(0)
    state.remove_pod(1)
    assert verdicts(state, pod(near=[term()])) == [NEAR] * 4
    assert verdicts(state, pod(WEB)) == [OK] * 4


def test_pods_of_a_removed_node_do_not_count():
    state = cluster(placed=[("a1", pod(WEB, prefer=[(5, term())], apart=[term(selector="db")]))])
    state.nodes.remove("a1")
    assert verdicts(state, pod(apart=[term()])) == [OK, OK, OK]
    assert verdicts(state, pod(DB)) == [OK, OK, OK]
    assert verdicts(state, pod(near=[term()])) == [NEAR] * 3
    assert raw_scores(state, pod(WEB)) == [0, 0, 0]


def test_a_node_may_move_to_another_domain():
    state = cluster(placed=[("a1", pod(WEB))])
    state.nodes.add(small_node("a1", labels={"zone": "b"}))
    assert verdicts(state, pod(near=[term()])) == [OK, NEAR, OK, NEAR]


def test_one_cycle_sees_victims_leave():
    state = cluster(placed=[("a1", pod(WEB)), ("a2", pod(apart=[term("host", "db")]))])
    cycle, plugin = Cycle(state, intern(state, pod(DB, apart=[term()]))), InterPodAffinity()
    assert plugin.filter(cycle, cycle.rows()).tolist() == [APART, APART, OK, OK]
    mark = state.mark()
    state.remove_pod(0)
    assert plugin.filter(cycle, cycle.rows()).tolist() == [OK, REPELLED, OK, OK]
    state.remove_pod(1)
    assert plugin.filter(cycle, cycle.rows()).tolist() == [OK, OK, OK, OK]
    state.undo(mark)
    assert plugin.filter(cycle, cycle.rows()).tolist() == [APART, APART, OK, OK]


def test_answers_are_made_of_live_counts():
    state = cluster()
    own = pod(WEB, near=[term(), term("host")], apart=[term(selector="db")], avoid=[(9, term())])
    asked = intern(state, own)
    need, want = required(state, asked), preferred(state, asked, 1, ignore_existing=False)
    assert [entry.topology_key for entry in need.near] == ["zone", "host"]
    assert (need.alone, need.repelling) == (True, ())
    assert [(entry.topology_key, entry.weight) for entry in want] == [("zone", -9)]
    state.add_pod(0, intern(state, pod(WEB)), 1)
    state.add_pod(1, intern(state, pod(DB)), 2)
    assert [entry.counts.tolist() for entry in need.near] == [[0, 1, 0, 0]] * 2
    assert need.apart[0].counts.tolist() == [0, 0, 1, 0]
    assert want[0].counts.tolist() == [0, 1, 0, 0]
    # a new term of a placed pod makes the answers anew: `about` is another object then
    about = state.carried.about(asked)
    state.add_pod(2, intern(state, pod(apart=[term()], near=[term("host")])), 3)
    assert state.carried.about(asked) is not about
    (repelling,) = required(state, asked).repelling
    assert repelling.counts.tolist() == [0, 0, 0, 1]
    *_, drawing = preferred(state, asked, 3, ignore_existing=False)
    assert (drawing.topology_key, drawing.weight) == ("host", 3)
