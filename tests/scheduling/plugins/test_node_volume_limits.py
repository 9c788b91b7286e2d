"""NodeVolumeLimits by tables: what counts against a node's attach limits, and what doesn't.

The cases follow the spirit of upstream's (pkg/scheduler/framework/plugins/nodevolumelimits).
"""

import numpy as np
import pytest

from schedlab.scheduling.framework.interface import GO_ON, SKIP, Code
from schedlab.scheduling.plugins.node_volume_limits import (
    EXCEEDED,
    FAILED,
    MISSING,
    NodeVolumeLimits,
)
from schedlab.testing.storage import (
    attachment,
    claim,
    csi_node,
    pod_class,
    run_pod,
    small_node,
    storage_class,
    storage_cluster,
    storage_cycle,
    uses,
    volume,
)

PLUGIN = NodeVolumeLimits()
DRIVER, OTHER, EBS = "csi.example.com", "other.example.com", "ebs.csi.aws.com"
GCE = "pd.csi.storage.gke.io"
TEN = [f"c{i}" for i in range(10)]


def bound(name, handle=None, driver=DRIVER):
    """Return a claim and its volume of a driver."""
    source = {"csi": {"driver": driver, "volumeHandle": handle or f"h-{name}"}}
    return [claim(name, volume=f"v-{name}"), volume(f"v-{name}", source=source)]


def in_tree(name, source, labels=None):
    return [claim(name, volume=f"v-{name}"), volume(f"v-{name}", source=source, labels=labels)]


def ebs(name):
    return {"awsElasticBlockStore": {"volumeID": name}}


def gce(name):
    return {"gcePersistentDisk": {"pdName": name}}


EPHEMERAL = {"ephemeral": {"volumeClaimTemplate": {"spec": {}}}}


def owned(name, pod, uid):
    owner = {"apiVersion": "v1", "kind": "Pod", "name": pod, "uid": uid, "controller": True}
    return claim(name, volume="v-e", metadata={"ownerReferences": [owner]})


def objects():
    found = [storage_class(), storage_class("ebs", provisioner="kubernetes.io/aws-ebs")]
    for name in TEN:
        found += bound(name)
    found += bound("same", "h-c0")  # another claim, the volume of c0
    found += bound("other", driver=OTHER)
    found += in_tree("disk", ebs("vol-1")) + in_tree("zonal", ebs("aws://us-east-1a/vol-1"))
    found += in_tree("bad", ebs("aws://us-east-1a/nonsense"))
    found += in_tree("host", {"hostPath": {"path": "/x"}}) + in_tree("pd", gce("d"))
    found += in_tree("file", {"azureFile": {"shareName": "s", "secretName": "k"}})
    found += [claim("waits"), claim("waits2"), claim("waits-ebs", storage_class="ebs")]
    found += [claim("none", storage_class=None), claim("unknown", storage_class="?")]
    found += [claim("gone", volume="not there")]
    return found


def verdicts(state, *asked, pod=99):
    return PLUGIN.filter(
        storage_cycle(state, *asked, pod=pod), np.arange(state.nodes.size)
    ).tolist()


