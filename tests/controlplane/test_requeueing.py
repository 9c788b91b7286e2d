"""Unschedulable pods are tried again when something happens that may help, and not before."""

import pytest

from schedlab.api.objects import (
    Container,
    ContainerPort,
    Deployment,
    DeploymentSpec,
    LabelSelector,
    Namespace,
    NodeSpec,
    ObjectMeta,
    Service,
    ServiceSpec,
    Taint,
)
from schedlab.scheduling.kube_scheduler import KubeScheduler
from schedlab.testing.affinity import pod_affinity, pod_term
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
from schedlab.testing.spreading import spread
from schedlab.workload.stream import ObjectWrite

ZONE = "topology.kubernetes.io/zone"
SECOND = 1_000_000


def kube(**options):
    return KubeScheduler(tie_break="first", **options)


def app(name, cpu=1_000, **spec):
    template = pod_template(cpu, **spec)
    return template.model_copy(update={"metadata": ObjectMeta(labels={"app": name})})


def zoned(*zones, **options):
    return [small_node(f"n{i}", labels={ZONE: z}, **options) for i, z in enumerate(zones)]


def run(*pods, templates, template, **options):
    work = pods_at(*pods, templates=templates, template=template)
    options.setdefault("scheduler", kube())
    return checked(small_run(work, **options))


NEAR_DB = pod_affinity(near=[pod_term(ZONE, "db")])
FAR_FROM_DB = pod_affinity(apart=[pod_term(ZONE, "db")])


def test_a_pod_waits_for_its_partner():
    record = run(
        (0, None), (2, None), (5, None),
        templates=(app("web", affinity=NEAR_DB), app("x"), app("db")), template=(0, 1, 2),
        nodes=zoned("a", "b"),
    )  # fmt: skip
    # x at 2 s is no partner; db at 5 s is
    assert seconds(record, "bound_us") == [5.0, 2.0, 5.0]
    assert record.tables["pods"]["attempts"].tolist() == [2, 1, 1]
    assert texts(record, "node")[0] == texts(record, "node")[2]


def test_the_partner_counts_when_the_scheduler_hears_of_its_binding():
    config = {"profile": "ideal", "watch": {"scheduler": "1s"}}
    record = run(
        (0, None), (5, None), templates=(app("web", affinity=NEAR_DB), app("db")), template=(0, 1),
        nodes=zoned("a"), config=config,
    )  # fmt: skip
    # db is seen at 6 s and bound at once; that is seen at 7 s
    assert seconds(record, "bound_us") == [7.0, 6.0]


def test_pods_that_keep_apart_wait_for_the_one_in_the_way():
    record = run(
        (0, 20), (1, 5), (2, None), (3, None), (4, None),
        templates=(app("db"), app("x"), app("web", affinity=FAR_FROM_DB)), template=(0, 1, 2, 2, 2),
        nodes=zoned("a"),
    )  # fmt: skip
    # x ends at 6 s and wakes nobody; db ends at 20 s and lets in all three, one after the other
    assert seconds(record, "bound_us")[2:] == [20.0, 20.0, 20.0]
    assert record.tables["pods"]["attempts"].tolist() == [1, 1, 2, 2, 2]


def test_the_anti_affinity_of_others_counts_too():
    keeps_off = app("db", affinity=pod_affinity(apart=[pod_term(ZONE, "web")]))
    record = run(
        (0, 20), (1, 5), (2, None), templates=(keeps_off, app("x"), app("web")), template=(0, 1, 2),
        nodes=zoned("a"),
    )  # fmt: skip
    assert seconds(record, "bound_us")[2] == 20.0
    assert record.tables["pods"]["attempts"].tolist() == [1, 1, 2]


