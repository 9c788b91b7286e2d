"""VolumeRestrictions by tables: read them to learn which volumes bar a pod from a node.

The cases follow the spirit of upstream's (pkg/scheduler/framework/plugins/volumerestrictions).
Pod 0 runs on node a; the pod asked about could go to a or to b.
"""

import numpy as np
import pytest

from schedlab.scheduling.framework.interface import GO_ON, SKIP, Code
from schedlab.scheduling.plugins.volume_restrictions import DISK, IN_USE, VolumeRestrictions
from schedlab.testing.storage import (
    claim,
    pod_class,
    run_pod,
    small_node,
    storage_cluster,
    storage_cycle,
    uses,
)

PLUGIN = VolumeRestrictions()
ONE_POD = ("ReadWriteOncePod",)


def gce(name, *, read_only=False):
    return {"gcePersistentDisk": {"pdName": name, "readOnly": read_only}}


def ebs(name, *, read_only=False):
    return {"awsElasticBlockStore": {"volumeID": name, "readOnly": read_only}}


def iscsi(iqn, *, read_only=False, lun=0, portal="10.0.0.1:3260"):
    source = {"targetPortal": portal, "iqn": iqn, "lun": lun, "readOnly": read_only}
    return {"iscsi": source}


def rbd(image, *monitors, pool="rbd", read_only=False):
    source = {"image": image, "monitors": list(monitors or ("m1",)), "readOnly": read_only}
    return {"rbd": {**source, **({} if pool is None else {"pool": pool})}}


def verdicts(state, cycle):
    return PLUGIN.filter(cycle, np.arange(state.nodes.size)).tolist()


# --- disks that pods mount without a claim (TestGCEDiskConflicts, TestAWSDiskConflicts, ...)


@pytest.mark.parametrize(
    ("there", "asked", "conflict"),
    [
        pytest.param([], [gce("d")], False, id="nobody has the disk"),
        pytest.param([gce("d")], [gce("e")], False, id="another disk"),
        pytest.param([gce("d")], [gce("d")], True, id="both write"),
        pytest.param([gce("d", read_only=True)], [gce("d")], True, id="one reads, one writes"),
        pytest.param([gce("d")], [gce("d", read_only=True)], True, id="one writes, one reads"),
        pytest.param(
            [gce("d", read_only=True)], [gce("d", read_only=True)], False, id="both only read"
        ),
        pytest.param([ebs("d")], [ebs("d")], True, id="an Amazon disk is for one pod"),
        pytest.param(
            [ebs("d", read_only=True)],
            [ebs("d", read_only=True)],
            True,
            id="an Amazon disk is for one pod even to read",
        ),
        pytest.param([ebs("d")], [ebs("e")], False, id="another Amazon disk"),
        pytest.param([gce("d")], [ebs("d")], False, id="the same name in another cloud"),
        pytest.param([iscsi("q")], [iscsi("q")], True, id="one iSCSI name, both write"),
        pytest.param(
            [iscsi("q")], [iscsi("q", lun=1)], True, id="only the iSCSI name counts, not the LUN"
        ),
        pytest.param(
            [iscsi("q")], [iscsi("q", portal="10.0.0.2:3260")], True, id="nor does the portal"
        ),
        pytest.param([iscsi("q")], [iscsi("r")], False, id="another iSCSI name"),
        pytest.param(
            [iscsi("q", read_only=True)], [iscsi("q", read_only=True)], False, id="iSCSI to read"
        ),
        pytest.param(
            [iscsi("q", read_only=True)], [iscsi("q")], True, id="iSCSI: a writer joins readers"
        ),
        pytest.param([rbd("i")], [rbd("i")], True, id="one Ceph image, both write"),
        pytest.param([rbd("i")], [rbd("j")], False, id="another image"),
        pytest.param([rbd("i")], [rbd("i", pool="fast")], False, id="another pool"),
        pytest.param([rbd("i", pool=None)], [rbd("i")], True, id="no pool means rbd"),
        pytest.param([rbd("i", "m1")], [rbd("i", "m2")], False, id="no common monitor"),
        pytest.param(
            [rbd("i", "m1", "m2")], [rbd("i", "m2", "m3")], True, id="one common monitor will do"
        ),
        pytest.param(
            [rbd("i", read_only=True)], [rbd("i", read_only=True)], False, id="Ceph to read"
        ),
        pytest.param([rbd("i", read_only=True)], [rbd("i")], True, id="Ceph: one writes"),
        pytest.param(
            [gce("c"), gce("d")], [gce("b"), gce("d")], True, id="one of several is the same"
        ),
        pytest.param([gce("d"), ebs("d")], [iscsi("d"), rbd("d")], False, id="four kinds, no two"),
        pytest.param(
            [gce("d", read_only=True), gce("d")],
            [gce("d", read_only=True)],
            True,
            id="a pod that mounts the disk both ways writes",
        ),
        pytest.param([uses("c")], [uses("c")], False, id="a claim is not a disk"),
        pytest.param([{"emptyDir": {}}], [gce("d")], False, id="an emptyDir is the pod's own"),
    ],
)
def test_disks(there, asked, conflict):
    state = storage_cluster(small_node("a"), small_node("b"), objects=[claim("c", volume="v")])
    run_pod(state, 0, 0, *there)
    cycle = storage_cycle(state, *asked)
    assert verdicts(state, cycle) == [DISK if conflict else 0, 0]  # b has no pod, so no conflict
    if conflict:
        assert PLUGIN.pre_filter(cycle) == GO_ON
        assert PLUGIN.reasons(cycle, 0, DISK) == ("node(s) had no available disk",)
        assert PLUGIN.status(cycle, 0, DISK) == Code.UNSCHEDULABLE