@pytest.mark.parametrize(
    ("limits", "there", "asked", "fits"),
    [
        pytest.param({DRIVER: 2}, [["c0"]], ["c1"], True, id="1 + 1 <= 2"),
        pytest.param({DRIVER: 2}, [["c0"], ["c1"]], ["c2"], False, id="2 + 1 > 2"),
        pytest.param({DRIVER: 2}, [], ["c0", "c1", "c2"], False, id="0 + 3 > 2"),
        pytest.param({DRIVER: 0}, [], ["c0"], False, id="0 + 1 > 0"),
        pytest.param({DRIVER: None}, [TEN], ["c0"], True, id="no limit is given"),
        pytest.param({}, [TEN], ["c0"], True, id="no driver"),
        pytest.param(None, [TEN], ["c0"], True, id="no CSINode"),
        pytest.param({OTHER: 0}, [TEN], ["c0"], True, id="the limit of another driver"),
        pytest.param(
            {DRIVER: 1, OTHER: 1}, [["c0"]], ["other"], True, id="each driver has its own: 0 + 1"
        ),
        pytest.param(
            {DRIVER: 1, OTHER: 1}, [["c0"]], ["other", "c1"], False, id="one of two: 1 + 1 > 1"
        ),
        pytest.param({DRIVER: 1}, [["c0"]], ["c0"], True, id="already attached: 1 + 0 <= 1"),
        pytest.param({DRIVER: 1}, [["c0"], ["c0"]], ["c0"], True, id="two users, one volume"),
        pytest.param({DRIVER: 1}, [["c0"]], ["same"], True, id="another claim, the same volume"),
        pytest.param({DRIVER: 1}, [], ["c0", "same"], True, id="twice in the pod itself"),
        pytest.param({DRIVER: 1}, [["c0"]], ["c0", "c1"], False, id="1 + 1: one is new"),
        pytest.param(
            {DRIVER: 1}, [["c0", "c1"]], ["c0"], True, id="over the limit already, nothing new"
        ),
        pytest.param({DRIVER: 1}, [["c0", "c1"]], ["c2"], False, id="over the limit already"),
        pytest.param({DRIVER: 1}, [["c0"]], ["host"], True, id="a volume without a driver"),
        pytest.param({DRIVER: 1}, [["host"]], ["c0"], True, id="nor does it count there"),
        # claims without a volume
        pytest.param({DRIVER: 1}, [["c0"]], ["waits"], False, id="it will be made: 1 + 1 > 1"),
        pytest.param({DRIVER: 1}, [["waits"]], ["c0"], False, id="one is being made: 1 + 1 > 1"),
        pytest.param({DRIVER: 1}, [["waits"]], ["waits"], True, id="the same claim: 1 + 0"),
        pytest.param({DRIVER: 1}, [["waits"]], ["waits2"], False, id="two claims: 1 + 1 > 1"),
        pytest.param({DRIVER: 1}, [["c0"]], ["gone"], False, id="its volume isn't there yet"),
        pytest.param({DRIVER: 1}, [["c0"]], ["none"], True, id="without a class it is not made"),
        pytest.param({DRIVER: 1}, [["c0"]], ["unknown"], True, id="nor with an unknown one"),
        pytest.param({DRIVER: 1}, [["lost"]], ["c0"], True, id="a running pod's claim is missing"),
        # in-tree volumes count as the driver's that superseded their plugin
        pytest.param({EBS: 1}, [["disk"]], ["disk"], True, id="an in-tree volume, attached"),
        pytest.param({EBS: 1}, [["disk"]], ["zonal"], True, id="vol-1 under its two names"),
        pytest.param({EBS: 1}, [["disk"]], ["waits-ebs"], False, id="an in-tree class: 1 + 1 > 1"),
        pytest.param({EBS: 0}, [], ["bad"], True, id="a name that can't be read isn't counted"),
        pytest.param({GCE: 0}, [], ["pd"], False, id="a Google disk: 0 + 1 > 0"),
        pytest.param({"file.csi.azure.com": 0}, [], ["file"], True, id="Azure files never count"),
    ],
)
def test_limits(limits, there, asked, fits):
    nodes = [] if limits is None else [csi_node("a", limits)]
    state = storage_cluster(small_node("a"), objects=[*objects(), *nodes])
    for pod, names in enumerate(there):
        run_pod(state, pod, 0, *(uses(name) for name in names))
    cycle = storage_cycle(state, *(uses(name) for name in asked))
    assert PLUGIN.pre_filter(cycle) == GO_ON
    assert PLUGIN.filter(cycle, np.arange(1)).tolist() == [0 if fits else EXCEEDED]
    if not fits:
        assert PLUGIN.reasons(cycle, 0, EXCEEDED) == ("node(s) exceed max volume count",)
        assert PLUGIN.status(cycle, 0, EXCEEDED) == Code.UNSCHEDULABLE


@pytest.mark.parametrize(
    ("there", "asked", "fits"),
    [
        pytest.param([], [ebs("vol-1")], True, id="0 + 1 <= 1"),
        pytest.param([ebs("vol-1")], [ebs("vol-1")], True, id="the same disk: 1 + 0"),
        pytest.param([ebs("vol-1")], [ebs("aws:///vol-1")], True, id="under another name"),
        pytest.param([ebs("vol-1")], [ebs("vol-2")], False, id="1 + 1 > 1"),
        pytest.param([ebs("vol-1")], [uses("disk")], True, id="the same through a claim"),
        pytest.param([ebs("vol-1")], [gce("d")], True, id="another cloud's disk"),
        pytest.param([uses("disk")], [ebs("vol-9")], False, id="claims and disks add up"),
    ],
)
def test_disks_of_pods(there, asked, fits):
    state = storage_cluster(small_node("a"), objects=[*objects(), csi_node("a", {EBS: 1})])
    run_pod(state, 0, 0, *there)
    assert verdicts(state, *asked) == [0 if fits else EXCEEDED]


