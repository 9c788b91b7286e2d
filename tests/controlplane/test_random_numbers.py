"""Common random numbers: compared schedulers meet the same workload and the same delays."""

import numpy as np
import pytest

from schedlab.api.objects import Deployment, DeploymentSpec, Job, JobSpec, LabelSelector, ObjectMeta
from schedlab.testing.runs import (
    PlainFirstFit,
    created,
    pod_template,
    pods_at,
    small_node,
    small_run,
    texts,
)

SPREAD = {"schedlab.io/duration": '{"exponential": {"mean": "200s"}}'}


def mixed():
    """Bare pods, a Deployment and a Job on a cluster that is too small for them at once."""
    web = Deployment(
        metadata=ObjectMeta(name="web"),
        spec=DeploymentSpec(
            replicas=10,
            selector=LabelSelector(match_labels={"app": "test"}),
            template=pod_template(500, restart_policy="Always"),
        ),
    )
    batch = Job(
        metadata=ObjectMeta(name="batch"),
        spec=JobSpec(
            template=pod_template(700, annotations=SPREAD), completions=30, parallelism=12
        ),
    )
    return pods_at(
        *((2.0 * i, 20.0 + 7 * (i % 5)) for i in range(40)),
        objects=(created(web, 5), created(batch, 9)),
    )


def run(seed=1, *, last=False, profile="default"):
    nodes = [small_node(f"n{i}", cpu=3_000 + 500 * (i % 3)) for i in range(5)]
    simulation = small_run(
        mixed(), nodes=nodes, scheduler=PlainFirstFit(last=last), config=profile, seed=seed
    )
    return simulation.run()


def by_replica(record, column):
    """Return a column by (item, replica) of first incarnations."""
    pods = record.tables["pods"]
    keys = zip(texts(record, "item"), pods["replica"].tolist(), strict=True)
    return {
        key: value
        for key, value, past in zip(
            keys, pods[column].tolist(), pods["incarnation"].tolist(), strict=True
        )
        if past == 0
    }


def test_the_same_seed_gives_the_same_run_and_another_one_differs():
    first, again, other = run(1), run(1), run(2)
    assert first.digest == again.digest
    assert first.digest != other.digest
    for name, column in first.tables["pods"].items():
        if isinstance(column, np.ndarray):
            assert np.array_equal(column, again.tables["pods"][name]), name


def test_two_schedulers_meet_the_same_durations_and_delays_in_another_order_of_events():
    one, other = run(last=False), run(last=True)
    assert one.digest != other.digest
    assert texts(one, "object", "events") != texts(other, "object", "events")  # another order
    assert by_replica(one, "duration_us") == by_replica(other, "duration_us")

    def delay(record, start, end):
        starts, ends = by_replica(record, start), by_replica(record, end)
        return {k: ends[k] - starts[k] for k in starts if starts[k] >= 0 and ends[k] >= 0}

    for start, end in (("created_us", "stored_us"), ("pulled_us", "started_us")):
        assert delay(one, start, end) == delay(other, start, end), (start, end)


def test_replicas_differ_from_each_other():
    durations = [v for (item, _), v in by_replica(run(), "duration_us").items() if item == "batch"]
    assert len(set(durations)) == 30


@pytest.mark.parametrize("change", ["later", "more"])
def test_other_work_does_not_shift_the_draws_of_this_one(change):
    """Durations and delays are keyed: work that is added, or events that move, change none."""

    def job_durations(extra):
        batch = Job(
            metadata=ObjectMeta(name="batch"),
            spec=JobSpec(template=pod_template(700, annotations=SPREAD), completions=8),
        )
        work = pods_at(*extra, objects=(created(batch, 40 if change == "later" else 0),))
        return {
            k: v
            for k, v in by_replica(small_run(work).run(), "duration_us").items()
            if k[0] == "batch"
        }

    assert job_durations(()) == job_durations(((0.0, 50.0), (1.0, 5.0)))
