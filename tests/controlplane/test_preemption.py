"""Preemption in simulated time: evictions, nominations, and who comes back when."""

import numpy as np
import pytest

from schedlab.api.objects import (
    Deployment,
    DeploymentSpec,
    Job,
    JobSpec,
    LabelSelector,
    ObjectMeta,
    PodDisruptionBudget,
    PodDisruptionBudgetSpec,
    PriorityClass,
)
from schedlab.record.metrics import summarise
from schedlab.record.tables import to_frames
from schedlab.scheduling.kube_scheduler import KubeScheduler
from schedlab.testing.runs import (
    checked,
    created,
    pod_template,
    pods_at,
    seconds,
    small_node,
    small_run,
    texts,
)

GRACE = {"profile": "ideal", "kubelet": {"termination": "3s"}}


def kube(**options):
    return KubeScheduler(tie_break="first", **options)


def low(cpu=3_000, **spec):
    return pod_template(cpu, **spec)


def high(cpu=3_000, priority=10, **spec):
    return pod_template(cpu, priority=priority, **spec)


def test_a_preemptor_takes_the_node_when_its_victim_is_gone():
    work = pods_at((0, None), (1, None), (5, 20), templates=(low(), high()), template=(0, 0, 1))
    nodes = [small_node(), small_node("n1")]
    record = checked(small_run(work, nodes=nodes, scheduler=kube(), config=GRACE))
    # p1 was started last, so that it is the less important; it ends 3 s after the decision at 5 s
    assert texts(record, "outcome") == ["running", "evicted", "succeeded"]
    assert texts(record, "reason")[1] == "Preempted by default/p2"
    assert seconds(record, "bound_us") == [0.0, 1.0, 8.0]
    assert texts(record, "verdict", "decisions") == ["placed", "placed", "nominated", "placed"]
    assert texts(record, "node", "decisions")[2:] == ["n1", "n1"]
    values = summarise(to_frames(record), {"end_us": record.end_us})
    assert (values["pods_preempted"], values["preemption_attempts"]) == (1, 1)


def test_the_grace_period_is_the_limit():
    config = {"profile": "ideal", "kubelet": {"termination": "40s"}}
    slow = low(termination_grace_period_seconds=15)
    work = pods_at((0, None), (5, None), templates=(slow, high()), template=(0, 1))
    record = checked(small_run(work, scheduler=kube(), config=config))
    assert seconds(record, "bound_us") == [0.0, 20.0]


def test_the_room_is_kept_from_others_that_are_no_more_important():
    """While its victim ends, a pod of the same priority would fit beside nothing: it waits."""
    small = pod_template(1_000, priority=10)
    work = pods_at(
        (0, None), (5, None), (6, None), templates=(low(), high(4_000), small), template=(0, 1, 2)
    )
    record = checked(small_run(work, scheduler=kube(), config=GRACE))
    # 1 cpu is free on the node all the time; it is nominated to p1, which wants all 4
    assert texts(record, "outcome") == ["evicted", "running", "pending"]
    assert seconds(record, "bound_us") == [0.0, 8.0, None]


def test_a_more_important_pod_takes_the_room_all_the_same():
    urgent = pod_template(1_000, priority=20)
    work = pods_at(
        (0, None), (5, None), (6, None), templates=(low(), high(4_000), urgent), template=(0, 1, 2)
    )
    record = checked(small_run(work, scheduler=kube(), config=GRACE))
    assert seconds(record, "bound_us") == [0.0, None, 6.0]
    assert texts(record, "outcome") == ["evicted", "pending", "running"]


def test_a_more_important_preemptor_ends_the_nomination_of_another():
    urgent = pod_template(4_000, priority=20)
    work = pods_at(
        (0, None), (5, None), (6, 4), templates=(low(), high(4_000), urgent), template=(0, 1, 2)
    )
    record = checked(small_run(work, scheduler=kube(), config=GRACE))
    # the victim ends at 8 s: p2 is first, and p1 comes when p2 has run for 4 s
    assert seconds(record, "bound_us") == [0.0, 12.0, 8.0]


