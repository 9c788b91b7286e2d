"""VolumeZone by tables: which nodes can use a volume that carries zone or region labels.

The cases follow the spirit of upstream's (pkg/scheduler/framework/plugins/volumezone).
"""

import numpy as np
import pytest

from schedlab.scheduling.framework.interface import GO_ON, SKIP, Code
from schedlab.scheduling.plugins.volume_zone import REASON, VolumeZone
from schedlab.testing.storage import (
    claim,
    small_node,
    storage_class,
    storage_cluster,
    storage_cycle,
    uses,
    volume,
)

PLUGIN = VolumeZone()
ZONE, REGION = "topology.kubernetes.io/zone", "topology.kubernetes.io/region"
BETA_ZONE = "failure-domain.beta.kubernetes.io/zone"
BETA_REGION = "failure-domain.beta.kubernetes.io/region"


def verdict(node_labels, *volume_labels):
    """Return the verdict on a node about a pod with one bound claim for each volume."""
    objects = []
    for i, labels in enumerate(volume_labels):
        objects += [claim(f"c{i}", volume=f"v{i}"), volume(f"v{i}", labels=labels)]
    state = storage_cluster(small_node("a", labels=node_labels), objects=objects)
    cycle = storage_cycle(state, *(uses(f"c{i}") for i in range(len(volume_labels))))
    return PLUGIN.filter(cycle, np.arange(1)).tolist() == [0]


@pytest.mark.parametrize(
    ("node", "volumes", "passes"),
    [
        pytest.param({}, [{ZONE: "a"}], True, id="the node has no zone: a cluster of one zone"),
        pytest.param({ZONE: "a"}, [{}], True, id="the volume has none"),
        pytest.param({ZONE: "a"}, [{ZONE: "a"}], True, id="same zone"),
        pytest.param({ZONE: "a"}, [{ZONE: "b"}], False, id="another zone"),
        pytest.param({ZONE: "a"}, [{ZONE: "a__b"}], True, id="a volume in two zones, first"),
        pytest.param({ZONE: "b"}, [{ZONE: "a__b"}], True, id="a volume in two zones, second"),
        pytest.param({ZONE: "c"}, [{ZONE: "a__b"}], False, id="a volume in two zones, neither"),
        pytest.param({ZONE: "a_b"}, [{ZONE: "a_b"}], True, id="one underscore parts nothing"),
        pytest.param({ZONE: "a"}, [{ZONE: "a___b"}], True, id="split from the left: a and _b"),
        pytest.param({ZONE: "b"}, [{ZONE: "a___b"}], False, id="the third underscore stays"),
        pytest.param({REGION: "r"}, [{REGION: "r"}], True, id="same region"),
        pytest.param({REGION: "r"}, [{REGION: "s"}], False, id="another region"),
        pytest.param(
            {ZONE: "a", REGION: "r"}, [{ZONE: "a", REGION: "r"}], True, id="both the same"
        ),
        pytest.param(
            {ZONE: "a", REGION: "r"}, [{ZONE: "a", REGION: "s"}], False, id="zone but not region"
        ),
        pytest.param(
            {ZONE: "a", REGION: "r"}, [{ZONE: "b", REGION: "r"}], False, id="region but not zone"
        ),
        pytest.param({ZONE: "a", REGION: "r"}, [{REGION: "r"}], True, id="a regional volume"),
        pytest.param(
            {ZONE: "a"}, [{REGION: "r"}], False, id="a node with a zone but without the region"
        ),
        pytest.param({"rack": "1"}, [{ZONE: "a"}], True, id="other labels don't make a node zoned"),
        pytest.param({ZONE: "a"}, [{"rack": "2"}], True, id="other labels don't tie a volume"),
        pytest.param({BETA_ZONE: "a"}, [{BETA_ZONE: "a"}], True, id="beta labels on both"),
        pytest.param({BETA_ZONE: "a"}, [{BETA_ZONE: "b"}], False, id="beta labels that differ"),
        pytest.param(
            {ZONE: "a"}, [{BETA_ZONE: "a"}], True, id="a beta volume on a node with stable labels"
        ),
        pytest.param({ZONE: "a"}, [{BETA_ZONE: "b"}], False, id="the same, in another zone"),
        pytest.param(
            {REGION: "r"}, [{BETA_REGION: "r"}], True, id="a beta region on a stable node"
        ),
        pytest.param(
            {BETA_ZONE: "a"}, [{ZONE: "a"}], False, id="but not a stable volume on a beta node"
        ),
        pytest.param(
            {BETA_ZONE: "a", ZONE: "b"},
            [{BETA_ZONE: "b"}],
            False,
            id="the node's beta label counts before its stable one",
        ),
        pytest.param(
            {ZONE: "a"}, [{ZONE: "b____c"}], True, id="a label with an empty part is ignored"
        ),
        pytest.param({ZONE: "a"}, [{ZONE: ""}], True, id="an empty label is ignored"),
        pytest.param(
            {ZONE: "a"}, [{ZONE: "a____b", REGION: "r"}], False, id="ignored, but the region is not"
        ),
        pytest.param({ZONE: ""}, [{ZONE: "a"}], False, id="an empty zone of a node is a zone"),
        pytest.param({ZONE: "a"}, [{ZONE: "a"}, {ZONE: "a"}], True, id="two volumes"),
        pytest.param({ZONE: "a"}, [{ZONE: "a"}, {ZONE: "b"}], False, id="two zones: nowhere"),
        pytest.param({ZONE: "b"}, [{ZONE: "a__b"}, {ZONE: "b__c"}], True, id="what they share"),
    ],
)
def test_zones(node, volumes, passes):
    assert verdict(node, *volumes) == passes


