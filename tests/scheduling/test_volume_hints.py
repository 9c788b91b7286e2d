"""Which events may help a pod that was rejected for its volumes, by table."""

from dataclasses import replace

import pytest

from schedlab.scheduling.framework.cluster_events import VOLUMES_BACK, ClusterEvent
from schedlab.testing.hints import ZONE, asks, gone, helps, zoned_cluster
from schedlab.testing.storage import (
    attachment,
    capacity,
    claim,
    csi_driver,
    csi_node,
    storage_class,
    uses,
    volume,
)

HOLDS = asks(volumes=[uses("c")])
GCE = {"gcePersistentDisk": {"pdName": "d"}}
READS = {"gcePersistentDisk": {"pdName": "d", "readOnly": True}}
LOST = replace(HOLDS, namespace="else")
TOLD = csi_driver()


def about(kind, old, new):
    what = "Add" if old is None else "Delete" if new is None else "Update"
    return ClusterEvent(f"{kind}/{what}", old=old, new=new)


@pytest.mark.parametrize(
    ("plugin", "pod", "other", "expected"),
    [
        pytest.param("VolumeRestrictions", HOLDS, HOLDS, True, id="the same claim"),
        pytest.param("VolumeRestrictions", HOLDS, LOST, False, id="a claim of another namespace"),
        pytest.param("VolumeRestrictions", HOLDS, asks(), False, id="no volume"),
        pytest.param(
            "VolumeRestrictions", asks(volumes=[GCE]), asks(volumes=[READS]), True, id="its disk"
        ),
        pytest.param(
            "VolumeRestrictions",
            asks(volumes=[READS]),
            asks(volumes=[READS]),
            False,
            id="readers don't bar each other",
        ),
        pytest.param("NodeVolumeLimits", HOLDS, HOLDS, True, id="a volume is detached"),
        pytest.param("NodeVolumeLimits", HOLDS, asks(), False, id="nothing was attached"),
        pytest.param("VolumeBinding", HOLDS, HOLDS, False, id="claims stay bound"),
    ],
)
def test_pods_that_go_by_volumes(plugin, pod, other, expected):
    state = zoned_cluster("a", "b", objects=[claim("c")])
    assert helps(state, plugin, pod, gone(state, other)) == expected