def test_pods_of_a_class_preempt_one_after_the_other():
    nodes = [small_node(), small_node("n1")]
    work = pods_at(
        (0, None), (0, None), (5, None), (5, None), templates=(low(), high()), template=(0, 0, 1, 1)
    )
    record = checked(small_run(work, nodes=nodes, scheduler=kube(), config=GRACE))
    assert texts(record, "outcome") == ["evicted", "evicted", "running", "running"]
    assert seconds(record, "bound_us")[2:] == [8.0, 8.0]


def test_victims_that_end_at_different_times():
    """A preemptor of two victims is tried when the first is gone, in vain, and takes the rest."""
    slow, quick = low(2_000, termination_grace_period_seconds=9), low(2_000)
    config = {"profile": "ideal", "kubelet": {"termination": {"uniform": ["2s", "20s"]}}}
    work = pods_at(
        (0, None), (1, None), (5, None), templates=(slow, quick, high(4_000)), template=(0, 1, 2)
    )
    record = checked(small_run(work, scheduler=kube(), config=config))
    assert texts(record, "outcome") == ["evicted", "evicted", "running"]
    last = max(t for t in seconds(record, "released_us") if t is not None)
    assert seconds(record, "bound_us")[2] == last
    assert record.counts["evicted"] == 2  # nobody is evicted twice, or for nothing


def test_a_victim_that_is_bound_but_not_started():
    config = {"profile": "ideal", "kubelet": {"containerStart": "30s", "termination": "3s"}}
    work = pods_at((0, None), (5, None), templates=(low(), high()), template=(0, 1))
    record = checked(small_run(work, scheduler=kube(), config=config))
    # nothing runs yet: there is nothing to wait for
    assert texts(record, "outcome") == ["evicted", "running"]
    assert seconds(record, "started_us") == [None, 35.0]
    assert seconds(record, "bound_us")[1] == 5.0


def test_a_victim_whose_binding_is_on_its_way():
    config = {"profile": "ideal", "apiserver": {"request": "2s"}}
    work = pods_at((0, None), (1, None), templates=(low(), high()), template=(0, 1))
    record = checked(small_run(work, scheduler=kube(), config=config))
    # both are stored after 2 s: p0 is assumed at 2 s and bound at 4 s; p1 evicts it at 3 s
    assert texts(record, "outcome") == ["evicted", "running"]
    assert seconds(record, "bound_us")[0] == 4.0


def test_the_preemptor_goes_before_its_victim_does():
    config = {"profile": "ideal", "kubelet": {"termination": "10s"}}
    work = pods_at(
        (0, None), (5, None), (6, None), templates=(low(), high(4_000), low(1_000)),
        template=(0, 1, 2), delete_us=_us(-0.000001, 8, -0.000001),
    )  # fmt: skip
    record = checked(small_run(work, scheduler=kube(), config=config))
    # the room that was kept for p1 is anybody's when p1 is deleted
    assert texts(record, "outcome") == ["evicted", "deleted", "running"]
    assert seconds(record, "bound_us")[2] == 8.0


def test_a_nominated_pod_may_find_another_node():
    nodes = [small_node(), small_node("n1")]
    work = pods_at(
        (0, None), (0, 6), (5, None), (5, None), templates=(low(4_000), high(4_000), low(2_000)),
        template=(0, 0, 1, 2),
    )  # fmt: skip
    config = {"profile": "ideal", "kubelet": {"termination": "10s"}}
    record = checked(small_run(work, nodes=nodes, scheduler=kube(), config=config))
    # p2 waits for p0 on one node until 15 s; the other is free at 6 s, and the rest goes to p3
    assert seconds(record, "bound_us")[2] == 6.0
    assert seconds(record, "bound_us")[3] == 15.0


def test_a_preemption_that_no_longer_helps_is_taken_back():
    """The node is cordoned while the victim ends: the nomination is of no use."""
    node = small_node()
    work = pods_at((0, None), (5, None), templates=(low(), high(4_000)), template=(0, 1))
    run = small_run(work, nodes=[node, small_node("n1", cpu=1_000)], scheduler=kube(), config=GRACE)
    cordoned = node.model_copy(
        update={"spec": node.spec.model_copy(update={"unschedulable": True})}
    )
    run.api.replace(cordoned, 7_000_000)
    record = checked(run)
    assert texts(record, "outcome") == ["evicted", "pending"]
    assert run.schedulers[0].state.nominated == {}


