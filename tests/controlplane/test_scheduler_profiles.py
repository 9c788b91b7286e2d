"""Several profiles in one scheduler: one queue, one cache, each pod decided by the one it names."""

import pytest
import yaml

from schedlab.experiment.config import validate_experiment
from schedlab.experiment.run import make_plan, run_plan
from schedlab.scheduling.kube_scheduler import KubeScheduler
from schedlab.testing.experiments import small_experiment
from schedlab.testing.runs import (
    checked,
    pod_template,
    pods_at,
    seconds,
    small_node,
    small_run,
    texts,
)

HEAD = {
    "apiVersion": "kubescheduler.config.k8s.io/v1",
    "kind": "KubeSchedulerConfiguration",
}
PACKING = {
    "schedulerName": "packing",
    "pluginConfig": [
        {
            "name": "NodeResourcesFit",
            "args": {
                "scoringStrategy": {
                    "type": "MostAllocated",
                    "resources": [{"name": "cpu", "weight": 1}],
                }
            },
        }
    ],
    "plugins": {
        "score": {"disabled": [{"name": "*"}], "enabled": [{"name": "NodeResourcesFit"}]},
    },
}
BOTH = {**HEAD, "profiles": [{"schedulerName": "default-scheduler"}, PACKING]}


def kube(config=None):
    return KubeScheduler({**BOTH, **(config or {})}, tie_break="first")


SPREADS, PACKS = pod_template(1_000), pod_template(1_000, scheduler_name="packing")


def test_each_pod_is_decided_by_the_profile_that_it_names():
    nodes = [small_node("n0"), small_node("n1")]
    work = pods_at(
        (0, None),
        (1, None),
        (2, None),
        (3, None),
        templates=(SPREADS, PACKS),
        template=(1, 1, 0, 1),
    )
    record = checked(small_run(work, nodes=nodes, scheduler=kube()))
    # packed, packed, on the emptier one, packed
    assert texts(record, "node") == ["n0", "n0", "n1", "n0"]
    names = ["packing", "packing", "default-scheduler", "packing"]
    assert texts(record, "scheduler_name", "decisions") == names


def test_profiles_share_one_queue():
    config = {"profile": "ideal", "scheduler": {"decisionTime": {"base": "2s"}}}
    urgent = pod_template(1_000, priority=5, scheduler_name="packing")
    work = pods_at((0, None), (0, None), (0, None), templates=(SPREADS, urgent), template=(0, 0, 1))
    record = checked(small_run(work, scheduler=kube(), config=config))
    # one decision at a time, the most important first
    assert seconds(record, "decided_us") == [4.0, 6.0, 2.0]


def test_profiles_know_of_each_others_pods_at_once():
    config = {"profile": "ideal", "watch": {"scheduler": "10s"}}
    work = pods_at(
        (0, None), (0, None),
        templates=(pod_template(3_000), pod_template(3_000, scheduler_name="packing")),
        template=(0, 1),
    )  # fmt: skip
    record = checked(small_run(work, scheduler=kube(), config=config))
    # two schedulers would both use the node; one with two profiles has assumed the first pod
    assert texts(record, "outcome") == ["running", "pending"]


def test_a_pod_of_one_profile_is_helped_by_one_of_the_other():
    work = pods_at(
        (0, 5), (1, None),
        templates=(pod_template(3_000), pod_template(3_000, scheduler_name="packing")),
        template=(0, 1),
    )  # fmt: skip
    record = checked(small_run(work, scheduler=kube()))
    assert seconds(record, "bound_us") == [0.0, 5.0]


def test_a_name_that_no_profile_has():
    work = pods_at((0, None), templates=(pod_template(scheduler_name="else"),))
    record = checked(small_run(work, scheduler=kube()))
    assert texts(record, "outcome") == ["pending"]
    assert any("name a scheduler that is not in this cluster" in note for note in record.notes)
    served = pods_at((0, None), templates=(PACKS,))
    assert not checked(small_run(served, scheduler=kube())).notes


@pytest.mark.parametrize(
    ("config", "attempts_at"),
    [
        # unschedulable at 1 s; room is made at 2 s, but the pod backs off
        pytest.param({}, 2.0, id="1 s, as the control plane says"),
        pytest.param({"podInitialBackoffSeconds": 5}, 6.0, id="5 s, as the file says"),
        pytest.param(
            {"podInitialBackoffSeconds": 3, "podMaxBackoffSeconds": 3}, 4.0, id="both are said"
        ),
    ],
)
def test_the_backoff_of_the_file_reaches_the_queue(config, attempts_at):
    control = {"profile": "ideal", "scheduler": {"popFromBackoffQ": False}}
    work = pods_at((0, 2), (1, 5), templates=(pod_template(3_000),))
    record = checked(small_run(work, scheduler=kube(config), config=control))
    assert seconds(record, "bound_us") == [0.0, attempts_at]


def test_a_file_stands_for_a_scheduler(tmp_path):
    (tmp_path / "two-profiles.yaml").write_text(yaml.safe_dump(BOTH))
    document = small_experiment(seeds=1)
    document["schedulers"] = ["two-profiles.yaml", "best-fit"]
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(document))
    plan = make_plan(tmp_path / "study.yaml")
    found = plan.experiment.schedulers[0]
    assert (found.name, found.use) == ("two-profiles", "kube-scheduler")
    results = run_plan(plan, tmp_path / "results")
    assert set(results.runs["scheduler"]) == {"two-profiles", "best-fit"}


def test_a_bare_name_is_no_file():
    document = small_experiment(seeds=1)
    document["schedulers"] = ["best-fit"]
    (found,) = validate_experiment(document, None).schedulers
    assert found.use == "best-fit"
