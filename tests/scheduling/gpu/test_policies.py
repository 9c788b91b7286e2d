"""The GPU policies by hand: what each filter rejects, and every score with its arithmetic."""

import numpy as np
import pytest

from schedlab.cluster import ClassTable, ClusterState, ResourceNames
from schedlab.cluster.fragmentation import TypicalPods
from schedlab.errors import InputError
from schedlab.rng import Draws
from schedlab.scheduling.base import Pod
from schedlab.scheduling.framework.interface import Code, Cycle, Depends, depends_on
from schedlab.scheduling.framework.profiles import read_profiles
from schedlab.scheduling.gpu.fgd import FGD, FGDStranded
from schedlab.scheduling.gpu.gpu_share import GpuShare
from schedlab.scheduling.gpu.packing import BestFit, DotProduct, GpuClustering, GpuPacking
from schedlab.scheduling.gpu.random_choice import Random
from schedlab.testing.gpus import gpu_class, gpu_node

ROW = np.zeros(1, np.int64)


def cluster(*nodes):
    """Return a state of (cpu left, what is left of each GPU, model) nodes."""
    state = ClusterState(ClassTable(ResourceNames()))
    for i, (cpu, free, model) in enumerate(nodes):
        state.nodes.add(gpu_node(f"n{i}", len(free), model=model, cpu=cpu))
    for i, (_, free, _) in enumerate(nodes if state.nodes.devices.width else ()):
        state.nodes.devices.free[i, : len(free)] = free
    return state


def cycle_of(state, gpus, milli=1000, *, cpu=1_000, models="", row=0):
    pod_class = gpu_class(state, gpus, milli, cpu=cpu, models=models)
    return Cycle(state, pod_class, Pod(row, pod_class, f"default/p{row}", 7 + row, 1, 0, -1))


@pytest.mark.parametrize(
    ("free", "asked", "reason", "status"),
    [
        pytest.param((1000,), (1, 500), "", None, id="an idle GPU"),
        pytest.param((500, 0), (1, 500), "", None, id="just what is left"),
        pytest.param((499, 499), (1, 500), "share", Code.UNSCHEDULABLE, id="two halves"),
        pytest.param((1000, 999), (1, 1000), "", None, id="one idle GPU"),
        pytest.param((999, 999), (1, 1000), "share", Code.UNSCHEDULABLE, id="none idle"),
        pytest.param((1000, 1000, 0), (2, 1000), "", None, id="two idle GPUs"),
        pytest.param((1000, 999, 0), (2, 1000), "share", Code.UNSCHEDULABLE, id="one of two"),
        pytest.param(
            (1000,), (2, 1000), "fewer", Code.UNSCHEDULABLE_AND_UNRESOLVABLE, id="it has only one"
        ),
        pytest.param(
            (), (1, 500), "model", Code.UNSCHEDULABLE_AND_UNRESOLVABLE, id="a node without GPUs"
        ),
        pytest.param((), (0,), "", None, id="a pod without GPUs"),
    ],
)
def test_gpu_share(free, asked, reason, status):
    state = cluster((64_000, free, "T4"), (64_000, (0,), "P100"))
    plugin, cycle = GpuShare(), cycle_of(state, *asked)
    code = int(plugin.filter(cycle, ROW)[0])
    assert bool(code) is bool(reason)
    if code:
        assert reason in plugin.reasons(cycle, 0, code)[0]
        assert plugin.status(cycle, 0, code) is status


@pytest.mark.parametrize(
    ("models", "passes"),
    [
        pytest.param("", [True, True], id="any model"),
        pytest.param("T4", [True, False], id="T4"),
        pytest.param("A10|P100", [False, True], id="A10 or P100"),
        pytest.param("A10", [False, False], id="a model that the cluster lacks"),
    ],
)
def test_gpu_share_looks_at_models(models, passes):
    state = cluster((64_000, (1000,), "T4"), (64_000, (1000,), "P100"))
    codes = GpuShare().filter(cycle_of(state, 1, models=models), np.arange(2))
    assert (codes == 0).tolist() == passes


