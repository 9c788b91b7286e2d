"""Claims and volumes in simulated time: bound, provisioned, waited for, given back."""

import numpy as np
import pytest

from schedlab.api.objects import ObjectMeta, Volume
from schedlab.cluster.claims import SELECTED_NODE
from schedlab.scheduling.kube_scheduler import KubeScheduler
from schedlab.testing.runs import (
    PlainFirstFit,
    checked,
    created,
    deleted,
    pod_template,
    pods_at,
    seconds,
    small_node,
    small_run,
    texts,
)
from schedlab.testing.storage import (
    capacity,
    claim,
    csi_driver,
    csi_node,
    storage_class,
    uses,
    volume,
)

ZONE = "topology.kubernetes.io/zone"
SECOND = 1_000_000
SLOW = {"profile": "ideal", "controllers": {"volumeProvisioning": "3s"}}
LAZY, EAGER = storage_class("fast"), storage_class("eager", waits=False)
POOL = capacity("pool", "15Gi", labels={ZONE: "a"})


def kube():
    return KubeScheduler(tie_break="first")


def mounting(*sources, cpu=1_000, **spec):
    named = [Volume.model_validate({"name": f"v{i}", **s}) for i, s in enumerate(sources)]
    return pod_template(cpu, volumes=tuple(named), **spec)


def zoned(*zones):
    return [small_node(f"n{i}", labels={ZONE: z}) for i, z in enumerate(zones)]


def run(*pods, templates, objects, template=(), config=SLOW, nodes=None, writes=(), **options):
    work = pods_at(*pods, templates=templates, template=template, objects=writes)
    options.setdefault("scheduler", kube())
    return small_run(
        work, nodes=nodes or zoned("a", "b"), config=config, objects=objects, **options
    )


def stored(run, kind, name):
    return run.api.etcd.objects[kind, name].object


def the_volume(run, name="default/c"):
    return stored(
        run, "PersistentVolume", stored(run, "PersistentVolumeClaim", name).spec.volume_name
    )


def test_a_volume_is_made_when_the_node_is_chosen():
    found = run((1, 5), templates=(mounting(uses("c")),), objects=(LAZY, claim("c")))
    record = checked(found)
    assert seconds(record, "decided_us") == [1.0]
    assert seconds(record, "bound_us") == [4.0]  # 3 s of provisioning
    assert stored(found, "PersistentVolumeClaim", "default/c").status.phase == "Bound"
    made = the_volume(found)
    assert made.status.phase == "Bound"
    assert made.spec.capacity == {"storage": 10 << 30}
    assert made.spec.csi.driver == "csi.example.com"


def test_the_next_pod_of_a_claim_finds_its_volume():
    objects = (LAZY, claim("c", modes=["ReadWriteMany"]))
    record = checked(
        run((1, 5), (20, 5), templates=(mounting(uses("c")),), template=(0, 0), objects=objects)
    )
    assert seconds(record, "bound_us") == [4.0, 20.0]


def test_the_smallest_volume_that_is_there_is_taken():
    there = (
        volume("large", size="50Gi"),
        volume("elsewhere", size="11Gi", nodes={ZONE: ["z"]}),
        volume("fits", size="12Gi", nodes={ZONE: ["b"]}),
        volume("small", size="1Gi"),
    )
    found = run(
        (1, 5), templates=(mounting(uses("c"), node_selector={ZONE: "b"}),),
        objects=(LAZY, claim("c"), *there),
    )  # fmt: skip
    record = checked(found)
    assert seconds(record, "bound_us") == [1.0]
    assert the_volume(found).metadata.name == "fits"


def test_a_volume_is_never_given_to_two():
    """Both pods are decided on before the API server has heard of either."""
    config = {"profile": "ideal", "apiserver": {"request": "1s"}}
    class_without_maker = storage_class("fast", provisioner="kubernetes.io/no-provisioner")
    found = run(
        (0, None), (0, None), templates=(mounting(uses("c")), mounting(uses("d"))), template=(0, 1),
        objects=(class_without_maker, claim("c"), claim("d"), volume("one"), volume("two")),
        config=config,
    )  # fmt: skip
    record = checked(found)
    assert record.counts["running"] == 2
    assert {the_volume(found, f"default/{c}").metadata.name for c in "cd"} == {"one", "two"}


