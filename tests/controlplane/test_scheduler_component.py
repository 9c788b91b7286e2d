"""Queue, cycles, assuming and binding, and what happens when the cluster moves meanwhile."""

import pytest

from schedlab.errors import InputError
from schedlab.scheduling.base import Eviction, Placement, Trigger
from schedlab.testing.runs import (
    PlainFirstFit,
    checked,
    pod_template,
    pods_at,
    seconds,
    small_node,
    small_run,
    texts,
)

BIG, SMALL = pod_template(3_000), pod_template(1_000)


def test_an_unschedulable_pod_is_tried_again_when_room_appears():
    work = pods_at((0, 30), (1, 10), templates=(BIG,))
    record = checked(small_run(work))
    assert seconds(record, "bound_us") == [0.0, 30.0]
    assert record.tables["pods"]["attempts"].tolist() == [1, 2]


def test_room_that_is_too_small_wakes_nobody():
    work = pods_at((0, 10), (0, 40), (1, 10), templates=(SMALL, BIG), template=(0, 0, 1))
    nodes = [small_node(cpu=3_500)]
    record = checked(small_run(work, nodes=nodes))
    # at 10 s one cpu is freed, 2.5 are free: the pod of 3 cpus is not tried; at 40 s it is
    assert seconds(record, "bound_us") == [0.0, 0.0, 40.0]
    assert record.tables["pods"]["attempts"].tolist() == [1, 1, 2]


def test_alike_pods_are_taken_one_after_the_other_from_their_lane():
    work = pods_at((0, 10), *((1 + i, 10) for i in range(4)), templates=(BIG,))
    record = checked(small_run(work))
    assert seconds(record, "bound_us") == [0, 10, 20, 30, 40]
    # each success tries the next of the lane once; the others behind it are not tried in vain
    assert record.tables["pods"]["attempts"].tolist() == [1, 2, 3, 3, 3]


def test_room_for_two_wakes_two():
    work = pods_at((0, 10), *((1, 5) for _ in range(3)), templates=(pod_template(4_000), SMALL),
                   template=(0, 1, 1, 1))  # fmt: skip
    record = checked(small_run(work))
    assert seconds(record, "bound_us") == [0, 10, 10, 10]


def test_priority_goes_first_then_the_time_in_the_queue():
    high = pod_template(3_000, priority=10)
    work = pods_at((0, 10), (1, 5), (2, 5), (3, 5), templates=(BIG, high), template=(0, 0, 0, 1))
    record = checked(small_run(work))
    assert seconds(record, "bound_us") == [0, 15, 20, 10]


@pytest.mark.parametrize(
    ("pop_early", "bound"),
    [
        pytest.param(True, 1.5, id="popped from the backoff queue, as since 1.33"),
        pytest.param(False, 5.0, id="the backoff of 4 s after the attempt at 1 s is over"),
    ],
)
def test_backoff(pop_early, bound):
    config = {
        "profile": "ideal",
        "scheduler": {"podInitialBackoffSeconds": 4, "popFromBackoffQ": pop_early},
    }
    record = checked(small_run(pods_at((0, 1.5), (1, 10), templates=(BIG,)), config=config))
    assert seconds(record, "bound_us")[1] == bound


def test_decisions_wait_for_the_one_before():
    config = {"profile": "ideal", "scheduler": {"decisionTime": {"base": "2s"}}}
    record = checked(small_run(pods_at((0, None), (0, None), (1, None)), config=config))
    assert seconds(record, "decided_us") == [2.0, 4.0, 6.0]
    assert record.tables["decisions"]["decision_us"].tolist() == [2_000_000] * 3


def test_a_pod_deleted_while_it_is_decided_on_is_not_bound():
    config = {"profile": "ideal", "scheduler": {"decisionTime": {"base": "5s"}}}
    work = pods_at((0, None), delete_us=_us(3.0))
    record = checked(small_run(work, config=config))
    assert texts(record, "outcome") == ["deleted"]
    assert seconds(record, "bound_us") == [None]


def test_a_pod_deleted_while_its_binding_is_on_the_way_frees_what_was_assumed():
    config = {"profile": "ideal", "watch": {"scheduler": "4s"}, "apiserver": {"request": "2s"}}
    work = pods_at((0, None), (20, 5), templates=(BIG,), delete_us=_us(5.5, -0.000001))
    run = small_run(work, config=config)
    record = checked(run)
    assert texts(record, "outcome") == ["deleted", "succeeded"]
    assert run.schedulers[0].state.node_of == {}


def test_pending_pods_can_be_deleted():
    work = pods_at(
        (0, None), (1, None), (2, None), templates=(BIG,), delete_us=_us(9, 5, -0.000001)
    )
    record = checked(small_run(work))
    assert texts(record, "outcome") == ["deleted", "deleted", "running"]
    assert seconds(record, "bound_us") == [0.0, None, 9.0]


