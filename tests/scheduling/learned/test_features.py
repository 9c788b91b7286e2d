"""The features by hand: what each says of placing a pod, with its arithmetic."""

import numpy as np
import pytest

from schedlab.cluster import ClassTable, ClusterState, ResourceNames
from schedlab.cluster.fragmentation import TypicalPods, fragments
from schedlab.scheduling.framework.interface import Cycle
from schedlab.scheduling.learned.features import (
    FEATURES,
    KINDS,
    NAMES,
    columns_of,
    cpu_per_gpu,
    largest_node,
)
from schedlab.scheduling.learned.kernels import FEATURES as COUNT
from schedlab.scheduling.learned.kernels import kind_of
from schedlab.scheduling.learned.model import Model
from schedlab.scheduling.learned.score import LearnedScore
from schedlab.testing.gpus import gpu_class, gpu_node

GIB = 1 << 30
MIX = {(4_000, 500, 1, ""): 2, (8_000, 1000, 1, ""): 1, (2_000, 0, 0, ""): 1}
# milli-cores per thousandth of a GPU: (2 * 4000 + 8000 + 2000) / (2 * 500 + 1000) = 9


def cluster(*free, cpu=16_000, model="T4"):
    """Return a state with one node per tuple of what is left of its GPUs."""
    state = ClusterState(ClassTable(ResourceNames()))
    state.mix = MIX
    for i, gpus in enumerate(free):
        state.nodes.add(gpu_node(f"n{i}", len(gpus), cpu=cpu, memory=64 * GIB, model=model))
    for i, gpus in enumerate(free):
        if gpus:
            state.nodes.devices.free[i, : len(gpus)] = gpus
    return state


def features(state, gpus, milli=1000, *, cpu=1_000, models="", model=None):
    pod = gpu_class(state, gpus, milli, cpu=cpu, models=models)
    plugin = LearnedScore(model or Model.of({"device_left": -1.0}), coverage=1.0)
    cycle = Cycle(state, pod)
    return plugin.features(cycle, cycle.rows())


def one(name, *args, **kwargs):
    return features(*args, **kwargs)[NAMES.index(name), 0]


def test_every_feature_has_a_name_of_its_own_a_unit_and_a_meaning():
    assert len(FEATURES) == len(set(NAMES)) == COUNT
    assert all(feature.unit and feature.about for feature in FEATURES)


def test_the_changes_by_cause_add_up_to_what_is_taken():
    state = cluster((1000, 600, 300), (1000,) * 4)
    for gpus, milli in ((1, 300), (1, 1000), (0, 1000)):
        taken = gpus * milli / 1000
        assert features(state, gpus, milli)[:7].sum(0) == pytest.approx(-taken)


def test_the_changes_by_cause_are_those_of_fragmentation():
    state = cluster((1000, 600, 300))
    typical = TypicalPods.counted(MIX, 1.0)
    before = fragments(state.nodes, typical)[0]
    found = features(state, 1, 500, cpu=2_000)[:7, 0]
    state.nodes.devices.free[0] = (1000, 100, 300)  # the GPU of 600 fits best
    state.nodes.requested[0, 0] += 2_000
    after = fragments(state.nodes, typical)[0]
    assert found * 1000 == pytest.approx(after - before)


@pytest.mark.parametrize(
    ("name", "free", "asked", "expected"),
    [
        # 9 milli-cores feed a thousandth: 16 cores feed 1.778 GPUs, 15 cores feed 1.667
        pytest.param("starved_gpu", (1000, 1000), (1, 1000), 0 - (2 - 16 / 9), id="starved GPU"),
        pytest.param("starved_cpu", (1000, 1000), (1, 1000), 15 / 9 - 1, id="starved CPU"),
        # of pods that want GPUs: (2 * 4000 + 8000) / 2000 = 8; 16 cores feed 2 GPUs, 15 feed 1.875
        pytest.param("stranded_gpu", (1000,) * 3, (1, 1000), (2 - 15 / 8) - 1, id="less stranded"),
        pytest.param("stranded_gpu", (1000, 1000), (0, 1000), 2 - 15 / 8, id="stranded by CPU"),
        pytest.param("wanted_gpu", (1000, 1000), (1, 1000), -1.0, id="all nodes alike"),
        pytest.param("idle_gpus", (1000, 1000, 700), (1, 1000), -1.0, id="one idle GPU less"),
        pytest.param("idle_gpus", (1000, 1000, 700), (1, 500), 0.0, id="a share of a used GPU"),
        pytest.param("idle_gpus", (1000, 1000, 400), (1, 500), -1.0, id="a share of an idle GPU"),
        pytest.param("partial_gpu", (1000, 400), (1, 500), 0.5, id="half a GPU is opened"),
        pytest.param("partial_gpu", (1000, 700), (1, 500), -0.5, id="a used GPU is filled"),
        # 3 idle GPUs: 9 / 8; two: 4 / 8
        pytest.param("idle_group", (1000,) * 3, (1, 1000), -5 / 8, id="a group gets smaller"),
        pytest.param("gpu_square", (1000, 1000), (1, 1000), 0.25 - 1.0, id="half of the GPUs"),
        pytest.param("gpu_square", (1000, 500), (1, 500), 0.25 - 0.5625, id="(1/2)^2 - (3/4)^2"),
        pytest.param("device_left", (1000, 700), (1, 500), 0.2, id="what the share leaves"),
        pytest.param("device_left", (1000, 700), (1, 1000), 0.0, id="a whole GPU leaves nothing"),
        pytest.param("gpu_left", (1000, 500), (1, 500), 0.5, id="1 of 2 GPUs"),
        pytest.param("cpu_left", (1000,), (1, 1000), 15 / 16, id="15 of 16 cores"),
        pytest.param("cpu_share_left", (1000,), (1, 1000), 15 / 16, id="of its own 16 cores"),
        pytest.param("memory_left", (1000,), (1, 1000), 1.0, id="no memory is asked for"),
        pytest.param("cpu_square", (1000,), (1, 1000), (15 / 16) ** 2 - 1, id="CPU squared"),
        pytest.param("memory_square", (1000,), (1, 1000), 0.0, id="memory squared"),
        pytest.param("cpu_memory_gap", (1000,), (1, 1000), 1 / 16, id="1 of 16 cores, no memory"),
        pytest.param("cpu_gpu", (1000, 1000), (1, 1000), 15 / 16 * 0.5 - 1, id="product of shares"),
        pytest.param("idle_node", (1000,), (1, 1000), -1.0, id="the first pod of a node"),
        pytest.param("dominant_left", (1000,), (1, 1000), 1.0, id="memory is left most"),
    ],
)
def test_feature(name, free, asked, expected):
    assert one(name, cluster(free), *asked) == pytest.approx(expected)