def test_a_pod_waits_for_a_volume_to_come():
    class_without_maker = storage_class("fast", provisioner="kubernetes.io/no-provisioner")
    late = volume("v", nodes={ZONE: ["b"]}, phase="")
    found = run(
        (0, 5), templates=(mounting(uses("c")),), objects=(class_without_maker, claim("c")),
        writes=(created(volume("other", storage_class="slow"), 4), created(late, 8)),
    )  # fmt: skip
    record = checked(found)
    assert seconds(record, "bound_us") == [8.0]
    assert texts(record, "node") == ["n1"]
    assert record.tables["pods"]["attempts"].tolist() == [2]


def test_a_pod_waits_for_its_claim_and_the_claims_class():
    found = run(
        (0, 5), templates=(mounting(uses("c")),), objects=(),
        writes=(created(claim("c"), 4), created(LAZY, 6)), config="ideal",
    )  # fmt: skip
    record = checked(found)
    assert seconds(record, "bound_us") == [6.0]


def test_an_immediate_claim_is_bound_before_any_pod_comes():
    found = run(
        (0, 5), templates=(mounting(uses("c")),), objects=(EAGER,),
        writes=(created(claim("c", storage_class="eager"), 2),),
    )  # fmt: skip
    record = checked(found)
    # made at 2 s, provisioned at 5 s; the pod was rejected until then
    assert seconds(record, "bound_us") == [5.0]
    assert (
        SELECTED_NODE
        not in stored(found, "PersistentVolumeClaim", "default/c").metadata.annotations
    )


def test_a_claim_without_a_class_gets_the_default_one():
    default = LAZY.model_copy(
        update={
            "metadata": ObjectMeta(
                name="fast", annotations={"storageclass.kubernetes.io/is-default-class": "true"}
            )
        }
    )
    found = run(
        (1, 5), templates=(mounting(uses("c")),), objects=(default, claim("c", storage_class=None))
    )
    assert seconds(checked(found), "bound_us") == [4.0]
    assert stored(found, "PersistentVolumeClaim", "default/c").spec.storage_class_name == "fast"


def test_a_provisioned_volume_ties_later_pods_to_its_zone():
    driver = csi_node("n0", {"csi.example.com": 9}), csi_node("n1", {"csi.example.com": 9})
    told = tuple(
        node.model_copy(
            update={
                "spec": node.spec.model_copy(
                    update={
                        "drivers": tuple(
                            d.model_copy(update={"topology_keys": (ZONE,)})
                            for d in node.spec.drivers
                        )
                    }
                )
            }
        )
        for node in driver
    )
    templates = (
        mounting(uses("c"), node_selector={ZONE: "b"}),
        mounting(uses("c")),
        mounting(uses("c"), node_selector={ZONE: "a"}),
    )
    found = run(
        (1, 5), (20, 5), (40, None), templates=templates, template=(0, 1, 2),
        objects=(LAZY, claim("c", modes=["ReadWriteMany"]), *told),
    )  # fmt: skip
    record = checked(found)
    assert texts(record, "node") == ["n1", "n1", None]
    assert texts(record, "outcome")[2] == "pending"


def test_limits_of_attached_volumes():
    limits = (csi_node("n0", {"csi.example.com": 1}),)
    objects = (LAZY, claim("c"), claim("d"), *limits)
    record = checked(
        run(
            (0, 10), (1, 5), templates=(mounting(uses("c")), mounting(uses("d"))), template=(0, 1),
            objects=objects, nodes=zoned("a"), config="ideal",
        )
    )  # fmt: skip
    # one volume fits on the node: the second pod comes when the first has gone
    assert seconds(record, "bound_us") == [0.0, 10.0]


def test_storage_runs_out():
    objects = (
        LAZY,
        csi_driver(),
        capacity("pool", "15Gi", labels={ZONE: "a"}),
        claim("c"),
        claim("d"),
    )
    found = run(
        (0, 10), (1, 5), templates=(mounting(uses("c")), mounting(uses("d"))), template=(0, 1),
        objects=objects, nodes=zoned("a"), config="ideal",
    )  # fmt: skip
    record = checked(found)
    # 10 of 15 GiB are used: the second claim finds no room
    assert texts(record, "outcome") == ["succeeded", "pending"]
    assert stored(found, "CSIStorageCapacity", "kube-system/pool").capacity == 5 << 30


