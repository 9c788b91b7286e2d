"""VolumeBinding by tables: which nodes have, find or get the volumes that a pod's claims need.

The cases follow the spirit of upstream's (pkg/scheduler/framework/plugins/volumebinding). Nodes a
and b are in zone 1, node c is in zone 2.
"""

import numpy as np
import pytest

from schedlab.cluster.claims import SELECTED_NODE
from schedlab.scheduling.framework.interface import Code
from schedlab.scheduling.plugins.volume_binding import (
    CONFLICT,
    FAILED,
    NO_MATCH,
    NO_SPACE,
    NO_VOLUME,
    VolumeBinding,
)
from schedlab.testing.storage import (
    capacity,
    claim,
    csi_driver,
    csi_node,
    small_node,
    storage_class,
    storage_cluster,
    storage_cycle,
    uses,
    volume,
)

PLUGIN = VolumeBinding()
HOST, ZONE = "kubernetes.io/hostname", "zone"
LOCAL = storage_class("local", provisioner="kubernetes.io/no-provisioner")
OK = 0


def at(*names):
    return {HOST: names}


def local(name, node, size="10Gi", **more):
    """Return a local disk of a node."""
    return volume(name, nodes=at(node), size=size, storage_class="local", **more)


def wants(name, size="10Gi", **more):
    """Return a claim for a local disk."""
    return claim(name, storage_class="local", size=size, **more)


def cluster(*objects):
    zones = {"a": "1", "b": "1", "c": "2"}
    nodes = [small_node(name, labels={ZONE: zone}) for name, zone in zones.items()]
    return storage_cluster(*nodes, objects=objects)


def verdicts(state, *names):
    cycle = storage_cycle(state, *(uses(name) for name in names))
    return PLUGIN.filter(cycle, np.arange(3)).tolist()


# --- claims that have their volume


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        pytest.param([claim("c", volume="v"), volume("v")], [OK] * 3, id="usable everywhere"),
        pytest.param(
            [claim("c", volume="v"), volume("v", nodes=at("b"))],
            [CONFLICT, OK, CONFLICT],
            id="usable on one node",
        ),
        pytest.param(
            [claim("c", volume="v"), volume("v", nodes={ZONE: "1"})],
            [OK, OK, CONFLICT],
            id="usable in one zone",
        ),
        pytest.param(
            [claim("c", volume="v"), volume("v", nodes=[at("a"), {ZONE: "2"}])],
            [OK, CONFLICT, OK],
            id="one of two terms",
        ),
        pytest.param(
            [claim("c", volume="v"), volume("v", nodes={HOST: "ac", ZONE: "2"})],
            [CONFLICT, CONFLICT, OK],
            id="both conditions of a term",
        ),
        pytest.param(
            [claim("c", volume="v"), volume("v", nodes={"rack": "1"})],
            [CONFLICT] * 3,
            id="a label that no node has",
        ),
        pytest.param(
            [claim("c", volume="v"), volume("v", nodes={ZONE: "9"})],
            [CONFLICT] * 3,
            id="a value that no node has",
        ),
        pytest.param([claim("c", volume="v")], [NO_VOLUME] * 3, id="its volume is not there"),
        pytest.param(
            [claim("c", volume="v"), volume("v", phase="Released", storage_class="other")],
            [OK] * 3,
            id="bound is bound: neither phase nor class matter any more",
        ),
        pytest.param(
            [claim("c", volume="v"), volume("v", claimed_by="other")],
            [OK] * 3,
            id="nor whom the volume thinks it belongs to",
        ),
    ],
)
def test_bound(objects, expected):
    assert verdicts(cluster(*objects), "c") == expected


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        pytest.param(at("a"), at("a"), [OK, CONFLICT, CONFLICT], id="both on a"),
        pytest.param(at("a"), at("b"), [CONFLICT] * 3, id="no node has both"),
        pytest.param({ZONE: "1"}, at("b"), [CONFLICT, OK, CONFLICT], id="what they share"),
        pytest.param(at("a"), None, [NO_VOLUME, CONFLICT, CONFLICT], id="the second is missing"),
        pytest.param(None, at("a"), [NO_VOLUME] * 3, id="the first is missing: looked no further"),
    ],
)
def test_the_first_claim_that_fails_is_told(first, second, expected):
    there = [volume(f"v{i}", nodes=n) for i, n in enumerate((first, second)) if n is not None]
    state = cluster(claim("c0", volume="v0"), claim("c1", volume="v1"), *there)
    assert verdicts(state, "c0", "c1") == expected