@pytest.mark.parametrize(
    ("attached", "there", "asked", "fits"),
    [
        pytest.param(["v-c0"], [], "c1", False, id="1 + 1 > 1: still attached"),
        pytest.param(["v-c0"], ["c0"], "c1", False, id="a pod uses it: counted once, 1 + 1 > 1"),
        pytest.param(["v-c0"], ["c0"], "c0", True, id="a pod uses it, and so do we: 1 + 0"),
        pytest.param(
            ["v-c0"], [], "c0", False, id="1 + 1: attached, but no pod uses it; counted twice"
        ),
        pytest.param([], [], "c1", True, id="nothing attached"),
        pytest.param(["not there"], [], "c1", True, id="the attachment of a lost volume"),
        pytest.param([None], [], "c1", True, id="the attachment of an inline volume"),
        pytest.param(["v-disk"], [], "c1", True, id="of a volume that is no driver's"),
    ],
)
def test_attachments(attached, there, asked, fits):
    found = [attachment(f"a{i}", "a", name, DRIVER) for i, name in enumerate(attached)]
    elsewhere = attachment("b0", "b", "v-c5", DRIVER)
    state = storage_cluster(
        small_node("a"), objects=[*objects(), csi_node("a", {DRIVER: 1}), *found, elsewhere]
    )
    run_pod(state, 0, 0, *(uses(name) for name in there))
    assert verdicts(state, uses(asked)) == [0 if fits else EXCEEDED]


@pytest.mark.parametrize(
    ("asked", "skip"),
    [
        pytest.param([], True, id="no volumes"),
        pytest.param([{"emptyDir": {}}], True, id="an emptyDir"),
        pytest.param([{"csi": {"driver": DRIVER}}], True, id="an inline volume of a CSI driver"),
        pytest.param([{"nfs": {"server": "s", "path": "/"}}], True, id="NFS"),
        pytest.param([{"iscsi": {"targetPortal": "p", "iqn": "q"}}], True, id="iSCSI"),
        pytest.param([{"rbd": {"image": "i", "monitors": ["m"]}}], True, id="Ceph, since 1.31"),
        pytest.param([uses("c0")], False, id="a claim"),
        pytest.param([EPHEMERAL], False, id="an ephemeral volume"),
        pytest.param([ebs("vol-1")], False, id="an Amazon disk"),
        pytest.param([gce("d")], False, id="a Google disk"),
        pytest.param([{"azureDisk": {"diskName": "d", "diskURI": "u"}}], False, id="Azure disk"),
        pytest.param([{"azureFile": {"shareName": "s"}}], False, id="Azure files"),
        pytest.param([{"cinder": {"volumeID": "i"}}], False, id="Cinder"),
        pytest.param([{"portworxVolume": {"volumeID": "i"}}], False, id="Portworx"),
        pytest.param([{"vsphereVolume": {"volumePath": "p"}}], False, id="vSphere, uncounted"),
    ],
)
def test_pre_filter(asked, skip):
    state = storage_cluster(small_node("a"), objects=objects())
    assert PLUGIN.pre_filter(storage_cycle(state, *asked)) == (SKIP if skip else GO_ON)
    if skip:
        assert verdicts(state, *asked) == [0]


@pytest.mark.parametrize(
    ("asked", "code", "words"),
    [
        pytest.param(
            [uses("c0"), uses("lost")],
            MISSING,
            'looking up PVC default/lost: persistentvolumeclaim "lost" not found',
            id="a claim of the new pod is missing",
        ),
        pytest.param(
            [{"name": "data", **ebs("aws://us-east-1a/nonsense")}],
            FAILED,
            "converting volume(data) from inline to csi: failed to translate Kubernetes ID to EBS "
            "Volume ID Invalid format for AWS volume (aws://us-east-1a/nonsense)",
            id="a disk whose name can't be read",
        ),
        pytest.param(
            [{"name": "tmp", **EPHEMERAL}],
            MISSING,
            'looking up PVC default/p99-tmp: persistentvolumeclaim "p99-tmp" not found',
            id="an ephemeral volume's claim is called after pod and volume",
        ),
        pytest.param(
            [{"name": "e", **EPHEMERAL}],
            FAILED,
            "PVC default/p99-e was not created for pod default/p99 (pod is not owner)",
            id="an ephemeral volume's claim is somebody else's",
        ),
    ],
)
def test_what_can_not_be_told(asked, code, words):
    # without a CSINode nothing in-tree is translated, so nothing can fail there
    nodes = (small_node("a"), small_node("plain"))
    foreign = owned("p99-e", "p0", "u0")
    state = storage_cluster(*nodes, objects=[*objects(), csi_node("a", {}), foreign])
    cycle = storage_cycle(state, *asked)
    plain = 0 if "awsElasticBlockStore" in asked[0] else code
    assert PLUGIN.filter(cycle, np.arange(2)).tolist() == [code, plain]
    assert PLUGIN.reasons(cycle, 0, code) == (words,)
    missing = code == MISSING
    assert PLUGIN.status(cycle, 0, code) == (
        Code.UNSCHEDULABLE_AND_UNRESOLVABLE if missing else Code.ERROR
    )