@pytest.mark.parametrize(
    ("policy", "kept"),
    [pytest.param("Delete", [], id="deleted"), pytest.param("Retain", ["Released"], id="kept")],
)
def test_what_becomes_of_a_volume_when_its_claim_goes(policy, kept):
    own = LAZY.model_copy(update={"reclaim_policy": policy})
    found = run(
        (1, 5), templates=(mounting(uses("c")),), objects=(own, claim("c")),
        writes=(deleted(claim("c"), 30),),
    )  # fmt: skip
    checked(found)
    phases = [s.object.status.phase for s in found.api.etcd.of_kind("PersistentVolume")]
    assert phases == kept


def test_storage_comes_back_with_a_volume_that_is_deleted():
    objects = (
        LAZY,
        csi_driver(),
        capacity("pool", "15Gi", labels={ZONE: "a"}),
        claim("c"),
        claim("d"),
    )
    found = run(
        (0, 10), (1, 5), templates=(mounting(uses("c")), mounting(uses("d"))), template=(0, 1),
        objects=objects, nodes=zoned("a"), config="ideal", writes=(deleted(claim("c"), 30),),
    )  # fmt: skip
    assert seconds(checked(found), "bound_us") == [0.0, 30.0]


def test_an_ephemeral_volume_lives_as_long_as_its_pod():
    template = {
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "fast",
            "resources": {"requests": {"storage": "1Gi"}},
        }
    }
    source = {"ephemeral": {"volumeClaimTemplate": template}}
    work = pods_at(
        (0, None), (1, None), templates=(mounting(source),),
        delete_us=np.array([20 * SECOND, -1]),
    )  # fmt: skip
    found = small_run(work, nodes=zoned("a"), config=SLOW, objects=(LAZY,), scheduler=kube())
    record = checked(found)
    assert seconds(record, "bound_us") == [3.0, 4.0]
    claims = [s.object.metadata.name for s in found.api.etcd.of_kind("PersistentVolumeClaim")]
    assert claims == ["p1-v0"]
    assert len(list(found.api.etcd.of_kind("PersistentVolume"))) == 1


def test_a_pod_that_waits_too_long_for_its_volume_gives_its_node_back():
    config = {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "profiles": [
            {"pluginConfig": [{"name": "VolumeBinding", "args": {"bindTimeoutSeconds": 2}}]}
        ],
    }
    work = pods_at(
        (0, 5), (1, 5), templates=(mounting(uses("c"), cpu=3_000), pod_template(3_000)),
        template=(0, 1),
    )  # fmt: skip
    found = small_run(
        work, nodes=zoned("a"), config={**SLOW, "scheduler": {"popFromBackoffQ": False}},
        objects=(LAZY, claim("c")), scheduler=KubeScheduler(config, tie_break="first"),
    )  # fmt: skip
    record = checked(found)
    # p0 gives up at 2 s and p1 has its place; the volume is there by the time p0 is tried again
    assert seconds(record, "bound_us") == [7.0, 2.0]


def test_a_pod_deleted_while_its_volume_is_made():
    work = pods_at(
        (0, None), (1, 5), templates=(mounting(uses("c"), cpu=3_000), pod_template(3_000)),
        template=(0, 1), delete_us=np.array([2 * SECOND, -1]),
    )  # fmt: skip
    found = small_run(
        work, nodes=zoned("a"), config=SLOW, objects=(LAZY, claim("c")), scheduler=kube()
    )
    record = checked(found)
    assert texts(record, "outcome") == ["deleted", "succeeded"]
    assert seconds(record, "bound_us") == [None, 2.0]


def test_a_policy_that_only_chooses_nodes_gets_volumes_too():
    found = run(
        (1, 5), templates=(mounting(uses("c")),), objects=(LAZY, claim("c")),
        scheduler=PlainFirstFit(),
    )  # fmt: skip
    record = checked(found)
    assert seconds(record, "bound_us") == [4.0]
    assert stored(found, "PersistentVolumeClaim", "default/c").status.phase == "Bound"


@pytest.mark.parametrize("profile", ["ideal", "kubemark", "default"])
def test_nothing_is_left_assumed(profile):
    found = run(
        *((i, 5) for i in range(4)), templates=tuple(mounting(uses(c)) for c in "cd"),
        template=(0, 1, 0, 1), objects=(LAZY, claim("c"), claim("d"), volume("v", size="20Gi")),
        config=profile,
    )  # fmt: skip
    record = checked(found)
    assert record.counts["succeeded"] == 4
    (scheduler,) = found.schedulers
    assert scheduler.state.volumes._assumed == {}
    assert not scheduler._bindings._held