AWS = "topology.ebs.csi.aws.com/zone"
GA_ZONE = "topology.kubernetes.io/zone"


@pytest.mark.parametrize(
    ("source", "labels", "nodes", "expected"),
    [
        # a and b have migrated; only a has the driver's zone label
        pytest.param("vol-1", {GA_ZONE: "1"}, None, [OK, CONFLICT, OK], id="a zone label counts"),
        pytest.param("vol-1", {GA_ZONE: "1__2"}, None, [OK, CONFLICT, OK], id="one of two zones"),
        pytest.param("vol-1", {GA_ZONE: "2"}, None, [CONFLICT, CONFLICT, OK], id="another zone"),
        pytest.param("vol-1", {}, None, [OK] * 3, id="no zone: nothing to translate"),
        pytest.param(
            "vol-1", {}, {GA_ZONE: "1"}, [OK, CONFLICT, CONFLICT], id="an affinity is renamed"
        ),
        pytest.param(
            "vol-1",
            {GA_ZONE: "2"},
            {GA_ZONE: "1"},
            [OK, CONFLICT, CONFLICT],
            id="the affinity counts before the label",
        ),
        pytest.param("aws://1/x", {}, None, [FAILED, FAILED, OK], id="a name that can't be read"),
    ],
)
def test_in_tree_volumes_on_migrated_nodes(source, labels, nodes, expected):
    ebs = "kubernetes.io/aws-ebs"
    state = storage_cluster(
        small_node("a", labels={AWS: "1"}),
        small_node("b"),
        small_node("c"),
        objects=[
            claim("c", volume="v"),
            volume(
                "v",
                labels=labels,
                nodes=nodes,
                source={"awsElasticBlockStore": {"volumeID": source}},
            ),
            csi_node("a", {}, [ebs]),
            csi_node("b", {}, ["kubernetes.io/gce-pd", ebs]),
            csi_node("c", {}, ["kubernetes.io/gce-pd"]),
        ],
    )
    cycle = storage_cycle(state, uses("c"))
    assert PLUGIN.filter(cycle, np.arange(3)).tolist() == expected
    if FAILED in expected:
        assert PLUGIN.status(cycle, 0, FAILED) == Code.ERROR
        assert PLUGIN.reasons(cycle, 0, FAILED) == (
            "could not translate pv: failed to translate Kubernetes ID to EBS Volume ID "
            "Invalid format for AWS volume (aws://1/x)",
        )


# --- claims that are bound with the pod: volumes that are there


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        pytest.param([local("v", "a")], [OK, NO_MATCH, NO_MATCH], id="a disk on one node"),
        pytest.param([local("v", "a"), local("w", "c")], [OK, NO_MATCH, OK], id="on two"),
        pytest.param([], [NO_MATCH] * 3, id="no disks at all"),
        pytest.param([local("v", "a", "9Gi")], [NO_MATCH] * 3, id="9 < 10: too small"),
        pytest.param([local("v", "a", "11Gi")], [OK, NO_MATCH, NO_MATCH], id="11 >= 10"),
        pytest.param(
            [volume("v", storage_class="local")], [OK] * 3, id="a disk that every node can use"
        ),
        pytest.param([volume("v", nodes=at("a"))], [NO_MATCH] * 3, id="of another class"),
        pytest.param([local("v", "a", phase="Bound")], [NO_MATCH] * 3, id="not available"),
        pytest.param([local("v", "a", phase="Released")], [NO_MATCH] * 3, id="released"),
        pytest.param(
            [local("v", "a", claimed_by="other")], [NO_MATCH] * 3, id="reserved for another claim"
        ),
        pytest.param(
            [local("v", "a", claimed_by="c")], [OK, NO_MATCH, NO_MATCH], id="reserved for this one"
        ),
        pytest.param(
            [local("v", "a", claimed_by="c/uid-c")], [OK, NO_MATCH, NO_MATCH], id="by its uid too"
        ),
        pytest.param(
            [local("v", "a", claimed_by="c/older")], [NO_MATCH] * 3, id="for an older one"
        ),
        pytest.param(
            [local("v", "a", claimed_by="c"), local("w", "b")],
            [OK, NO_MATCH, NO_MATCH],
            id="reserved elsewhere: no other disk will do",
        ),
        pytest.param(
            [local("v", "a", "9Gi", claimed_by="c"), local("w", "b")],
            [NO_MATCH, OK, NO_MATCH],
            id="reserved, but too small: others are looked at",
        ),
        pytest.param(
            [local("v", "a", claimed_by="c", phase="Pending")],
            [OK, NO_MATCH, NO_MATCH],
            id="what is reserved need not be available",
        ),
        pytest.param(
            [local("v", "a", metadata={"name": "v", "deletionTimestamp": "2026-01-01T00:00:00Z"})],
            [NO_MATCH] * 3,
            id="it is being deleted",
        ),
        pytest.param([local("v", "a", volumeMode="Block")], [NO_MATCH] * 3, id="a raw device"),
        pytest.param(
            [local("v", "a", volumeMode="Filesystem")],
            [OK, NO_MATCH, NO_MATCH],
            id="no mode means Filesystem",
        ),
        pytest.param(
            [local("v", "a", volumeAttributesClassName="gold")],
            [NO_MATCH] * 3,
            id="of an attributes class",
        ),
        pytest.param(
            [local("v", "a", modes=("ReadOnlyMany",))], [NO_MATCH] * 3, id="of another access mode"
        ),
        pytest.param(
            [local("v", "a", modes=("ReadOnlyMany", "ReadWriteOnce"))],
            [OK, NO_MATCH, NO_MATCH],
            id="of more access modes",
        ),
    ],
)
def test_free_volumes(objects, expected):
    assert verdicts(cluster(LOCAL, wants("c"), *objects), "c") == expected