def test_gpus_may_be_stranded_without_memory():
    state = cluster((1000, 1000), cpu=64_000)
    state.memory_per_milli = 40 * GIB / 1000  # 64 GiB feed 1.6 GPUs
    assert one("stranded_gpu", state, 1, 1000) == pytest.approx(0 - 0.4)


@pytest.mark.parametrize(
    ("cpu", "expected"),
    [
        pytest.param(16_000, -(2 - 15 / 8) * (2 * 9 / 16 - 1), id="9 cores a GPU, 16 for two"),
        pytest.param(18_000, 0.0, id="as much as is asked for"),
    ],
)
def test_stranded_gpus_count_more_where_cpu_is_scarce(cpu, expected):
    assert one("scarce_gpu", cluster((1000, 1000), cpu=cpu), 0) == pytest.approx(-expected)


def test_nodes_that_picky_pods_need_are_more_in_demand():
    state = cluster((1000,), (1000, 1000, 1000))
    state.mix = {(1_000, 1000, 1, ""): 2, (1_000, 1000, 2, ""): 1, (1_000, 0, 0, ""): 7}
    # 2 GPUs may go to all 4, half a GPU to each; 2 more to the 3 of the second node
    found = features(state, 1, 1000)[NAMES.index("wanted_gpu")]
    assert found == pytest.approx([-0.5, -(0.5 + 2 / 3)])


def test_no_node_is_in_demand_where_none_can_hold_a_pod():
    state = cluster((1000,), ())
    state.mix = {(99_000, 1000, 1, ""): 1}
    assert one("wanted_gpu", state, 1, 1000) == 0.0


def test_room_counts_copies_of_typical_pods():
    # of 500: 4 slots on two GPUs, 16 cores take 4 of them: 4 * 0.5 GPU; of 1000: 2 * 1 GPU
    # room = 2/4 * 2 + 1/4 * 2 = 1.5; after a whole GPU: 15 cores, 2 slots: 1; 1 slot: 1: 0.75
    assert one("room", cluster((1000, 1000)), 1, 1000) == pytest.approx(0.75 - 1.5)


def test_a_pod_that_does_not_fit_has_no_features():
    state = cluster((400, 400), (1000,), ())
    assert np.isnan(features(state, 1, 500)[0]).tolist() == [True, False, True]
    assert np.isnan(features(state, 1, 500, models="P100")[0]).all()
    assert np.isnan(features(state, 0, cpu=17_000)[0]).all()


def test_the_model_chooses_the_gpu_of_a_share():
    state = cluster((1000, 600))
    loose = Model.of({"device_left": 1.0})
    assert one("device_left", state, 1, 500) == pytest.approx(0.1)
    assert one("device_left", state, 1, 500, model=loose) == pytest.approx(0.5)


def test_a_cluster_without_gpus_has_gpu_features_of_zero():
    state = cluster((), ())
    found = dict(zip(NAMES, features(state, 0)[:, 0].tolist(), strict=True))
    assert {name for name, value in found.items() if value} == {
        "idle_node",
        "cpu_square",
        "cpu_memory_gap",
        "cpu_left",
        "memory_left",
        "dominant_left",
        "cpu_share_left",
        "memory_share_left",
    }


def test_kinds_of_pods():
    kinds = [kind_of(*asked) for asked in ((0, 0), (500, 1), (1000, 1), (1000, 4))]
    assert [KINDS[kind] for kind in kinds] == ["no_gpu", "share", "one_gpu", "several_gpus"]


def test_what_a_mix_asks_for_and_what_the_largest_node_has():
    assert cpu_per_gpu(TypicalPods.counted(MIX, 1.0)) == pytest.approx(9.0)
    assert cpu_per_gpu(TypicalPods(((1000, 0, 0, ""),), (1.0,))) == 0.0
    state = cluster((1000,) * 3, (1000,), cpu=8_000)
    assert largest_node(columns_of(state.nodes)).tolist() == [8_000.0, 64.0 * GIB, 3_000.0]
