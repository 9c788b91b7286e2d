"""The plugin LearnedScore and the scheduler `learned`."""

import numpy as np
import pytest

from schedlab.errors import InputError
from schedlab.rng import Draws
from schedlab.scheduling.base import Pod, PodBatch
from schedlab.scheduling.framework.interface import Cycle, Depends, depends_on
from schedlab.scheduling.framework.profiles import read_profiles
from schedlab.scheduling.kube_scheduler import KubeScheduler
from schedlab.scheduling.learned.features import NAMES
from schedlab.scheduling.learned.model import Model
from schedlab.scheduling.learned.scheduler import Learned
from schedlab.scheduling.learned.score import CENTRE, LearnedScore
from schedlab.scheduling.view import ClusterView
from schedlab.testing.conformance import check_scheduler, pending, random_class, random_cluster
from schedlab.testing.gpu_pods import made_up
from schedlab.testing.gpus import gpu_class
from schedlab.testing.runs import checked, small_run, texts

TIGHT = Model.of({"cpu_share_left": -1.0, "memory_share_left": -1.0, "device_left": -1.0}, 1000.0)


def gpu_state(seed=0):
    cluster, _ = made_up(seed, 1)
    run = small_run(made_up(seed, 1)[1], nodes=cluster.nodes, scheduler=Learned(TIGHT))
    return run.truth


def test_it_is_kept_by_node():
    assert depends_on(LearnedScore(TIGHT)) is Depends.NODE


def test_scores_are_steps_above_the_centre_and_never_negative():
    state = gpu_state()
    cycle = Cycle(state, gpu_class(state, 1, 300))
    plugin = LearnedScore(TIGHT)
    rows = cycle.rows()
    scores = plugin.score(cycle, rows)
    features = plugin.features(cycle, rows)
    wanted = [
        -features[NAMES.index(name)]
        for name in ("cpu_share_left", "memory_share_left", "device_left")
    ]
    steps = np.floor(1000 * np.sum(wanted, 0))
    fits = ~np.isnan(steps)
    assert scores[fits].tolist() == (CENTRE + steps[fits]).tolist()
    assert not scores[~fits].any()
    huge = LearnedScore(Model.of({"cpu_share_left": -1e30}))
    assert (huge.score(cycle, rows) >= 0).all()


@pytest.mark.parametrize("seed", range(4))
def test_what_is_kept_gives_the_decisions_that_asking_anew_gives(seed):
    draws = Draws(seed, "test")
    state = random_cluster(seed)
    classes = [random_class(state, seed, number) for number in range(8)]
    profile = Learned(TIGHT).profile
    policies = [KubeScheduler(profile, cached=cached) for cached in (True, False)]
    for row in range(40):
        pod = pending(classes[draws.integer(8, row)], row)
        view = ClusterView(state)
        nodes = [policy.schedule(PodBatch([pod]), view, draws).node[0] for policy in policies]
        assert nodes[0] == nodes[1]
        if nodes[0] >= 0:
            state.add_pod(row, pod.pod_class, nodes[0])
        if row % 7 == 6 and row - 3 in state.node_of:
            state.remove_pod(row - 3)


def test_the_scheduler_satisfies_the_conformance_kit():
    check_scheduler(lambda: Learned(TIGHT))


@pytest.mark.parametrize("seed", [0, 1])
def test_a_run_in_which_pods_leave(seed):
    cluster, workload = made_up(seed, 80, lasting=9.0)
    record = checked(small_run(workload, nodes=cluster.nodes, scheduler=Learned(TIGHT)))
    assert record.counts["succeeded"] == 80


def test_the_model_picks_the_gpu():
    _, workload = made_up(0, 30)
    cluster, _ = made_up(0)
    shares = {}
    for name, sign in (("tight", -1.0), ("loose", 1.0)):
        model = Model.of({"device_left": sign, "cpu_share_left": -1e-3})
        record = checked(
            small_run(workload, nodes=cluster.nodes, scheduler=Learned(model, tie_break="first"))
        )
        shares[name] = texts(record, "gpu_index")
    assert shares["tight"] != shares["loose"]


def configuration(score):
    return {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "profiles": [
            {
                "plugins": {"multiPoint": {"enabled": [{"name": score, "weight": 2}]}},
                "pluginConfig": [{"name": score, "args": {"coverage": 0.9}}],
            }
        ],
    }


PATH = "schedlab.scheduling.learned.score:LearnedScore"


def test_a_configuration_names_it_beside_other_plugins():
    profile = read_profiles(configuration(PATH))[0]
    found = {plugin.name: weight for plugin, weight in profile.scores}
    assert found["LearnedScore"] == 2
    assert "NodeResourcesBalancedAllocation" in found
    assert any(plugin.name == "LearnedScore" for plugin in profile.plugins("reserve"))


def test_options_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="coverage"):
        LearnedScore(TIGHT, coverage=0.0)
    with pytest.raises(InputError, match="expected a file"):
        LearnedScore("no-such-model")


def test_a_batch_is_placed_as_one_by_one():
    state = gpu_state()
    pods = [Pod(i, gpu_class(state, 1, 700), f"default/p{i}", i, 1, 0, -1) for i in range(6)]
    together = Learned(TIGHT).schedule(PodBatch(pods), ClusterView(state), Draws(0))
    alone = Learned(TIGHT)
    rows = []
    for i, pod in enumerate(pods):
        placement = alone.schedule(PodBatch([pod]), ClusterView(state), Draws(0))
        rows.append((placement.node[0], placement.devices.get(0)))
        state.add_pod(i, pod.pod_class, placement.node[0], devices=placement.devices.get(0))
    assert [(together.node[i], together.devices.get(i)) for i in range(6)] == rows