@pytest.mark.parametrize(
    ("asked", "offered", "fits"),
    [
        pytest.param({"volumeMode": "Block"}, {"volumeMode": "Block"}, True, id="both raw"),
        pytest.param({"volumeMode": "Block"}, {}, False, id="raw is asked for"),
        pytest.param(
            {"volumeAttributesClassName": "gold"},
            {"volumeAttributesClassName": "gold"},
            True,
            id="the same attributes class",
        ),
        pytest.param({"volumeAttributesClassName": "gold"}, {}, False, id="a class is asked for"),
        pytest.param({"volumeAttributesClassName": ""}, {}, True, id="an empty class is none"),
        pytest.param(
            {"selector": {"matchLabels": {"disk": "ssd"}}},
            {"labels": {"disk": "ssd"}},
            True,
            id="labels as selected",
        ),
        pytest.param(
            {"selector": {"matchLabels": {"disk": "ssd"}}},
            {"labels": {"disk": "hdd"}},
            False,
            id="labels that aren't selected",
        ),
        pytest.param({"selector": {}}, {}, True, id="an empty selector selects all"),
        pytest.param({"size": None}, {"size": "1"}, True, id="no size asked for"),
        pytest.param({"modes": ()}, {"modes": ()}, True, id="no access mode asked for"),
        pytest.param(
            {"annotations": {"volume.beta.kubernetes.io/storage-class": "other"}},
            {},
            False,
            id="the claim's beta annotation counts before its class",
        ),
        pytest.param(
            {"selector": {"matchLabels": {"disk": "ssd"}}},
            {"claimed_by": "c"},
            True,
            id="what is reserved need not be selected",
        ),
        pytest.param(
            {"modes": ("ReadWriteMany",)}, {"claimed_by": "c"}, True, id="nor of the access mode"
        ),
    ],
)
def test_what_a_claim_asks_for(asked, offered, fits):
    other = storage_class("other", provisioner="kubernetes.io/no-provisioner")
    state = cluster(LOCAL, other, wants("c", **asked), local("v", "a", **offered))
    assert verdicts(state, "c") == [OK if fits else NO_MATCH, NO_MATCH, NO_MATCH]


