"""What a state knows of volumes, against a walk over pods and objects."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from schedlab.api.meta import LabelSelector, NodeSelector
from schedlab.api.objects import PersistentVolume, PersistentVolumeClaim
from schedlab.api.selectors import label_selector_matches, node_selector_matches
from schedlab.api.volumes import TopologySelectorTerm
from schedlab.cluster import NodeColumns, ResourceNames
from schedlab.cluster import objects as objects_module
from schedlab.cluster import reach as reach_module
from schedlab.cluster.attachments import Attachments
from schedlab.cluster.claims import bound_copy, selected_copy
from schedlab.cluster.csi_translation import (
    IN_TREE,
    TranslationError,
    in_tree_plugin,
    translated_affinity,
)
from schedlab.cluster.reach import Reach
from schedlab.testing.storage import (
    attachment,
    claim,
    csi_node,
    pod_class,
    small_node,
    storage_class,
    storage_cluster,
    uses,
    volume,
)

DRIVER, EBS = "csi.example.com", "ebs.csi.aws.com"
POOL = (
    (),
    ({"emptyDir": {}},),
    (uses("c0"),),
    (uses("c0"), uses("c1")),
    (uses("c1"), uses("c1")),
    (uses("c2"), {"gcePersistentDisk": {"pdName": "d", "readOnly": True}}),
    ({"gcePersistentDisk": {"pdName": "d"}},),
    ({"awsElasticBlockStore": {"volumeID": "vol-1"}}, uses("c3")),
    ({"rbd": {"image": "i", "monitors": ["m1", "m2"]}},),
    ({"rbd": {"image": "i", "monitors": ["m2", "m3"], "readOnly": True}},),
)
CLAIMS = [f"c{i}" for i in range(4)]


def naive_conflicts(state, disk, read_only):
    """Return the rows with a pod that mounts the disk, unless it and we only read."""
    return {
        node
        for pod, node in state.node_of.items()
        for other, reads in state.volumes.of(state.pods_on[node][pod]).disks
        if other == disk and not (reads and read_only)
    }


class Walk(RuleBasedStateMachine):
    """Pods come and go, objects change, trials are rolled back; a walk has to agree."""

    def __init__(self):
        super().__init__()
        nodes = [small_node(f"n{i}") for i in range(3)]
        limits = [csi_node(f"n{i}", {DRIVER: 1, EBS: 1}) for i in range(3)]
        self.state = storage_cluster(*nodes, objects=[storage_class(), *limits])
        self.pods = itertools.count()
        self.marks = []
        self.trials = 0

    @rule(node=st.integers(0, 2), volumes=st.sampled_from(POOL), space=st.sampled_from("aaab"))
    def add(self, node, volumes, space):
        found = pod_class(self.state, *volumes, namespace=space)
        self.state.add_pod(next(self.pods), found, node)

    @precondition(lambda self: self.state.node_of)
    @rule(data=st.data())
    def remove(self, data):
        self.state.remove_pod(data.draw(st.sampled_from(sorted(self.state.node_of))))

    def assumed(self):
        """Return the API server's objects, each with what is assumed of it."""
        found, volumes = self.state.objects, self.state.volumes
        return [
            *((found.get(PersistentVolume, f"v{i}"), volumes.volume(f"v{i}")) for i in range(4)),
            *(
                (found.get(PersistentVolumeClaim, name, "default"), volumes.claim(name, "default"))
                for name in CLAIMS
            ),
        ]

    @precondition(lambda self: len(self.marks) < 3)
    @rule()
    def mark(self):
        self.marks.append((self.state.mark(), dict(self.state.node_of), self.assumed()))

    @precondition(lambda self: self.marks)
    @rule()
    def undo(self):
        mark, pods, before = self.marks.pop()
        self.state.undo(mark)
        assert self.state.node_of == pods
        for (api_then, then), (api_now, now) in zip(before, self.assumed(), strict=True):
            assert api_then is not api_now or then is now  # an object that came stays

    @rule(i=st.integers(0, 3), bound=st.booleans(), space=st.sampled_from(("a", "a", "default")))
    def put_claim(self, i, bound, space):
        about = {"name": f"c{i}", "namespace": space}
        self.state.objects.put(claim(f"c{i}", volume=f"v{i}" if bound else "", metadata=about))

    @rule(i=st.integers(0, 3), handle=st.sampled_from(("h0", "h1", "")))
    def put_volume(self, i, handle):
        csi = {"csi": {"driver": DRIVER, "volumeHandle": handle}}
        ebs = {"awsElasticBlockStore": {"volumeID": "vol-1"}}
        self.state.objects.put(volume(f"v{i}", source=csi if handle else ebs))

    @rule(i=st.integers(0, 3))
    def remove_volume(self, i):
        self.state.objects.remove(volume(f"v{i}"))

    @rule(node=st.integers(0, 3), limit=st.sampled_from((None, 1, 2)))
    def put_csi_node(self, node, limit):
        self.state.objects.put(csi_node(f"n{node}", {DRIVER: limit, EBS: limit}))

    @precondition(lambda self: self.state.nodes.size < 5)
    @rule()
    def add_node(self):
        self.state.nodes.add(small_node(f"n{self.state.nodes.size}"))

    @rule(node=st.integers(0, 3), i=st.integers(0, 3), there=st.booleans())
    def attach(self, node, i, there):
        found = attachment(f"a{node}", f"n{node}", f"v{i}", DRIVER)
        (self.state.objects.put if there else self.state.objects.remove)(found)

    @rule(i=st.integers(0, 3), kind=st.sampled_from(("volume", "claim", "back")))
    def assume(self, i, kind):
        volumes = self.state.volumes
        one, asks = volumes.volume(f"v{i}"), volumes.claim(f"c{i}", "default")
        if kind == "volume" and one is not None:
            volumes.assume(bound_copy(one, claim("c9")))
        elif kind == "claim" and asks is not None:
            volumes.assume(selected_copy(asks, "n1"))
        elif kind == "back" and one is not None:
            volumes.restore(one)
            assert volumes.volume(f"v{i}").spec.claim_ref is None

    @invariant()
    def users_are_those_of_a_walk(self):
        state = self.state
        for name, space in itertools.product(CLAIMS, "ab"):
            count = sum(
                state.volumes.of(state.pods_on[node][pod]).claims.count(name)
                for pod, node in state.node_of.items()
                if state.pods_on[node][pod].namespace == space
            )
            assert state.volumes.uses(name, space) == count
        disks = [("gce", "d"), ("aws", "vol-1"), *(("rbd", f"m{i}", "rbd", "i") for i in (1, 2, 3))]
        for disk, read_only in itertools.product(disks, (False, True)):
            found = set(state.volumes.conflicts(disk, read_only=read_only))
            assert found == naive_conflicts(state, disk, read_only)

    @invariant()
    def attachments_are_those_of_a_fresh_count(self):
        state, kept = self.state, self.state.volumes.attachments
        fresh = Attachments(state.objects, state.nodes)
        for pod, node in state.node_of.items():
            if state.volumes.of(state.pods_on[node][pod]).attachable:
                fresh.move(pod, state.pods_on[node][pod], node, 1)
        for found in (kept, fresh):
            found.refresh(state.names, state.uids)
        limited = kept.csi_nodes.limited
        assert limited.tolist() == fresh.csi_nodes.limited.tolist()
        for driver in (DRIVER, EBS):
            assert kept.count(driver)[limited].tolist() == fresh.count(driver)[limited].tolist()
        for one in [(DRIVER, "h0"), (DRIVER, "h1"), (EBS, "vol-1"), (DRIVER, " a/c0")]:
            assert kept.holders(one) == fresh.holders(one)

    @invariant()
    def volumes_are_free_or_reserved(self):
        volumes = self.state.volumes
        there = [found for i in range(4) if (found := volumes.volume(f"v{i}")) is not None]
        free = {found.volume.metadata.name for found in volumes.free_volumes("fast")}
        assert free == {v.metadata.name for v in there if v.spec.claim_ref is None}
        reserved = {v.metadata.name for v in volumes.reserved_volumes(claim("c9"))}
        assert reserved == {v.metadata.name for v in there if v.spec.claim_ref is not None}


