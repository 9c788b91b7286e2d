"""The way of a pod, stage by stage: each latency is found where the configuration put it."""

from itertools import pairwise

import pytest

from schedlab.record.schema import STAGES
from schedlab.testing.runs import (
    checked,
    pod_template,
    pods_at,
    seconds,
    small_node,
    small_run,
    texts,
)

SLOW = {
    "profile": "ideal",
    "etcd": {"commit": "2s"},
    "apiserver": {"request": "1s"},
    "watch": {"scheduler": "10s", "kubelet": "20s", "controllers": "30s"},
    "scheduler": {"decisionTime": {"base": "5s", "perThousandWork": "1000s"}},
    "kubelet": {
        "sandbox": "100s",
        "containerStart": "200s",
        "statusUpdate": "400s",
        "imageBandwidth": "1Mi",
        "defaultImageSize": "50Mi",
    },
}


def test_every_stage_takes_its_time():
    record = checked(small_run(pods_at((7.0, 1_000.0)), config=SLOW))
    expected = {
        "created_us": 7.0,
        "stored_us": 10.0,  # 1 s request + 2 s commit
        "seen_by_scheduler_us": 20.0,  # 10 s watch
        "decided_us": 26.0,  # 5 s + 1 s for the one node
        "bound_us": 29.0,  # request + commit
        "seen_by_kubelet_us": 49.0,  # 20 s watch
        "pulled_us": 199.0,  # 100 s sandbox + 50 MiB at 1 MiB/s
        "started_us": 399.0,
        "ready_us": 802.0,  # 400 s status update + request + commit
        "finished_us": 1_399.0,  # 1,000 s after the start
        "released_us": 1_802.0,  # 400 s status update + request + commit
    }
    assert {name: seconds(record, name)[0] for name in expected} == expected
    assert texts(record, "outcome") == ["succeeded"]


@pytest.mark.parametrize("profile", ["ideal", "kubemark", "default"])
def test_stages_never_go_back_in_time(profile):
    work = pods_at(*((0.3 * i, 5.0 + i) for i in range(60)))
    nodes = [small_node(f"n{i}") for i in range(12)]
    record = checked(small_run(work, nodes=nodes, config=profile))
    assert record.counts["succeeded"] == 60
    for before, after in pairwise(STAGES):
        for a, b in zip(seconds(record, before), seconds(record, after), strict=True):
            assert a is not None
            assert b is not None
            assert a <= b, (before, after)


def test_in_the_ideal_profile_nothing_takes_time():
    record = checked(small_run(pods_at((3.0, 10.0))))
    for stage in STAGES[:-1]:
        assert seconds(record, stage) == [3.0], stage
    assert seconds(record, "finished_us") == [13.0]


def test_a_pod_that_ends_before_its_status_is_due_is_never_reported_running():
    record = checked(small_run(pods_at((0.0, 1.0)), config=SLOW))
    assert seconds(record, "ready_us") == [None]
    assert texts(record, "outcome") == ["succeeded"]


def test_images_are_pulled_one_after_the_other_and_only_once():
    templates = tuple(pod_template(image=name) for name in ("a", "b", "a"))
    work = pods_at((0, None), (0, None), (0, None), templates=templates, template=(0, 1, 2))
    config = {
        "profile": "ideal",
        "kubelet": {"imageBandwidth": "1Mi", "imageSizes": {"a": "10Mi", "b": "30Mi"}},
    }
    record = checked(small_run(work, config=config))
    assert seconds(record, "pulled_us") == [10.0, 40.0, 10.0]  # b waits for a; the third joins a

    parallel = {**config, "kubelet": {**config["kubelet"], "serializeImagePulls": False}}
    record = checked(small_run(work, config=parallel))
    assert seconds(record, "pulled_us") == [10.0, 30.0, 10.0]


def test_an_image_in_the_nodes_status_is_there():
    held = small_node().model_copy(
        update={
            "status": small_node().status.model_validate(
                {
                    "allocatable": {"cpu": "4", "pods": "10"},
                    "images": [{"names": ["app:1"], "sizeBytes": 1 << 30}],
                }
            )
        }
    )
    config = {"profile": "ideal", "kubelet": {"imageBandwidth": "1Mi"}}
    record = checked(small_run(pods_at((5.0, None)), nodes=[held], config=config))
    assert seconds(record, "pulled_us") == [5.0]


def test_the_schedulers_client_binds_no_faster_than_its_bucket():
    config = {"profile": "ideal", "scheduler": {"qps": 2, "burst": 3}}
    work = pods_at(*((0.0, None) for _ in range(6)))
    nodes = [small_node(cpu=64_000)]
    record = checked(small_run(work, nodes=nodes, config=config))
    assert sorted(seconds(record, "bound_us")) == [0, 0, 0, 0.5, 1.0, 1.5]  # 3 at once, then 2/s


def test_a_gated_pod_waits_and_others_pass():
    gated = pod_template(scheduling_gates=({"name": "quota"},))
    work = pods_at((0, None), (0, None), templates=(gated, pod_template()), template=(0, 1))
    record = checked(small_run(work))
    assert texts(record, "outcome") == ["pending", "running"]
    assert record.tables["pods"]["attempts"].tolist() == [0, 1]


def test_a_pod_placed_by_its_author_needs_no_scheduler():
    work = pods_at(
        (0, None), (1, None), templates=(pod_template(node_name="n1"), pod_template()),
        template=(0, 1),
    )  # fmt: skip
    nodes = [small_node("n0", cpu=100), small_node("n1", cpu=1_500)]
    record = checked(small_run(work, nodes=nodes))
    assert texts(record, "node") == ["n1", None]  # the second sees that n1 is taken
    assert texts(record, "outcome") == ["running", "pending"]


def test_a_pod_on_a_node_that_does_not_exist_stays_pending():
    record = checked(small_run(pods_at((0, None), templates=(pod_template(node_name="gone"),))))
    assert texts(record, "outcome") == ["pending"]


def test_pods_of_a_scheduler_that_does_not_exist_wait_and_a_note_says_so():
    work = pods_at((0, None), templates=(pod_template(scheduler_name="other"),))
    record = checked(small_run(work))
    assert texts(record, "outcome") == ["pending"]
    assert "1 pods name a scheduler that is not in this cluster" in " ".join(record.notes)


def test_the_kubelet_refuses_what_does_not_fit():
    work = pods_at((0, None), (1, None), templates=(pod_template(3_000, node_name="n0"),))
    record = checked_without_overcommit_rule(work)
    assert texts(record, "outcome") == ["running", "rejected"]
    assert texts(record, "reason") == ["", "OutOfcpu"]


def checked_without_overcommit_rule(work):
    """Authors may overcommit a node: then only the kubelets' own invariants hold."""
    return small_run(work).run()