@pytest.mark.parametrize(
    ("plugin", "kind", "old", "new", "expected"),
    [
        pytest.param(
            "VolumeRestrictions",
            "PersistentVolumeClaim",
            None,
            claim("c"),
            True,
            id="the claim is made, restrictions",
        ),
        pytest.param(
            "NodeVolumeLimits",
            "PersistentVolumeClaim",
            None,
            claim("c"),
            True,
            id="the claim is made, limits",
        ),
        pytest.param(
            "NodeVolumeLimits",
            "PersistentVolumeClaim",
            None,
            claim("d"),
            False,
            id="another claim, limits",
        ),
        pytest.param(
            "NodeVolumeLimits",
            "CSINode",
            None,
            csi_node("n0", {"d": 1}),
            True,
            id="limits are told",
        ),
        pytest.param(
            "NodeVolumeLimits",
            "CSINode",
            csi_node("n0", {"d": 1}),
            csi_node("n0", {"d": 2}),
            True,
            id="limits grow",
        ),
        pytest.param(
            "NodeVolumeLimits",
            "CSINode",
            csi_node("n0", {"d": 1}),
            csi_node("n0", {"d": 1}, ["x"]),
            False,
            id="limits stay",
        ),
        pytest.param(
            "NodeVolumeLimits",
            "VolumeAttachment",
            attachment("a", "n0", "v", "d"),
            None,
            True,
            id="detached",
        ),
        pytest.param(
            "VolumeBinding",
            "PersistentVolumeClaim",
            claim("c"),
            claim("c", volume="v"),
            True,
            id="the claim is bound",
        ),
        pytest.param(
            "VolumeBinding", "PersistentVolumeClaim", None, claim("d"), False, id="another claim"
        ),
        pytest.param(
            "VolumeBinding",
            "PersistentVolume",
            None,
            volume("v"),
            True,
            id="a volume of the claim's class",
        ),
        pytest.param(
            "VolumeBinding",
            "PersistentVolume",
            None,
            volume("v", storage_class="slow"),
            False,
            id="a volume of another class",
        ),
        pytest.param(
            "VolumeBinding",
            "StorageClass",
            None,
            storage_class("fast"),
            True,
            id="the claim's class",
        ),
        pytest.param(
            "VolumeBinding", "StorageClass", None, storage_class("slow"), False, id="another class"
        ),
        pytest.param(
            "VolumeBinding",
            "StorageClass",
            storage_class("fast"),
            storage_class("fast", allowed=[{ZONE: ["a"]}]),
            True,
            id="other topologies",
        ),
        pytest.param(
            "VolumeBinding",
            "StorageClass",
            storage_class("fast"),
            storage_class("fast"),
            False,
            id="the same topologies",
        ),
        pytest.param(
            "VolumeBinding", "CSINode", None, csi_node("n0", {"d": 1}), True, id="a node's drivers"
        ),
        pytest.param(
            "VolumeBinding",
            "CSINode",
            csi_node("n0", {"d": 1}),
            csi_node("n0", {"d": 1}, ["x"]),
            True,
            id="a plugin migrates",
        ),
        pytest.param(
            "VolumeBinding",
            "CSINode",
            csi_node("n0", {"d": 1}),
            csi_node("n0", {"d": 2}),
            False,
            id="limits don't matter",
        ),
        pytest.param(
            "VolumeBinding",
            "CSIDriver",
            TOLD,
            csi_driver(tells=False),
            True,
            id="capacity counts no more",
        ),
        pytest.param(
            "VolumeBinding",
            "CSIDriver",
            csi_driver(tells=False),
            TOLD,
            False,
            id="capacity counts from now on",
        ),
        pytest.param(
            "VolumeBinding", "CSIStorageCapacity", None, capacity("p", "9Gi"), True, id="a pool"
        ),
        pytest.param(
            "VolumeBinding",
            "CSIStorageCapacity",
            capacity("p", "1Gi"),
            capacity("p", "9Gi"),
            True,
            id="a pool grows",
        ),
        pytest.param(
            "VolumeBinding",
            "CSIStorageCapacity",
            capacity("p", "9Gi"),
            capacity("p", "1Gi"),
            False,
            id="a pool shrinks",
        ),
        pytest.param(
            "VolumeBinding",
            "CSIStorageCapacity",
            None,
            capacity("p", "9Gi", storage_class="slow"),
            False,
            id="another class's pool",
        ),
        pytest.param(
            "VolumeZone",
            "PersistentVolumeClaim",
            claim("c"),
            claim("c", volume="v"),
            True,
            id="the claim is bound, zone",
        ),
        pytest.param("VolumeZone", "PersistentVolume", None, volume("v"), True, id="a new volume"),
        pytest.param(
            "VolumeZone",
            "PersistentVolume",
            volume("v", labels={ZONE: "a"}),
            volume("v", labels={ZONE: "b"}),
            True,
            id="a volume moves",
        ),
        pytest.param(
            "VolumeZone",
            "PersistentVolume",
            volume("v"),
            volume("v", labels={"x": "y"}),
            False,
            id="a volume is relabelled otherwise",
        ),
        pytest.param(
            "VolumeZone", "StorageClass", None, storage_class("fast"), True, id="a class that waits"
        ),
        pytest.param(
            "VolumeZone",
            "StorageClass",
            None,
            storage_class("fast", waits=False),
            False,
            id="a class that doesn't",
        ),
    ],
)
def test_storage_objects(plugin, kind, old, new, expected):
    state = zoned_cluster("a", "b", objects=[claim("c")])
    assert helps(state, plugin, HOLDS, about(kind, old, new)) == expected
    assert not helps(state, plugin, asks(), about(kind, old, new))  # a pod without volumes


def test_volumes_that_are_given_back():
    assert helps(zoned_cluster("a", "b"), "VolumeBinding", HOLDS, ClusterEvent(VOLUMES_BACK))


def test_the_claim_of_an_ephemeral_volume_is_the_pods_own():
    template = {"spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "fast"}}
    pod = asks(volumes=[{"ephemeral": {"volumeClaimTemplate": template}}])
    state = zoned_cluster("a", "b")
    for name, expected in (("p99-v0", True), ("p98-v0", False)):
        event = about("PersistentVolumeClaim", None, claim(name))
        assert helps(state, "VolumeBinding", pod, event) == expected