TestWalk = Walk.TestCase
TestWalk.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_what_is_not_there_can_not_be_assumed():
    state = storage_cluster(small_node("a"))
    with pytest.raises(ValueError, match="PersistentVolume//v is not there"):
        state.volumes.assume(volume("v"))


def test_changes_are_told_as_far_as_they_are_remembered(monkeypatch):
    monkeypatch.setattr(objects_module, "LOGGED", 2)
    objects = storage_cluster(objects=[volume("v"), volume("w")]).objects
    assert objects.changed_since(1) == [("PersistentVolume", "", "w")]
    for name in ("c", "d", "e"):
        objects.put(claim(name))
    assert objects.changes == 5
    assert objects.changed_since(0) is None
    assert objects.changed_since(4) == [("PersistentVolumeClaim", "default", "e")]
    assert objects.changed_since(5) == []


def test_attachments_survive_a_reader_that_fell_behind(monkeypatch):
    monkeypatch.setattr(objects_module, "LOGGED", 2)
    state = storage_cluster(
        small_node("a"),
        objects=[csi_node("a", {DRIVER: 1}), volume("v"), claim("c", volume="v"), storage_class()],
    )
    state.add_pod(0, pod_class(state, uses("c")), 0)
    attachments = state.volumes.attachments
    attachments.refresh({}, {})
    assert attachments.holders((DRIVER, "v")) == {0}
    state.objects.remove(volume("v"))
    for name in "xyzuvw":
        state.objects.put(claim(name))
    attachments.refresh({}, {})
    assert attachments.holders((DRIVER, "v")) == set()
    assert attachments.count(DRIVER).tolist() == [1]  # what will be made for the claim


