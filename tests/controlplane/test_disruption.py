"""How many disruptions a budget allows: the arithmetic by table, and the status in a run."""

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
    PodDisruptionBudgetStatus,
)
from schedlab.controlplane.controllers.disruption import Counted, disruption_status, scaled
from schedlab.testing.runs import (
    checked,
    created,
    deleted,
    pod_template,
    pods_at,
    small_node,
    small_run,
)

SECOND = 1_000_000


def budget(name="pdb", selector=None, status=None, **spec):
    wanted = {"app": "test"} if selector is None else selector
    return PodDisruptionBudget(
        metadata=ObjectMeta(name=name),
        spec=PodDisruptionBudgetSpec(selector=LabelSelector(match_labels=wanted), **spec),
        status=PodDisruptionBudgetStatus(**(status or {})),
    )


@pytest.mark.parametrize(
    ("spec", "expected", "healthy", "desired", "allowed"),
    [
        # allowed = healthy - desired, at least 0
        pytest.param({"min_available": 2}, 3, 3, 2, 1, id="min 2: 3 - 2"),
        pytest.param({"min_available": 2}, 3, 2, 2, 0, id="min 2: 2 - 2"),
        pytest.param({"min_available": 2}, 3, 1, 2, 0, id="min 2: 1 - 2, not below 0"),
        pytest.param({"min_available": 0}, 3, 3, 0, 3, id="min 0: all may go"),
        pytest.param({"min_available": 5}, 3, 3, 5, 0, id="min 5 of 3: none may go"),
        pytest.param({"min_available": "50%"}, 4, 4, 2, 2, id="min 50 % of 4 = 2"),
        pytest.param({"min_available": "50%"}, 5, 5, 3, 2, id="min 50 % of 5 = 2.5, up to 3"),
        pytest.param({"min_available": "100%"}, 4, 4, 4, 0, id="min all"),
        pytest.param({"max_unavailable": 1}, 3, 3, 2, 1, id="max 1 of 3: 2 have to be there"),
        pytest.param({"max_unavailable": 1}, 3, 2, 2, 0, id="max 1 of 3, and 1 is away"),
        pytest.param({"max_unavailable": 0}, 3, 3, 3, 0, id="max 0: none may go"),
        pytest.param({"max_unavailable": 5}, 3, 3, 0, 3, id="max 5 of 3: all may go"),
        pytest.param({"max_unavailable": "30%"}, 10, 10, 7, 3, id="max 30 % of 10"),
        pytest.param({"max_unavailable": "30%"}, 5, 5, 3, 2, id="max 30 % of 5 = 1.5, up to 2"),
        pytest.param({"max_unavailable": 1}, 3, 4, 2, 2, id="more pods than wanted"),
        pytest.param({"min_available": 0}, 0, 0, 0, 0, id="no pods: nothing is allowed"),
        pytest.param({"max_unavailable": 1}, 0, 2, 0, 0, id="pods of nobody don't count"),
    ],
)
def test_arithmetic(spec, expected, healthy, desired, allowed):
    found = disruption_status(budget(**spec), Counted(expected, healthy))
    assert (found.desired_healthy, found.disruptions_allowed) == (desired, allowed)
    assert (found.expected_pods, found.current_healthy) == (expected, healthy)


def test_what_can_not_be_told_is_not_allowed():
    before = {"disruptions_allowed": 2, "current_healthy": 4, "expected_pods": 5}
    found = disruption_status(budget(max_unavailable=1, status=before), Counted(-1, 5))
    assert found.disruptions_allowed == 0
    assert (found.current_healthy, found.expected_pods) == (4, 5)


@pytest.mark.parametrize(
    ("value", "total", "expected"), [(3, 9, 3), ("0%", 9, 0), ("1%", 9, 1), ("7%", 100, 7)]
)
def test_percentages_round_up(value, total, expected):
    assert scaled(value, total) == expected


def deployment(replicas, cpu=1_000):
    return Deployment(
        metadata=ObjectMeta(name="web"),
        spec=DeploymentSpec(
            replicas=replicas,
            selector=LabelSelector(match_labels={"app": "test"}),
            template=pod_template(cpu, restart_policy="Always"),
        ),
    )


def status_of(run, name="pdb"):
    found = run.api.etcd.objects["PodDisruptionBudget", f"default/{name}"].object.status
    return (
        found.expected_pods,
        found.desired_healthy,
        found.current_healthy,
        found.disruptions_allowed,
    )


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        # 5 replicas are wanted, and 4 fit on the node
        pytest.param({"max_unavailable": 2}, (5, 3, 4, 1), id="the Deployment's replicas count"),
        pytest.param({"min_available": "50%"}, (5, 3, 4, 1), id="of which a share"),
        pytest.param({"min_available": 3}, (5, 3, 4, 1), id="pods, pending ones included"),
        pytest.param(
            {"min_available": 3, "selector": {"app": "else"}}, (0, 3, 0, 0), id="others' pods"
        ),
        pytest.param({"min_available": 3, "selector": {}}, (5, 3, 4, 1), id="all pods"),
    ],
)
@pytest.mark.parametrize("early", [True, False], ids=["there before", "created later"])
def test_the_status_of_a_budget(spec, expected, early):
    own = budget(**spec)
    writes = (created(deployment(5)),) if early else (created(deployment(5)), created(own, 9))
    run = small_run(pods_at(objects=writes), objects=(own,) if early else ())
    checked(run)
    assert status_of(run) == expected


def test_pods_that_are_going_are_not_healthy():
    config = {"profile": "ideal", "kubelet": {"termination": "5s"}}
    work = pods_at((0, None), (0, None), (0, 20), delete_us=np.array([10 * SECOND, -1, -1]))
    run = small_run(work, config=config, objects=(budget(min_available=1),))
    seen = {}
    while run.step():
        seen[run.now_us // SECOND] = status_of(run)
    # three are there; p0 is being deleted from 10 s on and gone at 15 s; p2 has ended at 20 s
    assert seen[0] == (3, 1, 3, 2)
    assert seen[10] == (3, 1, 2, 1)
    assert seen[15] == (2, 1, 2, 1)
    assert seen[20] == (2, 1, 1, 0)


def test_pods_of_a_job_have_no_scale():
    job = Job(
        metadata=ObjectMeta(name="batch"),
        spec=JobSpec(template=pod_template(annotations={"schedlab.io/duration": "1h"})),
    )
    both = (budget("share", max_unavailable="50%"), budget("number", min_available=0))
    run = small_run(pods_at(objects=(created(job),)), objects=both, until_us=60 * SECOND)
    run.run()
    assert status_of(run, "share")[3] == 0
    assert status_of(run, "number") == (1, 0, 1, 1)


def test_a_deleted_budget_is_left_alone():
    own = budget(min_available=1)
    work = pods_at((5, None), objects=(created(own), deleted(own, 3)))
    run = small_run(work)
    checked(run)
    assert not list(run.api.etcd.of_kind("PodDisruptionBudget"))


def test_the_status_takes_as_long_as_the_control_plane():
    run = small_run(
        pods_at(objects=(created(deployment(3)),)),
        nodes=[small_node(cpu=64_000)],
        config="default",
        objects=(budget(max_unavailable=1),),
    )
    checked(run)
    assert status_of(run) == (3, 2, 3, 1)