def test_gpu_share_concerns_pods_with_gpus_alone():
    state = cluster((64_000, (1000,), "T4"))
    assert GpuShare().concerns(state, gpu_class(state, 1, 500))
    assert not GpuShare().concerns(state, gpu_class(state, 0))


@pytest.mark.parametrize(
    ("node", "pod", "score"),
    [
        # ((c - q) / 128,000 + (T - t) / 8,000) / 2 of what the largest node has is left
        pytest.param((128_000, (1000,) * 8), (64_000, 8, 1000), 75, id="1/2 and 0: 1 - 1/4"),
        pytest.param((128_000, (1000,) * 8), (0, 0, 0), 0, id="all is left"),
        pytest.param((64_000, (1000, 1000)), (32_000, 1, 500), 78, id="1/4, 3/16: 1 - 7/32 = .78"),
        pytest.param((64_000, (1000, 500)), (64_000, 1, 500), 93, id="0 and 1/8: 1 - 1/16 = .9375"),
        pytest.param((256_000, (1000,) * 16), (0, 0, 0), -100, id="twice the largest: 1 - 2"),
        pytest.param((32_000, ()), (32_000, 0, 0), 100, id="a CPU node that is full then"),
    ],
)
def test_best_fit(node, pod, score):
    state = cluster((*node, "T4"), (1_000, (0,) * 16, "T4"))
    cpu, gpus, milli = pod
    assert BestFit().score(cycle_of(state, gpus, milli, cpu=cpu), ROW).tolist() == [score]


@pytest.mark.parametrize(
    ("node", "pod", "score"),
    [
        # (c / 128,000)(q / 128,000) + (T / 8,000)(t / 8,000), halved
        pytest.param((128_000, (1000,) * 8), (128_000, 8, 1000), 0, id="1 + 1: 1 - 1"),
        pytest.param((128_000, (1000,) * 8), (64_000, 4, 1000), 50, id="1/2 + 1/2: 1 - 1/2"),
        pytest.param((64_000, (1000, 500)), (32_000, 1, 500), 93, id="1/8 + 3/256: 1 - 35/512"),
        pytest.param((64_000, (0, 0)), (32_000, 0, 0), 93, id="1/8 + 0: 1 - 1/16 = .9375"),
        pytest.param((0, (0,)), (0, 0, 0), 100, id="nothing is left: the best"),
    ],
)
def test_dot_product(node, pod, score):
    state = cluster((*node, "T4"))
    cpu, gpus, milli = pod
    assert DotProduct().score(cycle_of(state, gpus, milli, cpu=cpu), ROW).tolist() == [score]


@pytest.mark.parametrize(
    ("free", "asked", "score"),
    [
        pytest.param((1000, 1000), (1, 500), 31, id="an idle node: 33 - 2 GPUs"),
        pytest.param((1000,) * 8, (1, 500), 25, id="an idle node of 8: 33 - 8"),
        pytest.param((1000,) * 20, (1, 500), 20, id="of 20: not below the number of its GPUs"),
        pytest.param((1000, 0), (1, 500), 49, id="one idle GPU of a used node: 50 - 1"),
        pytest.param((1000, 1000, 0), (2, 1000), 48, id="two of them: 50 - 2"),
        pytest.param((1000,) * 19 + (0,), (18, 1000), 33, id="18 of them: not below 33"),
        pytest.param((700, 1000), (1, 500), 93, id="a used GPU: 100 - 70 / 10"),
        pytest.param((700, 600), (1, 500), 94, id="the fullest that fits: 100 - 60 / 10"),
        pytest.param((700, 400), (1, 500), 93, id="400 is too little: 100 - 70 / 10"),
        pytest.param((659, 1000), (1, 500), 94, id="truncated: 65 / 10 = 6"),
        pytest.param((1000, 1000), (0,), 0, id="a pod without GPUs"),
    ],
)
def test_gpu_packing(free, asked, score):
    state = cluster((64_000, free, "T4"))
    assert GpuPacking().score(cycle_of(state, *asked), ROW).tolist() == [score]