# --- which nodes a selector means

VALUES = ("1", "2", "10", "x", "")
OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")


@st.composite
def conditions(draw, operators=OPERATORS):
    operator = draw(st.sampled_from(operators))
    some = st.lists(st.sampled_from((*VALUES[:4], "unknown")), min_size=1, max_size=3)
    values = {"In": some, "NotIn": some, "Gt": some.map(lambda v: v[:1]), "Lt": st.just(["5"])}
    found = values.get(operator, st.just([]))
    return {"key": draw(st.sampled_from("pqr")), "operator": operator, "values": draw(found)}


def columns(labels):
    nodes = NodeColumns(ResourceNames())
    for i, found in enumerate(labels):
        nodes.add(small_node(f"n{i}", labels=found))
    return nodes


LABELS = st.dictionaries(st.sampled_from("pq"), st.sampled_from(VALUES), max_size=2)


@settings(max_examples=200, deadline=None)
@given(
    labels=st.lists(LABELS, max_size=6),
    terms=st.lists(st.lists(conditions(), max_size=3), min_size=1, max_size=3),
    gone=st.integers(0, 5),
)
def test_reach_is_what_the_scalar_rules_say(labels, terms, gone):
    nodes = columns(labels)
    if gone < len(labels):
        nodes.remove(f"n{gone}")
    selector = NodeSelector.model_validate(
        {"nodeSelectorTerms": [{"matchExpressions": term} for term in terms]}
    )
    expected = [
        row
        for row in range(nodes.size)
        if nodes.present[row] and node_selector_matches(selector, nodes.labels(row), "")
    ]
    reach = Reach(nodes)
    assert reach.of_nodes(selector).tolist() == expected
    assert reach.of_nodes(selector).tolist() == expected  # as remembered


