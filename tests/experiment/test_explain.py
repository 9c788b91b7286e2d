"""The story of one pod: its way, and why it waited."""

import pandas as pd
import pytest

from schedlab.errors import InputError
from schedlab.experiment.explain import find_pod, nodes_by_reason, run_with_pod, way_of, why_of
from schedlab.experiment.run import make_plan, run_plan

EXPERIMENT = {
    "name": "waits",
    "cluster": {
        "pools": [
            {"name": "small", "count": 3, "allocatable": {"cpu": 1, "memory": "1Gi"}},
            {
                "name": "gpu",
                "count": 1,
                "allocatable": {"cpu": 8, "memory": "8Gi"},
                "taints": [{"key": "gpu", "value": "yes", "effect": "NoSchedule"}],
            },
        ]
    },
    "workload": {
        "items": [
            {"name": "big", "kind": "Pod", "count": 1, "requests": {"cpu": 4}, "duration": "5s"},
            {"name": "fits", "kind": "Pod", "count": 4, "requests": {"cpu": 1}, "duration": "5s"},
            {
                "name": "lost",
                "kind": "Pod",
                "count": 1,
                "scheduler_name": "nobody",
                "duration": "1s",
            },
        ]
    },
    "schedulers": ["kube-scheduler"],
    "until": "1m",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    (only,) = run_plan(make_plan(EXPERIMENT), tmp_path_factory.mktemp("waits")).directories
    return only


def why(run, name):
    return "\n".join(why_of(run, find_pod(run.table("pods"), name)))


def test_the_way_of_a_pod_is_in_order(run):
    steps = way_of(run, find_pod(run.table("pods"), "fits-0000"))
    assert [step.time_us for step in steps] == sorted(step.time_us for step in steps)
    assert [step.component for step in steps][:4] == ["client", "etcd", "scheduler", "scheduler"]
    assert any(step.what.startswith("committed the binding: small-") for step in steps)


def test_failed_attempts_stand_on_the_way(run):
    waited = [
        name
        for name in ("fits-0000", "fits-0001", "fits-0002", "fits-0003")
        if "Last refusal" in why(run, name)
    ]
    assert len(waited) == 1  # four pods of one core, three nodes of one core
    steps = way_of(run, find_pod(run.table("pods"), waited[0]))
    assert any(step.what.startswith("attempt 1: unschedulable: 0/4 nodes") for step in steps)


def test_why_a_pod_never_fitted(run):
    text = why(run, "big-0000")
    assert "never bound: pending after 1m" in text
    assert "0/4 nodes are available" in text
    assert "3 Insufficient cpu" in text
    assert "untolerated taint" in text


def test_why_a_pod_did_not_wait(run):
    assert "never waited for room" in "".join(why(run, f"fits-000{i}") for i in range(4))


def test_why_a_pod_was_never_tried(run):
    assert "none is named 'nobody'" in why(run, "lost-0000")


@pytest.mark.parametrize("name", ["default/big-0000", "big-0000", "big"])
def test_ways_to_name_a_pod(name, run):
    assert find_pod(run.table("pods"), name)["pod"] == "default/big-0000"


@pytest.mark.parametrize(
    ("name", "text"), [("fits", "one pod of the 4 that match"), ("nope", "the name of a pod")]
)
def test_names_that_do_not_tell(name, text, run):
    with pytest.raises(InputError, match=text):
        run_with_pod([run], name)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param("", [], id="nothing"),
        pytest.param("something else", [], id="another message"),
        pytest.param(
            "0/6 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint "
            "{gpu: yes}, 3 node(s) didn't match Pod's node affinity/selector. preemption: 0/6 "
            "nodes are available: 6 Preemption is not helpful for scheduling.",
            [
                (3, "node(s) didn't match Pod's node affinity/selector"),
                (2, "node(s) had untolerated taint {gpu: yes}"),
                (1, "Insufficient cpu"),
            ],
            id="as kube-scheduler says it",
        ),
    ],
)
def test_nodes_by_reason(message, expected):
    assert nodes_by_reason(message) == expected


def test_times_that_did_not_happen_are_left_out(run):
    pod = find_pod(run.table("pods"), "big-0000")
    assert pd.isna(pod["bound_us"])
    assert not any("binding" in step.what for step in way_of(run, pod))