@pytest.mark.parametrize(
    ("sizes", "disks", "picked"),
    [
        # claims c0, c1, ... of some GiB; disks d0, d1, ... of some GiB on node a
        pytest.param([10], [30, 10, 20], {"c0": "d1"}, id="the smallest that fits"),
        pytest.param([15], [30, 10, 20], {"c0": "d2"}, id="10 < 15 <= 20"),
        pytest.param([40], [30, 10, 20], None, id="none is large enough"),
        pytest.param(
            [10, 10], [30, 10, 20], {"c0": "d1", "c1": "d2"}, id="each disk is taken once"
        ),
        pytest.param(
            [20, 10],
            [20, 10],
            {"c1": "d1", "c0": "d0"},
            id="the smallest claim is served first",
        ),
        pytest.param(
            [20, 10], [20, 25], {"c1": "d0", "c0": "d1"}, id="10 takes 20, so 20 takes 25"
        ),
        pytest.param([20, 10], [20, 15], {"c1": "d1", "c0": "d0"}, id="10 takes 15"),
        pytest.param([10, 20], [10], None, id="one disk for two claims"),
        pytest.param([10, 10, 10], [10, 10, 10], {"c0": "d0", "c1": "d1", "c2": "d2"}, id="ties"),
    ],
)
def test_disks_for_several_claims(sizes, disks, picked):
    claims = [wants(f"c{i}", f"{size}Gi") for i, size in enumerate(sizes)]
    volumes = [local(f"d{i}", "a", f"{size}Gi") for i, size in enumerate(disks)]
    state = cluster(LOCAL, *claims, *volumes)
    cycle = storage_cycle(state, *(uses(found.metadata.name) for found in claims))
    codes = PLUGIN.filter(cycle, np.arange(3)).tolist()
    assert codes == [OK if picked else NO_MATCH, NO_MATCH, NO_MATCH]
    if picked:
        assert PLUGIN.reserve(cycle, 0) is None
        names = [found.metadata.name for found in volumes]
        refs = {name: state.volumes.volume(name).spec.claim_ref for name in names}
        assert {r.name: name for name, r in refs.items() if r is not None} == picked


# --- claims that are bound with the pod: volumes that can be made


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        pytest.param([storage_class()], [OK] * 3, id="anywhere"),
        pytest.param(
            [storage_class(provisioner="kubernetes.io/no-provisioner")],
            [NO_MATCH] * 3,
            id="the class makes no volumes",
        ),
        pytest.param([storage_class(provisioner="")], [NO_MATCH] * 3, id="nor without a name"),
        pytest.param(
            [storage_class(allowed=[{ZONE: "2"}])], [NO_MATCH, NO_MATCH, OK], id="in one zone"
        ),
        pytest.param(
            [storage_class(allowed=[{ZONE: "2"}, at("a")])],
            [OK, NO_MATCH, OK],
            id="one of two terms",
        ),
        pytest.param(
            [storage_class(allowed=[{ZONE: "1", HOST: "bc"}])],
            [NO_MATCH, OK, NO_MATCH],
            id="all conditions of a term",
        ),
        pytest.param([storage_class(allowed=[{}])], [NO_MATCH] * 3, id="an empty term means none"),
        pytest.param(
            [storage_class(allowed=[{ZONE: ""}])], [NO_MATCH] * 3, id="nor does one without values"
        ),
        pytest.param(
            [storage_class(), volume("v", nodes=at("b"))], [OK] * 3, id="found on b, made elsewhere"
        ),
        pytest.param(
            [storage_class(allowed=[at("a")]), volume("v", nodes=at("b"))],
            [OK, OK, NO_MATCH],
            id="made on a, found on b",
        ),
        # how much storage is left
        pytest.param([storage_class(), csi_driver()], [NO_SPACE] * 3, id="nothing is reported"),
        pytest.param(
            [storage_class(), csi_driver(tells=False)], [OK] * 3, id="a driver that doesn't tell"
        ),
        pytest.param(
            [storage_class(), csi_driver(tells=None)], [OK] * 3, id="or doesn't say if it does"
        ),
        pytest.param([storage_class(), csi_driver("other")], [OK] * 3, id="another driver"),
        pytest.param(
            [storage_class(), csi_driver(), capacity("p", "10Gi", labels={ZONE: "1"})],
            [OK, OK, NO_SPACE],
            id="10 >= 10 in zone 1",
        ),
        pytest.param(
            [storage_class(), csi_driver(), capacity("p", "9Gi", labels={ZONE: "1"})],
            [NO_SPACE] * 3,
            id="9 < 10",
        ),
        pytest.param(
            [
                storage_class(),
                csi_driver(),
                capacity("p", "5Gi", labels={ZONE: "1"}),
                capacity("q", "5Gi", labels={ZONE: "1"}),
            ],
            [NO_SPACE] * 3,
            id="two pools don't add up",
        ),
        pytest.param(
            [
                storage_class(),
                csi_driver(),
                capacity("p", "5Gi", labels={ZONE: "1"}),
                capacity("q", "15Gi", labels={HOST: "b"}),
            ],
            [NO_SPACE, OK, NO_SPACE],
            id="one pool of a node's is enough",
        ),
        pytest.param(
            [storage_class(), csi_driver(), capacity("p", "99Gi", largest="9Gi", labels={})],
            [NO_SPACE] * 3,
            id="the largest volume counts before the capacity",
        ),
        pytest.param(
            [storage_class(), csi_driver(), capacity("p", "1Gi", largest="10Gi", labels={})],
            [OK] * 3,
            id="even if it is more",
        ),
        pytest.param(
            [storage_class(), csi_driver(), capacity("p", None, labels={})],
            [NO_SPACE] * 3,
            id="a pool that doesn't say",
        ),
        pytest.param(
            [storage_class(), csi_driver(), capacity("p", "99Gi")],
            [NO_SPACE] * 3,
            id="a pool that no node reaches",
        ),
        pytest.param(
            [storage_class(), csi_driver(), capacity("p", "99Gi", labels={})],
            [OK] * 3,
            id="a pool that all nodes reach",
        ),
        pytest.param(
            [storage_class(), csi_driver(), capacity("p", "99Gi", labels={}, storage_class="x")],
            [NO_SPACE] * 3,
            id="of another class",
        ),
        pytest.param(
            [storage_class(allowed=[{ZONE: "2"}]), csi_driver()],
            [NO_MATCH, NO_MATCH, NO_SPACE],
            id="the topology is asked before the storage",
        ),
    ],
)
def test_provisioning(objects, expected):
    assert verdicts(cluster(claim("c"), *objects), "c") == expected