def test_a_pod_that_comes_lifts_the_minimum_of_spreading():
    even = app("web", topology_spread_constraints=(spread(ZONE, 1, "web"),))
    pinned = app("web", node_selector={ZONE: "b"})
    record = run(
        (0, None), (1, None), (2, None), (6, None), templates=(even, pinned), template=(0, 0, 0, 1),
        nodes=[*zoned("a", cpu=4_000), small_node("n1", labels={ZONE: "b"}, cpu=2_000)],
    )  # fmt: skip
    # a, b, a: 2 / 1; all go
    assert seconds(record, "bound_us") == [0.0, 1.0, 2.0, 6.0]
    assert record.tables["pods"]["attempts"].tolist() == [1, 1, 1, 1]


def test_spreading_waits_until_the_emptiest_zone_has_more():
    even = app("web", topology_spread_constraints=(spread(ZONE, 1, "web"),))
    blocker = app("x", 4_000, node_selector={ZONE: "b"})
    late = app("web", 500, node_selector={ZONE: "b"})
    record = run(
        (0, 30), (1, None), (2, None), (10, None),
        templates=(blocker, even, late), template=(0, 1, 1, 2), nodes=zoned("a", "b"),
    )  # fmt: skip
    # zone b is full until 30 s: one pod goes to a (1 / 0), the next would make it 2 / 0
    assert seconds(record, "bound_us")[1:] == [1.0, 30.0, 30.0]
    assert record.tables["pods"]["attempts"].tolist()[2] == 2


def test_a_host_port_is_waited_for():
    def serving(port):
        container = Container(name="c", ports=(ContainerPort(container_port=port, host_port=port),))
        return app("web", containers=(container,))

    record = run(
        (0, 20), (1, 5), (2, None), templates=(serving(80), serving(81)), template=(0, 1, 0)
    )
    assert seconds(record, "bound_us") == [0.0, 1.0, 20.0]
    assert record.tables["pods"]["attempts"].tolist() == [1, 1, 2]


def test_two_schedulers_may_give_out_one_port_and_the_kubelet_refuses_it():
    container = Container(name="c", ports=(ContainerPort(container_port=80, host_port=80),))
    mine = app("web", containers=(container,))
    theirs = app("web", containers=(container,), scheduler_name="other")
    work = pods_at((0, None), (1, None), templates=(mine, theirs), template=(0, 1))
    record = small_run(
        work,
        config={"profile": "ideal", "watch": {"scheduler": "10s"}},
        scheduler={"default-scheduler": kube(), "other": kube()},
    ).run()
    assert texts(record, "outcome") == ["running", "rejected"]
    assert texts(record, "reason")[1] == "NodePorts"


# --- nodes and other objects ----------------------------------------------------------------------


def changed(node, **spec):
    found = node.model_copy(update={"spec": NodeSpec(**spec)})
    return ObjectWrite(9 * SECOND, "update", found, node.metadata.name)


TAINTED = (Taint(key="k", value="v", effect="NoSchedule"),)


@pytest.mark.parametrize(
    ("before", "template"),
    [
        pytest.param({"unschedulable": True}, app("web"), id="uncordoned"),
        pytest.param({"taints": TAINTED}, app("web"), id="a taint goes"),
    ],
)
def test_a_node_that_changes_lets_pods_in(before, template):
    node = small_node().model_copy(update={"spec": NodeSpec(**before)})
    work = pods_at((0, 5), templates=(template,), objects=(changed(node),))
    record = checked(small_run(work, nodes=[node], scheduler=kube()))
    assert seconds(record, "bound_us") == [9.0]
    assert record.tables["pods"]["attempts"].tolist() == [2]


def test_a_node_that_comes():
    big = small_node("big", cpu=8_000)
    objects = (created(small_node("small", cpu=1_000), 4), created(big, 7))
    work = pods_at((0, 5), templates=(app("web", 6_000),), objects=objects)
    record = checked(small_run(work, scheduler=kube()))
    assert seconds(record, "bound_us") == [7.0]
    assert texts(record, "node") == ["big"]
    assert record.tables["pods"]["attempts"].tolist() == [2]