def test_a_pod_that_never_preempts():
    gentle = PriorityClass(metadata=ObjectMeta(name="gentle"), value=10, preemption_policy="Never")
    never = pod_template(3_000, priority_class_name="gentle")
    work = pods_at((0, 9), (5, None), templates=(low(), never), template=(0, 1))
    record = checked(small_run(work, scheduler=kube(), config=GRACE, objects=(gentle,)))
    assert texts(record, "outcome") == ["succeeded", "running"]
    assert seconds(record, "bound_us")[1] == 9.0


def test_an_evicted_replica_is_made_again():
    web = Deployment(
        metadata=ObjectMeta(name="web"),
        spec=DeploymentSpec(
            replicas=1,
            selector=LabelSelector(match_labels={"app": "test"}),
            template=pod_template(3_000, restart_policy="Always"),
        ),
    )
    work = pods_at((5, 20), templates=(high(),), objects=(created(web),))
    record = checked(small_run(work, scheduler=kube(), config=GRACE))
    assert texts(record, "outcome") == ["succeeded", "evicted", "running"]
    pods = record.tables["pods"]
    assert pods["replica"].tolist() == [0, 0, 0]
    assert pods["incarnation"].tolist() == [0, 0, 1]
    # the replacement waits until the preemptor has run: 5 + 3 + 20 s
    assert seconds(record, "bound_us") == [8.0, 0.0, 28.0]


def test_an_evicted_pod_of_a_job_is_a_failure():
    batch = Job(
        metadata=ObjectMeta(name="batch"),
        spec=JobSpec(
            template=pod_template(3_000, annotations={"schedlab.io/duration": "100s"}),
            backoff_limit=0,
        ),
    )
    work = pods_at((5, 20), templates=(high(),), objects=(created(batch),))
    run = small_run(work, scheduler=kube(), config=GRACE)
    record = checked(run)
    assert texts(record, "outcome") == ["succeeded", "evicted"]
    assert run.api.etcd.objects["Job", "default/batch"].object.status.failed == 1


def test_budgets_decide_who_has_to_go():
    """Of two nodes the one is cleared whose pod no budget protects."""
    kept = pod_template(3_000)
    kept = kept.model_copy(update={"metadata": ObjectMeta(labels={"app": "kept"})})
    budget = PodDisruptionBudget(
        metadata=ObjectMeta(name="kept"),
        spec=PodDisruptionBudgetSpec(
            selector=LabelSelector(match_labels={"app": "kept"}), min_available=1
        ),
    )
    work = pods_at(
        (0, None), (1, None), (5, None), templates=(low(), kept, high()), template=(0, 1, 2)
    )
    for objects, evicted in (((), 1), ((budget,), 0)):  # without a budget the later one goes
        record = checked(
            small_run(
                work,
                nodes=[small_node(), small_node("n1")],
                scheduler=kube(),
                config=GRACE,
                objects=objects,
            )
        )
        assert texts(record, "outcome").index("evicted") == evicted


def test_a_dropping_scheduler_keeps_whom_it_makes_room_for():
    config = {**GRACE, "scheduler": {"dropUnschedulable": True}}
    work = pods_at(
        (0, None), (5, None), (6, None), templates=(low(), high(), low(9_000)), template=(0, 1, 2)
    )
    record = checked(small_run(work, scheduler=kube(), config=config))
    assert texts(record, "outcome") == ["evicted", "running", "dropped"]


@pytest.mark.parametrize("profile", ["kubemark", "default"])
def test_preemption_takes_as_long_as_the_control_plane(profile):
    work = pods_at((0, None), (60, None), templates=(low(), high()), template=(0, 1))
    record = checked(small_run(work, scheduler=kube(), config=profile))
    assert texts(record, "outcome") == ["evicted", "running"]
    # 1 s of termination, and four requests with their watches: eviction, removal, binding
    assert 61.0 < seconds(record, "bound_us")[1] < 62.5


def _us(*at: float):
    return np.array([round(t * 1e6) for t in at], np.int64)
