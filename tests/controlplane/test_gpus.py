"""GPUs from the decision to the result: bound, refused, freed, named by annotations, dropped."""

import pytest

from schedlab.api.objects import ObjectMeta, Pod
from schedlab.cluster.devices import GPU_COUNT, GPU_INDEX, GPU_MILLI
from schedlab.scheduling.base import Placement
from schedlab.scheduling.kube_scheduler import KubeScheduler
from schedlab.scheduling.registry import load_scheduler
from schedlab.testing.gpus import gpu_node, gpu_template
from schedlab.testing.runs import (
    PlainFirstFit,
    checked,
    created,
    pod_template,
    pods_at,
    seconds,
    small_run,
    texts,
)

MOST, HALF, WHOLE, PAIR = (
    gpu_template(1, 600),
    gpu_template(1, 500),
    gpu_template(1),
    gpu_template(2),
)


class OnGpu:
    """Everything on the first node, on one GPU of it."""

    def __init__(self, device):
        self.device = device

    def schedule(self, pods, view, rng):
        placement = Placement.of(pods)
        for i in range(len(pods)):
            placement.place(i, 0, (self.device,))
        return placement


def test_the_gpus_of_a_pod_are_a_column_of_the_results():
    work = pods_at((0, None), (1, None), (2, None), (3, None), (4, None),
                   templates=(HALF, PAIR, pod_template()), template=(0, 1, 0, 2, 0))  # fmt: skip
    record = checked(small_run(work, nodes=[gpu_node("n", 4)], scheduler=KubeScheduler()))
    assert texts(record, "gpu_index") == ["0", "1-2", "0", None, "3"]
    assert texts(record, "node") == ["n"] * 5


def test_two_halves_are_no_whole():
    # 1,200 of 2,000 thousandths are held by two pods of 600; the pool has room for one more, no GPU
    work = pods_at((0, 10), (1, None), (2, None), templates=(MOST,))
    record = checked(small_run(work, nodes=[gpu_node("n", 2)], scheduler=KubeScheduler()))
    assert seconds(record, "bound_us") == [0.0, 1.0, 10.0]
    assert texts(record, "gpu_index") == ["0", "1", "0"]
    reasons = texts(record, "reason", "decisions")
    assert reasons[2].startswith("0/1 nodes are available: 1 Insufficient GPU share.")


@pytest.mark.parametrize(
    "name", ["first-fit", "best-fit", "worst-fit", "dot-product", "random", "round-robin"]
)
def test_heuristics_know_single_gpus(name):
    work = pods_at((0, 10), (1, None), (2, None), templates=(MOST,))
    record = checked(small_run(work, nodes=[gpu_node("n", 2)], scheduler=load_scheduler(name)))
    assert seconds(record, "bound_us") == [0.0, 1.0, 10.0]


def test_the_kubelet_refuses_what_no_gpu_has_room_for():
    # a scheduler that looks at resources alone believes in the pool
    work = pods_at((0, None), (1, None), (2, None), templates=(MOST,))
    record = checked(small_run(work, nodes=[gpu_node("n", 2)], scheduler=PlainFirstFit()))
    assert texts(record, "outcome") == ["running", "running", "rejected"]
    assert texts(record, "reason")[2] == "UnexpectedAdmissionError"


def test_the_kubelet_refuses_a_gpu_that_is_given_out_twice():
    nodes, schedulers = [gpu_node("n", 2)], {"a": OnGpu(1), "b": OnGpu(1)}
    templates = tuple(gpu_template(1, 600) for _ in "ab")
    named = tuple(
        t.model_copy(update={"spec": t.spec.model_copy(update={"scheduler_name": name})})
        for t, name in zip(templates, "ab", strict=True)
    )
    # both decide on the state of second 0, as their watches are a second late
    config = {"profile": "ideal", "watch": {"scheduler": "1s"}}
    work = pods_at((0, None), (0, None), templates=named, template=(0, 1))
    run = small_run(work, nodes=nodes, scheduler=schedulers, config=config)
    record = checked(run)
    assert texts(record, "gpu_index") == ["1", "1"]
    assert sorted(texts(record, "outcome")) == ["rejected", "running"]
    assert run.kubelets.admitted.nodes.devices.free[0].tolist() == [1000, 400]


def test_a_placement_on_a_full_gpu_is_the_scheduler_s_mistake():
    work = pods_at((0, None), (1, None), templates=(MOST,))
    with pytest.raises(ValueError, match="on its GPUs 0"):
        checked(small_run(work, nodes=[gpu_node("n", 2)], scheduler=OnGpu(0)))


def test_gpus_are_free_again_when_their_pod_ends():
    work = pods_at((0, 5), (10, None), (10, None), templates=(PAIR, WHOLE), template=(0, 1, 1))
    run = small_run(work, nodes=[gpu_node("n", 2)], scheduler=KubeScheduler())
    record = checked(run)
    assert texts(record, "gpu_index") == ["0-1", "0", "1"]
    assert run.truth.nodes.devices.free[0].tolist() == [0, 0]


def test_annotations_may_say_which_gpus_a_placed_pod_holds():
    annotations = {GPU_COUNT: "1", GPU_MILLI: "700", GPU_INDEX: "1"}
    template = pod_template(annotations=annotations, node_name="n")
    there = Pod(metadata=ObjectMeta(name="there", annotations=annotations), spec=template.spec)
    work = pods_at((1, None), templates=(WHOLE,), objects=(created(there),))
    record = checked(small_run(work, nodes=[gpu_node("n", 2)], scheduler=KubeScheduler()))
    assert dict(zip(texts(record, "pod"), texts(record, "gpu_index"), strict=True)) == {
        "default/p0": "0",
        "default/there": "1",
    }


@pytest.mark.parametrize("drops", [False, True], ids=["it waits", "it is dropped"])
def test_a_pod_that_fits_nowhere(drops):
    config = {"profile": "ideal", "scheduler": {"dropUnschedulable": drops}}
    work = pods_at((0, 10), (1, None), templates=(PAIR,))
    record = checked(
        small_run(work, nodes=[gpu_node("n", 2)], scheduler=KubeScheduler(), config=config)
    )
    assert texts(record, "outcome") == ["succeeded", "dropped" if drops else "running"]
    assert record.counts["dropped"] == int(drops)
    assert texts(record, "verdict", "decisions")[1] == ("dropped" if drops else "unschedulable")


def test_the_digest_knows_the_gpus():
    work = pods_at((0, None), templates=(HALF,))
    digests = {
        checked(small_run(work, nodes=[gpu_node("n", 2)], scheduler=OnGpu(device))).digest
        for device in (0, 1)
    }
    assert len(digests) == 2


def test_fragments_are_recorded_at_every_change():
    work = pods_at((1, 4), (2, None), (2, None), templates=(HALF, WHOLE), template=(0, 1, 1))
    record = checked(small_run(work, nodes=[gpu_node("n", 4)], scheduler=KubeScheduler()))
    table = record.tables["fragments"]
    assert [us / 1e6 for us in table["time_us"].tolist()] == [0, 1, 2, 5]
    # typical are 1 half and 2 whole GPUs, 2/3 of them whole. At 1 s 500 of one GPU are left, which
    # no whole fits; at 5 s nothing is lost: two GPUs are idle
    assert table["gpu_short_milli"].round(3).tolist() == [0.0, 333.333, 333.333, 0.0]
    assert table["usable_milli"].round(3).tolist() == [4000, 3166.667, 1166.667, 2000]


def test_a_cluster_without_gpus_has_no_fragments():
    record = checked(small_run(pods_at((0, 1))))
    assert record.tables["fragments"] == {}