def test_a_running_pod_whose_volumes_can_not_be_told_spoils_its_node():
    state = storage_cluster(
        small_node("a"),
        small_node("b"),
        objects=[
            *objects(),
            csi_node("a", {DRIVER: 9}),
            csi_node("b", {}),
            owned("p0-e", "x", "u"),
        ],
    )
    state.objects.put(owned("p0-e", "x", "u"))
    run_pod(state, 0, 0, {"name": "e", **EPHEMERAL})
    run_pod(state, 1, 1, {"name": "e", **EPHEMERAL})
    cycle = storage_cycle(state, uses("c0"))
    assert PLUGIN.filter(cycle, np.arange(2)).tolist() == [FAILED, 0]  # b has no limits
    words = "PVC default/p0-e was not created for pod default/p0 (pod is not owner)"
    assert PLUGIN.reasons(cycle, 0, FAILED) == (words,)


@pytest.mark.parametrize(
    ("uids", "owner", "code"),
    [
        pytest.param({99: "u99"}, ("p99", "u99"), EXCEEDED, id="the pod owns the claim"),
        pytest.param({99: "u99"}, ("p99", "older"), FAILED, id="an older pod of its name does"),
        pytest.param({}, ("p99", "anything"), EXCEEDED, id="uids are not known: names will do"),
        pytest.param({}, ("p98", "anything"), FAILED, id="another name"),
    ],
)
def test_ephemeral_volumes(uids, owner, code):
    state = storage_cluster(
        small_node("a"),
        objects=[*objects(), csi_node("a", {DRIVER: 0}), owned("p99-e", *owner), volume("v-e")],
    )
    state.uids = uids
    assert verdicts(state, {"name": "e", **EPHEMERAL}) == [code]  # 0 + 1 > 0


def test_counts_follow_pods_trials_and_objects():
    state = storage_cluster(
        small_node("a"), small_node("b"), objects=[*objects(), csi_node("a", {DRIVER: 1})]
    )
    assert verdicts(state, uses("c1")) == [0, 0]
    run_pod(state, 0, 0, uses("c0"))
    assert verdicts(state, uses("c1")) == [EXCEEDED, 0]
    mark = state.mark()
    state.remove_pod(0)
    assert verdicts(state, uses("c1")) == [0, 0]
    state.add_pod(5, pod_class(state, uses("c2")), 0)
    assert verdicts(state, uses("c1")) == [EXCEEDED, 0]
    state.undo(mark)
    assert verdicts(state, uses("c1")) == [EXCEEDED, 0]
    state.objects.put(csi_node("a", {DRIVER: 2}))
    state.objects.put(csi_node("b", {DRIVER: 0}))
    assert verdicts(state, uses("c1")) == [0, EXCEEDED]
    run_pod(state, 1, 0, uses("waits"))
    assert verdicts(state, uses("c0")) == [0, EXCEEDED]  # c0 and what waits: 2 + 0 <= 2
    for found in bound("waits", "h-c0"):  # it is bound to the volume of c0: 1 + 1 <= 2
        state.objects.put(found)
    assert verdicts(state, uses("c1")) == [0, EXCEEDED]
    state.objects.put(attachment("x", "a", "v-c7", DRIVER))  # 1 + 1 + 1 > 2
    assert verdicts(state, uses("c1")) == [EXCEEDED, EXCEEDED]
    state.objects.remove(attachment("x", "a", "v-c7", DRIVER))
    assert verdicts(state, uses("c1")) == [0, EXCEEDED]
    state.nodes.add(small_node("c"))
    state.objects.put(csi_node("c", {DRIVER: 0}))
    assert verdicts(state, uses("c1")) == [0, EXCEEDED, EXCEEDED]
