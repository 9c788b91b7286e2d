"""VolumeBinding before and after its filter: which claims a pod can use, and what is assumed.

The cases follow the spirit of upstream's (pkg/scheduler/framework/plugins/volumebinding).
"""

import numpy as np
import pytest

from schedlab.cluster.claims import BOUND_BY_CONTROLLER, SELECTED_NODE
from schedlab.scheduling.framework.interface import GO_ON, SKIP, Code
from schedlab.scheduling.plugins.volume_binding import (
    NO_MATCH,
    VolumeBinding,
)
from schedlab.testing.storage import (
    claim,
    small_node,
    storage_class,
    storage_cluster,
    storage_cycle,
    uses,
    volume,
)

PLUGIN = VolumeBinding()
LOCAL = storage_class("local", provisioner="kubernetes.io/no-provisioner")
EPHEMERAL = {"ephemeral": {"volumeClaimTemplate": {"spec": {}}}}
OK = 0


def local(name, node, **more):
    """Return a local disk of a node."""
    hosts = {"kubernetes.io/hostname": [node]}
    return volume(name, nodes=hosts, storage_class="local", **more)


def wants(name):
    """Return a claim for a local disk."""
    return claim(name, storage_class="local")


def cluster(*objects):
    return storage_cluster(*(small_node(name) for name in "abc"), objects=objects)


def verdicts(state, *names):
    cycle = storage_cycle(state, *(uses(name) for name in names))
    return PLUGIN.filter(cycle, np.arange(3)).tolist()


# --- PreFilter


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        pytest.param([], 'persistentvolumeclaim "c" not found', id="no claim"),
        pytest.param(
            [claim("c", volume="v", phase="Lost")],
            'persistentvolumeclaim "c" bound to non-existent persistentvolume "v"',
            id="a claim that has lost its volume",
        ),
        pytest.param(
            [claim("c", metadata={"name": "c", "deletionTimestamp": "2026-01-01T00:00:00Z"})],
            'persistentvolumeclaim "c" is being deleted',
            id="a claim that is going",
        ),
        pytest.param(
            [claim("c"), storage_class(waits=False)],
            "pod has unbound immediate PersistentVolumeClaims",
            id="a class that binds at once, but hasn't",
        ),
        pytest.param(
            [claim("c", storage_class=None)],
            "pod has unbound immediate PersistentVolumeClaims",
            id="no class",
        ),
        pytest.param(
            [claim("c")],
            "pod has unbound immediate PersistentVolumeClaims",
            id="an unknown class binds at once",
        ),
        pytest.param(
            [claim("c", volume="v", complete=False), storage_class(), volume("v")],
            "pod has unbound immediate PersistentVolumeClaims",
            id="its volume is named, but the binding is not complete",
        ),
        pytest.param([claim("c"), storage_class()], GO_ON, id="a claim that waits for the pod"),
        pytest.param([claim("c", volume="v")], GO_ON, id="a bound claim"),
    ],
)
def test_pre_filter(objects, expected):
    cycle = storage_cycle(cluster(*objects), {"emptyDir": {}}, uses("c"))
    found = PLUGIN.pre_filter(cycle)
    if isinstance(expected, str):
        assert found.rejection.code == Code.UNSCHEDULABLE_AND_UNRESOLVABLE
        assert found.rejection.reasons == (expected,)
        assert PLUGIN.filter(cycle, np.arange(3)).tolist() == [OK] * 3
    else:
        assert found == expected


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param([], id="no volumes"),
        pytest.param([{"emptyDir": {}}, {"secret": {"secretName": "s"}}], id="its own volumes"),
        pytest.param([{"gcePersistentDisk": {"pdName": "d"}}], id="disks without a claim"),
        pytest.param([{"csi": {"driver": "csi.example.com"}}], id="inline CSI volumes"),
    ],
)
def test_skip(asked):
    cycle = storage_cycle(cluster(), *asked)
    assert PLUGIN.pre_filter(cycle) == SKIP
    assert PLUGIN.filter(cycle, np.arange(3)).tolist() == [OK] * 3
    assert PLUGIN.reserve(cycle, 0) is None


@pytest.mark.parametrize(
    ("owner", "expected"),
    [
        pytest.param(
            None,
            'waiting for ephemeral volume controller to create the persistentvolumeclaim "p99-tmp"',
            id="its claim is not made yet",
        ),
        pytest.param({"name": "p99", "uid": "u99"}, GO_ON, id="its own claim"),
        pytest.param(
            {"name": "p99", "uid": "u1"},
            "PVC default/p99-tmp was not created for pod default/p99 (pod is not owner)",
            id="a claim of an older pod of its name",
        ),
    ],
)
def test_ephemeral_volumes(owner, expected):
    state = cluster(storage_class())
    state.uids = {99: "u99"}
    if owner is not None:
        reference = {"apiVersion": "v1", "kind": "Pod", "controller": True, **owner}
        state.objects.put(claim("p99-tmp", metadata={"ownerReferences": [reference]}))
    found = PLUGIN.pre_filter(storage_cycle(state, {"name": "tmp", **EPHEMERAL}))
    assert (found if found.rejection is None else found.rejection.reasons[0]) == expected