def test_a_claim_that_asks_for_no_size_fits_everywhere():
    state = cluster(claim("c", size=None), storage_class(), csi_driver())
    assert verdicts(state, "c") == [OK] * 3


@pytest.mark.parametrize(
    ("selected", "objects", "expected"),
    [
        pytest.param("b", [], [NO_MATCH, OK, NO_MATCH], id="a node was chosen before"),
        pytest.param("gone", [], [NO_MATCH] * 3, id="a node that isn't there any more"),
        pytest.param(
            "b",
            [volume("v", nodes=at("b"))],
            [NO_MATCH, OK, NO_MATCH],
            id="no volume is looked for",
        ),
    ],
)
def test_a_node_chosen_before(selected, objects, expected):
    chosen = claim("c", annotations={SELECTED_NODE: selected})
    state = cluster(chosen, storage_class(), *objects)
    assert verdicts(state, "c") == expected
    cycle = storage_cycle(state, uses("c"))
    if OK in expected:
        PLUGIN.reserve(cycle, 1)
        assert all(v.spec.claim_ref is None for v in objects)


@pytest.mark.parametrize(
    ("objects", "expected", "words"),
    [
        pytest.param(
            [claim("c", volume="v"), volume("v", nodes=at("a"))],
            [NO_MATCH, NO_MATCH | CONFLICT, NO_MATCH | CONFLICT],
            [
                "node(s) didn't find available persistent volumes to bind",
                "node(s) didn't match PersistentVolume's node affinity",
            ],
            id="neither the bound volume nor a free one",
        ),
        pytest.param(
            [claim("c", volume="v")],
            [NO_MATCH | NO_VOLUME] * 3,
            [
                "node(s) didn't find available persistent volumes to bind",
                "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)",
            ],
            id="a lost volume, and no free one",
        ),
    ],
)
def test_several_reasons(objects, expected, words):
    state = cluster(LOCAL, wants("d"), *objects)
    cycle = storage_cycle(state, uses("c"), uses("d"))
    assert PLUGIN.filter(cycle, np.arange(3)).tolist() == expected
    assert PLUGIN.reasons(cycle, 2, expected[2]) == tuple(words)
    assert PLUGIN.status(cycle, 2, expected[2]) == Code.UNSCHEDULABLE_AND_UNRESOLVABLE


def test_the_words_of_no_space():
    cycle = storage_cycle(cluster(claim("c"), storage_class(), csi_driver()), uses("c"))
    assert PLUGIN.reasons(cycle, 0, NO_SPACE) == ("node(s) did not have enough free storage",)