@pytest.mark.parametrize(
    ("pods", "asked", "score"),
    [
        pytest.param((), (1, 500), 43, id="no GPU pod: 25 (8 - 2) / 8 = 18, + 25"),
        pytest.param([(1, 500)], (1, 300), 95, id="shares alone: 25 (8 - 1.5) / 8 = 20, + 75"),
        pytest.param([(1, 500), (1, 1000)], (1, 500), 73, id="shares among others: 23 + 50"),
        pytest.param([(1, 1000)], (1, 500), 21, id="others alone: 25 (8 - 1) / 8 = 21"),
        pytest.param([(1, 1000)], (1, 1000), 96, id="its kind alone: 21 + 75"),
        pytest.param([(2, 1000)], (1, 1000), 25, id="pairs are another kind: 25"),
        pytest.param([(2, 1000)], (2, 1000), 100, id="pairs with pairs: 25 + 75"),
        pytest.param([(1, 500)], (0,), 0, id="a pod without GPUs"),
        pytest.param([(1, 500)], (3, 1000), 0, id="more GPUs than any node has"),
    ],
)
def test_gpu_clustering(pods, asked, score):
    state = cluster((64_000, (1000, 1000), "T4"))
    for i, (gpus, milli) in enumerate(pods):
        state.add_pod(i, gpu_class(state, gpus, milli), 0)
    assert GpuClustering().score(cycle_of(state, *asked), ROW).tolist() == [score]


WHOLE = TypicalPods(((4_000, 1000, 1, ""),), (1.0,))
HALVES = TypicalPods(((4_000, 500, 1, ""),), (1.0,))


@pytest.mark.parametrize(
    ("typical", "free", "asked", "score", "device"),
    [
        # F is what pods of the mix can't use; the score is 100 / (1 + exp(-(F before - after)))
        pytest.param(WHOLE, (1000, 1000), (1, 1000), 50, -1, id="0 before and after: 50"),
        pytest.param(WHOLE, (1000, 500), (1, 1000), 50, -1, id=".5 before, .5 after"),
        pytest.param(WHOLE, (500, 1000), (1, 500), 62, 0, id="the used GPU: .5 to 0, 62.2"),
        pytest.param(WHOLE, (1000, 600), (1, 500), 62, 1, id="the used GPU: .6 to .1"),
        pytest.param(WHOLE, (1000, 1000), (1, 400), 35, 0, id="an idle GPU: 0 to .6, 35.4"),
        pytest.param(HALVES, (1000, 1000), (1, 500), 50, 0, id="halves for halves"),
        pytest.param(HALVES, (1000, 900), (1, 400), 50, 0, id="500 or 600 left: equal, the first"),
        pytest.param(HALVES, (1000, 400), (1, 400), 59, 1, id="the rest: .4 to 0, 59.8"),
        pytest.param(HALVES, (400, 400), (1, 400), 59, 0, id="equal GPUs: the first"),
        pytest.param(HALVES, (300, 300), (1, 400), 0, -1, id="no room"),
    ],
)
def test_fgd(typical, free, asked, score, device):
    state = cluster((64_000, free, "T4"))
    plugin, cycle = FGD(typical=typical), cycle_of(state, *asked)
    assert plugin.score(cycle, ROW).tolist() == [score]
    plugin.reserve(cycle, 0)
    chosen = cycle.memo("devices", lambda: None)
    assert chosen == (None if device < 0 else (device,))


def test_fgd_leaves_cpu_for_gpus():
    state = cluster((8_000, (1000, 1000), "T4"), (4_000, (1000, 1000), "T4"))
    scores = FGD(typical=WHOLE).score(cycle_of(state, 0, cpu=2_000), np.arange(2))
    # 6 cpus are left on the first: enough for one of 4; 2 on the second: 2 GPUs are lost
    assert scores.tolist() == [50, 11]  # 100 / (1 + e^2) = 11.9


STRANDING_MIX = TypicalPods(((8_000, 1000, 1, ""),), (1.0,))
"""8 cpus for each GPU."""