def test_a_namespace_that_is_labelled():
    term = pod_term(ZONE, "db", namespaceSelector={"matchLabels": {"team": "x"}})
    wants = app("web", affinity=pod_affinity(near=[term]))
    plain = Namespace(metadata=ObjectMeta(name="other"))
    labelled = Namespace(metadata=ObjectMeta(name="other", labels={"team": "x"}))
    db = app("db")
    db = db.model_copy(update={"metadata": db.metadata.model_copy(update={"namespace": "other"})})
    work = pods_at(
        (0, None), (1, None), templates=(db, wants), template=(0, 1),
        objects=(ObjectWrite(6 * SECOND, "update", labelled, "other"),),
    )  # fmt: skip
    record = checked(small_run(work, nodes=zoned("a"), scheduler=kube(), objects=(plain,)))
    assert seconds(record, "bound_us") == [0.0, 6.0]


# --- while a decision is being made ---------------------------------------------------------------


def test_what_happens_during_a_decision_is_not_missed():
    config = {"profile": "ideal", "scheduler": {"decisionTime": {"base": "4s"}}}
    record = run((0, 3), (1, 5), templates=(app("web", 3_000),), template=(0, 0), config=config)
    # p0 is decided at 4 s and ends at 7 s; p1 is judged on the state of 4 s, until 8 s, backs off
    # and is tried again at once, since nothing else is there: 12 s
    assert seconds(record, "bound_us") == [4.0, 12.0]
    assert record.tables["pods"]["attempts"].tolist() == [1, 2]


def test_a_decision_that_affinity_has_overtaken_is_not_bound():
    """Two schedulers: while one decides, the other puts a pod there that is to be kept apart."""
    config = {"profile": "ideal", "scheduler": {"decisionTime": {"base": "5s"}}}
    apart = app("web", affinity=FAR_FROM_DB)
    db = app("db", scheduler_name="other")
    work = pods_at((0, None), (1, None), templates=(db, apart), template=(0, 1))
    record = small_run(
        work,
        nodes=zoned("a"),
        config=config,
        scheduler={"default-scheduler": kube(), "other": PlainFirstFit()},
        until_us=8 * SECOND,
    ).run()
    assert texts(record, "verdict", "decisions")[:2] == ["placed", "stale"]
    assert seconds(record, "bound_us") == [5.0, None]


# --- default spreading ----------------------------------------------------------------------------

BY_SPREADING_ALONE = {
    "apiVersion": "kubescheduler.config.k8s.io/v1",
    "kind": "KubeSchedulerConfiguration",
    "profiles": [
        {
            "plugins": {
                "score": {
                    "disabled": [{"name": "*"}],
                    "enabled": [{"name": "PodTopologySpread"}],
                }
            }
        }
    ],
}


def nodes_of(work, objects=()):
    scheduler = kube(config=BY_SPREADING_ALONE)
    nodes = zoned("a", "b", "c")
    record = checked(small_run(work, nodes=nodes, scheduler=scheduler, objects=objects))
    return sorted(found for found in texts(record, "node") if found)


def test_replicas_are_spread_and_pods_of_nobody_are_not():
    assert nodes_of(pods_at((0, None), (0, None), (0, None))) == ["n0", "n0", "n0"]
    web = Deployment(
        metadata=ObjectMeta(name="web"),
        spec=DeploymentSpec(
            replicas=3,
            selector=LabelSelector(match_labels={"app": "test"}),
            template=pod_template(100, restart_policy="Always"),
        ),
    )
    assert nodes_of(pods_at(objects=(created(web),))) == ["n0", "n1", "n2"]


def test_pods_behind_a_service_are_spread():
    service = Service(metadata=ObjectMeta(name="web"), spec=ServiceSpec(selector={"app": "test"}))
    three = ((0, None), (0, None), (0, None))
    assert nodes_of(pods_at(*three), (service,)) == ["n0", "n1", "n2"]
    later = pods_at((0, None), (0, None), (5, None), objects=(created(service, 3),))
    assert nodes_of(later) == ["n0", "n0", "n1"]
    gone = pods_at(*((i, None) for i in range(3)), objects=(deleted(service, 0.5),))
    assert nodes_of(gone, (service,)) == ["n0", "n0", "n0"]