class Stubborn:
    """Puts everything on the first node, full or not."""

    def schedule(self, pods, view, rng):
        placement = Placement.of(pods)
        for i in range(len(pods)):
            placement.place(i, 0)
        return placement


def test_a_policy_that_overcommits_is_an_error_that_names_pod_and_node():
    with pytest.raises(InputError, match=r"placement of default/p1: expected a node with room"):
        small_run(pods_at((0, None), (0, None), templates=(BIG,)), scheduler=Stubborn()).run()


def test_a_decision_that_no_longer_holds_is_not_bound():
    """Two schedulers share a node; what one assumed, the other learns only by its watch."""
    config = {"profile": "ideal", "scheduler": {"decisionTime": {"base": "5s"}}}
    other = pod_template(3_000, scheduler_name="other")
    work = pods_at((0, None), (1, None), templates=(BIG, other), template=(0, 1))
    run = small_run(
        work,
        config=config,
        scheduler={"default-scheduler": PlainFirstFit(), "other": PlainFirstFit()},
    )
    record = run.run()
    assert texts(record, "outcome") == ["running", "pending"]
    assert texts(record, "verdict", "decisions")[:2] == ["placed", "stale"]


def test_two_schedulers_that_do_not_see_each_other_meet_at_the_kubelet():
    config = {"profile": "ideal", "watch": {"scheduler": "10s"}}
    other = pod_template(3_000, scheduler_name="other")
    work = pods_at((0, None), (1, None), templates=(BIG, other), template=(0, 1))
    run = small_run(
        work,
        config=config,
        scheduler={"default-scheduler": PlainFirstFit(), "other": PlainFirstFit()},
    )
    record = run.run()
    assert texts(record, "outcome") == ["running", "rejected"]
    assert texts(record, "reason")[1] == "OutOfcpu"


class Windowed(PlainFirstFit):
    """Collects pods for ten seconds, or until there are three."""

    trigger = Trigger(max_pods=3, window_us=10_000_000)


def test_a_window_collects_pods():
    nodes = [small_node(cpu=64_000)]
    work = pods_at((0, None), (2, None), (20, None), (21, None), (22, None), (23, None))
    record = checked(small_run(work, nodes=nodes, scheduler=Windowed()))
    # the first two wait for the window of the first; then three make a batch; then a window again
    assert seconds(record, "decided_us") == [10, 10, 22, 22, 22, 33]


class Deferring:
    """Places a pod only at its third attempt."""

    def schedule(self, pods, view, rng):
        placement = Placement.of(pods)
        for i, pod in enumerate(pods):
            if pod.attempt < 3:
                placement.defer(i, view.now_us + 7_000_000, "later")
            else:
                placement.place(i, 0)
        return placement


def test_a_deferred_pod_is_asked_about_again():
    config = {"profile": "ideal", "scheduler": {"popFromBackoffQ": False}}
    record = checked(small_run(pods_at((1, None)), scheduler=Deferring(), config=config))
    assert seconds(record, "decided_us") == [15.0]
    assert texts(record, "verdict", "decisions") == ["deferred", "deferred", "placed"]


class Dropping:
    """Gives every pod up."""

    def schedule(self, pods, view, rng):
        placement = Placement.of(pods)
        for i in range(len(pods)):
            placement.drop(i, "no such hardware")
        return placement


def test_a_dropped_pod_is_counted_and_never_tried_again():
    record = checked(small_run(pods_at((0, 5), (1, 5)), scheduler=Dropping()))
    assert record.counts["dropped"] == 2
    assert texts(record, "reason", "decisions") == ["no such hardware"] * 2


class Evicting(PlainFirstFit):
    """Makes room for a big pod by evicting the first one."""

    def schedule(self, pods, view, rng):
        placement = super().schedule(pods, view, rng)
        if pods[0].attempt == 1 and placement.node[0] < 0:
            placement.evictions.append(Eviction(0, "preempted"))
        return placement


def test_an_evicted_pod_is_counted_and_its_room_is_used():
    config = {"profile": "ideal", "kubelet": {"termination": "3s"}}
    record = checked(
        small_run(pods_at((0, None), (10, None), templates=(BIG,)), scheduler=Evicting(),
                  config=config)
    )  # fmt: skip
    assert texts(record, "outcome") == ["evicted", "running"]
    assert seconds(record, "bound_us")[1] == 13.0


def test_no_nodes_and_no_pods():
    assert checked(small_run(pods_at((0, 5)), nodes=[])).counts["pending"] == 1
    assert checked(small_run(pods_at())).counts["arrived"] == 0


def _us(*at: float):
    import numpy as np

    return np.array([round(t * 1e6) for t in at], np.int64)