@pytest.mark.parametrize(
    ("stranding", "scores"),
    [
        # a pod of 8 cpus and a GPU, on 24 cpus with 4 GPUs and on 40 cpus with 4 GPUs: one more
        # such pod fits on both, so F stays
        pytest.param(0.0, [50, 50], id="FGD sees no difference"),
        # 4 GPUs for 24 cpus, which feed 3: one is stranded before and after
        pytest.param(0.5, [50, 50], id="stranded before and after"),
    ],
)
def test_a_pod_like_the_mix_strands_nothing_more(stranding, scores):
    state = cluster((24_000, (1000,) * 4, "T4"), (40_000, (1000,) * 4, "T4"))
    plugin = FGDStranded(typical=STRANDING_MIX, stranding=stranding)
    assert plugin.score(cycle_of(state, 1, cpu=8_000), np.arange(2)).tolist() == scores


@pytest.mark.parametrize(
    ("stranding", "scores"),
    [
        pytest.param(0.0, [50, 50], id="FGD sees no difference"),
        # 16 cpus: 24 - 16 = 8 are left for 3 GPUs: 1 stranded before, 2 after; 40 - 16 = 24 feed
        # the 3: none. 100 / (1 + e^.5) = 37.75
        pytest.param(0.5, [37, 50], id="the node whose CPU lasts"),
        pytest.param(1.0, [26, 50], id="twice the weight"),  # 100 / (1 + e) = 26.9
    ],
)
def test_fgd_stranded_keeps_cpu_for_idle_gpus(stranding, scores):
    state = cluster((24_000, (1000,) * 4, "T4"), (40_000, (1000,) * 4, "T4"))
    plugin = FGDStranded(typical=STRANDING_MIX, stranding=stranding)
    assert plugin.score(cycle_of(state, 1, cpu=16_000), np.arange(2)).tolist() == scores


def test_a_mix_without_cpu_strands_nothing():
    state = cluster((24_000, (1000,) * 4, "T4"))
    plugin = FGDStranded(typical=TypicalPods(((0, 1000, 1, ""),), (1.0,)), stranding=1.0)
    assert plugin.score(cycle_of(state, 1, cpu=16_000), ROW).tolist() == [50]


def test_fgd_follows_the_cluster_s_mix():
    state = cluster((64_000, (1000, 1000), "T4"))
    state.mix = {(4_000, 1000, 1, ""): 96, (4_000, 400, 1, ""): 4}
    cycle = cycle_of(state, 1, 400)
    assert FGD(coverage=0.95).score(cycle, ROW).tolist() == [35]  # as if all were whole: 0 to .6
    # with the 4 %: .96 (0 to .6)
    assert FGD(coverage=1.0).score(cycle, ROW).tolist() == [35]  # 100 / (1 + e^.576) = 35.98


def test_fgd_keeps_up_with_the_cluster():
    state = cluster((64_000, (1000, 1000), "T4"), (64_000, (1000, 1000), "T4"))
    plugin = FGD(typical=WHOLE)
    assert plugin.score(cycle_of(state, 1, 500), np.arange(2)).tolist() == [37, 37]
    state.add_pod(0, gpu_class(state, 1, 500), 1)
    assert plugin.score(cycle_of(state, 1, 500), np.arange(2)).tolist() == [37, 62]
    state.remove_pod(0)
    assert plugin.score(cycle_of(state, 1, 500), np.arange(2)).tolist() == [37, 37]
    state.nodes.add(gpu_node("new", 1, model="A10"))
    models = cycle_of(state, 1, 500, models="A10")
    assert plugin.score(models, np.arange(3)).tolist() == [0, 0, 37]


def test_fgd_needs_a_mix():
    state = cluster((64_000, (1000, 1000), "T4"))
    with pytest.raises(InputError, match="typicalPods"):
        FGD().score(cycle_of(state, 1, 500), ROW)


def test_fgd_on_a_cluster_without_gpus_says_nothing():
    state = cluster((64_000, (), "T4"))
    assert FGD(typical=WHOLE).score(cycle_of(state, 0), ROW).tolist() == [0]


def test_random_scores_nothing_and_draws_a_gpu():
    state = cluster((64_000, (1000, 300, 1000, 700), "T4"))
    plugin = Random()
    drawn = []
    for row in range(200):
        cycle = cycle_of(state, 1, 500, row=row)
        cycle.put("draws", Draws(1))
        assert plugin.score(cycle, ROW).tolist() == [0]
        plugin.reserve(cycle, 0)
        drawn.append(cycle.memo("devices", lambda: None))
    assert {d for (d,) in drawn} == {0, 2, 3}  # 300 is too little
    assert min(drawn.count((d,)) for d in (0, 2, 3)) > 40  # of 67