def test_a_disk_is_free_when_its_last_writer_has_gone():
    state = storage_cluster(small_node("a"))
    for pod in (0, 1):
        run_pod(state, pod, 0, gce("d", read_only=pod == 1))
    cycle = storage_cycle(state, gce("d", read_only=True))
    assert verdicts(state, cycle) == [DISK]  # pod 0 writes
    state.remove_pod(0)
    assert verdicts(state, cycle) == [0]  # pod 1 reads as we do
    state.remove_pod(1)
    assert verdicts(state, storage_cycle(state, gce("d"))) == [0]


# --- claims for one pod (TestAccessModeConflicts)


def rwop(users=(), claims=None, node_b=True):
    """Return a cluster whose pods 0, 1, ... use the given claims on node a."""
    nodes = [small_node(name) for name in ("a", "b")[: 1 + node_b]]
    objects = claims or [claim("c", volume="v", modes=ONE_POD)]
    state = storage_cluster(*nodes, objects=objects)
    for pod, names in enumerate(users):
        run_pod(state, pod, 0, *(uses(name) for name in names))
    return state


SHARED = [
    claim("c", volume="v", modes=ONE_POD),
    claim("d", volume="w", modes=ONE_POD),
    claim("many", volume="x", modes=("ReadWriteMany",)),
    claim("once", volume="y"),
    claim("both", volume="z", modes=("ReadWriteOnce", *ONE_POD)),
]


@pytest.mark.parametrize(
    ("users", "asked", "taken"),
    [
        pytest.param([], ["c"], False, id="nobody uses the claim"),
        pytest.param([["c"]], ["c"], True, id="another pod uses it"),
        pytest.param([["c"]], ["d"], False, id="another claim"),
        pytest.param([["many"]], ["many"], False, id="a claim for many"),
        pytest.param([["once"]], ["once"], False, id="ReadWriteOnce is per node, not per pod"),
        pytest.param([["both"]], ["both"], True, id="one of its modes is ReadWriteOncePod"),
        pytest.param([["c"]], ["many", "c"], True, id="one of two claims"),
        pytest.param([["c", "d"]], ["d", "c"], True, id="both are taken"),
        pytest.param([["c"], ["d"]], ["c", "d"], True, id="by different pods"),
        pytest.param([["many"]], ["many", "c"], False, id="the exclusive one is free"),
    ],
)
def test_claims_for_one_pod(users, asked, taken):
    state = rwop(users, SHARED)
    cycle = storage_cycle(state, *(uses(name) for name in asked))
    assert PLUGIN.pre_filter(cycle) == (GO_ON if taken else SKIP)
    assert verdicts(state, cycle) == [IN_USE if taken else 0] * 2  # wherever the other pod runs
    if taken:
        (words,) = PLUGIN.reasons(cycle, 1, IN_USE)
        assert words == (
            "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode "
            "already in-use by another pod"
        )
        assert PLUGIN.status(cycle, 1, IN_USE) == Code.UNSCHEDULABLE