def test_what_it_says_of_many_nodes():
    nodes = [small_node(f"n{i}", labels={ZONE: zone}) for i, zone in enumerate("aba")]
    state = storage_cluster(
        *nodes,
        small_node("plain"),
        objects=[claim("c", volume="v"), volume("v", labels={ZONE: "a"})],
    )
    cycle = storage_cycle(state, uses("c"))
    assert PLUGIN.pre_filter(cycle) == GO_ON
    assert PLUGIN.filter(cycle, np.array([3, 1, 2])).tolist() == [0, 1, 0]
    assert PLUGIN.reasons(cycle, 1, 1) == (REASON,) == ("node(s) had no available volume zone",)
    assert PLUGIN.status(cycle, 1, 1) == Code.UNSCHEDULABLE_AND_UNRESOLVABLE


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        pytest.param([], 'persistentvolumeclaim "c" not found', id="no claim"),
        pytest.param(
            [claim("c", volume="v")],
            'persistentvolume "v" not found',
            id="a claim without a volume",
        ),
        pytest.param(
            [claim("c", storage_class=None)],
            "PersistentVolumeClaim had no pv name and storageClass name",
            id="neither volume nor class",
        ),
        pytest.param(
            [claim("c")], 'storageclass.storage.k8s.io "fast" not found', id="an unknown class"
        ),
        pytest.param(
            [claim("c"), storage_class(waits=False)],
            "PersistentVolume had no name",
            id="a class that binds at once, but hasn't",
        ),
        pytest.param([claim("c"), storage_class()], None, id="a claim that waits for the pod"),
        pytest.param(
            [
                claim("c", annotations={"volume.beta.kubernetes.io/storage-class": "old"}),
                storage_class("old"),
            ],
            None,
            id="the beta annotation names the class",
        ),
        pytest.param(
            [claim("c", volume="v", complete=False), volume("v", labels={ZONE: "a"})],
            GO_ON,
            id="a claim that names its volume, whether or not the binding is complete",
        ),
        pytest.param([claim("c", volume="v"), volume("v")], None, id="a volume without labels"),
        pytest.param(
            [claim("c", volume="v"), volume("v", labels={ZONE: "a____b"})],
            None,
            id="only labels that are ignored",
        ),
        pytest.param(
            [claim("c", volume="v"), volume("v", labels={ZONE: "a"})], GO_ON, id="a zonal volume"
        ),
    ],
)
def test_pre_filter(objects, expected):
    state = storage_cluster(small_node("a", labels={ZONE: "a"}), objects=objects)
    found = PLUGIN.pre_filter(storage_cycle(state, uses("c")))
    if isinstance(expected, str):
        assert found.rejection.code == Code.UNSCHEDULABLE_AND_UNRESOLVABLE
        assert found.rejection.reasons == (expected,)
        cycle = storage_cycle(state, uses("c"))
        assert PLUGIN.filter(cycle, np.arange(1)).tolist() == [0]
    else:
        assert found == (expected or SKIP)


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param([], id="no volumes"),
        pytest.param([{"emptyDir": {}}], id="no claims"),
        pytest.param(
            [{"ephemeral": {"volumeClaimTemplate": {"spec": {}}}}],
            id="nor ephemeral volumes",
        ),
        pytest.param([{"gcePersistentDisk": {"pdName": "d"}}], id="nor disks without a claim"),
    ],
)
def test_skip(asked):
    state = storage_cluster(small_node("a", labels={ZONE: "a"}))
    assert PLUGIN.pre_filter(storage_cycle(state, *asked)) == SKIP


def test_what_is_assumed_does_not_count():
    # upstream asks the API server's view here, not the assume cache of VolumeBinding
    zonal = volume("v", labels={ZONE: "b"})
    objects = [claim("c"), storage_class(), zonal]
    state = storage_cluster(small_node("a", labels={ZONE: "a"}), objects=objects)
    state.volumes.assume(claim("c", volume="v"))
    assert PLUGIN.pre_filter(storage_cycle(state, uses("c"))) == SKIP
