"""Deployments, ReplicaSets, Jobs and what is left when they go."""

from itertools import pairwise

import pytest

from schedlab.api.objects import (
    Deployment,
    DeploymentSpec,
    Job,
    JobSpec,
    LabelSelector,
    ObjectMeta,
    PriorityClass,
)
from schedlab.errors import InputError
from schedlab.testing.runs import (
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

RUN_10S = {"schedlab.io/duration": "10s"}


def deployment(replicas=3, name="web", **template):
    template.setdefault("restart_policy", "Always")
    return Deployment(
        metadata=ObjectMeta(name=name),
        spec=DeploymentSpec(
            replicas=replicas,
            selector=LabelSelector(match_labels={"app": "test"}),
            template=pod_template(100, **template),
        ),
    )


def job(name="batch", annotations=RUN_10S, cpu=1_000, **spec):
    return Job(
        metadata=ObjectMeta(name=name),
        spec=JobSpec(template=pod_template(cpu, annotations=annotations), **spec),
    )


def objects(*writes):
    return pods_at(objects=tuple(writes))


@pytest.mark.parametrize("profile", ["ideal", "default"])
def test_a_deployment_makes_a_replicaset_that_makes_its_pods(profile):
    run = small_run(objects(created(deployment(7))), config=profile)
    record = checked(run)
    assert record.counts["running"] == 7
    assert record.tables["pods"]["replica"].tolist() == list(range(7))
    owner = texts(record, "owner")[0]
    assert owner.startswith("ReplicaSet/web-")
    stored = run.api.etcd.objects["Deployment", "default/web"].object
    assert stored.status.ready_replicas == 7
    assert [o.object.spec.replicas for o in run.api.etcd.of_kind("ReplicaSet")] == [7]


def test_pods_are_created_in_batches_that_double():
    config = {"profile": "ideal", "apiserver": {"request": "1s"}}
    record = checked(small_run(objects(created(deployment(6))), config=config))
    start = seconds(record, "created_us")
    waves = sorted(set(start))
    assert [start.count(t) for t in waves] == [1, 2, 3]  # 1, 2, then what is left of 4


def test_the_controllers_client_has_a_limit():
    config = {"profile": "ideal", "controllers": {"kubeApiQps": 1, "kubeApiBurst": 1}}
    record = checked(small_run(objects(created(deployment(4))), config=config))
    start = seconds(record, "created_us")
    assert all(b - a >= 1.0 for a, b in pairwise(start))


def test_deleting_a_deployment_takes_its_pods_along():
    config = {"profile": "ideal", "kubelet": {"termination": "40s"}}
    web = deployment(3, termination_grace_period_seconds=15)
    run = small_run(objects(created(web), deleted(web, 60)), config=config)
    record = checked(run)
    assert record.counts["deleted"] == 3
    assert seconds(record, "finished_us") == [75.0] * 3  # the grace period is shorter
    assert run.truth.node_of == {}
    assert not list(run.api.etcd.of_kind("ReplicaSet"))


def test_a_job_runs_its_completions_in_parallel():
    record = checked(small_run(objects(created(job(completions=5, parallelism=2)))))
    assert record.counts["succeeded"] == 5
    assert seconds(record, "finished_us") == [10, 10, 20, 20, 30]


def test_a_job_without_numbers_runs_one_pod():
    assert checked(small_run(objects(created(job())))).counts["succeeded"] == 1


def test_a_work_queue_job_is_done_when_one_pod_has_succeeded():
    record = checked(small_run(objects(created(job(parallelism=3)))))
    assert record.counts["succeeded"] == 3


def test_a_paused_deployment_makes_no_pods():
    web = deployment(2)
    paused = web.model_copy(update={"spec": web.spec.model_copy(update={"paused": True})})
    assert checked(small_run(objects(created(paused)))).counts["arrived"] == 0


def test_a_suspended_job_does_not_start():
    assert checked(small_run(objects(created(job(suspend=True))))).counts["arrived"] == 0


def test_a_refused_pod_is_replaced_until_the_backoff_limit():
    template = pod_template(3_000, annotations=RUN_10S, node_name="n0")
    bad = Job(metadata=ObjectMeta(name="bad"), spec=JobSpec(template=template, backoff_limit=2))
    run = small_run(objects(created(bad)), nodes=[small_node(cpu=1_000)])
    record = run.run()
    assert record.counts["rejected"] == 3  # the first and two retries
    assert record.tables["pods"]["incarnation"].tolist() == [0, 1, 2]
    assert record.tables["pods"]["replica"].tolist() == [0, 0, 0]


def test_a_replacement_is_the_same_logical_replica():
    """The second pod of a replica draws the same duration: the work was lost, not the task."""
    spread = {"schedlab.io/duration": '{"uniform": ["10s", "1000s"]}'}
    again = job(annotations=spread, completions=1, backoff_limit=6)
    plain = checked(small_run(objects(created(again))))

    class EvictOnce:
        def __init__(self):
            self.inner, self.done = small_run(pods_at()).schedulers[0]._policy, False

        def schedule(self, pods, view, rng):
            from schedlab.scheduling.base import Eviction

            placement = self.inner.schedule(pods, view, rng)
            if len(pods) and pods[0].name.startswith("default/p") and not self.done:
                self.done = True
                placement.evictions.append(Eviction(1, "test"))
            return placement

    work = pods_at((5, None), objects=(created(again),))
    record = checked(small_run(work, scheduler=EvictOnce()))
    pods = record.tables["pods"]
    of_job = [i for i, owner in enumerate(texts(record, "owner")) if owner == "Job/batch"]
    assert [texts(record, "outcome")[i] for i in of_job] == ["evicted", "succeeded"]
    durations = {int(pods["duration_us"][i]) for i in of_job}
    assert durations == {int(plain.tables["pods"]["duration_us"][0])}


def test_durations_are_drawn_per_replica():
    spread = {"schedlab.io/duration": '{"uniform": ["10s", "1000s"]}'}
    record = checked(
        small_run(
            objects(created(job(annotations=spread, completions=20, parallelism=20, cpu=100)))
        )
    )
    durations = record.tables["pods"]["duration_us"]
    assert len(set(durations.tolist())) == 20
    assert 10e6 <= durations.min() < durations.max() <= 1_000e6


def test_a_priority_class_becomes_a_number():
    urgent = PriorityClass(metadata=ObjectMeta(name="urgent"), value=1_000)
    fallback = PriorityClass(metadata=ObjectMeta(name="fallback"), value=7, global_default=True)
    named = deployment(1, "named", priority_class_name="urgent")
    record = checked(
        small_run(objects(created(named), created(deployment(1))), objects=(urgent, fallback))
    )
    assert sorted(record.tables["pods"]["priority"].tolist()) == [7, 1_000]


@pytest.mark.parametrize(
    ("found", "message"),
    [
        pytest.param(
            deployment(1, priority_class_name="urgnt"),
            "Deployment/web: spec.priorityClassName: expected a PriorityClass",
            id="unknown priority class",
        ),
        pytest.param(
            deployment(1, annotations=RUN_10S),
            "Deployment/web: spec.restartPolicy: expected Never or OnFailure",
            id="an end and a restart for ever",
        ),
        pytest.param(
            job(annotations={"schedlab.io/duration": "soon"}),
            "Job/batch: ",
            id="a duration that is none",
        ),
        pytest.param(
            deployment(1, runtime_class_name="gvisor"),
            "Deployment/web: ",
            id="a field that is not modelled",
        ),
        pytest.param(
            deployment(1).model_copy(update={"metadata": ObjectMeta(name="web", namespace="x")}),
            "Deployment/web: metadata.namespace: expected a namespace of the cluster",
            id="unknown namespace",
        ),
    ],
)
def test_what_can_not_be_simulated_is_refused_before_the_run(found, message):
    with pytest.raises(InputError) as caught:
        small_run(objects(created(found, at=100.0)))
    assert message in str(caught.value)