def test_the_first_claim_that_can_not_be_used_is_told():
    state = cluster(claim("late"), claim("c", phase="Lost"))
    found = PLUGIN.pre_filter(storage_cycle(state, uses("late"), uses("c"), uses("missing")))
    assert found.rejection.reasons[0].startswith('persistentvolumeclaim "c" bound to non-existent')


# --- Reserve


def test_a_volume_is_assumed_bound_until_it_is_given_back():
    state = cluster(LOCAL, wants("c"), wants("d"), local("v", "a"))
    cycle = storage_cycle(state, uses("c"))
    PLUGIN.reserve(cycle, 0)
    found = state.volumes.volume("v")
    assert (found.spec.claim_ref.name, found.spec.claim_ref.uid) == ("c", "uid-c")
    assert found.metadata.annotations[BOUND_BY_CONTROLLER] == "yes"
    assert verdicts(state, "d") == [NO_MATCH] * 3  # nobody else gets it
    assert verdicts(state, "c") == [OK, NO_MATCH, NO_MATCH]  # who shares the claim has to follow
    PLUGIN.unreserve(cycle, 0)
    assert state.volumes.volume("v").spec.claim_ref is None
    assert verdicts(state, "d") == [OK, NO_MATCH, NO_MATCH]


def test_a_claim_is_assumed_to_be_provisioned_where_the_pod_goes():
    state = cluster(storage_class(), claim("c"))
    cycle = storage_cycle(state, uses("c"))
    PLUGIN.reserve(cycle, 1)
    assert state.volumes.claim("c", "default").metadata.annotations == {SELECTED_NODE: "b"}
    assert verdicts(state, "c") == [NO_MATCH, OK, NO_MATCH]
    PLUGIN.unreserve(cycle, 1)
    assert verdicts(state, "c") == [OK] * 3


def test_what_is_bound_needs_no_assumption():
    state = cluster(claim("c", volume="v"), volume("v"))
    cycle = storage_cycle(state, uses("c"))
    PLUGIN.reserve(cycle, 0)
    PLUGIN.unreserve(cycle, 0)
    assert state.volumes.volume("v").spec.claim_ref is None


def test_reserve_binds_and_provisions_what_one_pod_needs():
    state = cluster(storage_class(), claim("c", size="1Gi"), claim("d"), volume("v", size="1Gi"))
    cycle = storage_cycle(state, uses("c"), uses("d"))
    PLUGIN.reserve(cycle, 2)
    assert state.volumes.volume("v").spec.claim_ref.name == "c"
    assert state.volumes.claim("d", "default").metadata.annotations == {SELECTED_NODE: "c"}
    assert state.volumes.claim("c", "default").metadata.annotations == {}


def test_a_volume_reserved_by_name_gets_the_uid():
    state = cluster(LOCAL, wants("c"), local("v", "a", claimed_by="c"), local("w", "a"))
    PLUGIN.reserve(storage_cycle(state, uses("c")), 0)
    found = state.volumes.volume("v")
    assert found.spec.claim_ref.uid == "uid-c"
    assert found.metadata.annotations == {}  # whoever reserved it was not the scheduler
    assert state.volumes.volume("w").spec.claim_ref is None


def test_a_pod_that_names_a_claim_twice_takes_two_volumes():
    # upstream looks for each volume of the pod: the second finds the first one's taken
    state = cluster(LOCAL, wants("c"), local("v", "a"), local("w", "a"), local("x", "b"))
    assert verdicts(state, "c", "c") == [OK, NO_MATCH, NO_MATCH]


def test_an_assumption_ends_when_its_object_changes():
    state = cluster(LOCAL, wants("c"), wants("d"), local("v", "a"))
    PLUGIN.reserve(storage_cycle(state, uses("c")), 0)
    state.objects.put(local("v", "b"))  # the API server has the last word
    assert verdicts(state, "d") == [NO_MATCH, OK, NO_MATCH]


def test_an_assumption_goes_with_the_trial_that_made_it():
    state = cluster(LOCAL, storage_class(), wants("c"), claim("d"), local("v", "a"))
    mark = state.mark()
    PLUGIN.reserve(storage_cycle(state, uses("c"), uses("d")), 0)
    assert verdicts(state, "d") == [OK, NO_MATCH, NO_MATCH]
    state.undo(mark)
    assert verdicts(state, "d") == [OK] * 3
    assert state.volumes.volume("v").spec.claim_ref is None


def test_nodes_are_not_scored():
    cycle = storage_cycle(cluster(claim("c", volume="v"), volume("v")), uses("c"))
    assert PLUGIN.pre_score(cycle, np.arange(3))
    assert PLUGIN.score(cycle, np.arange(3)).tolist() == [0, 0, 0]