def test_a_claim_of_the_same_name_elsewhere_is_another():
    state = rwop()
    run_pod(state, 0, 0, uses("c"), namespace="prod")
    assert PLUGIN.pre_filter(storage_cycle(state, uses("c"))) == SKIP


def test_a_disk_conflict_is_told_before_the_claim():
    state = rwop()
    run_pod(state, 0, 0, uses("c"), gce("d"))
    assert verdicts(state, storage_cycle(state, uses("c"), gce("d"))) == [DISK, IN_USE]


@pytest.mark.parametrize(
    ("users", "removed", "added", "taken"),
    [
        pytest.param([["c"]], [0], [], False, id="its only user would go"),
        pytest.param([["c"], ["many"]], [1], [], True, id="somebody else would go"),
        pytest.param([["c"], ["d"]], [0], [], True, id="1 + 1 - 1: the other claim is in use"),
        pytest.param([["c"], ["d"]], [0, 1], [], False, id="both users would go"),
        pytest.param([], [], [["c"]], True, id="a pod nominated here would use it"),
        pytest.param(
            [["c"], ["c"]], [0], [], False, id="1 - 1: a claim in use counts once, whoever uses it"
        ),
        pytest.param([["c", "c"]], [0], [], False, id="1 - 2: below zero is free"),
        pytest.param([["c", "c"]], [0], [["c"]], False, id="1 - 2 + 1"),
        pytest.param([["c"]], [0], [["c"]], True, id="1 - 1 + 1: one goes and one comes"),
    ],
)
def test_trials_go_on_from_the_count(users, removed, added, taken):
    # upstream: AddPod and RemovePod change the number that PreFilter found
    state = rwop(users, SHARED)
    cycle = storage_cycle(state, uses("c"), uses("d"))
    mark = state.mark()
    for pod in removed:
        state.remove_pod(pod)
    for i, names in enumerate(added):
        state.add_pod(50 + i, pod_class(state, *(uses(name) for name in names)), 1)
    assert verdicts(state, cycle) == [IN_USE if taken else 0] * 2
    state.undo(mark)
    assert verdicts(state, cycle) == [IN_USE if users else 0] * 2


def test_in_a_trial_upstream_takes_names_alone():
    # pods of other namespaces count too once they are added or removed: 1 - 1 = 0
    state = rwop([["c"]], SHARED)
    run_pod(state, 7, 0, uses("c"), namespace="prod")
    cycle = storage_cycle(state, uses("c"))
    state.mark()
    state.remove_pod(7)
    assert verdicts(state, cycle) == [0, 0]


# --- PreFilter


@pytest.mark.parametrize(
    ("asked", "skip"),
    [
        pytest.param([], True, id="no volumes"),
        pytest.param([{"emptyDir": {}}, {"configMap": {"name": "m"}}], True, id="its own volumes"),
        pytest.param([uses("c")], True, id="a claim that nobody uses"),
        pytest.param([gce("d")], False, id="a disk, even a free one"),
        pytest.param([ebs("d")], False, id="an Amazon disk"),
        pytest.param([iscsi("q")], False, id="an iSCSI target"),
        pytest.param([rbd("i")], False, id="a Ceph image"),
        pytest.param(
            [{"csi": {"driver": "csi.example.com"}}], True, id="an inline volume of a CSI driver"
        ),
        pytest.param(
            [{"ephemeral": {"volumeClaimTemplate": {"spec": {"accessModes": [*ONE_POD]}}}}],
            True,
            id="an ephemeral volume is the pod's alone, even before its claim is there",
        ),
    ],
)
def test_skip(asked, skip):
    cycle = storage_cycle(rwop(), *asked)
    assert PLUGIN.pre_filter(cycle) == (SKIP if skip else GO_ON)
    assert verdicts(cycle.state, cycle) == [0, 0]


def test_a_missing_claim_rejects_the_pod():
    cycle = storage_cycle(rwop(), uses("c"), uses("lost"), uses("lost-too"))
    rejection = PLUGIN.pre_filter(cycle).rejection
    assert rejection.code == Code.UNSCHEDULABLE_AND_UNRESOLVABLE
    assert rejection.reasons == ('persistentvolumeclaim "lost" not found',)  # the first one