@settings(max_examples=100, deadline=None)
@given(
    labels=st.lists(LABELS, max_size=6),
    pairs=LABELS,
    expressions=st.lists(conditions(OPERATORS[:4]), max_size=2),
)
def test_reach_of_label_selectors(labels, pairs, expressions):
    nodes = columns(labels)
    selector = LabelSelector.model_validate({"matchLabels": pairs, "matchExpressions": expressions})
    expected = [r for r in range(nodes.size) if label_selector_matches(selector, nodes.labels(r))]
    assert Reach(nodes).of_labels(selector).tolist() == expected


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        pytest.param({"operator": "In", "values": ["n0"]}, [], id="a volume can't name nodes"),
        pytest.param({"operator": "NotIn", "values": ["n0"]}, [0, 1], id="nor leave any out"),
    ],
)
def test_reach_knows_no_names(field, expected):
    term = {"matchFields": [{"key": "metadata.name", **field}]}
    selector = NodeSelector.model_validate({"nodeSelectorTerms": [term]})
    assert Reach(columns([{}, {}])).of_nodes(selector).tolist() == expected


def test_reach_follows_the_nodes(monkeypatch):
    nodes = columns([{"p": "1"}])
    reach = Reach(nodes)
    allowed = (TopologySelectorTerm(match_label_expressions=({"key": "p", "values": ("1",)},)),)
    assert reach.of_topologies(allowed).tolist() == [0]
    nodes.add(small_node("n1", labels={"p": "1"}))
    assert reach.of_topologies(allowed).tolist() == [0, 1]
    nodes.add(small_node("n0"))
    assert reach.of_topologies(allowed).tolist() == [1]
    monkeypatch.setattr(reach_module, "BUDGET_BYTES", 0)  # nothing is kept, and nothing is wrong
    assert reach.of_topologies(allowed).tolist() == [1]
    assert reach.of_topologies(()).tolist() == [0, 1]
    assert reach.of_labels(None).tolist() == []
    assert reach.everywhere().dtype == np.int64


# --- in-tree volumes in the words of their CSI drivers

ZONE, BETA_ZONE = "topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone"
REGION, BETA_REGION = "topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region"
GKE, AWS = "topology.gke.io/zone", "topology.ebs.csi.aws.com/zone"


def disk(name="d", labels=None, nodes=None):
    return volume("v", labels=labels, nodes=nodes, source={"gcePersistentDisk": {"pdName": name}})


def ebs(name):
    return volume("v", source={"awsElasticBlockStore": {"volumeID": name}})


@pytest.mark.parametrize(
    ("found", "handle"),
    [
        pytest.param(ebs("vol-1"), "vol-1", id="EBS, its own id"),
        pytest.param(ebs("aws://us-east-1a/vol-1"), "vol-1", id="EBS with its zone"),
        pytest.param(ebs("aws:///vol-1"), "vol-1", id="EBS without"),
        pytest.param(ebs("anything"), "anything", id="EBS: what is no URL is taken as it is"),
        pytest.param(disk(), "projects/UNSPECIFIED/zones/UNSPECIFIED/disks/d", id="GCE"),
        pytest.param(
            disk(labels={ZONE: "us-a1-b"}), "projects/UNSPECIFIED/zones/us-a1-b/disks/d", id="zonal"
        ),
        pytest.param(
            disk(labels={ZONE: "x", BETA_ZONE: "y"}),
            "projects/UNSPECIFIED/zones/y/disks/d",
            id="the beta label first",
        ),
        pytest.param(
            disk(labels={ZONE: "us-a1-b__us-a1-c"}),
            "projects/UNSPECIFIED/regions/us-a1/disks/d",
            id="regional",
        ),
        pytest.param(
            volume("v", source={"azureDisk": {"diskName": "n", "diskURI": "/x/n"}}),
            "/x/n",
            id="Azure disk",
        ),
        pytest.param(volume("v", source={"cinder": {"volumeID": "i"}}), "i", id="Cinder"),
        pytest.param(volume("v", source={"portworxVolume": {"volumeID": "i"}}), "i", id="Portworx"),
    ],
)
def test_handles(found, handle):
    plugin = in_tree_plugin(found.spec)
    assert plugin.migrates
    assert plugin.handle(found.spec, found) == handle