def test_random_leaves_whole_gpus_to_the_state():
    state = cluster((64_000, (1000, 1000), "T4"))
    cycle = cycle_of(state, 1)
    Random().reserve(cycle, 0)
    assert cycle.memo("devices", lambda: None) is None


@pytest.mark.parametrize(
    "plugin", [GpuShare, FGD, FGDStranded, BestFit, DotProduct, GpuPacking, GpuClustering]
)
def test_answers_depend_on_the_node_alone(plugin):
    assert depends_on(plugin()) is Depends.NODE


def profile_with(score, config=()):
    return read_profiles(
        {
            "apiVersion": "kubescheduler.config.k8s.io/v1",
            "kind": "KubeSchedulerConfiguration",
            "profiles": [
                {
                    "plugins": {
                        "multiPoint": {"enabled": [{"name": "GpuShare"}]},
                        "score": {"disabled": [{"name": "*"}], "enabled": [score]},
                    },
                    "pluginConfig": list(config),
                }
            ],
        }
    )[0]


@pytest.mark.parametrize(
    "name", ["FGD", "FGDStranded", "BestFit", "DotProduct", "GpuPacking", "GpuClustering", "Random"]
)
def test_a_configuration_names_them(name):
    profile = profile_with({"name": name, "weight": 1000})
    assert [(plugin.name, weight) for plugin, weight in profile.scores] == [(name, 1000)]
    assert profile.filters[-1].name == "GpuShare"


def test_a_configuration_gives_fgd_its_mix():
    args = {
        "coverage": 0.8,
        "typicalPods": [
            {"cpuMilli": 4000, "gpuCount": 1, "gpuMilli": 500, "gpuModels": "T4", "pods": 9},
            {"cpuMilli": 1000, "pods": 1},
        ],
    }
    profile = profile_with({"name": "FGD"}, [{"name": "FGD", "args": args}])
    assert profile.scores[0][0].typical == TypicalPods(((4000, 500, 1, "T4"),), (1.0,))


def test_a_configuration_weighs_stranding():
    args = [{"name": "FGDStranded", "args": {"stranding": 0.75}}]
    assert profile_with({"name": "FGDStranded"}, args).scores[0][0].stranding == 0.75
    with pytest.raises(InputError, match="stranding"):
        profile_with({"name": "FGDStranded"}, [{"name": "FGDStranded", "args": {"stranding": -1}}])
    with pytest.raises(InputError, match="stranding"):
        FGDStranded(stranding=-1)


@pytest.mark.parametrize(
    "args",
    [
        pytest.param({"coverage": 1.5}, id="more than all"),
        pytest.param({"cover": 0.9}, id="unknown"),
        pytest.param({"typicalPods": [{"cpuMilli": -1}]}, id="less than nothing"),
    ],
)
def test_bad_arguments_are_refused(args):
    with pytest.raises(InputError):
        profile_with({"name": "FGD"}, [{"name": "FGD", "args": args}])
    with pytest.raises(InputError):
        profile_with({"name": "BestFit"}, [{"name": "BestFit", "args": {"x": 1}}])


@pytest.mark.parametrize(
    "plugin", [FGD, FGDStranded, BestFit, DotProduct, GpuPacking, GpuClustering, Random]
)
def test_a_cluster_without_gpus(plugin):
    state = cluster(*((cpu, (), "T4") for cpu in (8_000, 16_000)))
    state.mix = {(1_000, 0, 0, ""): 1}
    scores = plugin().score(cycle_of(state, 0, cpu=8_000), np.arange(2)).tolist()
    # BestFit: 0 and 8,000 of 128,000 left, 1 - 1/32; DotProduct: 1/16 and 1/8 of 1/16, halved
    assert scores == {"BestFit": [100, 96], "DotProduct": [99, 99]}.get(plugin.name, [0, 0])
    assert GpuShare().filter(cycle_of(state, 1), np.arange(2)).all()