@pytest.mark.parametrize(
    ("found", "words"),
    [
        pytest.param(ebs("aws://z/disk-1"), "Invalid format for AWS volume", id="not a volume"),
        pytest.param(disk(labels={ZONE: "a__b"}), "zone in unexpected format", id="no GCE zones"),
        pytest.param(
            disk(labels={ZONE: "us-a1-b__us-a2-b"}),
            r"multiple or no regions gotten from zones, got: map\[us-a1:{} us-a2:{}\]",
            id="two regions",
        ),
    ],
)
def test_what_can_not_be_translated(found, words):
    with pytest.raises(TranslationError, match=words):
        translated_affinity(found, in_tree_plugin(found.spec))


@pytest.mark.parametrize(
    "source",
    [
        pytest.param({"csi": {"driver": DRIVER, "volumeHandle": "h"}}, id="a CSI volume"),
        pytest.param({"nfs": {"server": "s", "path": "/"}}, id="NFS"),
        pytest.param({"rbd": {"image": "i", "monitors": ["m"]}}, id="Ceph, since 1.31"),
        pytest.param({"local": {"path": "/x"}}, id="a local disk"),
    ],
)
def test_what_is_not_in_tree(source):
    assert in_tree_plugin(volume("v", source=source).spec) is None


def test_plugins_that_the_scheduler_does_not_follow():
    assert [plugin.driver for plugin in IN_TREE if not plugin.migrates] == [
        "file.csi.azure.com",
        "csi.vsphere.vmware.com",
    ]


@pytest.mark.parametrize(
    ("labels", "nodes", "expected"),
    [
        pytest.param({}, None, None, id="nothing to translate"),
        pytest.param({ZONE: "a"}, None, [{GKE: ["a"]}], id="a zone label"),
        pytest.param(
            {ZONE: "u-1-b__u-1-a__u-1-b"},
            None,
            [{GKE: ["u-1-a", "u-1-b"]}],
            id="several, in order, once",
        ),
        pytest.param({BETA_ZONE: "a"}, None, [{GKE: ["a"]}], id="a beta label"),
        pytest.param({}, {ZONE: "a"}, [{GKE: ["a"]}], id="an affinity"),
        pytest.param({}, {BETA_ZONE: "a"}, [{GKE: ["a"]}], id="a beta affinity"),
        pytest.param({ZONE: "b"}, {ZONE: "a"}, [{GKE: ["a"]}], id="affinity before label"),
        pytest.param(
            {ZONE: "a"}, {"rack": "1"}, [{"rack": ["1"], GKE: ["a"]}], id="the label joins a term"
        ),
        pytest.param(
            {ZONE: "a"},
            [{"rack": "1"}, {"rack": "2"}],
            [{"rack": ["1"], GKE: ["a"]}, {"rack": ["2"], GKE: ["a"]}],
            id="and every term",
        ),
        pytest.param(
            {},
            {BETA_ZONE: "a", BETA_REGION: "r"},
            [{GKE: ["a"], REGION: ["r"]}],
            id="a beta region",
        ),
        pytest.param(
            {}, {ZONE: "a", BETA_REGION: "r"}, [{GKE: ["a"], BETA_REGION: ["r"]}], id="mixed"
        ),
        pytest.param({REGION: "r"}, None, None, id="a region label is not translated"),
    ],
)
def test_translated_affinity(labels, nodes, expected):
    found = disk(labels=labels, nodes=nodes)
    affinity = translated_affinity(found, in_tree_plugin(found.spec))
    terms = [] if affinity is None else affinity.required.node_selector_terms
    assert [{r.key: list(r.values) for r in t.match_expressions} for t in terms] == (expected or [])


def test_azure_disks_keep_their_affinity():
    source = {"azureDisk": {"diskName": "n", "diskURI": "/x/n"}}
    found = volume("v", labels={ZONE: "a"}, nodes={ZONE: "a"}, source=source)
    assert translated_affinity(found, in_tree_plugin(found.spec)) is found.spec.node_affinity
